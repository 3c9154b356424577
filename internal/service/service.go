// Package service holds who is watched over: operators, their generative-AI services, the deployments
// of each, the affected objects with their dated importance, and the gateway keys of clients.
package service

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Operator 运营主体: the legal entity that owes the reports. Kind is cii, central_organ or other.
type Operator struct {
	bun.BaseModel `bun:"table:operator" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	Name          string `json:"name"`
	Province      string `json:"province"`
	Kind          string `json:"kind"`
	Filings       string `json:"filings"` // JSON array
	CreatedMs     int64  `json:"created_ms"`
}

// Service 服务: one generative-AI service. ModelName is what its clients put in "model".
type Service struct {
	bun.BaseModel `bun:"table:service" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	OperatorID    string `json:"operator_id"`
	Name          string `json:"name"`
	Kind          string `json:"kind"` // real, drill, test
	DrillID       string `json:"drill_id,omitempty"`
	FilingNo      string `json:"filing_no"`
	ModelName     string `json:"model_name"`
	CreatedMs     int64  `json:"created_ms"`
}

// Deployment 部署: model version + system prompt version + route.
type Deployment struct {
	bun.BaseModel       `bun:"table:deployment" json:"-"`
	ID                  string `bun:"id,pk" json:"id"`
	ServiceID           string `json:"service_id"`
	Name                string `json:"name"`
	ModelVersion        string `json:"model_version"`
	SystemPromptVersion string `json:"system_prompt_version"`
	Route               string `json:"route"`
	UpstreamURL         string `json:"upstream_url"`
	UpstreamModel       string `json:"upstream_model"`
	SecretRef           string `json:"secret_ref"`
	Role                string `json:"role"` // primary, backup
	Filed               bool   `json:"filed"`
	TestedMs            int64  `json:"tested_ms"`
	CreatedMs           int64  `json:"created_ms"`
}

// AffectedObject 影响对象: what an incident harms and what is graded.
type AffectedObject struct {
	bun.BaseModel `bun:"table:affected_object" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	ServiceID     string `json:"service_id"`
	Kind          string `json:"kind"` // service, dataset, model, system
	Name          string `json:"name"`
	CreatedMs     int64  `json:"created_ms"`
}

// Importance is one dated statement of how important an affected object is, and on what ground
// (guide chapter 5; levels 特别重要, 重要, 一般).
type Importance struct {
	bun.BaseModel `bun:"table:importance" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	ObjectID      string `json:"object_id"`
	Level         string `json:"level"`
	Ground        string `json:"ground"`
	FromMs        int64  `json:"from_ms"`
	SetBy         string `json:"set_by"`
}

