package containment_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/platform/watch"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/respond/containment"
	"github.com/fengsui/fengsui/internal/respond/gatereview"
	"github.com/fengsui/fengsui/internal/service"
)

var (
	ctx       = context.Background()
	officer   = store.Actor{ID: "officer", Roles: []string{"duty_officer"}}
	second    = store.Actor{ID: "second", Roles: []string{"duty_officer"}}
	commander = store.Actor{ID: "commander", Roles: []string{"commander"}}
	auditor   = store.Actor{ID: "auditor", Roles: []string{"auditor"}}
	standIn   = store.Actor{ID: "stand-in", Roles: []string{"commander"}, Drill: "d1"}
	rule      = store.System("anomaly")
)

type ledger struct {
	mu      sync.Mutex
	entries []store.Entry
}

func (l *ledger) Append(_ context.Context, _ bun.Tx, _ int64, e []store.Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, e...)
	return nil
}

type pager struct {
	mu    sync.Mutex
	pages []containment.Page
}

func (p *pager) Page(_ context.Context, _ *store.Tx, page containment.Page) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pages = append(p.pages, page)
	return nil
}

func (p *pager) keys() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var k []string
	for _, g := range p.pages {
		k = append(k, g.Key)
	}
	return strings.Join(k, " ")
}

type traffic struct {
	asked  []containment.Audience
	counts containment.Counts
}

func (t *traffic) Count(_ context.Context, a containment.Audience) (containment.Counts, error) {
	t.asked = append(t.asked, a)
	return t.counts, nil
}

// bench is a control on a real database with two services, s1 real and s2 of drill d1, two incidents
// (i1 real, i2 drill), two anomalies (a1, a2) and a directive (r1).
type bench struct {
	dir     string
	st      *store.Store
	hub     *watch.Hub
	clock   *clock.Fake
	key     ed25519.PrivateKey
	ledger  *ledger
	pager   *pager
	traffic *traffic
	level   map[string]int
	control *containment.Control
	desk    *gatereview.Desk
	older   bool  // newer nodes compile
	makes   int64 // that a gateway understands which enrols; 0: it does not say
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{dir: t.TempDir(), clock: clock.NewFake(time.Date(2026, 3, 1, 20, 0, 0, 0, time.UTC)), key: ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", 32))),
		ledger: &ledger{}, pager: &pager{}, traffic: &traffic{}, level: map[string]int{}}
	b.open(t)
	b.do(t, store.System("test"), func(tx *store.Tx) error {
		for _, q := range []string{
			`INSERT INTO operator (id, name, province, kind, created_ms) VALUES ('op','o','p','other',1), ('op2','o','p','other',1)`,
			`INSERT INTO service (id, operator_id, name, kind, drill_id, model_name, created_ms) VALUES ('s1','op','n','real','','m1',1), ('s2','op','n','drill','d1','m2',1), ('s3','op2','n','real','','m3',1)`,
			`INSERT INTO deployment (id, service_id, name, model_version, upstream_url, upstream_model, role, filed, tested_ms, created_ms) VALUES
				('p1','s1','n','1','http://127.0.0.1:1/v1/','u','primary',TRUE,1,1), ('b1','s1','n','1','http://127.0.0.1:2/v1','u','backup',TRUE,1,2),
				('b2','s1','n','1','http://127.0.0.1:3/v1','u','backup',FALSE,1,3), ('b3','s1','n','1','http://127.0.0.1:4/v1','u','backup',TRUE,0,4),
				('b4','s1','n','1','http://127.0.0.1:5/v1','u','backup',TRUE,1,5), ('p2','s2','n','1','http://127.0.0.1:1/v1','u','primary',TRUE,1,1)`,
			`INSERT INTO drill (id, number, scenario, state, started_by, started_ms) VALUES ('d1','D-1','A.1','running','x',1), ('d2','D-2','A.1','paused','x',1)`,
			`INSERT INTO incident (id, number, kind, drill_id, operator_id, service_id, title, state, editions, declared_by, declared_ms) VALUES
				('i1','IN-1','real','','op','s1','t','declared','[]','x',1), ('i2','D-IN-1','drill','d1','op','s2','t','declared','[]','x',1), ('i3','B-IN-1','backfill','','op','s1','t','declared','[]','x',1)`,
			`INSERT INTO anomaly (id, number, kind, drill_id, service_id, rule_id, fingerprint, state, first_ms, last_ms, opened_ms) VALUES
				('a1','AN-1','real','','s1','r','f','open',1,1,1), ('a2','D-AN-1','drill','d1','s2','r','f','open',1,1,1)`,
			`INSERT INTO directive (id, operator_id, authority, received_ms, body, state) VALUES ('r1','op','x',1,'','open')`,
			`INSERT INTO lexicon_entry (id, term, action, risk, topic, contexts, strict_only, source, state, created_by, approved_by, created_ms) VALUES
				('l1','测试违禁词甲','observe','A.1.g','rumour','[]',FALSE,'starter','live','x','y',1),
				('l2','测试违禁词乙','block','A.1.g','fraud','["测试语境"]',FALSE,'starter','live','x','y',1),
				('l3','测试违禁词丙','block','A.1.g','rumour','[]',TRUE,'starter','live','x','y',1)`,
		} {
			if _, err := tx.Exec(q); err != nil {
				return err
			}
		}
		return nil
	})
	return b
}

