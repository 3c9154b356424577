package record

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
)

const actEpoch = "record.epoch"

// Reason says why an epoch begins.
type Reason string

// The reasons.
const (
	ReasonRestore  Reason = "restore"  // from a backup
	ReasonFailover Reason = "failover" // to a copy that may lag behind
)

// BeginEpoch opens a new epoch when tx commits: its first entry names the last known checkpoints, so
// that the entries they cover and this record lacks are accounted for. known holds signed notes; the newest
// epoch among them is the one that is followed. Errors: fault invalid record.bad_checkpoint for a note
// that is none.
func (l *Log) BeginEpoch(ctx context.Context, tx *store.Tx, why Reason, known []string) error {
	h, err := readHead(ctx, tx)
	if err != nil {
		return err
	}
	next := h.epoch
	for _, n := range known {
		c, err := ParseCheckpoint(n)
		if err != nil {
			return fault.Invalid("known", "record.bad_checkpoint").Because(err)
		}
		next = max(next, c.Epoch)
	}
	next++
	all := strings.Join(known, "")
	if _, err := tx.ExecContext(ctx, `INSERT INTO record_epochs (epoch, known) VALUES (?, ?)`, next, all); err != nil {
		return err
	}
	tx.Record(store.Entry{Action: actEpoch, ObjectKind: string(why), ObjectID: sha256Hex([]byte(all)),
		Content: own{body: map[string]any{"reason": why, "known": known}, epoch: next}})
	return nil
}

// Resumption says what going on from an older state did.
type Resumption struct {
	Known    []*Checkpoint `json:"known"`    // the last known checkpoints, named by the new epoch
	Reerased []string      `json:"reerased"` // scopes erased after the older state was saved, and now again
	Signers  []string      `json:"signers"`  // signing keys that came after it, taken up again
}

// Resume lets the record go on after a restore or a failover: in one transaction it opens a new
// epoch that names the last known checkpoints, takes up signing keys that came later, and repeats erasures
// that came later. Then it signs. more are further signed checkpoints, such as that of the backup. The
// record must have been verified before.
func (l *Log) Resume(ctx context.Context, why Reason, out *Outside, more ...string) (*Resumption, error) {
	return l.resume(ctx, why, out, "", 0, more...)
}

// errResumed says that another node was first.
var errResumed = errors.New("record: goes on already")

