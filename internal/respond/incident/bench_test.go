package incident_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/standard"
)

var (
	ctx        = context.Background()
	officer    = store.Actor{ID: "officer", Roles: []string{"duty_officer"}}
	second     = store.Actor{ID: "second", Roles: []string{"duty_officer"}}
	commander  = store.Actor{ID: "commander", Roles: []string{"commander"}}
	compliance = store.Actor{ID: "compliance", Roles: []string{"compliance"}}
	boss       = store.Actor{ID: "boss", Roles: []string{"management"}}
	engineer   = store.Actor{ID: "engineer", Roles: []string{"engineer"}}
	auditor    = store.Actor{ID: "auditor", Roles: []string{"auditor"}}
	standIn    = store.Actor{ID: "stand-in", Roles: []string{"duty_officer", "commander", "compliance"}, Drill: "d1"}
	// admin holds all three administrators' roles at once: still no way into what is restricted.
	admin = store.Actor{ID: "admin", Roles: []string{"system_admin", "security_admin", "audit_admin"}}
)

// bench is a real database with a real record. s1 is a real service of importance 一般 with two affected
// objects o1 (its own) and o2 (重要); s2 belongs to drill d1, s3 to another operator.
type bench struct {
	dir   string
	st    *store.Store
	clock *clock.Fake
	log   *record.Log
	book  *standard.Book
}

func newBench(t testing.TB) *bench {
	t.Helper()
	base := t.TempDir()
	b := &bench{dir: filepath.Join(base, "data"), clock: clock.NewFake(time.Date(2026, 3, 1, 20, 0, 0, 0, time.UTC))}
	keys, err := secret.Open(filepath.Join(base, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	b.log = record.New(record.Options{Keys: keys})
	if b.st, err = store.Open(ctx, storetest.With(t, store.Options{Dir: b.dir, Clock: b.clock, Recorder: b.log})); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.st.Close() })
	if err := b.log.Bind(ctx, b.st); err != nil {
		t.Fatal(err)
	}
	if b.book, err = standard.Load(); err != nil {
		t.Fatal(err)
	}
	b.do(t, store.System("test"), func(tx *store.Tx) error {
		for _, q := range []string{
			`INSERT INTO operator (id, name, province, kind, created_ms) VALUES ('op','o','p','other',1), ('op2','o','p','cii',1)`,
			`INSERT INTO service (id, operator_id, name, kind, drill_id, model_name, created_ms) VALUES ('s1','op','n','real','','m1',1), ('s2','op','n','drill','d1','m2',1), ('s3','op2','n','real','','m3',1)`,
			`INSERT INTO affected_object (id, service_id, kind, name, created_ms) VALUES ('o1','s1','service','n',1), ('o2','s1','dataset','n',2), ('o3','s2','service','n',1), ('o4','s3','service','n',1)`,
			`INSERT INTO importance (id, object_id, level, ground, from_ms, set_by) VALUES ('p1','o1','一般','g',1,'x'), ('p2','o2','重要','g',1,'x'), ('p3','o3','一般','g',1,'x')`,
			`INSERT INTO person (id, name, roles, created_ms) VALUES ('officer','a','[]',1), ('second','b','[]',1), ('commander','c','[]',1), ('compliance','d','[]',1)`,
			`INSERT INTO person (id, name, roles, active, created_ms) VALUES ('gone','e','[]',FALSE,1)`,
		} {
			if _, err := tx.Exec(q); err != nil {
				return err
			}
		}
		return nil
	})
	return b
}

// try runs fn as a write and lets a second pass, so that rows have an order.
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

func (b *bench) declaration() incident.Declaration {
	return incident.Declaration{Kind: "real", ServiceID: "s1", Title: "t", AwareMs: b.now(), AwareSource: "alarm_seen"}
}

func (b *bench) declare(t testing.TB, a store.Actor, change func(*incident.Declaration)) (i incident.Incident) {
	t.Helper()
	d := b.declaration()
	if change != nil {
		change(&d)
	}
	b.do(t, a, func(tx *store.Tx) (err error) { i, err = incident.Declare(ctx, tx, d); return err })
	return i
}

func (b *bench) get(t testing.TB, id string) incident.Incident {
	t.Helper()
	i, err := incident.Get(ctx, b.st.Read(), store.System("test"), id)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func (b *bench) assess(a store.Actor, id string, in incident.Assessing) (out incident.Outcome, err error) {
	if in.Source == "" {
		in.Source = "self"
	}
	err = b.try(a, func(tx *store.Tx) (err error) { out, err = incident.Assess(ctx, tx, b.book, id, in); return err })
	return out, err
}

func (b *bench) level(t testing.TB, id string) incident.Level {
	t.Helper()
	l, err := incident.LevelOf(ctx, b.st.Read(), id)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (b *bench) decide(a store.Actor, secondID string, confirm bool) error {
	return b.try(a, func(tx *store.Tx) error { _, err := incident.Decide(ctx, tx, secondID, confirm); return err })
}

func (b *bench) milestone(t testing.TB, id, name string) incident.Milestone {
	t.Helper()
	all, err := incident.Milestones(ctx, b.st.Read(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if m.Name == name {
			return m
		}
	}
	return incident.Milestone{}
}

func (b *bench) count(t testing.TB, query string, args ...any) (n int) {
	t.Helper()
	if err := b.st.Read().NewRaw(query, args...).Scan(ctx, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// snapshot is everything an operation on an incident could have changed.
func (b *bench) snapshot(t testing.TB) string {
	t.Helper()
	var out string
	if err := b.st.Read().NewRaw(`SELECT (SELECT size FROM record_head) || '/' || (SELECT COALESCE(STRING_AGG(id || state || version || restricted, ','), '') FROM incident) || '/' || (SELECT COUNT(*) FROM closing)
		|| '/' || (SELECT COALESCE(STRING_AGG(incident_id || name || times || last_ms, ','), '') FROM milestone) || '/' || (SELECT COUNT(*) FROM assessment) || '/' || (SELECT COALESCE(STRING_AGG(id || state, ','), '') FROM second_signature)
		|| '/' || (SELECT COALESCE(STRING_AGG(id || withdrawn_by, ','), '') FROM awareness)|| '/' || (SELECT COALESCE(SUM(next), 0) FROM number_series)`).Scan(ctx, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// refused checks that err is the fault key, of this kind, and that nothing has changed since before.
func (b *bench) refused(t testing.TB, before string, err error, kind fault.Kind, key string) {
	t.Helper()
	if fault.KindOf(err) != kind || !fault.Is(err, key) {
		t.Errorf("got %v, want %s %s", err, kind, key)
	}
	if after := b.snapshot(t); after != before {
		t.Errorf("a refusal changed something:\n%s\n%s", before, after)
	}
}