// GatewayKey is a client's key, bound to operator, tenant, service and group; only its hash is kept.
type GatewayKey struct {
	bun.BaseModel `bun:"table:gateway_key" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	Hash          string `json:"-"`
	OperatorID    string `json:"operator_id"`
	ServiceID     string `json:"service_id"`
	Tenant        string `json:"tenant"`
	UserGroup     string `json:"user_group"`
	TrafficKind   string `json:"traffic_kind"` // real, drill, test
	Simulated     bool   `json:"simulated"`
	Label         string `json:"label"`
	CreatedMs     int64  `json:"created_ms"`
	RevokedMs     int64  `json:"revoked_ms"`
}

func required(pairs ...string) error {
	for i := 0; i+1 < len(pairs); i += 2 {
		if strings.TrimSpace(pairs[i+1]) == "" {
			return fault.Invalid(pairs[i], "error.required", "field", pairs[i])
		}
	}
	return nil
}

func oneOf(field, value string, valid ...string) error {
	if !slices.Contains(valid, value) {
		return fault.Invalid(field, "error.unknown_value", "value", value, "valid", strings.Join(valid, ", "))
	}
	return nil
}

func firstError(errs ...error) error {
	for _, e := range errs {
		if e != nil {
			return e
		}
	}
	return nil
}

// AddOperator registers a legal entity.
func AddOperator(ctx context.Context, tx *store.Tx, o Operator) (Operator, error) {
	if err := firstError(identity.Require(tx.Actor, "service.manage"), identity.RequireDrill(tx.Actor, ""), required("name", o.Name, "province", o.Province),
		oneOf("kind", o.Kind, "cii", "central_organ", "other")); err != nil {
		return o, err
	}
	if o.Filings == "" {
		o.Filings = "[]"
	}
	if filings := []any(nil); json.Unmarshal([]byte(o.Filings), &filings) != nil || filings == nil {
		return o, fault.Invalid("filings", "error.not_json", "field", "filings")
	}
	o.ID, o.CreatedMs = tx.NewID(), tx.NowMs
	return o, insert(ctx, tx, &o, "operator.add", "operator", o.ID, o)
}

// AddService registers a service and its own affected object of kind service.
func AddService(ctx context.Context, tx *store.Tx, s Service) (Service, AffectedObject, error) {
	if err := firstError(identity.Require(tx.Actor, "service.manage"), identity.RequireDrill(tx.Actor, s.DrillID),
		required("name", s.Name, "model_name", s.ModelName, "operator_id", s.OperatorID),
		oneOf("kind", s.Kind, "real", "drill", "test")); err != nil {
		return s, AffectedObject{}, err
	}
	if (s.Kind == "drill") != (s.DrillID != "") {
		return s, AffectedObject{}, fault.Invalid("kind", "service.drill_kind")
	}
	if _, err := Get[Operator](ctx, tx, "operator_id", s.OperatorID); err != nil {
		return s, AffectedObject{}, err
	}
	n, err := tx.NewSelect().Model((*Service)(nil)).Where("model_name = ?", s.ModelName).Count(ctx)
	if err != nil {
		return s, AffectedObject{}, err
	}
	if n > 0 {
		return s, AffectedObject{}, fault.Conflict("model_name", "error.exists", "field", "model_name")
	}
	s.ID, s.CreatedMs = tx.NewID(), tx.NowMs
	if err := insert(ctx, tx, &s, "service.add", "service", s.ID, s); err != nil {
		return s, AffectedObject{}, err
	}
	tx.Touch("service")
	obj, err := AddObject(ctx, tx, AffectedObject{ServiceID: s.ID, Kind: "service", Name: s.Name})
	return s, obj, err
}

// AddObject registers an affected object of a service.
func AddObject(ctx context.Context, tx *store.Tx, o AffectedObject) (AffectedObject, error) {
	if err := firstError(identity.Require(tx.Actor, "service.manage"), required("name", o.Name, "service_id", o.ServiceID),
		oneOf("kind", o.Kind, "service", "dataset", "model", "system")); err != nil {
		return o, err
	}
	if _, err := manageable(ctx, tx, o.ServiceID); err != nil {
		return o, err
	}
	o.ID, o.CreatedMs = tx.NewID(), tx.NowMs
	return o, insert(ctx, tx, &o, "object.add", "affected_object", o.ID, o)
}

// SetImportance states how important an object is from now on, with the ground for it.
func SetImportance(ctx context.Context, tx *store.Tx, i Importance) (Importance, error) {
	if err := firstError(identity.Require(tx.Actor, "service.manage"), required("ground", i.Ground),
		oneOf("level", i.Level, "特别重要", "重要", "一般")); err != nil {
		return i, err
	}
	if i.FromMs < 0 {
		return i, fault.Invalid("from_ms", "error.negative", "field", "from_ms")
	}
	o, err := Get[AffectedObject](ctx, tx, "object_id", i.ObjectID)
	if err != nil {
		return i, err
	}
	if _, err := manageable(ctx, tx, o.ServiceID); err != nil {
		return i, err
	}
	i.ID, i.SetBy = tx.NewID(), tx.Actor.ID
	if i.FromMs == 0 {
		i.FromMs = tx.NowMs
	}
	return i, insert(ctx, tx, &i, "importance.set", "affected_object", i.ObjectID, i)
}

// ImportanceAt is the importance of an object at an instant; the newest statement at or before it.
func ImportanceAt(ctx context.Context, db bun.IDB, objectID string, atMs int64) (Importance, error) {
	var i Importance
	err := db.NewSelect().Model(&i).Where("object_id = ? AND from_ms <= ?", objectID, atMs).Order("from_ms DESC", "id DESC").Limit(1).Scan(ctx)
	return i, store.Missing(err, "importance")
}

// AddDeployment registers a deployment. The upstream address must be http(s) without credentials;
// whether it may be reached is decided by the gateway's guard at dial time. A secret goes only where it
// is bound to, and a drill's service uses only drills' secrets.
func AddDeployment(ctx context.Context, tx *store.Tx, d Deployment) (Deployment, error) {
	if d.Route == "" {
		d.Route = "default"
	}
	if err := firstError(identity.Require(tx.Actor, "service.manage"), required("name", d.Name, "model_version", d.ModelVersion, "upstream_url", d.UpstreamURL, "upstream_model", d.UpstreamModel),
		oneOf("role", d.Role, "primary", "backup")); err != nil {
		return d, err
	}
	if !upstream(d.UpstreamURL) {
		return d, fault.Invalid("upstream_url", "service.bad_url", "field", "upstream_url")
	}
	s, err := manageable(ctx, tx, d.ServiceID)
	if err != nil {
		return d, err
	}
	if d.SecretRef != "" {
		if s.Kind == "drill" && !strings.HasPrefix(d.SecretRef, "drill.") {
			return d, fault.Invalid("secret_ref", "service.drill_secret")
		}
		if err := secret.CheckUpstream(ctx, tx, d.SecretRef, d.UpstreamURL); err != nil {
			return d, err
		}
	}
	d.ID, d.CreatedMs = tx.NewID(), tx.NowMs
	tx.Touch("service")
	return d, insert(ctx, tx, &d, "deployment.add", "deployment", d.ID, d)
}

// MarkTested notes that a deployment has passed a service test now.
func MarkTested(ctx context.Context, tx *store.Tx, id string) error {
	if err := identity.Require(tx.Actor, "service.manage"); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "UPDATE deployment SET tested_ms = ? WHERE id = ?", tx.NowMs, id)
	tx.Touch("service")
	return err
}

// upstream reports whether s is an address that paths can be put behind: http or https, a host, and
// nothing that could carry a credential into logs and records.
func upstream(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil &&
		u.RawQuery == "" && !u.ForceQuery && u.Fragment == "" && !strings.HasSuffix(s, "#")
}

// manageable is the service if it is one that the actor may manage: a drill's seat only its own drill's.
func manageable(ctx context.Context, tx *store.Tx, id string) (Service, error) {
	s, err := Get[Service](ctx, tx, "service_id", id)
	if err != nil {
		return s, err
	}
	return s, identity.RequireDrill(tx.Actor, s.DrillID)
}

// RevokeKey ends a gateway key; gateways refuse it from the next bundle on.
func RevokeKey(ctx context.Context, tx *store.Tx, id string) error {
	if err := identity.Require(tx.Actor, "service.manage"); err != nil {
		return err
	}
	k, err := Get[GatewayKey](ctx, tx, "key_id", id)
	if err != nil {
		return err
	}
	if k.RevokedMs != 0 {
		return fault.Conflict("key_id", "service.revoked")
	}
	tx.Touch("service")
	tx.Record(store.Entry{Action: "gateway_key.revoke", ObjectKind: "gateway_key", ObjectID: id, Content: map[string]any{"service": k.ServiceID}})
	_, err = tx.ExecContext(ctx, "UPDATE gateway_key SET revoked_ms = ? WHERE id = ?", tx.NowMs, id)
	return err
}

// keyPrefix lets secret scanners recognise a leaked gateway key.
const keyPrefix = "fsk-"

// HashKey is how a gateway key is kept and compared: SHA-256, hex.
func HashKey(clear string) string {
	h := sha256.Sum256([]byte(clear))
	return hex.EncodeToString(h[:])
}

// IssueKey makes a gateway key; the clear text is returned once and never stored.
func IssueKey(ctx context.Context, tx *store.Tx, k GatewayKey) (GatewayKey, string, error) {
	if err := firstError(identity.Require(tx.Actor, "service.manage"), required("tenant", k.Tenant, "user_group", k.UserGroup),
		oneOf("traffic_kind", k.TrafficKind, "real", "drill", "test")); err != nil {
		return k, "", err
	}
	s, err := manageable(ctx, tx, k.ServiceID)
	if err != nil {
		return k, "", err
	}
	if s.Kind == "drill" && k.TrafficKind != "drill" {
		return k, "", fault.Invalid("traffic_kind", "service.drill_key")
	}
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		return k, "", err
	}
	clear := keyPrefix + base64.RawURLEncoding.EncodeToString(raw)
	k.ID, k.CreatedMs, k.OperatorID, k.Hash = tx.NewID(), tx.NowMs, s.OperatorID, HashKey(clear)
	tx.Touch("service")
	return k, clear, insert(ctx, tx, &k, "gateway_key.issue", "gateway_key", k.ID, map[string]any{"service": k.ServiceID, "tenant": k.Tenant, "group": k.UserGroup, "traffic_kind": k.TrafficKind})
}

func insert(ctx context.Context, tx *store.Tx, model any, action, kind, id string, content any) error {
	if _, err := tx.NewInsert().Model(model).Exec(ctx); err != nil {
		return err
	}
	tx.Record(store.Entry{Action: action, ObjectKind: kind, ObjectID: id, Content: content})
	return nil
}

// Get reads one row of a table of this package by id; field names the input that held the id.
func Get[T any](ctx context.Context, db bun.IDB, field, id string) (T, error) {
	var row T
	err := db.NewSelect().Model(&row).Where("id = ?", id).Scan(ctx)
	return row, store.Missing(err, field)
}

// ImportanceOf lists what was stated about the affected objects of a service, newest first.
func ImportanceOf(ctx context.Context, db bun.IDB, serviceID string) ([]Importance, error) {
	out := []Importance{}
	err := db.NewSelect().Model(&out).Where("object_id IN (SELECT id FROM affected_object WHERE service_id = ?)", serviceID).Order("from_ms DESC", "id DESC").Scan(ctx)
	return out, err
}

// List reads all rows of a table of this package, oldest first; a row belongs to serviceID unless that is "".
func List[T any](ctx context.Context, db bun.IDB, serviceID string) ([]T, error) {
	out := []T{}
	q := db.NewSelect().Model(&out).Order("created_ms", "id")
	if serviceID != "" {
		q = q.Where("service_id = ?", serviceID)
	}
	return out, q.Scan(ctx)
}
