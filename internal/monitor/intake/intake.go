// Package intake takes what people outside report: complaints (投诉), reports (举报) and notices of
// rights holders (权利人通知). Text and contact are sealed under a scope of their own; each one is a
// signal that opens or joins an anomaly at once.
package intake

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/monitor/anomaly"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/service"
)

// Topic is woken when a complaint comes in, is read or answered.
const Topic = "complaint"

// Vault seals small values under the key of a scope, such that erasing the scope makes them unreadable.
type Vault interface {
	Seal(ctx context.Context, tx *store.Tx, scope string, plaintext []byte) (string, error)
	Open(ctx context.Context, db bun.IDB, scope, sealed string) ([]byte, error)
}

// Raiser lets a complaint's signal open or join an anomaly, in the same transaction.
type Raiser interface {
	Raise(ctx context.Context, tx *store.Tx, o anomaly.Observation) (anomaly.Anomaly, error)
}

// Desk takes and answers complaints.
type Desk struct {
	vault  Vault
	raiser Raiser
}

// NewDesk makes a desk.
func NewDesk(vault Vault, raiser Raiser) *Desk { return &Desk{vault: vault, raiser: raiser} }

// Limits of a submission, in characters.
const (
	MinText    = 2
	MaxText    = 4000
	MaxContact = 200
	MaxWork    = 500
	MaxProof   = 2000
	MaxLinks   = 2000
	MaxAnswer  = 4000
)

// Kinds of a complaint.
const (
	KindComplaint = "complaint"     // 投诉
	KindReport    = "report"        // 举报
	KindRights    = "rights_notice" // 权利人通知
)

// The states, in their only order: received, read, answered.
const (
	StateReceived = "received"
	StateRead     = "read"
	StateAnswered = "answered"
)

// Submission is what a person outside hands in. ContentNo and Contact may be empty; TrafficKind "" means
// that of the service.
type Submission struct {
	Kind        string
	ServiceID   string
	ContentNo   string
	Text        string
	Contact     string
	Harm        string // of a report: one of Harms
	Work        string // of a rights notice: what was infringed
	Proof       string // of a rights notice: why the right is the sender's
	Links       string // where the content can be seen
	GoodFaith   bool   // of a rights notice: the sender stands by what it says
	Language    string
	TrafficKind string
}

// Harms are the kinds of harm that a report names, in the order of the form.
func Harms() []string {
	return []string{"violence", "obscenity", "minors", "self_harm", "fraud", "discrimination", "privacy", "falsehood", "malware", "other"}
}

// Receipt lets the complainant ask later what became of it. The code is shown once.
type Receipt struct {
	ID        string `json:"id"`
	Number    string `json:"number"`
	Code      string `json:"code"`
	AnomalyID string `json:"anomaly_id"`
}

