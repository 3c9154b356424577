package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/watch"
)

const (
	appendFor     = 800 * time.Millisecond
	verifyEntries = 20000
)

// content is what an entry of middling size says.
func content(i int) map[string]any {
	return map[string]any{"n": i, "state": "in_force", "reason": "a reason of the usual length, as a duty officer writes it at night", "rung": "service_offline", "at_ms": 1700000000000 + i}
}

func recordPart(ctx context.Context, b *bench) ([]table, error) {
	appends := table{Part: "record", Title: "Record: appends, one entry in one transaction", Keys: []string{"writers"}}
	for _, writers := range []int{1, 16} {
		s := &series{}
		for n := range b.runs {
			b.say("       record, writers: %d, run %d of %d", writers, n+1, b.runs)
			ours, oursLate, err := recordAppends(ctx, filepath.Join(b.dir, fmt.Sprintf("rec-%d-%d", writers, n)), writers)
			if err != nil {
				return nil, err
			}
			peer, peerLate, err := bareInserts(ctx, filepath.Join(b.dir, fmt.Sprintf("bare-%d-%d.db", writers, n)), writers)
			if err != nil {
				return nil, err
			}
			s.add("record", "/s", ours)
			s.add("record p99", "ms", ms(percentile(oursLate, 0.99)))
			s.add("bare SQLite", "/s", peer)
			s.add("bare SQLite p99", "ms", ms(percentile(peerLate, 0.99)))
			s.add("record ÷ bare", "", ours/peer)
		}
		appends.Rows = append(appends.Rows, row{Keys: []string{fmt.Sprint(writers)}, Figures: s.figures()})
	}
	appends.Notes = []string{"store.Write with one entry: head row, right edge, leaf, and the content sealed under its own salt. Bare: the same content as JSON inserted into one table of one SQLite file, one transaction each, the same pragmas (WAL, synchronous FULL).",
		"One connection writes, so sixteen writers take turns; each commit is synced by itself."}
	verify, err := verifySpeed(ctx, b)
	return []table{appends, verify}, err
}

func openRecord(ctx context.Context, dir string) (*store.Store, *record.Log, *secret.Keys, error) {
	keys, err := secret.Open(secret.DefaultDir(dir))
	if err != nil {
		return nil, nil, nil, err
	}
	log := record.New(record.Options{Keys: keys})
	st, err := store.Open(ctx, store.Options{Dir: dir, Clock: clock.System(), Recorder: log, Hub: watch.New()})
	if err != nil {
		return nil, nil, nil, err
	}
	if err := log.Bind(ctx, st); err != nil {
		return nil, nil, nil, errors.Join(err, st.Close())
	}
	return st, log, keys, nil
}

// writeFor lets writers write one after the other for a while; it gives how many a second and how long each took.
func writeFor(ctx context.Context, writers int, write func(n int) error) (float64, []time.Duration, error) {
	took := make([][]time.Duration, writers)
	errs := make([]error, writers)
	var all sync.WaitGroup
	begin := time.Now()
	for w := range writers {
		all.Go(func() {
			for n := w; ctx.Err() == nil; n += writers {
				at := time.Now()
				if at.Sub(begin) >= appendFor {
					return
				}
				if errs[w] = write(n); errs[w] != nil {
					return
				}
				took[w] = append(took[w], time.Since(at))
			}
		})
	}
	all.Wait()
	elapsed := time.Since(begin)
	var each []time.Duration
	for _, t := range took {
		each = append(each, t...)
	}
	return float64(len(each)) / elapsed.Seconds(), each, errors.Join(append(errs, ctx.Err())...)
}

