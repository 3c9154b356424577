package record_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/platform/watch"
)

var day = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

// house is a data folder with its key folder and its checkpoint folder, as a deployment has them.
type house struct {
	t       testing.TB
	dir     string
	outside string
	keys    *secret.Keys
	clock   *clock.Fake
	log     *record.Log
	st      *store.Store
}

func newHouse(t testing.TB) *house {
	t.Helper()
	base := t.TempDir()
	h := &house{t: t, dir: filepath.Join(base, "data"), outside: filepath.Join(base, "elsewhere"), clock: clock.NewFake(day)}
	keys, err := secret.Open(filepath.Join(base, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	h.keys = keys
	h.open()
	t.Cleanup(func() { h.st.Close() })
	return h
}

func (h *house) open() {
	h.t.Helper()
	exp, err := record.NewFileExporter(h.outside, h.dir)
	if err != nil {
		h.t.Fatal(err)
	}
	h.log = record.New(record.Options{Keys: h.keys, Exporters: []record.Exporter{exp}})
	h.st, err = store.Open(context.Background(), storetest.With(h.t, store.Options{Dir: h.dir, Clock: h.clock, Recorder: h.log, Hub: watch.New()}))
	if err != nil {
		h.t.Fatal(err)
	}
	if err := h.log.Bind(context.Background(), h.st); err != nil {
		h.t.Fatal(err)
	}
}

var officer = store.Actor{ID: "person-a", Roles: []string{"duty"}}

func (h *house) write(entries ...store.Entry) {
	h.t.Helper()
	if err := h.st.Write(context.Background(), officer, func(tx *store.Tx) error {
		for _, e := range entries {
			tx.Record(e)
		}
		return nil
	}); err != nil {
		h.t.Fatal(err)
	}
	h.clock.Advance(time.Second)
}

func decision(scope string, n int) store.Entry {
	return store.Entry{Action: "incident.note", ObjectKind: "incident", ObjectID: fmt.Sprintf("inc-%d", n), Scope: scope,
		Content: map[string]any{"text": fmt.Sprintf("测试违禁词甲 %d", n)}}
}

func (h *house) checkpoint() *record.Checkpoint {
	h.t.Helper()
	c, err := h.log.Checkpoint(context.Background())
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

func TestAnEntryCarriesItsContentOutsideTheLeaf(t *testing.T) {
	h := newHouse(t)
	h.write(decision("incident:1", 7))
	got, err := record.Entries(context.Background(), h.st.Read(), record.Filter{Action: "incident.note"})
	if err != nil || len(got) != 1 {
		t.Fatalf("entries = %v, %v", got, err)
	}
	if e := got[0]; e.ObjectID != "inc-7" || e.Actor != officer.ID || e.AtMs != day.UnixMilli() || e.Scope != "incident:1" || e.Idx != 1 {
		t.Errorf("entry = %+v", e)
	}
	content, err := h.log.Content(context.Background(), h.st.Read(), got[0].Idx)
	if err != nil || !strings.Contains(string(content), "测试违禁词甲 7") {
		t.Errorf("content = %s, %v", content, err)
	}
	var n int
	for _, table := range []string{"record_entries WHERE leaf", "record_payloads WHERE CAST(sealed AS TEXT)"} {
		if err := h.st.Read().QueryRowContext(context.Background(), "SELECT COUNT(*) FROM "+table+" LIKE '%违禁词%'").Scan(&n); err != nil || n != 0 {
			t.Errorf("content is readable in %s: %d, %v", table, n, err)
		}
	}
}

func TestFreeTextIsRefusedInALeaf(t *testing.T) {
	h := newHouse(t)
	for name, e := range map[string]store.Entry{
		"an object id with a space":      {Action: "a.b", ObjectKind: "x", ObjectID: "two words"},
		"a name in Chinese":              {Action: "a.b", ObjectKind: "x", ObjectID: "张三"},
		"a long object id":               {Action: "a.b", ObjectKind: "x", ObjectID: strings.Repeat("x", 161)},
		"a sentence as action":           {Action: "something happened"},
		"a scope with a quote":           {Action: "a.b", Scope: `subject:"`},
		"an action that the record owns": {Action: "record.erase", ObjectKind: "scope", ObjectID: "incident:1"},
	} {
		err := h.st.Write(context.Background(), officer, func(tx *store.Tx) error { tx.Record(e); return nil })
		if err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	h.write(decision("", 1)) // the control: an id passes
}

func TestConcurrentWritersLeaveNoGap(t *testing.T) {
	h := newHouse(t)
	const writers, each = 8, 12
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				err := h.st.Write(context.Background(), officer, func(tx *store.Tx) error {
					tx.Record(decision(fmt.Sprintf("incident:%d", w), i))
					if i%3 == 0 {
						tx.Record(decision("", i))
					}
					if i%4 == 0 {
						return fault.Conflict("x", "test.rollback")
					}
					return nil
				})
				if err != nil && !fault.Is(err, "test.rollback") {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	var n, lo, hi int64
	err := h.st.Read().QueryRowContext(context.Background(), `SELECT COUNT(*), MIN(idx), MAX(idx) FROM record_entries`).Scan(&n, &lo, &hi)
	// of 12, three roll back (0, 4, 8), of which 0 had two entries; 3, 6, 9 add one more
	want := int64(1 + writers*(9+3))
	if err != nil || n != want || lo != 0 || hi != n-1 {
		t.Errorf("%d entries from %d to %d, want %d from 0 (%v)", n, lo, hi, want, err)
	}
}

func TestManyEntriesTakeNoMoreStatementsThanTwo(t *testing.T) {
	h := newHouse(t)
	h.write(decision("incident:i", 0)) // makes the key
	db, err := store.Bare(t.Context(), storetest.With(t, store.Options{Dir: h.dir}))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var statements []storetest.Statements
	for _, n := range []int{2, 50} {
		var c storetest.Statements
		var entries []store.Entry
		for i := range n {
			e := decision("incident:i", i)
			e.Actor = officer
			entries = append(entries, e)
		}
		tx, err := db.WithQueryHook(&c).BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.log.Append(t.Context(), tx, day.UnixMilli(), entries); err != nil {
			t.Fatal(err)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		statements = append(statements, c)
	}
	if statements[0] == 0 || statements[0] != statements[1] {
		t.Errorf("2 entries take %d statements and 50 take %d", statements[0], statements[1])
	}
}

func TestTheHeadIsTheTreeHashOfTheStandardAlgorithm(t *testing.T) {
	h := newHouse(t)
	for i := range 21 {
		h.write(decision("", i))
		c := h.checkpoint()
		var stored []tlog.Hash
		var leaves []string
		if err := h.st.Read().NewRaw(`SELECT leaf FROM record_entries ORDER BY idx`).Scan(context.Background(), &leaves); err != nil {
			t.Fatal(err)
		}
		at := tlog.HashReaderFunc(func(idx []int64) ([]tlog.Hash, error) {
			out := make([]tlog.Hash, len(idx))
			for i, x := range idx {
				out[i] = stored[x]
			}
			return out, nil
		})
		for n, l := range leaves {
			add, err := tlog.StoredHashes(int64(n), []byte(l), at)
			if err != nil {
				t.Fatal(err)
			}
			stored = append(stored, add...)
		}
		want, err := tlog.TreeHash(int64(len(leaves)), at)
		if err != nil || c.Root != want || c.Size != int64(len(leaves)) {
			t.Fatalf("size %d: root %v, want %v (%v)", c.Size, c.Root, want, err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	h := newHouse(b)
	b.ResetTimer()
	for i := range b.N {
		h.write(decision("incident:1", i))
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
