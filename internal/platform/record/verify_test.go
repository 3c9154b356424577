package record_test

import (
	"bytes"
	"context"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
)

var ctx = context.Background()

func (h *house) verify(o record.VerifyOptions) *record.Report {
	h.t.Helper()
	if o.Keys == nil {
		o.Keys = h.keys
	}
	rep, err := record.Verify(ctx, h.st.Read(), o)
	if err != nil {
		h.t.Fatal(err)
	}
	said(h.t, rep)
	return rep
}

func (h *house) kept() *record.Outside {
	h.t.Helper()
	o, err := record.ReadOutside(h.outside)
	if err != nil {
		h.t.Fatal(err)
	}
	return o
}

func (h *house) signer() string {
	h.t.Helper()
	fp, err := h.log.Signer(ctx, h.st.Read())
	if err != nil || fp == "" {
		h.t.Fatal(fp, err)
	}
	return fp
}

// said fails if a finding of the report has no sentence, or leaves a placeholder open.
func said(t testing.TB, rep *record.Report) {
	t.Helper()
	cat, err := locale.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(append([]record.Finding{{Key: rep.Verdict}}, rep.Problems...), rep.Notices...) {
		for _, lang := range []locale.Lang{locale.ZH, locale.EN} {
			if s := cat.Say(lang, f.Key, f.Args...); !cat.Has(f.Key) || strings.ContainsAny(s, "{}") {
				t.Errorf("no full sentence for %s %v: %s", f.Key, f.Args, s)
			}
		}
	}
}

func passes(t testing.TB, rep *record.Report) {
	t.Helper()
	if !rep.OK || rep.Verdict == record.VerdictBroken {
		t.Fatalf("does not pass: %+v", rep.Problems)
	}
}

func finds(t testing.TB, rep *record.Report, key string) {
	t.Helper()
	has := slices.ContainsFunc(rep.Problems, func(f record.Finding) bool { return f.Key == "record.problem."+key })
	if rep.OK || rep.Verdict != record.VerdictBroken || !has {
		t.Errorf("want problem %s, got ok=%v %v", key, rep.OK, rep.Problems)
	}
}