// resume sets the timeline of the server that the record goes on at; "" leaves it to the next start. after is the epoch
// that it takes the place of; 0 is any.
func (l *Log) resume(ctx context.Context, why Reason, out *Outside, timeline string, after int64, more ...string) (*Resumption, error) {
	if out == nil {
		out = &Outside{}
	}
	db := l.st.Read()
	chain, err := chainOf(ctx, db)
	if err != nil {
		return nil, err
	}
	kept, err := l.keptStatements()
	if err != nil {
		return nil, err
	}
	whole := extend(chain, append(slices.Clone(out.Signers), kept...))
	if _, err := l.current(whole); err != nil {
		return nil, err
	}
	res := &Resumption{}
	last, err := LastCheckpoint(ctx, db)
	if err != nil {
		return nil, err
	}
	if last != nil {
		more = append(more, last.Note)
	}
	res.Known = lastKnown(append(slices.Clone(out.Checkpoints), more...), whole)
	again, err := l.unrepeated(ctx, db, out.Erasures, whole)
	if err != nil {
		return nil, err
	}
	err = l.st.Write(ctx, store.System("record"), func(tx *store.Tx) error {
		var notes []string
		for _, c := range res.Known {
			notes = append(notes, c.Note)
		}
		if after > 0 {
			if h, err := readHead(ctx, tx); err != nil {
				return err
			} else if h.epoch != after {
				return errResumed
			}
		}
		if err := l.BeginEpoch(ctx, tx, why, notes); err != nil {
			return err
		}
		if err := setTimeline(ctx, tx, timeline); err != nil {
			return err
		}
		for _, s := range whole[len(chain):] {
			if err := admit(ctx, tx, s); err != nil {
				return err
			}
		}
		for _, e := range again {
			tx.Record(store.Entry{Action: actErase, ObjectKind: kindReapplied, ObjectID: e.Scope,
				Content: own{body: map[string]any{"epoch": e.Epoch, "index": e.Idx, "at_ms": e.AtMs}}})
			tx.Touch(TopicErased)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, s := range whole[len(chain):] {
		res.Signers = append(res.Signers, s.Fingerprint)
	}
	for _, e := range again {
		res.Reerased = append(res.Reerased, e.Scope)
	}
	_, err = l.Checkpoint(ctx)
	return res, err
}

// setTimeline notes where the record is written.
func setTimeline(ctx context.Context, tx *store.Tx, line string) error {
	_, err := tx.ExecContext(ctx, "UPDATE server_timeline SET line = ? WHERE id = 1", line)
	return err
}

// CatchUp begins a new epoch if a checkpoint from outside covers entries that this record lacks, or if the PostgreSQL server writes another
// timeline than it did: the database is, or may be, an earlier state of itself, restored to a point in time or taken over from a copy
// that lagged behind, and what is lost may be younger than the last checkpoint. Going on as if nothing had happened would give
// its numbers to other entries, and to other orders. Where something is known to be lacking, the record as it is must verify. It gives nil if
// nothing happened, or another node was first; then writes go on. Error: fault conflict record.behind if what is there does not verify.
func (l *Log) CatchUp(ctx context.Context, out *Outside) (*Resumption, error) {
	line, err := l.st.Timeline(ctx)
	if err != nil {
		return nil, err
	}
	res, err := l.catchUp(store.OnTimeline(ctx, line), out, line)
	if err == nil || errors.Is(err, errResumed) {
		l.st.Settle(line)
		return res, nil
	}
	return nil, err
}

func (l *Log) catchUp(ctx context.Context, out *Outside, line string) (*Resumption, error) {
	db := l.st.Read()
	chain, err := chainOf(ctx, db)
	if err != nil {
		return nil, err
	}
	kept, err := l.keptStatements()
	if err != nil {
		return nil, err
	}
	h, err := readHead(ctx, db)
	if err != nil {
		return nil, err
	}
	var beyond []string // told without looking at signatures, which takes long where there are many
	for _, n := range out.Checkpoints {
		if c, err := ParseCheckpoint(n); err == nil && (c.Epoch > h.epoch || c.Epoch == h.epoch && c.Size > h.size) {
			beyond = append(beyond, n)
		}
	}
	if len(lastKnown(beyond, extend(chain, append(slices.Clone(out.Signers), kept...)))) == 0 {
		var before string
		if err := db.NewRaw("SELECT line FROM server_timeline").Scan(ctx, &before); err != nil {
			return nil, err
		}
		switch {
		case before == line:
			return nil, nil
		case before == "" || line == "": // not known before, or moved between engines
			return nil, l.st.Write(ctx, store.System("record"), func(tx *store.Tx) error { return setTimeline(ctx, tx, line) })
		}
		return l.resume(ctx, ReasonFailover, out, line, h.epoch)
	}
	rep, err := Verify(ctx, db, VerifyOptions{Keys: l.o.Keys})
	if err != nil {
		return nil, err
	}
	if !rep.OK {
		return nil, fault.Conflict("database", "record.behind", "count", strconv.FormatInt(rep.ProblemCount, 10))
	}
	return l.resume(ctx, ReasonFailover, out, line, h.epoch)
}

// keptStatements reads the statements of all signing keys that the key folder remembers.
func (l *Log) keptStatements() ([]*Statement, error) {
	names, err := l.o.Keys.Files(signerPrefix)
	if err != nil {
		return nil, err
	}
	var out []*Statement
	for _, n := range names {
		s, err := l.loadSignerFile(n)
		if err != nil {
			return nil, err
		}
		out = append(out, s.Statement)
	}
	return out, nil
}

// lastKnown picks from notes, of each epoch, the furthest that one of the keys signed.
func lastKnown(notes []string, keys []*Statement) []*Checkpoint {
	best := map[int64]*Checkpoint{}
	for _, n := range notes {
		c, err := ParseCheckpoint(n)
		if err != nil || c.Origin != originOf(keys) {
			continue
		}
		if b := best[c.Epoch]; b != nil && b.Size >= c.Size {
			continue
		}
		if _, _, err := openNote(n, c.Origin, keys); err == nil {
			best[c.Epoch] = c
		}
	}
	var out []*Checkpoint
	for _, c := range best {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b *Checkpoint) int { return int(a.Epoch - b.Epoch) })
	return out
}

// unrepeated gives those signed erasures that the record has not carried out: it has no erasure of that
// scope as late as the one signed.
func (l *Log) unrepeated(ctx context.Context, db bun.IDB, signed []string, keys []*Statement) ([]*erasedScope, error) {
	origin := originOf(keys)
	done, err := erasures(ctx, db, origin)
	if err != nil {
		return nil, err
	}
	byScope := map[string]*erasedScope{}
	for _, n := range signed {
		text, _, err := openNote(n, origin, keys)
		if errors.Is(err, errUnknownSigner) {
			continue // of another record
		}
		if err != nil {
			return nil, err
		}
		e, err := parseErasure(text)
		if err != nil {
			return nil, err
		}
		if old := byScope[e.Scope]; old == nil || later(e, old) {
			byScope[e.Scope] = e
		}
	}
	for _, d := range done {
		if e := byScope[d.Scope]; e != nil && !later(e, d) {
			delete(byScope, d.Scope)
		}
	}
	var out []*erasedScope
	for _, e := range byScope {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b *erasedScope) int { return strings.Compare(a.Scope, b.Scope) })
	return out, nil
}

func later(a, b *erasedScope) bool {
	return a.Epoch > b.Epoch || a.Epoch == b.Epoch && a.Idx > b.Idx
}
