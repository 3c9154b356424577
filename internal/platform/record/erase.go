package record

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
)

const (
	actErase   = "record.erase"
	actHold    = "record.hold"
	actRelease = "record.release"

	kindScope     = "scope"           // an erasure decided here
	kindReapplied = "scope.reapplied" // an erasure decided before a restore, repeated on the restored data
	kindHold      = "hold"
)

// TopicErased is touched by every erasure, so that Run carries it out of the data folder at once.
const TopicErased = "record.erased"

// Erasure is a lawful erasure of everything that the record keeps under one scope.
type Erasure struct {
	Scope     string `json:"scope"` // "subject:<id>" or "incident:<id>"
	Ground    string `json:"ground"`
	Requester string `json:"requester"` // person id
	Approver  string `json:"approver"`  // another person's id
}

// Erase destroys the payloads, salts and key of a scope when tx commits, and records it. The leaves stay,
// so the record still verifies. The actor of tx is one of the two persons, or the system on their
// behalf. Errors, all faults: invalid record.erase_scope, record.erase_ground; forbidden
// record.two_persons; conflict record.held under a legal hold; not_found record.nothing_to_erase.
func (l *Log) Erase(ctx context.Context, tx *store.Tx, e Erasure) error {
	if e.Scope == "" || !idForm.MatchString(e.Scope) {
		return fault.Invalid("scope", "record.erase_scope")
	}
	if strings.TrimSpace(e.Ground) == "" {
		return fault.Invalid("ground", "record.erase_ground")
	}
	if !person(e.Requester) || !person(e.Approver) || e.Requester == e.Approver ||
		!tx.Actor.IsSystem() && tx.Actor.ID != e.Requester && tx.Actor.ID != e.Approver {
		return fault.Forbidden("record.two_persons")
	}
	held, err := Holds(ctx, tx, e.Scope)
	if err != nil {
		return err
	}
	if len(held) > 0 {
		return fault.Conflict("scope", "record.held", "scope", e.Scope)
	}
	var n int
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM record_keys WHERE scope = ?`, e.Scope).Scan(&n); err != nil {
		return err
	}
	if n == 0 {
		return fault.NotFound("scope", "record.nothing_to_erase", "scope", e.Scope)
	}
	tx.Record(store.Entry{Action: actErase, ObjectKind: kindScope, ObjectID: e.Scope, Content: own{body: e}})
	tx.Touch(TopicErased)
	return nil
}

// person reports whether an actor id can be a person's: "system:…" and "gateway:…" are not.
func person(id string) bool {
	return id != "" && idForm.MatchString(id) && !strings.HasPrefix(id, "system:") && !strings.HasPrefix(id, "gateway:")
}

// Hold puts a scope under legal hold until the hold is released: nothing of it can be erased. A scope
// may be under several holds. It gives the id of the hold.
func (l *Log) Hold(_ context.Context, tx *store.Tx, scope, ground string) (id string, err error) {
	if scope == "" || strings.Contains(scope, "#") || !idForm.MatchString(scope) || len(scope) > 120 {
		return "", fault.Invalid("scope", "record.erase_scope")
	}
	if strings.TrimSpace(ground) == "" {
		return "", fault.Invalid("ground", "record.erase_ground")
	}
	id = scope + "#" + tx.NewID()
	tx.Record(store.Entry{Action: actHold, ObjectKind: kindHold, ObjectID: id, Content: own{body: map[string]string{"ground": ground}}})
	return id, nil
}

// ReleaseHold ends a hold. Error: fault not_found record.no_hold if it is not in force.
func (l *Log) ReleaseHold(ctx context.Context, tx *store.Tx, id, ground string) error {
	if strings.TrimSpace(ground) == "" {
		return fault.Invalid("ground", "record.erase_ground")
	}
	scope, _, _ := strings.Cut(id, "#")
	held, err := Holds(ctx, tx, scope)
	if err != nil {
		return err
	}
	for _, h := range held {
		if h == id {
			tx.Record(store.Entry{Action: actRelease, ObjectKind: kindHold, ObjectID: id, Content: own{body: map[string]string{"ground": ground}}})
			return nil
		}
	}
	return fault.NotFound("hold", "record.no_hold", "hold", id)
}

// Holds lists the ids of the holds in force on a scope. They are read from the record itself; holds
// of a transaction that has not committed are not seen.
func Holds(ctx context.Context, db bun.IDB, scope string) ([]string, error) {
	var out []string
	// '$' follows '#' in ASCII: the range is all ids that begin with "scope#".
	err := db.NewRaw(`SELECT h.object_id FROM record_entries AS h WHERE h.action = ? AND h.object_id >= ? AND h.object_id < ?
		AND NOT EXISTS (SELECT 1 FROM record_entries AS r WHERE r.action = ? AND r.object_id = h.object_id) ORDER BY h.idx`,
		actHold, scope+"#", scope+"$", actRelease).Scan(ctx, &out)
	return out, err
}

// erasedScope is one erasure, as it leaves the data folder.
type erasedScope struct {
	Scope      string
	Epoch, Idx int64
	AtMs       int64
	origin     string
}

func (e *erasedScope) text() string {
	return fmt.Sprintf("%s\nerasure\n%s\nepoch %d\nindex %d\ntime %s\n", e.origin, e.Scope, e.Epoch, e.Idx, time.UnixMilli(e.AtMs).UTC().Format(noteTime))
}

func parseErasure(text string) (*erasedScope, error) {
	bad := errors.New("record: not an erasure note")
	lines := strings.Split(text, "\n")
	if len(lines) != 7 || lines[1] != "erasure" || !strings.HasPrefix(lines[3], "epoch ") || !strings.HasPrefix(lines[4], "index ") || !strings.HasPrefix(lines[5], "time ") {
		return nil, bad
	}
	e := &erasedScope{origin: lines[0], Scope: lines[2]}
	var err1, err2 error
	e.Epoch, err1 = strconv.ParseInt(lines[3][6:], 10, 64)
	e.Idx, err2 = strconv.ParseInt(lines[4][6:], 10, 64)
	at, err3 := time.Parse(noteTime, lines[5][5:])
	e.AtMs = at.UnixMilli()
	if errors.Join(err1, err2, err3) != nil || e.text() != text {
		return nil, bad
	}
	return e, nil
}

// erasures lists every erasure in the record, oldest first.
func erasures(ctx context.Context, db bun.IDB, origin string) ([]*erasedScope, error) {
	var leaves []string
	if err := db.NewRaw(`SELECT leaf FROM record_entries WHERE action = ? ORDER BY idx`, actErase).Scan(ctx, &leaves); err != nil {
		return nil, err
	}
	var out []*erasedScope
	for _, raw := range leaves {
		f, err := parseLeaf([]byte(raw))
		if err != nil {
			return nil, err
		}
		out = append(out, &erasedScope{origin: origin, Scope: f.ObjectID, Epoch: f.Epoch, Idx: f.Idx, AtMs: f.AtMs})
	}
	return out, nil
}

// dispatch gathers what leaves the data folder together with c.
func (l *Log) dispatch(ctx context.Context, c *Checkpoint) (Dispatch, error) {
	d := Dispatch{Checkpoint: c.Note}
	var err error
	if d.Signers, err = chainOf(ctx, l.st.Read()); err != nil {
		return d, err
	}
	list, err := erasures(ctx, l.st.Read(), originOf(d.Signers))
	if err != nil || len(list) == 0 {
		return d, err
	}
	s, err := l.current(d.Signers)
	if err != nil {
		return d, err
	}
	for _, e := range list {
		n, err := signNote(s, e.origin, e.text())
		if err != nil {
			return d, err
		}
		d.Erasures = append(d.Erasures, n)
	}
	return d, nil
}