func (h *house) erase(scope string) {
	h.t.Helper()
	err := h.st.Write(ctx, store.Actor{ID: "person-b"}, func(tx *store.Tx) error {
		return h.log.Erase(ctx, tx, record.Erasure{Scope: scope, Ground: "request of the data subject", Requester: "person-a", Approver: "person-b"})
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.clock.Advance(1e9)
}

func (h *house) rotate() string {
	h.t.Helper()
	fp, err := h.log.RotateSigner(ctx, store.Actor{ID: "person-s"})
	if err != nil {
		h.t.Fatal(err)
	}
	return fp
}

// eventful makes a record in which everything has happened once.
func eventful(t testing.TB) *house {
	h := newHouse(t)
	for i := range 3 {
		h.write(decision("incident:1", i), decision("subject:9", i))
	}
	h.checkpoint()
	h.erase("subject:9")
	h.rotate()
	err := h.st.Write(ctx, officer, func(tx *store.Tx) error {
		if err := h.log.AppendSegment(ctx, tx, record.Segment{Kind: "signal", ID: "2026-11-22/1", Rows: 5, SHA256: strings.Repeat("ab", 32)}); err != nil {
			return err
		}
		if _, err := h.log.Hold(ctx, tx, "incident:1", "case 12"); err != nil {
			return err
		}
		last, err := record.LastCheckpoint(ctx, tx)
		if err != nil {
			return err
		}
		return h.log.BeginEpoch(ctx, tx, record.ReasonFailover, []string{last.Note})
	})
	if err == nil {
		t.Fatal("an epoch began in the middle of a transaction's entries, and nothing objected")
	}
	err = h.st.Write(ctx, officer, func(tx *store.Tx) error {
		if err := h.log.AppendSegment(ctx, tx, record.Segment{Kind: "signal", ID: "2026-11-22/1", Rows: 5, SHA256: strings.Repeat("ab", 32)}); err != nil {
			return err
		}
		_, err := h.log.Hold(ctx, tx, "incident:1", "case 12")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.log.Resume(ctx, record.ReasonFailover, nil); err != nil {
		t.Fatal(err)
	}
	h.write(decision("", 5))
	h.checkpoint()
	h.write(decision("incident:2", 6))
	return h
}

func TestAnUntouchedRecordPasses(t *testing.T) {
	h := eventful(t)
	rep := h.verify(record.VerifyOptions{Signer: h.signer(), Outside: h.kept()})
	passes(t, rep)
	if rep.Verdict != record.VerdictOK || !rep.Pinned || rep.Erased != 3 || rep.ErasedScopes != 1 || rep.Unopened != 0 || rep.Epoch != 2 || len(rep.Restores) != 1 {
		t.Errorf("report: %+v", rep)
	}
	if rep.Tail == nil || rep.Tail.Count != 1 || rep.Tail.From != rep.Entries-1 || rep.CoveredOutside != rep.Entries-1 {
		t.Errorf("tail: %+v", rep.Tail)
	}
	if rep := h.verify(record.VerifyOptions{}); rep.Verdict != record.VerdictUnknownSigner {
		t.Errorf("without a pinned signer: %s", rep.Verdict)
	}
	rep, err := record.Verify(ctx, h.st.Read(), record.VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if passes(t, rep); rep.Unopened == 0 {
		t.Error("without keys it claims to have opened every payload")
	}
}

func TestEveryAlteredColumnOfEveryTableIsFound(t *testing.T) {
	t.Parallel()
	h := eventful(t)
	db, done := storetest.Raw(t, h.dir)
	defer done()
	// in runs fn on the database, verifies, and undoes it.
	in := func(fn func(tx bun.Tx) error) (*record.Report, error) {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback() //nolint:errcheck // always undone
		if err := fn(tx); err != nil {
			return nil, err
		}
		rep, err := record.Verify(ctx, tx, record.VerifyOptions{Keys: h.keys})
		if err != nil { // a value that cannot even be read is found too
			return &record.Report{}, nil
		}
		said(t, rep)
		return rep, nil
	}
	if rep, err := in(func(bun.Tx) error { return nil }); err != nil || !rep.OK {
		t.Fatalf("the control does not pass: %v %v", rep, err)
	}
	tables := storetest.Columns(t, db)
	maps.DeleteFunc(tables, func(name string, _ []storetest.Column) bool { return !strings.HasPrefix(name, "record_") })
	if len(tables) != 8 {
		t.Fatalf("tables: %v", tables)
	}
	tried := map[string]int{}
	at := bun.Ident(storetest.RowID())
	for _, table := range slices.Sorted(maps.Keys(tables)) {
		var columns []string
		for _, c := range tables[table] {
			columns = append(columns, c.Name)
		}
		var rows []string
		if err := db.NewRaw(`SELECT CAST(? AS TEXT) FROM ?`, at, bun.Ident(table)).Scan(ctx, &rows); err != nil || len(rows) == 0 {
			t.Fatalf("%s has no rows to alter: %v", table, err)
		}
		if n := len(rows); testing.Short() && n > 2 { // the whole suite alters every row
			rows = []string{rows[0], rows[n-1]}
		}
		for _, row := range rows {
			for _, col := range columns {
				for _, how := range alterations(t, db, table, col, row) {
					rep, err := in(func(tx bun.Tx) error {
						res, err := tx.ExecContext(ctx, `UPDATE ? SET ? = ? WHERE ? = ?`, bun.Ident(table), bun.Ident(col), how, at, row)
						if err == nil {
							if n, _ := res.RowsAffected(); n != 1 {
								t.Fatalf("%s.%s: %d rows altered", table, col, n)
							}
						}
						return err
					})
					if err != nil {
						if !strings.Contains(err.Error(), "constraint") {
							t.Fatal(err)
						}
						continue // the database itself refuses it
					}
					tried[table+"."+col]++
					if rep.OK {
						t.Errorf("%s.%s of row %s altered to %.60v, and verify passes", table, col, row, how)
					}
				}
			}
			if table == "record_checkpoints" {
				continue // the record's own copy of a checkpoint may be missing; those outside count
			}
			if rep, err := in(func(tx bun.Tx) error {
				_, err := tx.ExecContext(ctx, `DELETE FROM ? WHERE ? = ?`, bun.Ident(table), at, row)
				return err
			}); err != nil || rep.OK {
				t.Errorf("row %s of %s deleted, and verify passes (%v)", row, table, err)
			}
		}
		for _, col := range columns {
			if tried[table+"."+col] == 0 && table+"."+col != "record_head.id" { // that one has a constraint
				t.Errorf("%s.%s was never altered", table, col)
			}
		}
	}
	for _, extra := range []string{
		`INSERT INTO record_hashes (pos, hash) VALUES (100000, '\x00')`,
		`INSERT INTO record_payloads (idx, sealed) VALUES (100000, '\x00')`,
		`INSERT INTO record_payloads (idx, sealed) SELECT 1 + 1, sealed FROM record_payloads WHERE idx = 1`,
		`INSERT INTO record_keys (scope, since, wrapped) VALUES ('subject:9', 1, '\x00')`,
		`INSERT INTO record_keys (scope, since, wrapped) SELECT 'incident:77', since, wrapped FROM record_keys LIMIT 1`,
		`INSERT INTO record_entries SELECT 100000, leaf, at_ms, action, object_kind, object_id, actor, scope FROM record_entries WHERE idx = 3`,
		`INSERT INTO record_epochs (epoch, known) VALUES (7, '')`,
		`INSERT INTO record_signers (fingerprint, statement) VALUES ('x', '{}')`,
		`INSERT INTO record_checkpoints SELECT epoch, size + 100, note FROM record_checkpoints LIMIT 1`,
	} {
		if rep, err := in(func(tx bun.Tx) error { _, err := tx.ExecContext(ctx, extra); return err }); err != nil || rep.OK {
			t.Errorf("%s: verify passes (%v)", extra, err)
		}
	}
}

// alterations gives other values for one cell: a number one off; a text or blob with a byte changed at
// places spread over it, cut short, and grown.
func alterations(t *testing.T, db bun.IDB, table, col, row string) []any {
	var v any
	if err := db.QueryRowContext(ctx, `SELECT ? FROM ? WHERE ? = ?`, bun.Ident(col), bun.Ident(table), bun.Ident(storetest.RowID()), row).Scan(&v); err != nil {
		t.Fatal(err)
	}
	var b []byte
	switch x := v.(type) {
	case int64:
		return []any{x + 1, x - 1}
	case string:
		b = []byte(x)
	case []byte:
		b = x
	default:
		t.Fatalf("%s.%s is a %T", table, col, v)
	}
	like := func(b []byte) any {
		if _, ok := v.(string); ok {
			return string(b)
		}
		return b
	}
	out := []any{like(append(bytes.Clone(b), 'x'))}
	for k := range 3 {
		if len(b) == 0 {
			break
		}
		c := bytes.Clone(b)
		c[k*(len(b)-1)/2] ^= 1
		out = append(out, like(c))
	}
	if len(b) > 0 {
		out = append(out, like(b[:len(b)-1]))
	}
	return out
}

func TestEveryAlteredByteOfAnExportIsFound(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.write(decision("incident:1", 1), decision("subject:9", 2))
	h.erase("subject:9")
	h.checkpoint()
	for _, contents := range []bool{false, true} {
		var file bytes.Buffer
		if err := h.log.Export(ctx, h.st.Read(), &file, contents); err != nil {
			t.Fatal(err)
		}
		if has := strings.Contains(file.String(), "测试违禁词甲 1"); has != contents {
			t.Errorf("contents in the file: %v, want %v", has, contents)
		}
		if strings.Contains(file.String(), "测试违禁词甲 2") {
			t.Error("erased content is in the file")
		}
		check := func(raw []byte) *record.Report {
			rep, err := record.VerifyFile(ctx, bytes.NewReader(raw), record.VerifyOptions{Signer: h.signer()})
			if err != nil {
				t.Fatal(err)
			}
			return rep
		}
		rep := check(file.Bytes())
		passes(t, rep)
		said(t, rep)
		if rep.Verdict != record.VerdictOK || rep.Erased != 1 || rep.Tail != nil || (rep.Unopened == 0) != contents {
			t.Errorf("report: %+v", rep)
		}
		for i := range file.Bytes() {
			bad := bytes.Clone(file.Bytes())
			bad[i] ^= 1
			if check(bad).OK {
				t.Errorf("byte %d altered (%q), and the file passes", i, bad[max(0, i-20):min(len(bad), i+20)])
			}
		}
		lines := bytes.SplitAfter(file.Bytes(), []byte("\n"))
		for i := range lines[:len(lines)-1] {
			if check(slices.Concat(slices.Concat(lines[:i]...), slices.Concat(lines[i+1:]...))).OK {
				t.Errorf("line %d removed, and the file passes", i+1)
			}
		}
	}
}

func TestRemovedEntriesThatAnOutsideCheckpointCoversAreFound(t *testing.T) {
	h := newHouse(t)
	for i := range 5 {
		h.write(decision("incident:1", i))
	}
	early := backup(t, h)
	for i := range 3 {
		h.write(decision("incident:1", i))
	}
	h.checkpoint()
	h.write(decision("incident:1", 9)) // the tail
	kept := h.kept()

	rep := h.verify(record.VerifyOptions{Outside: kept})
	if passes(t, rep); rep.Tail == nil || rep.Tail.Count != 1 || rep.Tail.From != 9 {
		t.Fatalf("tail: %+v", rep.Tail)
	}
	old := from(t, h, early)
	rep, err := record.Verify(ctx, old.st.Read(), record.VerifyOptions{Keys: h.keys})
	if err != nil {
		t.Fatal(err)
	}
	passes(t, rep) // alone it is consistent: only what was kept outside tells
	rep, err = record.Verify(ctx, old.st.Read(), record.VerifyOptions{Keys: h.keys, Outside: kept})
	if err != nil {
		t.Fatal(err)
	}
	finds(t, rep, "lost")
	said(t, rep)

	// The same numbers written again do not pass either: the history is another one.
	for range 4 {
		old.write(decision("incident:1", 1))
	}
	old.checkpoint()
	rep, err = record.Verify(ctx, old.st.Read(), record.VerifyOptions{Keys: h.keys, Outside: kept})
	if err != nil {
		t.Fatal(err)
	}
	finds(t, rep, "rewritten")
}

// backup copies the live database; from opens a house on the copy, with the same keys.
func TestVerifyReadsOneSnapshotWhileOthersWrite(t *testing.T) {
	h := newHouse(t)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				h.write(decision("incident:1", i))
			}
		}
	}()
	for range 5 {
		passes(t, h.verify(record.VerifyOptions{}))
	}
	close(stop)
	<-done
}

func TestWithoutTheRightKeysVerifyDoesNotPassInSilence(t *testing.T) {
	h := newHouse(t)
	h.write(decision("incident:1", 1))
	other, err := secret.Open(filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	finds(t, h.verify(record.VerifyOptions{Keys: other}), "key")
}

func BenchmarkVerify(b *testing.B) {
	h := newHouse(b)
	const n = 20_000
	for range n / 500 {
		var batch []store.Entry
		for i := range 500 {
			batch = append(batch, decision("incident:1", i))
		}
		h.write(batch...)
	}
	h.checkpoint()
	b.ResetTimer()
	for range b.N {
		if rep, err := record.Verify(ctx, h.st.Read(), record.VerifyOptions{Keys: h.keys}); err != nil || !rep.OK {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