// Complaint is one submission without its text. Times are UTC milliseconds.
type Complaint struct {
	bun.BaseModel `bun:"table:complaint" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	Number        string `json:"number"`
	CodeHash      string `json:"-"`
	Kind          string `json:"kind"`
	TrafficKind   string `json:"traffic_kind"`
	ServiceID     string `json:"service_id"`
	ContentNo     string `json:"content_no,omitempty"`
	Body          string `json:"-"` // sealed
	Modality      string `json:"modality"`
	Language      string `json:"language"`
	ReceivedMs    int64  `json:"received_ms"`
	ReadMs        int64  `json:"read_ms,omitempty"` // first reading by a person: a candidate for awareness
	ReadBy        string `json:"read_by,omitempty"`
	State         string `json:"state"`
	AnomalyID     string `json:"anomaly_id"`
	Answer        string `json:"-"` // sealed
	AnsweredBy    string `json:"answered_by,omitempty"`
	AnsweredMs    int64  `json:"answered_ms,omitempty"`
}

// Letter is what the complainant wrote.
type Letter struct {
	Text      string `json:"text"`
	Contact   string `json:"contact,omitempty"`
	Harm      string `json:"harm,omitempty"`
	Work      string `json:"work,omitempty"`
	Proof     string `json:"proof,omitempty"`
	Links     string `json:"links,omitempty"`
	GoodFaith bool   `json:"good_faith,omitempty"`
}

// Scope is the erasure scope of a complaint's text, contact and answer.
func Scope(id string) string { return "subject:" + id }

// Submit takes a submission. The actor is a part of the system, or a stand-in who plays a complainant in
// its drill. Errors: fault invalid for a missing or too long field and for an unknown service.
func (d *Desk) Submit(ctx context.Context, tx *store.Tx, s Submission) (Receipt, error) {
	if !tx.Actor.IsSystem() && tx.Actor.Drill == "" {
		if err := identity.Require(tx.Actor, "complaint.read"); err != nil { // somebody who takes a call
			return Receipt{}, err
		}
	}
	for _, field := range []*string{&s.Text, &s.Contact, &s.ContentNo, &s.Work, &s.Proof, &s.Links} {
		*field = strings.TrimSpace(*field)
	}
	if err := s.check(); err != nil {
		return Receipt{}, err
	}
	svc, err := service.Get[service.Service](ctx, tx, "service_id", s.ServiceID)
	if err != nil {
		return Receipt{}, err
	}
	if err := identity.RequireDrill(tx.Actor, svc.DrillID); err != nil {
		return Receipt{}, err
	}
	switch {
	case s.TrafficKind == "":
		s.TrafficKind = svc.Kind
	case svc.Kind != "real" && s.TrafficKind != svc.Kind:
		return Receipt{}, fault.Invalid("traffic_kind", "error.unknown_value", "value", s.TrafficKind, "valid", svc.Kind)
	}
	number, err := identity.NextNumber(ctx, tx, "CP", s.TrafficKind)
	if err != nil {
		return Receipt{}, err
	}
	code := newCode()
	c := Complaint{ID: tx.NewID(), Number: number, Kind: s.Kind, TrafficKind: s.TrafficKind, ServiceID: s.ServiceID, ContentNo: s.ContentNo,
		Modality: "text", Language: s.Language, ReceivedMs: tx.NowMs, State: StateReceived}
	c.CodeHash = hashCode(c.ID, code)
	letter, err := json.Marshal(Letter{Text: s.Text, Contact: s.Contact, Harm: s.Harm, Work: s.Work, Proof: s.Proof, Links: s.Links, GoodFaith: s.GoodFaith})
	if err != nil {
		return Receipt{}, err
	}
	if c.Body, err = d.vault.Seal(ctx, tx, Scope(c.ID), letter); err != nil {
		return Receipt{}, err
	}
	// The signal is raised by the system, whoever handed the complaint in.
	a, err := d.raise(ctx, tx, c)
	if err != nil {
		return Receipt{}, err
	}
	c.AnomalyID = a.ID
	if _, err := tx.NewInsert().Model(&c).Exec(ctx); err != nil {
		return Receipt{}, err
	}
	tx.Record(store.Entry{Action: "complaint.submit", ObjectKind: "complaint", ObjectID: c.ID, Scope: Scope(c.ID), Content: map[string]any{
		"number": c.Number, "kind": c.Kind, "traffic_kind": c.TrafficKind, "service": c.ServiceID, "content_no": c.ContentNo, "anomaly": c.AnomalyID}})
	tx.Touch(Topic)
	return Receipt{ID: c.ID, Number: c.Number, Code: code, AnomalyID: a.ID}, nil
}

func (d *Desk) raise(ctx context.Context, tx *store.Tx, c Complaint) (anomaly.Anomaly, error) {
	defer tx.Lend(store.System("intake"))()
	return d.raiser.Raise(ctx, tx, anomaly.Observation{Kind: c.TrafficKind, Signal: anomaly.Signal{ID: c.ID, Source: "complaint", ServiceID: c.ServiceID,
		AtMs: c.ReceivedMs, ContentNo: c.ContentNo, ComplaintID: c.ID, Modality: c.Modality, Language: c.Language}})
}

func (s Submission) check() error {
	if !slices.Contains([]string{KindComplaint, KindReport, KindRights}, s.Kind) {
		return fault.Invalid("kind", "error.unknown_value", "value", s.Kind, "valid", "complaint, report, rights_notice")
	}
	if s.ServiceID == "" {
		return fault.Invalid("service_id", "error.required", "field", "service_id")
	}
	for _, f := range []struct {
		name, value string
		least, most int
	}{{"text", s.Text, MinText, MaxText}, {"contact", s.Contact, 0, MaxContact}, {"content_no", s.ContentNo, 0, 100}, {"language", s.Language, 0, 20},
		{"work", s.Work, 0, MaxWork}, {"proof", s.Proof, 0, MaxProof}, {"links", s.Links, 0, MaxLinks}} {
		if err := length(f.name, f.value, f.least, f.most); err != nil {
			return err
		}
	}
	return s.checkKind()
}

// checkKind asks for what a kind needs. A rights holder says who they are, what is theirs and why, where it
// is seen, and that they stand by it (Civil Code, art. 1195).
func (s Submission) checkKind() error {
	need := func(field, value string) error {
		if value == "" {
			return fault.Invalid(field, "error.required", "field", field)
		}
		return nil
	}
	if s.Harm != "" && !slices.Contains(Harms(), s.Harm) {
		return fault.Invalid("harm", "error.unknown_value", "value", s.Harm, "valid", strings.Join(Harms(), ", "))
	}
	switch s.Kind {
	case KindReport:
		return need("harm", s.Harm)
	case KindRights:
		for _, f := range []struct{ field, value string }{{"work", s.Work}, {"proof", s.Proof}, {"content_no", s.ContentNo + s.Links}, {"contact", s.Contact}} {
			if err := need(f.field, f.value); err != nil {
				return err
			}
		}
		if !s.GoodFaith {
			return fault.Invalid("good_faith", "intake.good_faith")
		}
	}
	return nil
}

func length(field, value string, least, most int) error {
	if !utf8.ValidString(value) {
		return fault.Invalid(field, "intake.not_text", "field", field)
	}
	switch n := utf8.RuneCountInString(value); {
	case n == 0 && least > 0:
		return fault.Invalid(field, "error.required", "field", field)
	case n < least:
		return fault.Invalid(field, "intake.too_short", "field", field, "min", least)
	case n > most:
		return fault.Invalid(field, "anomaly.too_long", "field", field, "max", most)
	}
	return nil
}

// newCode is 80 random bits in letters and digits that can be read out on the telephone.
func newCode() string {
	raw := make([]byte, 10)
	if _, err := rand.Read(raw); err != nil {
		panic(err) // documented never to happen
	}
	return base32.StdEncoding.EncodeToString(raw)
}

func hashCode(id, code string) string {
	h := sha256.Sum256([]byte("complaint:" + id + ":" + strings.ToUpper(strings.TrimSpace(code))))
	return hex.EncodeToString(h[:])
}

// load reads a complaint that the actor may know of: one of a hidden anomaly is hidden with it.
func load(ctx context.Context, db bun.IDB, actor store.Actor, id string) (Complaint, error) {
	var c Complaint
	if err := db.NewSelect().Model(&c).Where("id = ?", id).Scan(ctx); err != nil {
		return c, store.Missing(err, "id")
	}
	if err := anomaly.Visible(ctx, db, actor, "id", c.AnomalyID); err != nil {
		return Complaint{}, err
	}
	svc, err := service.Get[service.Service](ctx, db, "service_id", c.ServiceID)
	if err != nil {
		return c, err
	}
	return c, identity.RequireDrill(actor, svc.DrillID)
}

// Read gives what the complainant wrote. The first person who reads it marks it as read: that instant
// is a candidate for awareness. Every reading is recorded.
func (d *Desk) Read(ctx context.Context, tx *store.Tx, id string) (Complaint, Letter, error) {
	var letter Letter
	if err := identity.Require(tx.Actor, "complaint.read"); err != nil {
		return Complaint{}, letter, err
	}
	c, err := load(ctx, tx, tx.Actor, id)
	if err != nil {
		return c, letter, err
	}
	plain, err := d.vault.Open(ctx, tx, Scope(id), c.Body)
	if err != nil {
		return c, letter, fault.Conflict("id", "intake.erased").Because(err)
	}
	if err := json.Unmarshal(plain, &letter); err != nil {
		return c, letter, err
	}
	if c.State == StateReceived {
		c.State, c.ReadMs, c.ReadBy = StateRead, tx.NowMs, tx.Actor.ID
		if _, err := tx.NewUpdate().Model(&c).Column("state", "read_ms", "read_by").WherePK().Exec(ctx); err != nil {
			return c, letter, err
		}
		tx.Touch(Topic)
	}
	tx.Record(store.Entry{Action: "complaint.read", ObjectKind: "complaint", ObjectID: id, Scope: Scope(id), Content: map[string]any{"first": c.ReadMs == tx.NowMs}})
	return c, letter, nil
}

// Answer tells the complainant what became of it. It must have been read, and is answered once.
func (d *Desk) Answer(ctx context.Context, tx *store.Tx, id, text string) (Complaint, error) {
	if err := identity.Require(tx.Actor, "complaint.answer"); err != nil {
		return Complaint{}, err
	}
	c, err := load(ctx, tx, tx.Actor, id)
	if err != nil {
		return c, err
	}
	text = strings.TrimSpace(text)
	if err := length("answer", text, 1, MaxAnswer); err != nil {
		return c, err
	}
	if c.State != StateRead {
		allowed := map[string]string{StateReceived: "read", StateAnswered: "—"}[c.State]
		return c, fault.Conflict("state", "error.transition", "state", c.State, "event", "answer", "allowed", allowed)
	}
	if c.Answer, err = d.vault.Seal(ctx, tx, Scope(id), []byte(text)); err != nil {
		return c, err
	}
	c.State, c.AnsweredBy, c.AnsweredMs = StateAnswered, tx.Actor.ID, tx.NowMs
	if _, err := tx.NewUpdate().Model(&c).Column("state", "answer", "answered_by", "answered_ms").WherePK().Exec(ctx); err != nil {
		return c, err
	}
	tx.Record(store.Entry{Action: "complaint.answer", ObjectKind: "complaint", ObjectID: id, Scope: Scope(id), Content: map[string]any{"number": c.Number, "answer": text}})
	tx.Touch(Topic)
	return c, nil
}

// Progress is what a complainant may learn.
type Progress struct {
	Number     string `json:"number"`
	State      string `json:"state"`
	ReceivedMs int64  `json:"received_ms"`
	AnsweredMs int64  `json:"answered_ms,omitempty"`
	Answer     string `json:"answer,omitempty"`
}

// Lookup answers a complainant who has number and code. Errors: fault not found intake.bad_code, for an
// unknown number and a wrong code alike. The caller limits the rate.
func (d *Desk) Lookup(ctx context.Context, db bun.IDB, number, code string) (Progress, error) {
	refused := fault.NotFound("number", "intake.bad_code")
	var rows []Complaint
	if err := db.NewSelect().Model(&rows).Where("number = ?", strings.ToUpper(strings.TrimSpace(number))).Limit(1).Scan(ctx); err != nil {
		return Progress{}, err
	}
	var c Complaint // without a row the hash is compared all the same
	if len(rows) == 1 {
		c = rows[0]
	}
	if subtle.ConstantTimeCompare([]byte(hashCode(c.ID, code)), []byte(c.CodeHash)) != 1 {
		return Progress{}, refused
	}
	p := Progress{Number: c.Number, State: c.State, ReceivedMs: c.ReceivedMs, AnsweredMs: c.AnsweredMs}
	if c.Answer != "" {
		plain, err := d.vault.Open(ctx, db, Scope(c.ID), c.Answer)
		if err != nil {
			return p, fault.Conflict("number", "intake.erased").Because(err)
		}
		p.Answer = string(plain)
	}
	return p, nil
}

// Get reads a complaint without its text.
func Get(ctx context.Context, db bun.IDB, actor store.Actor, id string) (Complaint, error) {
	if err := identity.Require(actor, "complaint.read"); err != nil {
		return Complaint{}, err
	}
	return load(ctx, db, actor, id)
}

// Filter narrows List; empty fields do not.
type Filter struct {
	States    []string
	ServiceID string
	AnomalyID string
	Limit     int // default and at most 500
}

// List lists complaints without their text, newest first. A stand-in sees those of its drill.
func List(ctx context.Context, db bun.IDB, actor store.Actor, f Filter) ([]Complaint, error) {
	if err := identity.Require(actor, "complaint.read"); err != nil {
		return nil, err
	}
	if f.Limit <= 0 || f.Limit > 500 {
		f.Limit = 500
	}
	out := []Complaint{}
	q := db.NewSelect().Model(&out).Order("received_ms DESC", "id DESC").Limit(int64(f.Limit))
	if len(f.States) > 0 {
		q = q.Where("state IN (?)", bun.List(f.States))
	}
	for _, c := range []struct{ column, value string }{{"service_id", f.ServiceID}, {"anomaly_id", f.AnomalyID}} {
		if c.value != "" {
			q = q.Where("? = ?", bun.Ident(c.column), c.value)
		}
	}
	q = q.Where("anomaly_id NOT IN (?)", anomaly.Hidden(actor))
	if actor.Drill != "" {
		q = q.Where("service_id IN (SELECT id FROM service WHERE drill_id = ?)", actor.Drill)
	}
	return out, q.Scan(ctx)
}