func recordAppends(ctx context.Context, dir string, writers int) (_ float64, _ []time.Duration, err error) {
	st, _, _, err := openRecord(ctx, dir)
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	perSecond, took, err := writeFor(ctx, writers, func(n int) error {
		return st.Write(ctx, store.System("bench"), func(tx *store.Tx) error {
			tx.Record(store.Entry{Action: "bench.append", ObjectKind: "bench", ObjectID: fmt.Sprint(n), Content: content(n)})
			return nil
		})
	})
	if err != nil {
		return 0, nil, err
	}
	rep, err := record.Verify(ctx, st.Read(), record.VerifyOptions{})
	if err != nil {
		return 0, nil, err
	}
	if !rep.OK || rep.Entries < int64(len(took)) {
		return 0, nil, fmt.Errorf("the record holds %d entries of %d and says %s", rep.Entries, len(took), rep.Verdict)
	}
	return perSecond, took, nil
}

func bareInserts(ctx context.Context, path string, writers int) (_ float64, _ []time.Duration, err error) {
	db, err := store.OpenSQLite(ctx, path, store.Durable, 1)
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, "CREATE TABLE bench_bare (n INTEGER PRIMARY KEY, body TEXT NOT NULL)"); err != nil {
		return 0, nil, err
	}
	return writeFor(ctx, writers, func(n int) error {
		body, err := json.Marshal(content(n))
		if err != nil {
			return err
		}
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO bench_bare (n, body) VALUES (?, ?)", n, string(body)); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		return tx.Commit()
	})
}

func verifySpeed(ctx context.Context, b *bench) (_ table, err error) {
	b.say("       record, verify %d entries", verifyEntries)
	st, log, keys, err := openRecord(ctx, filepath.Join(b.dir, "verify"))
	if err != nil {
		return table{}, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	for n := 0; n < verifyEntries; n += 500 {
		if err := st.Write(ctx, store.System("bench"), func(tx *store.Tx) error {
			for i := n; i < n+500; i++ {
				tx.Record(store.Entry{Action: "bench.append", ObjectKind: "bench", ObjectID: fmt.Sprint(i), Content: content(i)})
			}
			return nil
		}); err != nil {
			return table{}, err
		}
	}
	if _, err := log.Checkpoint(ctx); err != nil {
		return table{}, err
	}
	signer, err := log.Signer(ctx, st.Read())
	if err != nil {
		return table{}, err
	}
	var file bytes.Buffer
	if err := log.Export(ctx, st.Read(), &file, true); err != nil {
		return table{}, err
	}
	t := table{Part: "record", Title: fmt.Sprintf("Record: verify %s entries", number(verifyEntries)), Keys: []string{"what"}}
	for _, how := range []struct {
		name string
		run  func() (*record.Report, error)
	}{
		{"in the database, contents opened and compared", func() (*record.Report, error) {
			return record.Verify(ctx, st.Read(), record.VerifyOptions{Keys: keys, Signer: signer})
		}},
		{"in the database, ciphertexts only", func() (*record.Report, error) {
			return record.Verify(ctx, st.Read(), record.VerifyOptions{Signer: signer})
		}},
		{"an exported file with contents", func() (*record.Report, error) {
			return record.VerifyFile(ctx, bytes.NewReader(file.Bytes()), record.VerifyOptions{Signer: signer})
		}},
	} {
		s := &series{}
		for range b.runs {
			at := time.Now()
			rep, err := how.run()
			took := time.Since(at)
			if err != nil {
				return table{}, err
			}
			if !rep.OK || rep.Verdict != record.VerdictOK || rep.Entries < verifyEntries {
				return table{}, fmt.Errorf("verify %s: %s, %d entries", how.name, rep.Verdict, rep.Entries)
			}
			at = time.Now()
			sha256.Sum256(file.Bytes())
			hash := time.Since(at)
			s.add("entries", "/s", float64(rep.Entries)/took.Seconds())
			s.add("of the exported form", "MB/s", float64(file.Len())/1e6/took.Seconds())
			s.add("time ÷ SHA-256 of the same bytes", "", float64(took)/float64(hash))
		}
		t.Rows = append(t.Rows, row{Keys: []string{how.name}, Figures: s.figures()})
	}
	t.Notes = []string{fmt.Sprintf("The export has %.1f MB; megabytes a second are of these bytes in every row, so that rows compare.", float64(file.Len())/1e6)}
	return t, nil
}
