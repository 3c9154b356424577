package lexicon_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"pgregory.net/rapid"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/platform/watch"
	"github.com/fengsui/fengsui/internal/prepare/lexicon"
	"github.com/fengsui/fengsui/internal/standard"
)

var (
	officer  = store.Actor{ID: "officer", Roles: []string{"duty_officer"}}
	engineer = store.Actor{ID: "engineer", Roles: []string{"safety_engineer"}}
	auditor  = store.Actor{ID: "auditor", Roles: []string{"auditor"}}
	standIn  = store.Actor{ID: "stand-in", Roles: []string{"duty_officer", "safety_engineer"}, Drill: "d1"}
)

// ledger is a recorder that keeps what was recorded.
type ledger struct{ entries []store.Entry }

func (l *ledger) Append(_ context.Context, _ bun.Tx, _ int64, e []store.Entry) error {
	l.entries = append(l.entries, e...)
	return nil
}

type bench struct {
	st     *store.Store
	clock  *clock.Fake
	lib    *lexicon.Library
	ledger *ledger
	hub    *watch.Hub
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{clock: clock.NewFake(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)), ledger: &ledger{}, hub: watch.New()}
	st, err := store.Open(context.Background(), storetest.With(t, store.Options{Dir: t.TempDir(), Clock: b.clock, Recorder: b.ledger, Hub: b.hub}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	b.st, b.lib = st, newLibrary(t)
	b.must(t, store.System("test"), func(tx *store.Tx) error {
		if _, err := tx.Exec("INSERT INTO operator (id, name, province, kind, created_ms) VALUES ('op', 'o', 'p', 'other', 1)"); err != nil {
			return err
		}
		_, err := tx.Exec("INSERT INTO service (id, operator_id, name, kind, drill_id, model_name, created_ms) VALUES ('s1','op','n','real','','m1',1), ('s2','op','n','drill','d1','m2',1)")
		return err
	})
	return b
}

func newLibrary(t testing.TB) *lexicon.Library {
	t.Helper()
	book, err := standard.Load()
	if err != nil {
		t.Fatal(err)
	}
	return lexicon.New(func(id string) bool { _, ok := book.Risk(id); return ok })
}

func (b *bench) try(a store.Actor, fn func(tx *store.Tx) error) error {
	return b.st.Write(context.Background(), a, fn)
}

func (b *bench) must(t testing.TB, a store.Actor, fn func(tx *store.Tx) error) {
	t.Helper()
	if err := b.try(a, fn); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) publish(t testing.TB, a store.Actor, drafts ...lexicon.Draft) []lexicon.Entry {
	t.Helper()
	var out []lexicon.Entry
	b.must(t, a, func(tx *store.Tx) (err error) {
		out, err = b.lib.Publish(context.Background(), tx, "", drafts)
		return err
	})
	return out
}

func (b *bench) live(t testing.TB, serviceID string) []lexicon.Entry {
	t.Helper()
	out, err := lexicon.Live(context.Background(), b.st.Read(), serviceID, clock.Ms(b.clock))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func draft(term string) lexicon.Draft {
	return lexicon.Draft{Term: term, Action: "block", Risk: "A.1.g", Topic: "rumour"}
}

func TestOnePersonPublishesAtOnceForADayAndAnotherMakesItPermanent(t *testing.T) {
	b := newBench(t)
	rev, _ := b.hub.Watch(lexicon.Topic)
	e := b.publish(t, officer, draft("测试违禁词甲"), draft("测试违禁词乙"))
	if now, _ := b.hub.Watch(lexicon.Topic); now == rev {
		t.Fatal("nobody was woken to compile a posture")
	}
	if len(b.live(t, "s1")) != 2 {
		t.Fatal("not live at once")
	}
	both := store.Actor{ID: "officer", Roles: []string{"duty_officer", "commander"}}
	if err := b.try(both, func(tx *store.Tx) error { _, err := b.lib.Approve(context.Background(), tx, e[0].ID); return err }); !fault.Is(err, "identity.same_person") {
		t.Fatalf("the author approved her own entry: %v", err)
	}
	b.must(t, engineer, func(tx *store.Tx) error { _, err := b.lib.Approve(context.Background(), tx, e[0].ID); return err })
	b.clock.Advance(24 * time.Hour)
	rows, err := due.List(context.Background(), b.st.Read(), due.Filter{Kind: lexicon.DueExpire, States: []due.State{due.Pending}})
	if err != nil || len(rows) != 1 || rows[0].ObjectID != e[1].ID || rows[0].DueMs != clock.Ms(b.clock) {
		t.Fatalf("%v %+v", err, rows)
	}
	// Even before the due row is handled, nothing that ran out is live.
	if live := b.live(t, "s1"); len(live) != 1 || live[0].ID != e[0].ID || live[0].ApprovedBy != "engineer" || live[0].ExpiresMs != 0 {
		t.Fatalf("%+v", live)
	}
	b.must(t, store.System("due"), func(tx *store.Tx) error { return b.lib.Expire(context.Background(), tx, rows[0]) })
	if err := b.try(engineer, func(tx *store.Tx) error { _, err := b.lib.Approve(context.Background(), tx, e[1].ID); return err }); !fault.Is(err, "lexicon.not_waiting") {
		t.Fatalf("an entry that ran out was approved: %v", err)
	}
}

func TestRetiringAnEntryTakesTwoPersons(t *testing.T) {
	b := newBench(t)
	e := b.publish(t, officer, draft("测试违禁词甲"))[0]
	var second string
	b.must(t, officer, func(tx *store.Tx) error {
		s, err := b.lib.AskRetire(context.Background(), tx, e.ID, "误报")
		second = s.ID
		return err
	})
	if len(b.live(t, "s1")) != 1 {
		t.Fatal("asking took it away")
	}
	decide := func(a store.Actor) error {
		return b.try(a, func(tx *store.Tx) error {
			_, err := b.lib.DecideRetire(context.Background(), tx, second, true)
			return err
		})
	}
	if err := decide(officer); !fault.Is(err, "identity.same_person") {
		t.Fatalf("one person retired alone: %v", err)
	}
	if err := decide(auditor); fault.KindOf(err) != fault.KindForbidden {
		t.Fatalf("an auditor retired: %v", err)
	}
	if err := decide(engineer); err != nil {
		t.Fatal(err)
	}
	if len(b.live(t, "s1")) != 0 {
		t.Fatal("still live")
	}
}

func TestAStandInPublishesOnlyForTheServicesOfItsDrill(t *testing.T) {
	b := newBench(t)
	for serviceID, want := range map[string]bool{"": false, "s1": false, "s2": true} {
		d := draft("测试违禁词" + serviceID)
		d.ServiceID = serviceID
		err := b.try(standIn, func(tx *store.Tx) error {
			_, err := b.lib.Publish(context.Background(), tx, "", []lexicon.Draft{d})
			return err
		})
		if want != (err == nil) || err != nil && !fault.Is(err, "identity.other_drill") {
			t.Errorf("service %q: %v", serviceID, err)
		}
	}
	if len(b.live(t, "s1")) != 0 || len(b.live(t, "s2")) != 1 {
		t.Fatal("a drill's entry is seen elsewhere")
	}
}

func TestDraftsThatNoEngineOrTaxonomyTakesAreRefusedWithTheirField(t *testing.T) {
	lib := newLibrary(t)
	change := func(f func(*lexicon.Draft)) lexicon.Draft { d := draft("测试违禁词甲"); f(&d); return d }
	for name, c := range map[string]struct {
		d          lexicon.Draft
		field, key string
	}{
		"empty term":       {change(func(d *lexicon.Draft) { d.Term = " " }), "term", "lexicon.bad_text"},
		"invisible term":   {change(func(d *lexicon.Draft) { d.Term = "\u200b" }), "term", "lexicon.bad_text"},
		"long term":        {change(func(d *lexicon.Draft) { d.Term = strings.Repeat("甲", 65) }), "term", "lexicon.bad_text"},
		"empty context":    {change(func(d *lexicon.Draft) { d.Contexts = []string{""} }), "contexts", "lexicon.bad_text"},
		"unknown action":   {change(func(d *lexicon.Draft) { d.Action = "delete" }), "action", "error.unknown_value"},
		"allow":            {change(func(d *lexicon.Draft) { d.Action = "allow" }), "action", "error.unknown_value"},
		"risk of nobody":   {change(func(d *lexicon.Draft) { d.Risk = "A.1.i" }), "risk", "lexicon.unknown_risk"},
		"risk group":       {change(func(d *lexicon.Draft) { d.Risk = "A.1" }), "risk", "lexicon.unknown_risk"},
		"topic with a bar": {change(func(d *lexicon.Draft) { d.Topic = "a|b" }), "topic", "lexicon.bad_topic"},
		"many contexts":    {change(func(d *lexicon.Draft) { d.Contexts = make([]string, 17) }), "contexts", "lexicon.too_many_contexts"},
	} {
		_, err := lib.Check(c.d)
		if !fault.Is(err, c.key) || !strings.Contains(err.Error(), c.field) || strings.Contains(err.Error(), "测试违禁词") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := lib.Check(draft("测试违禁词甲")); err != nil {
		t.Errorf("control: %v", err)
	}
}

func TestFilesAreReadStrictly(t *testing.T) {
	lib := newLibrary(t)
	head := "term\taction\trisk\ttopic\tcontexts\tstrict_only\n"
	for name, c := range map[string]struct{ format, body, key string }{
		"no header":       {"tsv", "测试违禁词甲\tblock\tA.1.g\t\t\tfalse\n", "lexicon.bad_header"},
		"missing column":  {"tsv", head + "测试违禁词甲\tblock\tA.1.g\t\tfalse\n", "lexicon.bad_columns"},
		"strict_only yes": {"tsv", head + "测试违禁词甲\tblock\tA.1.g\t\t\tyes\n", "error.unknown_value"},
		"twice":           {"tsv", head + "测试违禁词甲\tblock\tA.1.g\t\t\tfalse\n测试违禁词甲\tmask\tA.1.g\t\t\tfalse\n", "lexicon.twice"},
		"unknown risk":    {"tsv", head + "测试违禁词甲\tblock\tZ.1\t\t\tfalse\n", "lexicon.unknown_risk"},
		"only a header":   {"tsv", head, "lexicon.file_empty"},
		"not UTF-8":       {"tsv", head + "\xff\xfe\n", "lexicon.not_utf8"},
		"unknown name":    {"json", `[{"term":"测试违禁词甲","action":"block","risk":"A.1.g","colour":"red"}]`, "lexicon.bad_json"},
		"doubled name":    {"json", `[{"term":"测试违禁词甲","term":"x","action":"block","risk":"A.1.g"}]`, "lexicon.bad_json"},
		"other case":      {"json", `[{"Term":"测试违禁词甲","action":"block","risk":"A.1.g"}]`, "lexicon.bad_json"},
		"no array":        {"json", `{}`, "lexicon.bad_json"},
		"unknown format":  {"csv", "a,b", "error.unknown_value"},
	} {
		_, err := lib.Parse(c.format, []byte(c.body))
		if !fault.Is(err, c.key) || strings.Contains(err.Error(), "测试违禁词") {
			t.Errorf("%s: %v", name, err)
		}
	}
	tsv, err1 := lib.Parse("tsv", []byte("# note\n"+head+"测试违禁词甲\tblock\tA.1.g\trumour\t乙|甲\ttrue\r\n"))
	js, err2 := lib.Parse("json", []byte(`[{"term":"测试违禁词甲","action":"block","risk":"A.1.g","topic":"rumour","contexts":["甲","乙"],"strict_only":true}]`))
	if err1 != nil || err2 != nil || fmt.Sprint(tsv) != fmt.Sprint(js) || len(tsv) != 1 {
		t.Fatalf("%v %v\n%v\n%v", err1, err2, tsv, js)
	}
}

func TestAFileSaysOfEachEntryHowItIsMatched(t *testing.T) {
	lib := newLibrary(t)
	head := "term\taction\trisk\ttopic\tcontexts\tstrict_only\tmatching\n"
	tsv, err1 := lib.Parse("tsv", []byte(head+"测试违禁词甲\tblock\tA.1.g\t\t\tfalse\tgap=2|sound=off\r\n测试违禁词乙\tblock\tA.1.g\t\t\tfalse\t\n"))
	js, err2 := lib.Parse("json", []byte(`[{"term":"测试违禁词甲","action":"block","risk":"A.1.g","matching":{"gap":2,"sound":false}},{"term":"测试违禁词乙","action":"block","risk":"A.1.g"}]`))
	if err1 != nil || err2 != nil || len(tsv) != 2 || len(js) != 2 {
		t.Fatalf("%v %v %v %v", err1, err2, tsv, js)
	}
	for _, drafts := range [][]lexicon.Draft{tsv, js} {
		if drafts[0].Matching.String() != "gap=2|sound=off" || !drafts[1].Matching.IsZero() {
			t.Errorf("%q, %q", drafts[0].Matching, drafts[1].Matching)
		}
	}
	for name, c := range map[string]struct{ format, body, at, key string }{
		"unknown way":        {"tsv", head + "测试违禁词甲\tblock\tA.1.g\t\t\tfalse\tloudly\n", "line 2.matching", "lexicon.bad_matching"},
		"two syllables":      {"tsv", head + "测试\tblock\tA.1.g\t\t\tfalse\tsound\n", "line 2.matching.sound", "lexicon.matching_sound"},
		"a wide gap":         {"tsv", head + "测试违\tblock\tA.1.g\t\t\tfalse\tgap=9\n", "line 2.matching", "lexicon.bad_matching"},
		"a cell too many":    {"tsv", strings.TrimSuffix(head, "\tmatching\n") + "\n测试违\tblock\tA.1.g\t\t\tfalse\tsound\n", "line 2", "lexicon.bad_columns"},
		"a cell too few":     {"tsv", head + "测试违\tblock\tA.1.g\t\t\tfalse\n", "line 2", "lexicon.bad_columns"},
		"one term, two ways": {"tsv", head + "测试违\tblock\tA.1.g\t\t\tfalse\tsound\n测试违\tblock\tA.1.g\t\t\tfalse\t\n", "line 3", "lexicon.twice"},
		"repeats, no gap":    {"tsv", head + "测试违\tblock\tA.1.g\t\t\tfalse\trepeat|gap=0\n", "line 2.matching.repeat", "lexicon.matching_repeat"},
		"repeats of a word":  {"tsv", head + "cat\tblock\tA.1.g\t\t\tfalse\trepeat\n", "line 2.matching.repeat", "lexicon.matching_repeat"},
		"a wide gap in JSON": {"json", `[{"term":"测试违","action":"block","risk":"A.1.g","matching":{"gap":9}}]`, "entries[0].matching.gap", "lexicon.matching_gap"},
		"an unknown fold":    {"json", `[{"term":"测试违","action":"block","risk":"A.1.g","matching":{"fold":"wide"}}]`, "entries[0].matching.fold", "error.unknown_value"},
		"an unknown member":  {"json", `[{"term":"测试违","action":"block","risk":"A.1.g","matching":{"tone":true}}]`, "file", "lexicon.bad_json"},
	} {
		_, err := lib.Parse(c.format, []byte(c.body))
		if !fault.Is(err, c.key) || !strings.Contains(err.Error(), c.at+":") || strings.Contains(err.Error(), "测试") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Entries of one term in two ways stand beside each other; the same way again changes nothing.
func TestOneTermIsPublishedOnceForEachWayItIsMatched(t *testing.T) {
	b := newBench(t)
	in := func(matching string) lexicon.Draft {
		d := draft("测试违禁词甲")
		var err error
		if d.Matching, err = inspect.ParseMatching(matching); err != nil {
			t.Fatal(err)
		}
		return d
	}
	if n := len(b.publish(t, officer, in(""), in("sound=off"), in("sound=off"), in("strict"))); n != 3 {
		t.Errorf("%d entries", n)
	}
	if n := len(b.publish(t, officer, in("sound=off"), in("gap=0"))); n != 1 {
		t.Errorf("%d more", n)
	}
	ways := map[string]int{}
	for _, e := range b.live(t, "s1") {
		ways[e.Matching.String()]++
		if r, err := e.Rule(); err != nil || r.Sound != (e.Matching.String() == "" || e.Matching.String() == "gap=0") {
			t.Errorf("%q: %+v, %v", e.Matching, r.Disguise, err)
		}
	}
	if fmt.Sprint(ways) != "map[:1 gap=0:1 sound=off:1 strict:1]" {
		t.Errorf("%v", ways)
	}
	written, _ := json.Marshal(b.ledger.entries)
	if !strings.Contains(string(written), `"matching":"sound=off"`) {
		t.Error("the record does not say how an entry is matched")
	}
}

func TestAChangeWhoseNewEntryHasLapsedTakesNothingAway(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	e := b.publish(t, officer, draft("测试违禁词甲"))[0]
	b.must(t, engineer, func(tx *store.Tx) error { _, err := b.lib.Approve(ctx, tx, e.ID); return err })
	off := false
	var changed lexicon.Changed
	b.must(t, officer, func(tx *store.Tx) (err error) {
		changed, err = b.lib.ChangeMatching(ctx, tx, e.ID, inspect.Matching{Sound: &off}, "误报")
		return err
	})
	if len(b.live(t, "s1")) != 2 {
		t.Fatal("the new way does not hold at once, or the old one ended")
	}
	b.clock.Advance(24 * time.Hour)
	err := b.try(engineer, func(tx *store.Tx) error { _, err := b.lib.DecideRetire(ctx, tx, changed.Second.ID, true); return err })
	if live := b.live(t, "s1"); !fault.Is(err, "lexicon.successor_gone") || len(live) != 1 || live[0].ID != e.ID {
		t.Fatalf("%v, %+v", err, live)
	}
	if err := b.try(officer, func(tx *store.Tx) error {
		_, err := b.lib.ChangeMatching(ctx, tx, changed.Entry.ID, inspect.Matching{}, "x")
		return err
	}); !fault.Is(err, "lexicon.not_live") {
		t.Errorf("an entry that lapsed was changed: %v", err)
	}
}

// 200,000 entries come in several imports; each entry is compared with those that are there.
func TestAnImportFindsTheEntriesOfATermByTheirIndex(t *testing.T) {
	storetest.Only(t, storetest.SQLite, "with few rows PostgreSQL reads them all, whatever index there is")
	b := newBench(t)
	var plan []struct {
		ID, Parent, NotUsed int
		Detail              string
	}
	if err := b.st.Read().NewRaw("EXPLAIN QUERY PLAN SELECT id FROM lexicon_entry WHERE substr(term, 1, 300) = 'x' AND service_id = '' AND state = 'live'").Scan(context.Background(), &plan); err != nil {
		t.Fatal(err)
	}
	if len(plan) != 1 || !strings.Contains(plan[0].Detail, "lexicon_entry_term") {
		t.Errorf("%+v", plan)
	}
}

// Nobody else writes during an import, an order neither.
func TestAnImportItsApprovalAndItsEndTakeFewStatementsHoweverManyEntries(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	db, err := store.Bare(ctx, storetest.With(t, store.Options{Dir: b.st.Dir()}))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	counts := map[string][]storetest.Statements{}
	for _, n := range []int{2, 400} {
		var drafts []lexicon.Draft
		for i := range n {
			drafts = append(drafts, draft(fmt.Sprintf("测试违禁词%c%c", 0x4e00+i, 0x5e00+n)))
		}
		var c storetest.Statements
		btx, err := db.WithQueryHook(&c).BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		tx := &store.Tx{Tx: btx, Actor: engineer, NowMs: b.clock.Now().UnixMilli()}
		did := func(what string) {
			counts[what] = append(counts[what], c)
			c = 0
		}
		did("begin")
		first, added, err := b.lib.Import(ctx, tx, drafts)
		if err != nil || len(added) != n {
			t.Fatal(len(added), err)
		}
		did("import")
		if _, added, err := b.lib.Import(ctx, tx, drafts); err != nil || len(added) != 0 {
			t.Fatal("the same again:", len(added), err)
		}
		did("the same again")
		tx.Actor = officer
		tx.Actor.Roles = []string{"commander"}
		if out, err := b.lib.ApproveSource(ctx, tx, first); err != nil || len(out) != n || out[n-1].ApprovedBy != officer.ID {
			t.Fatal(len(out), err)
		}
		did("approve")
		tx.Actor = engineer
		for i := range drafts {
			drafts[i].Action = "observe"
		}
		second, added, err := b.lib.Import(ctx, tx, drafts)
		if err != nil || len(added) != n {
			t.Fatal(len(added), err)
		}
		c = 0
		tx.NowMs += lexicon.EmergencyMs
		if err := b.lib.Expire(ctx, tx, due.Row{ObjectID: second}); err != nil {
			t.Fatal(err)
		}
		did("expire")
		if live, err := lexicon.Live(ctx, tx, "s1", tx.NowMs); err != nil || len(live) != n || live[0].ApprovedBy != officer.ID {
			t.Errorf("%d live of %d: %v", len(live), n, err)
		}
		if err := btx.Rollback(); err != nil {
			t.Fatal(err)
		}
	}
	for what, c := range counts {
		if what != "begin" && (c[0] == 0 || c[0] != c[1]) {
			t.Errorf("%s: 2 entries take %d statements and 400 take %d", what, c[0], c[1])
		}
	}
}

func TestOfManyEntriesTheWrongOneIsNamed(t *testing.T) {
	lib := newLibrary(t)
	var tsv, js strings.Builder
	tsv.WriteString("# note\nterm\taction\trisk\ttopic\tcontexts\tstrict_only\n\n")
	for i := range 50 {
		term := fmt.Sprintf("测试%c", 0x4e00+i)
		if i == 37 {
			term = "\u200b"
		}
		fmt.Fprintf(&tsv, "%s\tblock\tA.1.g\t\t\tfalse\n", term)
		fmt.Fprintf(&js, `%c{"term":%q,"action":"block","risk":"A.1.g"}`, ",["[min(1, max(0, 1-i))], term)
	}
	for format, c := range map[string]struct{ file, field string }{"tsv": {tsv.String(), "line 41.term"}, "json": {js.String() + "]", "entries[37].term"}} {
		_, err := lib.Parse(format, []byte(c.file))
		var f *fault.Error
		if !errors.As(err, &f) || f.Key != "lexicon.bad_text" || f.Field != c.field {
			t.Errorf("%s: %v", format, err)
		}
	}
}

func TestWhatStandsTwiceInOneRequestCountsOnce(t *testing.T) {
	b := newBench(t)
	e := b.publish(t, officer, draft("测试违禁词甲"), draft("测试违禁词甲"), draft("测试违禁词乙"))
	if len(e) != 2 || len(b.live(t, "s1")) != 2 {
		t.Fatalf("%+v", e)
	}
	twice := func(tx *store.Tx) error { _, err := b.lib.Approve(t.Context(), tx, e[0].ID, e[0].ID); return err }
	if err := b.try(engineer, twice); !fault.Is(err, "lexicon.not_waiting") {
		t.Errorf("approved twice: %v", err)
	}
}

func TestATermOfMoreCharactersThanTheIndexHasIsRefusedWithItsLine(t *testing.T) {
	b := newBench(t)
	long := "测试" + strings.Repeat("\u0301\uFE0F\u200B", 1000) + "甲" // three symbols
	file := "term\taction\trisk\ttopic\tcontexts\tstrict_only\n" + "测试乙\tmask\tA.1.a\t\t\tfalse\n" + long + "\tmask\tA.1.a\t\t\tfalse\n"
	_, err := b.lib.Parse("tsv", []byte(file))
	var f *fault.Error
	if !errors.As(err, &f) || f.Key != "lexicon.long_term" || f.Field != "line 3.term" {
		t.Errorf("%v", err)
	}
}

func TestAnImportGoesInWholeOrNotAtAllAndLapsesWithoutApproval(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	bad := []lexicon.Draft{draft("测试违禁词甲"), {Term: "测试违禁词乙", Action: "block", Risk: "A.9.z"}}
	err := b.try(engineer, func(tx *store.Tx) error { _, _, err := b.lib.Import(ctx, tx, bad); return err })
	if !fault.Is(err, "lexicon.unknown_risk") || !strings.Contains(err.Error(), "entries[1].risk") || len(b.live(t, "s1")) != 0 {
		t.Fatalf("%v, %d live", err, len(b.live(t, "s1")))
	}
	var kept, dropped string
	b.must(t, engineer, func(tx *store.Tx) (err error) {
		if kept, _, err = b.lib.Import(ctx, tx, []lexicon.Draft{draft("测试违禁词甲")}); err != nil {
			return err
		}
		dropped, _, err = b.lib.Import(ctx, tx, []lexicon.Draft{draft("测试违禁词乙")})
		return err
	})
	if err := b.try(engineer, func(tx *store.Tx) error { _, err := b.lib.ApproveSource(ctx, tx, kept); return err }); !fault.Is(err, "identity.same_person") {
		t.Fatalf("the importer approved: %v", err)
	}
	commander := store.Actor{ID: "c", Roles: []string{"commander"}}
	b.must(t, commander, func(tx *store.Tx) error { _, err := b.lib.ApproveSource(ctx, tx, kept); return err })
	b.clock.Advance(25 * time.Hour)
	b.must(t, store.System("due"), func(tx *store.Tx) error {
		return b.lib.Expire(ctx, tx, due.Row{ObjectID: dropped})
	})
	all, err := lexicon.List(ctx, b.st.Read(), officer, lexicon.Filter{})
	if err != nil || len(all) != 2 {
		t.Fatalf("%v %d", err, len(all))
	}
	for _, e := range all {
		if (e.State == lexicon.StateLive) != (e.Source == kept) {
			t.Errorf("%+v", e)
		}
	}
}

func TestASecretTermIsMaskedInListsAndNoTermIsInTheRecord(t *testing.T) {
	b := newBench(t)
	d := draft("测试违禁词甲")
	d.Secret, d.Contexts = true, []string{"测试语境词"}
	b.publish(t, officer, d, draft("测试违禁词乙"))
	list, err := lexicon.List(context.Background(), b.st.Read(), officer, lexicon.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	shown, _ := json.Marshal(list)
	if strings.Contains(string(shown), "测试违禁词甲") || strings.Contains(string(shown), "测试语境词") || !strings.Contains(string(shown), "测试违禁词乙") {
		t.Fatalf("%s", shown)
	}
	written, _ := json.Marshal(b.ledger.entries)
	if strings.Contains(string(written), "测试") || !strings.Contains(string(written), "fingerprint") {
		t.Fatalf("%s", written)
	}
	if _, err := lexicon.List(context.Background(), b.st.Read(), auditor, lexicon.Filter{}); fault.KindOf(err) != fault.KindForbidden {
		t.Fatalf("the auditor read the lexicon: %v", err)
	}
}

func TestTheStarterCompilesSeesItsTriggersAndLeavesOrdinaryTextAlone(t *testing.T) {
	b := newBench(t)
	var n, again int
	b.must(t, store.System("boot"), func(tx *store.Tx) (err error) {
		if n, err = b.lib.InstallStarter(context.Background(), tx); err != nil {
			return err
		}
		again, err = b.lib.InstallStarter(context.Background(), tx)
		return err
	})
	if n < 80 || again != 0 {
		t.Fatalf("installed %d, then %d", n, again)
	}
	if err := b.try(officer, func(tx *store.Tx) error { _, err := b.lib.InstallStarter(context.Background(), tx); return err }); fault.KindOf(err) != fault.KindForbidden {
		t.Fatalf("a person installed it: %v", err)
	}
	rules := inspect.Rules{}
	risks := map[string]bool{}
	for _, e := range b.live(t, "s1") {
		risks[e.Risk[:3]] = true
		if e.StrictOnly {
			continue
		}
		term, err := e.Rule()
		if err != nil {
			t.Fatal(err)
		}
		rules.Terms = append(rules.Terms, term)
	}
	for _, g := range []string{"A.1", "A.2", "A.3", "A.4", "A.5"} {
		if !risks[g] {
			t.Errorf("no entry for %s", g)
		}
	}
	engine, err := inspect.Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]inspect.Action{
		"按老经验看，女性不擅长逻辑，这样的名额还是留给别人吧。":                              inspect.Observe,
		"内部消息：安舒宁X害死了试药的病人，厂家一直瞒着。":                                inspect.Observe,
		"有人自制炸药被警方抓获":                                              inspect.Block,
		"该药物在临床试验中表现良好，副作用轻微。":                                     inspect.Allow,
		"我不擅长逻辑，请帮我检查这段代码。":                                        inspect.Allow,
		"这个平台稳赚不赔，快来投资":                                            inspect.Block,
		"今天多云转晴，白天最高二十三度，适合散步。":                                    inspect.Allow,
		"用药请以说明书和医生的意见为准，拿不准就问药师。":                                 inspect.Allow,
		"面试可以准备同一组问题，请每位候选人都回答，按事先写好的标准打分。":                        inspect.Allow,
		"Sort the slice with the standard library and add a test.": inspect.Allow,
	} {
		if got := engine.Scan(text).Action; got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

func TestNoSequenceOfActsLetsOnePersonKeepOrLoseAnEntry(t *testing.T) {
	b := newBench(t)
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		people := []store.Actor{{ID: "p0", Roles: []string{"duty_officer", "safety_engineer"}}, {ID: "p1", Roles: []string{"safety_engineer"}}}
		e := b.publish(t, people[0], draft(fmt.Sprint("测试违禁词", round)))[0]
		asked := map[string]string{}
		for i, n := 0, rapid.IntRange(1, 8).Draw(rt, "acts"); i < n; i++ {
			who := people[rapid.IntRange(0, 1).Draw(rt, "who")]
			_ = b.try(who, func(tx *store.Tx) error {
				switch rapid.IntRange(0, 2).Draw(rt, "act") {
				case 0:
					_, err := b.lib.Approve(context.Background(), tx, e.ID)
					return err
				case 1:
					s, err := b.lib.AskRetire(context.Background(), tx, e.ID, "x")
					if err == nil {
						asked[s.ID] = who.ID
					}
					return err
				default:
					for id := range asked {
						if _, err := b.lib.DecideRetire(context.Background(), tx, id, true); err != nil {
							return err
						}
					}
					return nil
				}
			})
		}
		var now lexicon.Entry
		if err := b.st.Read().NewSelect().Model(&now).Where("id = ?", e.ID).Scan(context.Background()); err != nil {
			rt.Fatal(err)
		}
		if now.ApprovedBy == now.CreatedBy {
			rt.Fatal("kept by its author alone")
		}
		if now.State == lexicon.StateRetired {
			var one int
			if err := b.st.Read().NewRaw("SELECT COUNT(*) FROM second_signature WHERE state = 'confirmed' AND requested_by <> decided_by AND object_id = ?", e.ID).Scan(context.Background(), &one); err != nil || one == 0 {
				rt.Fatalf("retired without two persons: %v", err)
			}
		}
	})
}

func TestEveryFaultKeyOfTheLexiconHasItsText(t *testing.T) {
	c, err := locale.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"lexicon.too_many_contexts", "lexicon.unknown_risk", "lexicon.bad_topic", "lexicon.bad_text", "lexicon.too_many", "lexicon.not_waiting", "lexicon.not_live",
		"lexicon.file_too_large", "lexicon.not_utf8", "lexicon.bad_json", "lexicon.file_empty", "lexicon.bad_header", "lexicon.bad_columns", "lexicon.twice",
		"lexicon.bad_matching", "lexicon.matching_sound", "lexicon.matching_spell", "lexicon.matching_strict", "lexicon.matching_gap", "lexicon.matching_repeat", "lexicon.matching_signs", "lexicon.matching_same", "lexicon.successor_gone"} {
		if !c.Has(k) {
			t.Error(k)
		}
	}
}

func FuzzParseNeverPanicsAndGivesOnlyEntriesThatPassTheCheck(f *testing.F) {
	lib := newLibrary(f)
	f.Add("tsv", []byte("term\taction\trisk\ttopic\tcontexts\tstrict_only\n甲\tblock\tA.1.g\t\t\tfalse\n"))
	f.Add("json", []byte(`[{"term":"甲","action":"block","risk":"A.1.g"}]`))
	f.Add("tsv", []byte("term\taction\trisk\ttopic\tcontexts\tstrict_only\tmatching\n测试违\tblock\tA.1.g\t\t？\tfalse\tgap=1|sound\n"))
	f.Add("json", []byte(`[{"term":"测试违","action":"block","risk":"A.1.g","matching":{"fold":"loose","gap":8,"spell":true,"word":false}}]`))
	f.Fuzz(func(t *testing.T, format string, raw []byte) {
		drafts, err := lib.Parse(format, raw)
		if err != nil {
			return
		}
		for _, d := range drafts {
			if _, err := lib.Check(d); err != nil {
				t.Fatal(err)
			}
		}
	})
}
