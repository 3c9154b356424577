package obligation_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/respond/obligation"
	"github.com/fengsui/fengsui/internal/standard"
)

const hour = int64(3_600_000)

var (
	ctx        = context.Background()
	officer    = store.Actor{ID: "officer", Roles: []string{"duty_officer"}}
	second     = store.Actor{ID: "second", Roles: []string{"duty_officer"}}
	compliance = store.Actor{ID: "compliance", Roles: []string{"compliance"}}
	engineer   = store.Actor{ID: "engineer", Roles: []string{"engineer"}}
	standIn    = store.Actor{ID: "stand-in", Roles: []string{"compliance", "duty_officer"}, Drill: "d1"}
)

// bench has one service for each kind of operator: s-other, s-cii and s-central_organ.
type bench struct {
	st    *store.Store
	clock *clock.Fake
	book  *standard.Book
	pages []string                  // ids of obligations paged about
	asked *identity.SecondSignature // what the last fact or grading waits for
}

func newBench(t testing.TB) *bench {
	t.Helper()
	base := t.TempDir()
	b := &bench{clock: clock.NewFake(time.Date(2026, 3, 1, 20, 0, 0, 0, time.UTC))}
	keys, err := secret.Open(filepath.Join(base, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	log := record.New(record.Options{Keys: keys})
	if b.st, err = store.Open(ctx, storetest.With(t, store.Options{Dir: filepath.Join(base, "data"), Clock: b.clock, Recorder: log})); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.st.Close() })
	if err := log.Bind(ctx, b.st); err != nil {
		t.Fatal(err)
	}
	if b.book, err = standard.Load(); err != nil {
		t.Fatal(err)
	}
	b.do(t, store.System("test"), func(tx *store.Tx) error {
		for _, kind := range []string{"other", "cii", "central_organ"} {
			for _, q := range []string{
				`INSERT INTO operator (id, name, province, kind, created_ms) VALUES ('op-KIND','o','p','KIND',1)`,
				`INSERT INTO service (id, operator_id, name, kind, model_name, created_ms) VALUES ('s-KIND','op-KIND','n','real','m-KIND',1)`,
				`INSERT INTO affected_object (id, service_id, kind, name, created_ms) VALUES ('o-KIND','s-KIND','service','n',1)`,
				`INSERT INTO importance (id, object_id, level, ground, from_ms, set_by) VALUES ('i-KIND','o-KIND','重要','g',1,'x')`,
			} {
				if _, err := tx.Exec(strings.ReplaceAll(q, "KIND", kind)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return b
}

func (b *bench) try(a store.Actor, fn func(tx *store.Tx) error) error {
	defer b.clock.Advance(time.Second)
	return b.st.Write(ctx, a, fn)
}

func (b *bench) do(t testing.TB, a store.Actor, fn func(tx *store.Tx) error) {
	t.Helper()
	if err := b.try(a, fn); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) now() int64 { return clock.Ms(b.clock) }

// known runs fn and reckons in the same transaction, as the flows do.
func (b *bench) known(a store.Actor, id string, fn func(tx *store.Tx) error) error {
	return b.try(a, func(tx *store.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return obligation.Reckon(ctx, tx, b.book, id)
	})
}

func (b *bench) must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (b *bench) declare(t testing.TB, operator string) (i incident.Incident) {
	t.Helper()
	b.do(t, officer, func(tx *store.Tx) (err error) {
		if i, err = incident.Declare(ctx, tx, incident.Declaration{Kind: "real", ServiceID: "s-" + operator, Title: "t", AwareMs: tx.NowMs, AwareSource: "alarm_seen"}); err != nil {
			return err
		}
		return obligation.Reckon(ctx, tx, b.book, i.ID)
	})
	return i
}

// grade makes a first assessment with this social harm on an object of importance 重要.
func (b *bench) grade(a store.Actor, id, harm string) (out incident.Outcome, err error) {
	err = b.known(a, id, func(tx *store.Tx) (err error) {
		out, err = incident.Assess(ctx, tx, b.book, id, incident.Assessing{Stage: "preliminary", Source: "self", SocialHarm: harm, Reason: "r"})
		return err
	})
	return out, err
}

func (b *bench) decide(a store.Actor, incidentID, secondID string) error {
	return b.known(a, incidentID, func(tx *store.Tx) error {
		_, err := obligation.Decide(ctx, tx, b.book, secondID, true)
		if fault.Is(err, "error.not_found") { // not of this room, then
			_, err = incident.Decide(ctx, tx, secondID, true)
		}
		return err
	})
}

func (b *bench) classify(id, guideType, rank string) error {
	return b.known(officer, id, func(tx *store.Tx) error {
		_, err := incident.Categorise(ctx, tx, b.book, id, incident.Category{GuideType: guideType, Rank: rank, Part: "manifestation"})
		return err
	})
}

func (b *bench) fact(a store.Actor, id, name string, value int64) error {
	return b.known(a, id, func(tx *store.Tx) error {
		s, err := obligation.State(ctx, tx, b.book, id, obligation.Fact{Name: name, Value: value}, "r")
		b.asked = s
		return err
	})
}

func (b *bench) cac(a store.Actor, id string, q ...standard.Quantity) error {
	return b.known(a, id, func(tx *store.Tx) error {
		out, err := obligation.GradeCAC(ctx, tx, b.book, id, q, "r")
		b.asked = out.Second
		return err
	})
}

func (b *bench) aware(id string, atMs int64) error {
	return b.known(officer, id, func(tx *store.Tx) error {
		_, err := incident.AddAwareness(ctx, tx, id, "complaint_read", atMs, "")
		return err
	})
}

func (b *bench) advance(id string, e incident.Event) error {
	return b.known(officer, id, func(tx *store.Tx) error {
		_, err := incident.Advance(ctx, tx, id, e, "incident.handle", "r")
		return err
	})
}

func (b *bench) submit(a store.Actor, id, receipt string) error {
	return b.try(a, func(tx *store.Tx) error { _, err := obligation.Submit(ctx, tx, id, receipt); return err })
}

func (b *bench) strike(a store.Actor, id, reason string) error {
	return b.try(a, func(tx *store.Tx) error { _, err := obligation.StrikeOff(ctx, tx, b.book, id, reason); return err })
}

// rows are the obligations of an incident by rule.
func (b *bench) rows(t testing.TB, id string) map[string]obligation.Obligation {
	t.Helper()
	list, err := obligation.List(ctx, b.st.Read(), b.book, compliance, id)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]obligation.Obligation{}
	for _, o := range list {
		out[o.RuleID] = o
	}
	return out
}

func (b *bench) want(t testing.TB, id, rule, state string) obligation.Obligation {
	t.Helper()
	o := b.rows(t, id)[rule]
	if o.State != state {
		t.Errorf("%s is %q, want %q (%s)", rule, o.State, state, o.Reason)
	}
	return o
}

func (b *bench) clocks(t testing.TB, obligationID string) []due.Row {
	t.Helper()
	list, err := due.List(ctx, b.st.Read(), due.Filter{Kind: obligation.DueKind, ObjectID: obligationID})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// fire lets every due row whose time has come happen, as internal/platform/due does.
func (b *bench) fire(t testing.TB) (n int) {
	t.Helper()
	list, err := due.List(ctx, b.st.Read(), due.Filter{Kind: obligation.DueKind, States: []due.State{due.Pending}, BeforeMs: b.now() + 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		if err := b.st.Write(ctx, store.System("due"), func(tx *store.Tx) error {
			if _, err := tx.Exec("UPDATE due SET state = 'fired', fired_ms = ? WHERE id = ?", tx.NowMs, r.ID); err != nil {
				return err
			}
			return obligation.Overdue(ctx, tx, r.ObjectID, func(_ context.Context, _ *store.Tx, o obligation.Obligation, _ incident.Incident) error {
				b.pages = append(b.pages, o.RuleID)
				return nil
			})
		}); err != nil {
			t.Fatal(err)
		}
	}
	return len(list)
}

func (b *bench) size(t testing.TB) (n int) {
	t.Helper()
	if err := b.st.Read().NewRaw("SELECT size FROM record_head").Scan(ctx, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// refused checks the fault, and that nothing was recorded.
func (b *bench) refused(t testing.TB, err error, kind fault.Kind, key string, size int) {
	t.Helper()
	if fault.KindOf(err) != kind || !fault.Is(err, key) {
		t.Errorf("got %v, want %s %s", err, kind, key)
	}
	if n := b.size(t); n != size {
		t.Errorf("a refusal recorded %d entries", n-size)
	}
}
