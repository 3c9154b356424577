// Package evidence keeps evidence capsules (证据包): pins on content that was captured at detection. A
// pin keeps the day's file from retention and the data key under a scope of its own; the content itself
// is not copied. Unmasking is recorded before a byte of it leaves.
package evidence

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/monitor/anomaly"
	"github.com/fengsui/fengsui/internal/monitor/behaviour"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
	"github.com/fengsui/fengsui/internal/respond/incident"
)

// Topic is woken when evidence is pinned or adopted.
const Topic = "evidence"

// Vault seals small values under the key of a scope, such that erasing the scope makes them unreadable.
type Vault interface {
	Seal(ctx context.Context, tx *store.Tx, scope string, plaintext []byte) (string, error)
	Open(ctx context.Context, db bun.IDB, scope, sealed string) ([]byte, error)
}

// Evidence is one pin. Without unmasking this is all that is shown. Times are UTC milliseconds.
type Evidence struct {
	bun.BaseModel `bun:"table:evidence" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	IncidentID    string `json:"incident_id,omitempty"` // "" until an incident adopts it
	AnomalyID     string `json:"anomaly_id"`
	Kind          string `json:"kind"`
	ContentNo     string `json:"content_no"` // the request, if the answer never came to have a number
	Day           string `json:"day"`        // telemetry file that holds the ciphertext
	SHA256        string `bun:"sha256" json:"sha256"`
	SealedKey     string `json:"-"`
	Side          string `json:"side"`
	Modality      string `json:"modality"`
	Language      string `json:"language"`
	PinnedBy      string `json:"pinned_by"`
	PinnedMs      int64  `json:"pinned_ms"`
}

// scope is under whose key the data key lies: the incident's as soon as there is one.
func (e Evidence) scope() string {
	if e.IncidentID != "" {
		return incident.Scope(e.IncidentID)
	}
	return anomaly.Scope(e.AnomalyID)
}

// Keeper pins and opens evidence.
type Keeper struct {
	st    *store.Store
	log   *telemetry.Log
	vault Vault
}

// NewKeeper makes a keeper.
func NewKeeper(st *store.Store, log *telemetry.Log, vault Vault) *Keeper {
	return &Keeper{st: st, log: log, vault: vault}
}

// Found is captured content that can be pinned, read before the transaction that pins it.
type Found struct {
	capture telemetry.Capture
	key     []byte
	side    string
}

// Gather finds the captures of the anomaly's kept signals. What was not captured is not among them and
// shows up in Missing. Call it before the write that pins.
func (k *Keeper) Gather(ctx context.Context, anomalyID string) ([]Found, error) {
	refs, sides, firstMs, err := signalRefs(ctx, k.st.Read(), anomalyID)
	if err != nil {
		return nil, err
	}
	captures, err := k.log.Captures(ctx, refs, firstMs)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var out []Found
	for _, c := range captures {
		ref := c.Ref()
		if sides[ref] == "" {
			ref = c.RequestID
		}
		if seen[ref] || sides[ref] == "" || !c.Intact() {
			continue
		}
		key, err := k.log.DataKey(ctx, k.st.Read(), c)
		if err != nil {
			continue // its subject was erased; Missing says so
		}
		seen[ref] = true
		c.ContentNo, c.Body = ref, nil
		out = append(out, Found{capture: c, key: key, side: sides[ref]})
	}
	return out, nil
}

// signalRefs are the content numbers of an anomaly's kept signals, oldest first, with the side of each.
func signalRefs(ctx context.Context, db bun.IDB, anomalyID string) (refs []string, sides map[string]string, firstMs int64, err error) {
	var rows []anomaly.Signal
	if err := db.NewSelect().Model(&rows).Where("anomaly_id = ? AND content_no <> ''", anomalyID).Order("at_ms", "id").Scan(ctx); err != nil {
		return nil, nil, 0, err
	}
	sides = map[string]string{}
	for _, s := range rows {
		if firstMs == 0 {
			firstMs = s.AtMs
		}
		if sides[s.ContentNo] == "" {
			refs = append(refs, s.ContentNo)
		}
		if sides[s.ContentNo] == "" || s.Side == "output" {
			sides[s.ContentNo] = s.Side
		}
		if sides[s.ContentNo] == "" {
			sides[s.ContentNo] = "output" // a complaint is about an answer
		}
	}
	return refs, sides, firstMs, nil
}

// Pin pins what was found for an anomaly; what is pinned already stays as it is. It returns the new pins.
func (k *Keeper) Pin(ctx context.Context, tx *store.Tx, anomalyID string, found []Found) ([]Evidence, error) {
	if err := identity.Require(tx.Actor, "evidence.pin"); err != nil {
		return nil, err
	}
	a, err := anomaly.Get(ctx, tx, tx.Actor, anomalyID)
	if err != nil {
		return nil, err
	}
	out := []Evidence{}
	for _, f := range found {
		e := Evidence{ID: tx.NewID(), IncidentID: a.IncidentID, AnomalyID: a.ID, Kind: a.Kind, ContentNo: f.capture.ContentNo, Day: f.capture.Day, SHA256: f.capture.SHA256,
			Side: f.side, Modality: f.capture.Modality, Language: f.capture.Language, PinnedBy: tx.Actor.ID, PinnedMs: tx.NowMs}
		n, err := tx.NewSelect().Model((*Evidence)(nil)).Where("anomaly_id = ? AND content_no = ?", a.ID, e.ContentNo).Count(ctx)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			continue
		}
		if e.SealedKey, err = k.vault.Seal(ctx, tx, e.scope(), f.key); err != nil {
			return nil, err
		}
		if _, err := tx.NewInsert().Model(&e).Exec(ctx); err != nil {
			return nil, err
		}
		tx.Record(store.Entry{Action: "evidence.pin", ObjectKind: "evidence", ObjectID: e.ID, Scope: e.scope(), Content: e})
		out = append(out, e)
	}
	if len(out) > 0 {
		tx.Touch(Topic)
	}
	return out, nil
}

// PinAnomaly gathers and pins in one go.
func (k *Keeper) PinAnomaly(ctx context.Context, actor store.Actor, anomalyID string) ([]Evidence, error) {
	found, err := k.Gather(ctx, anomalyID)
	if err != nil {
		return nil, err
	}
	var out []Evidence
	err = k.st.Write(ctx, actor, func(tx *store.Tx) (err error) {
		out, err = k.Pin(ctx, tx, anomalyID, found)
		return err
	})
	return out, err
}

// Adopt puts the pins of an anomaly under an incident, in the transaction that declares it or merges the
// anomaly into it. Adopting twice changes nothing. It returns how many were adopted.
func (k *Keeper) Adopt(ctx context.Context, tx *store.Tx, anomalyID, incidentID string) (int, error) {
	if _, err := incident.ForChange(ctx, tx, incidentID, "evidence.pin"); err != nil {
		return 0, err
	}
	var rows []Evidence
	if err := tx.NewSelect().Model(&rows).Where("anomaly_id = ? AND incident_id = ''", anomalyID).Order("id").Scan(ctx); err != nil {
		return 0, err
	}
	for _, e := range rows {
		key, err := k.vault.Open(ctx, tx, e.scope(), e.SealedKey)
		if err != nil {
			return 0, err
		}
		e.IncidentID = incidentID
		if e.SealedKey, err = k.vault.Seal(ctx, tx, e.scope(), key); err != nil {
			return 0, err
		}
		if _, err := tx.NewUpdate().Model(&e).Column("incident_id", "sealed_key").WherePK().Exec(ctx); err != nil {
			return 0, err
		}
		tx.Record(store.Entry{Action: "evidence.adopt", ObjectKind: "evidence", ObjectID: e.ID, Scope: e.scope(), Content: map[string]any{"anomaly": anomalyID, "incident": incidentID}})
	}
	if len(rows) > 0 {
		tx.Touch(Topic)
	}
	return len(rows), nil
}

// Missing lists the content numbers of an incident's anomalies for which nothing is pinned: the red line
// on the incident.
func Missing(ctx context.Context, db bun.IDB, actor store.Actor, incidentID string) ([]string, error) {
	if _, err := incident.Get(ctx, db, actor, incidentID); err != nil {
		return nil, err
	}
	var all []string
	var own []string
	if err := db.NewRaw("SELECT id FROM anomaly WHERE incident_id = ?", incidentID).Scan(ctx, &own); err != nil {
		return nil, err
	}
	for _, id := range own {
		family, err := anomaly.Family(ctx, db, id)
		if err != nil {
			return nil, err
		}
		all = append(all, family...)
	}
	return missing(ctx, db, all...)
}

// MissingOf is Missing for one anomaly.
func MissingOf(ctx context.Context, db bun.IDB, actor store.Actor, anomalyID string) ([]string, error) {
	if _, err := anomaly.Get(ctx, db, actor, anomalyID); err != nil {
		return nil, err
	}
	return missing(ctx, db, anomalyID)
}

func missing(ctx context.Context, db bun.IDB, anomalyIDs ...string) ([]string, error) {
	out := []string{}
	if len(anomalyIDs) == 0 {
		return out, nil
	}
	return out, db.NewRaw(`SELECT DISTINCT s.content_no FROM signal s JOIN anomaly a ON a.id = s.anomaly_id
		WHERE a.id IN (?) AND s.content_no <> '' AND NOT EXISTS (SELECT 1 FROM evidence e WHERE e.anomaly_id = a.id AND e.content_no = s.content_no)
		ORDER BY 1`, bun.List(anomalyIDs)).Scan(ctx, &out)
}

// List lists the pins of an incident, masked.
func List(ctx context.Context, db bun.IDB, actor store.Actor, incidentID string) ([]Evidence, error) {
	if _, err := incident.Get(ctx, db, actor, incidentID); err != nil {
		return nil, err
	}
	out := []Evidence{}
	return out, db.NewSelect().Model(&out).Where("incident_id = ?", incidentID).Order("pinned_ms", "content_no").Scan(ctx)
}

// Get reads one pin, masked, if the actor may know of its incident or anomaly.
func Get(ctx context.Context, db bun.IDB, actor store.Actor, id string) (Evidence, error) {
	var e Evidence
	if err := db.NewSelect().Model(&e).Where("id = ?", id).Scan(ctx); err != nil {
		return e, store.Missing(err, "id")
	}
	if e.IncidentID != "" {
		_, err := incident.Get(ctx, db, actor, e.IncidentID)
		return e, err
	}
	_, err := anomaly.Get(ctx, db, actor, e.AnomalyID)
	return e, err
}

// Verdict tells what the gateway decided about the request of a pin, and why. It quotes nothing, so nothing is unmasked.
func (k *Keeper) Verdict(ctx context.Context, actor store.Actor, id string) (behaviour.Decision, error) {
	e, err := Get(ctx, k.st.Read(), actor, id)
	if err != nil {
		return behaviour.Decision{}, err
	}
	return behaviour.Decided(ctx, k.st.Read(), k.log, e.ContentNo, e.Day)
}

// maxReason is the longest reason for unmasking, in characters.
const maxReason = 500

// Unmask gives the content of a pin. That it was asked for, by whom and why, is committed before
// anything is read. Errors: forbidden without evidence.unmask, invalid without a reason, conflict
// telemetry.altered or evidence.gone if the content is not what was pinned.
func (k *Keeper) Unmask(ctx context.Context, actor store.Actor, id, reason string) (telemetry.Content, error) {
	var e Evidence
	reason = strings.TrimSpace(reason)
	err := k.st.Write(ctx, actor, func(tx *store.Tx) (err error) {
		if err := identity.Require(tx.Actor, "evidence.unmask"); err != nil {
			return err
		}
		if e, err = Get(ctx, tx, tx.Actor, id); err != nil {
			return err
		}
		if reason == "" {
			return fault.Invalid("reason", "error.required", "field", "reason")
		}
		if utf8.RuneCountInString(reason) > maxReason {
			return fault.Invalid("reason", "anomaly.too_long", "field", "reason", "max", maxReason)
		}
		audit := tx.NewID()
		if _, err := tx.ExecContext(ctx, "INSERT INTO unmasking (id, evidence_id, person_id, reason, at_ms) VALUES (?, ?, ?, ?, ?)",
			audit, e.ID, tx.Actor.ID, reason, tx.NowMs); err != nil {
			return err
		}
		tx.Record(store.Entry{Action: "evidence.unmask", ObjectKind: "evidence", ObjectID: e.ID, Scope: e.scope(), Content: map[string]any{"unmasking": audit, "reason": reason}})
		return nil
	})
	if err != nil {
		return telemetry.Content{}, err
	}
	c, err := k.verify(ctx, e)
	if err != nil {
		return telemetry.Content{}, err
	}
	return k.open(ctx, e, c)
}

// Replay gives the contents of an incident's pins to a part of the system that tests a fix with the
// incident's own prompts; the call is recorded as one unmasking each.
func (k *Keeper) Replay(ctx context.Context, part, incidentID string) ([]telemetry.Content, error) {
	actor := store.System(part)
	pins, err := List(ctx, k.st.Read(), actor, incidentID)
	if err != nil {
		return nil, err
	}
	out := []telemetry.Content{}
	for _, e := range pins {
		content, err := k.Unmask(ctx, actor, e.ID, "service test")
		if err != nil {
			return nil, err
		}
		out = append(out, content)
	}
	return out, nil
}

func (k *Keeper) open(ctx context.Context, e Evidence, c telemetry.Capture) (telemetry.Content, error) {
	key, err := k.vault.Open(ctx, k.st.Read(), e.scope(), e.SealedKey)
	if err != nil {
		return telemetry.Content{}, fault.Conflict("id", "evidence.gone").Because(err)
	}
	return c.Read(key)
}

// Verify reads the ciphertext again and compares it with the hash that was pinned.
// Errors: conflict telemetry.altered if a byte changed, evidence.gone if it is not there.
func (k *Keeper) Verify(ctx context.Context, actor store.Actor, id string) error {
	e, err := Get(ctx, k.st.Read(), actor, id)
	if err != nil {
		return err
	}
	_, err = k.verify(ctx, e)
	return err
}

func (k *Keeper) verify(ctx context.Context, e Evidence) (telemetry.Capture, error) {
	c, err := k.log.CaptureBySum(ctx, e.Day, e.SHA256)
	if fault.KindOf(err) == fault.KindNotFound {
		return c, fault.Conflict("id", "evidence.gone").Because(err)
	}
	if err == nil && !c.Intact() {
		err = fault.Conflict("id", "telemetry.altered")
	}
	return c, err
}

// PinnedDays names the telemetry days that hold evidence, for telemetry.Options.Pinned.
func PinnedDays(ctx context.Context, db bun.IDB) ([]string, error) {
	days := []string{}
	err := db.NewRaw("SELECT DISTINCT day FROM evidence").Scan(ctx, &days)
	slices.Sort(days)
	return days, err
}
