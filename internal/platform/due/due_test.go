package due_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/platform/watch"
)

var start = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

// open gives a store on a temporary folder with the table effect, which counts what handlers did:
// it has no unique key, so a row that fires twice is seen.
func open(t testing.TB, c clock.Clock) *store.Store {
	t.Helper()
	st, err := store.Open(context.Background(), storetest.With(t, store.Options{Dir: t.TempDir(), Clock: c, Hub: watch.New()}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	makeEffects(t, st)
	return st
}

func makeEffects(t testing.TB, st *store.Store) {
	t.Helper()
	write(t, st, func(tx *store.Tx) error {
		_, err := tx.Exec("CREATE TABLE IF NOT EXISTS effect (object_id TEXT NOT NULL, at_ms BIGINT NOT NULL)")
		return err
	})
}

func write(t testing.TB, st *store.Store, fn func(tx *store.Tx) error) {
	t.Helper()
	if err := st.Write(context.Background(), store.System("test"), fn); err != nil {
		t.Fatal(err)
	}
}

func row(id string, dueMs int64) due.Row {
	return due.Row{Kind: "note", ObjectKind: "thing", ObjectID: id, IncidentKind: due.KindReal, DueMs: dueMs}
}

func set(t testing.TB, st *store.Store, rows ...due.Row) {
	t.Helper()
	write(t, st, func(tx *store.Tx) error {
		for _, r := range rows {
			if err := due.Set(context.Background(), tx, r); err != nil {
				return err
			}
		}
		return nil
	})
}

func list(t testing.TB, st *store.Store, f due.Filter) []due.Row {
	t.Helper()
	rows, err := due.List(context.Background(), st.Read(), f)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func effects(t testing.TB, st *store.Store, objectID string) (n int) {
	t.Helper()
	if err := st.Read().NewRaw("SELECT COUNT(*) FROM effect WHERE object_id = ?", objectID).Scan(context.Background(), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never happened: %s", what)
}

func TestSettingTheSameRowTwiceChangesNothing(t *testing.T) {
	st := open(t, clock.NewFake(start))
	set(t, st, row("a", 1000))
	first := list(t, st, due.Filter{})
	set(t, st, row("a", 1000))
	second := list(t, st, due.Filter{})
	if len(second) != 1 || second[0] != first[0] {
		t.Fatalf("first %+v, second %+v", first, second)
	}
}

func TestSettingARowToAnotherTimeMovesIt(t *testing.T) {
	st := open(t, clock.NewFake(start))
	set(t, st, row("a", 1000), row("b", 2000))
	set(t, st, row("a", 3000))
	rows := list(t, st, due.Filter{})
	if len(rows) != 2 || rows[0].ObjectID != "b" || rows[1].DueMs != 3000 || rows[1].NextMs != 3000 {
		t.Fatalf("%+v", rows)
	}
}

func TestRowsOfOneKindOnOneObjectAreToldApartByName(t *testing.T) {
	st := open(t, clock.NewFake(start))
	one, two := row("a", 1000), row("a", 1000)
	one.Name, two.Name = "initial", "final"
	set(t, st, one, two)
	if n := len(list(t, st, due.Filter{ObjectID: "a"})); n != 2 {
		t.Fatalf("%d rows", n)
	}
}

func TestACancelledRowIsPendingAgainWhenItIsSetAgain(t *testing.T) {
	st := open(t, clock.NewFake(start))
	set(t, st, row("a", 1000))
	write(t, st, func(tx *store.Tx) error { return due.Cancel(context.Background(), tx, "note", "a") })
	if r := list(t, st, due.Filter{}); r[0].State != due.Cancelled {
		t.Fatalf("%+v", r)
	}
	set(t, st, row("a", 1000))
	if r := list(t, st, due.Filter{}); len(r) != 1 || r[0].State != due.Pending {
		t.Fatalf("%+v", r)
	}
}

func TestARowThatLacksSomethingIsRefused(t *testing.T) {
	st := open(t, clock.NewFake(start))
	for name, c := range map[string]struct {
		change func(*due.Row)
		key    string
	}{
		"no kind":               {func(r *due.Row) { r.Kind = "" }, "due.field_missing"},
		"no object":             {func(r *due.Row) { r.ObjectID = "" }, "due.field_missing"},
		"unknown incident kind": {func(r *due.Row) { r.IncidentKind = "pretend" }, "due.incident_kind_unknown"},
		"no time":               {func(r *due.Row) { r.DueMs = 0 }, "due.time_missing"},
		"payload not JSON":      {func(r *due.Row) { r.Payload = "{" }, "due.payload_not_json"},
	} {
		t.Run(name, func(t *testing.T) {
			r := row("a", 1000)
			c.change(&r)
			err := st.Write(context.Background(), store.System("test"), func(tx *store.Tx) error { return due.Set(context.Background(), tx, r) })
			if !fault.Is(err, c.key) {
				t.Fatalf("got %v, want %s", err, c.key)
			}
		})
	}
	if n := len(list(t, st, due.Filter{})); n != 0 {
		t.Fatalf("%d rows were kept", n)
	}
}

func TestASetInATransactionThatFailsLeavesNoRow(t *testing.T) {
	st := open(t, clock.NewFake(start))
	boom := errors.New("boom")
	err := st.Write(context.Background(), store.System("test"), func(tx *store.Tx) error {
		if err := due.Set(context.Background(), tx, row("a", 1000)); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) || len(list(t, st, due.Filter{})) != 0 {
		t.Fatalf("err %v", err)
	}
}

func TestFilterRestrictsByEachField(t *testing.T) {
	st := open(t, clock.NewFake(start))
	drill := row("d", 5000)
	drill.IncidentKind, drill.ObjectKind, drill.Kind = due.KindDrill, "other", "ring"
	set(t, st, row("a", 1000), row("b", 2000), drill)
	for name, c := range map[string]struct {
		f    due.Filter
		want string
	}{
		"object":        {due.Filter{ObjectID: "b"}, "b"},
		"object kind":   {due.Filter{ObjectKind: "other"}, "d"},
		"kind":          {due.Filter{Kind: "ring"}, "d"},
		"incident kind": {due.Filter{IncidentKind: due.KindReal}, "a b"},
		"before":        {due.Filter{BeforeMs: 2000}, "a"},
		"limit":         {due.Filter{Limit: 1, Offset: 1}, "b"},
		"states":        {due.Filter{States: []due.State{due.Fired, due.Failed}}, ""},
	} {
		var got []string
		for _, r := range list(t, st, c.f) {
			got = append(got, r.ObjectID)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: got %q, want %q", name, s, c.want)
		}
	}
}

func TestEveryFaultKeyHasItsText(t *testing.T) {
	c, err := locale.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"due.field_missing", "due.incident_kind_unknown", "due.time_missing", "due.payload_not_json", "due.no_failed_row"} {
		if !c.Has(k) {
			t.Errorf("no text for %s", k)
		}
	}
}

func TestMain(m *testing.M) {
	if child() {
		return
	}
	goleak.VerifyTestMain(m)
}