func (b *bench) open(t testing.TB) {
	t.Helper()
	b.hub = watch.New()
	st, err := store.Open(ctx, storetest.With(t, store.Options{Dir: b.dir, Clock: b.clock, Recorder: b.ledger, Hub: b.hub}))
	if err != nil {
		t.Fatal(err)
	}
	b.st = st
	t.Cleanup(func() { st.Close() })
	catalog, err := locale.Load()
	if err != nil {
		t.Fatal(err)
	}
	b.desk = gatereview.New(b.pager)
	b.control, err = containment.New(containment.Options{Key: b.key, ProbeSecret: []byte(strings.Repeat("p", 32)), Pager: b.pager, Review: b.desk,
		Level:   func(_ context.Context, _ bun.IDB, id string) (int, error) { return b.level[id], nil },
		Notices: containment.CatalogNotices{Catalog: catalog}, Traffic: b.traffic, May: func() bool { return !b.older }})
	if err != nil {
		t.Fatal(err)
	}
	b.desk.Bind(b.control)
}

func (b *bench) try(a store.Actor, fn func(tx *store.Tx) error) error { return b.st.Write(ctx, a, fn) }

func (b *bench) do(t testing.TB, a store.Actor, fn func(tx *store.Tx) error) {
	t.Helper()
	if err := b.try(a, fn); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) tryIssue(a store.Actor, r containment.Request) (o containment.Order, err error) {
	err = b.try(a, func(tx *store.Tx) (err error) { o, err = b.control.Issue(ctx, tx, r); return err })
	return o, err
}

func (b *bench) issue(t testing.TB, a store.Actor, r containment.Request) containment.Order {
	t.Helper()
	o, err := b.tryIssue(a, r)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (b *bench) order(t testing.TB, id string) containment.Order {
	t.Helper()
	o, err := service.Get[containment.Order](ctx, b.st.Read(), "order_id", id)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// fire lets a due row of an order happen, if it is pending and its time has come.
func (b *bench) fire(t testing.TB, kind, id string) bool {
	t.Helper()
	rows, err := due.List(ctx, b.st.Read(), due.Filter{Kind: kind, ObjectID: id, States: []due.State{due.Pending}, BeforeMs: clock.Ms(b.clock) + 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		b.do(t, store.System("due"), func(tx *store.Tx) error { return b.control.DueHandlers()[kind](ctx, tx, r) })
	}
	return len(rows) > 0
}

func (b *bench) refresh(t testing.TB) {
	t.Helper()
	failed, err := b.control.Refresh(ctx, b.st, "test")
	if err != nil || len(failed) != 0 {
		t.Fatal(err, failed)
	}
}

func (b *bench) bundle(t testing.TB) (containment.Made, *posture.Opened) {
	t.Helper()
	m, err := b.control.Bundle(ctx, b.st.Read())
	if err != nil {
		t.Fatal(err)
	}
	o, err := posture.OpenBundle(m.Signed, nil, b.key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return m, o
}

func (b *bench) actions() string {
	b.ledger.mu.Lock()
	defer b.ledger.mu.Unlock()
	var a []string
	for _, e := range b.ledger.entries {
		a = append(a, e.Action)
	}
	return strings.Join(a, " ")
}

func offline(cause containment.Cause, id string) containment.Request {
	s := "s1"
	if id == "a2" || id == "i2" || id == "d1" {
		s = "s2"
	}
	return containment.Request{Cause: cause, CauseID: id, Rung: posture.ServiceOffline, Scope: posture.Scope{ServiceID: s}, Reason: "r"}
}

func strict(cause containment.Cause, id string) containment.Request {
	r := offline(cause, id)
	r.Rung = posture.StrictFilter
	return r
}

func asJSON(v any) string { js, _ := json.Marshal(v); return string(js) }
