package record_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"pgregory.net/rapid"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
)

func TestWhateverHappensTheRecordVerifiesAndASingleChangeIsFound(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		h := newHouse(t)
		defer h.st.Close()
		first := h.signer()
		scopes := []string{"", "incident:1", "incident:2", "subject:9"}
		live, erased := map[string]int64{}, int64(0)
		holds := map[string]string{}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			scope := rapid.SampledFrom(scopes).Draw(rt, "scope")
			switch rapid.SampledFrom([]string{"append", "append", "append", "erase", "hold", "rotate", "checkpoint", "epoch", "fail"}).Draw(rt, "step") {
			case "append":
				n := rapid.IntRange(1, 4).Draw(rt, "n")
				var batch []store.Entry
				for i := range n {
					batch = append(batch, decision(scope, i))
				}
				h.write(batch...)
				live[scope] += int64(n)
			case "erase":
				err := h.st.Write(ctx, officer, func(tx *store.Tx) error {
					return h.log.Erase(ctx, tx, record.Erasure{Scope: scope, Ground: "g", Requester: "person-b", Approver: "person-a"})
				})
				switch {
				case scope == "" && fault.Is(err, "record.erase_scope"):
				case holds[scope] != "" && fault.Is(err, "record.held"):
				case live[scope] == 0 && fault.Is(err, "record.nothing_to_erase"):
				case err == nil && live[scope] > 0 && holds[scope] == "":
					erased += live[scope]
					live[scope] = 0
				default:
					rt.Fatalf("erase %q: %v", scope, err)
				}
			case "hold":
				if scope == "" {
					continue
				}
				if err := h.st.Write(ctx, officer, func(tx *store.Tx) error {
					if holds[scope] != "" {
						return h.log.ReleaseHold(ctx, tx, holds[scope], "g")
					}
					_, err := h.log.Hold(ctx, tx, scope, "g")
					return err
				}); err != nil {
					rt.Fatal(err)
				}
				ids, err := record.Holds(ctx, h.st.Read(), scope)
				if err != nil {
					rt.Fatal(err)
				}
				if holds[scope] = ""; len(ids) > 0 {
					holds[scope] = ids[0]
				}
			case "rotate":
				h.rotate()
			case "checkpoint":
				h.checkpoint()
			case "epoch":
				if _, err := h.log.Resume(ctx, record.ReasonFailover, h.kept()); err != nil {
					rt.Fatal(err)
				}
			case "fail":
				err := h.st.Write(ctx, officer, func(tx *store.Tx) error {
					tx.Record(decision(scope, 1))
					return fault.Conflict("x", "test.rollback")
				})
				if !fault.Is(err, "test.rollback") {
					rt.Fatal(err)
				}
			}
		}
		h.checkpoint()
		rep := h.verify(record.VerifyOptions{Signer: first, Outside: h.kept()})
		if !rep.OK || rep.Erased != erased || rep.Tail != nil || rep.CoveredOutside != rep.Entries {
			rt.Fatalf("report: %+v, want %d erased", rep, erased)
		}
		var file bytes.Buffer
		if err := h.log.Export(ctx, h.st.Read(), &file, rapid.Bool().Draw(rt, "contents")); err != nil {
			rt.Fatal(err)
		}
		if rep, err := record.VerifyFile(ctx, bytes.NewReader(file.Bytes()), record.VerifyOptions{Signer: first, Outside: h.kept()}); err != nil || !rep.OK || rep.Erased != erased {
			rt.Fatalf("export: %+v %v", rep, err)
		}
		bad := file.Bytes()
		bad[rapid.IntRange(0, len(bad)-1).Draw(rt, "byte")] ^= byte(1 << rapid.IntRange(0, 7).Draw(rt, "bit"))
		if rep, err := record.VerifyFile(ctx, bytes.NewReader(bad), record.VerifyOptions{Signer: first, Outside: h.kept()}); err != nil || rep.OK {
			rt.Fatalf("a bit of the export altered, and it passes (%v)", err)
		}
		// Cutting off the end, together with the record's own checkpoints and a head that fits, is found too.
		cut := rapid.Int64Range(1, rep.Entries).Draw(rt, "cut")
		if rep := truncated(rt, h, rep.Entries-cut, record.VerifyOptions{Keys: h.keys, Signer: first, Outside: h.kept()}); rep.OK {
			rt.Fatalf("%d entries cut off, and it passes", cut)
		}
	})
}

// truncated verifies a record whose entries from size on were removed as well as an attacker could.
func truncated(rt *rapid.T, h *house, size int64, o record.VerifyOptions) *record.Report {
	db, done := storetest.Raw(h.t, h.dir)
	defer done()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		rt.Fatal(err)
	}
	defer tx.Rollback() //nolint:errcheck // always undone
	for _, q := range []string{`DELETE FROM record_entries WHERE idx >= ?`, `DELETE FROM record_payloads WHERE idx >= ?`, `DELETE FROM record_checkpoints WHERE size > ?`} {
		if _, err := tx.ExecContext(ctx, q, size); err != nil {
			rt.Fatal(err)
		}
	}
	rep, err := record.Verify(ctx, bun.IDB(tx), o)
	if err != nil {
		rt.Fatal(err)
	}
	lost := false
	for _, p := range rep.Problems {
		lost = lost || p.Key == "record.problem.lost"
	}
	if !lost {
		rt.Fatalf("the loss is not named: %v", rep.Problems)
	}
	return rep
}

// TestAProcessThatAppends is the child of the kill test; it does nothing on its own.
func TestAProcessThatAppends(t *testing.T) {
	base := os.Getenv("FENGSUI_RECORD_CHILD")
	if base == "" {
		t.Skip("runs only as the child of the kill test")
	}
	keys, err := secret.Open(filepath.Join(base, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	exp, err := record.NewFileExporter(filepath.Join(base, "elsewhere"), filepath.Join(base, "data"))
	if err != nil {
		t.Fatal(err)
	}
	log := record.New(record.Options{Keys: keys, Exporters: []record.Exporter{exp}, Entries: 20})
	st, err := store.Open(ctx, storetest.With(t, store.Options{Dir: filepath.Join(base, "data"), Clock: clock.System(), Recorder: log}))
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Bind(ctx, st); err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		scope := fmt.Sprintf("subject:%d", i%5)
		err := st.Write(ctx, officer, func(tx *store.Tx) error {
			tx.Record(decision(scope, i))
			tx.Record(decision("", i))
			if i%7 == 6 {
				return log.Erase(ctx, tx, record.Erasure{Scope: scope, Ground: "g", Requester: "person-a", Approver: "person-b"})
			}
			return nil
		})
		if err != nil && !fault.Is(err, "record.nothing_to_erase") {
			t.Fatal(err)
		}
		if i%10 == 9 {
			if _, err := log.Checkpoint(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if i%40 == 39 {
			if _, err := log.RotateSigner(ctx, officer); err != nil {
				t.Fatal(err)
			}
		}
		if err == nil {
			var size int64
			if err := st.Read().QueryRowContext(ctx, `SELECT size FROM record_head`).Scan(&size); err != nil {
				t.Fatal(err)
			}
			fmt.Println("size", size)
		}
	}
}

func TestAKilledProcessLosesNothingThatItHadCommitted(t *testing.T) {
	base := t.TempDir()
	storetest.With(t, store.Options{Dir: filepath.Join(base, "data")}) // the child finds it
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestAProcessThatAppends$", "-test.timeout=60s")
		cmd.Env = append(os.Environ(), "FENGSUI_RECORD_CHILD="+base)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var told int64
		stopAt, n := 5+rand.IntN(80), 0
		for sc := bufio.NewScanner(out); sc.Scan(); {
			var size int64
			if k, _ := fmt.Sscanf(sc.Text(), "size %d", &size); k == 1 {
				told = size
			} else {
				t.Log(sc.Text())
			}
			if n++; n == stopAt {
				time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // it was killed
		cancel()
		if n < stopAt {
			t.Fatal("the child ended by itself")
		}
		h := &house{t: t, dir: filepath.Join(base, "data"), outside: filepath.Join(base, "elsewhere"), clock: clock.NewFake(day)}
		if h.keys, err = secret.Open(filepath.Join(base, "keys")); err != nil {
			t.Fatal(err)
		}
		h.open()
		rep := h.verify(record.VerifyOptions{Outside: h.kept()})
		if !rep.OK || rep.Entries < told {
			t.Fatalf("round %s: told of %d entries: %+v", strconv.Itoa(round), told, rep)
		}
		h.write(decision("", 1)) // and it goes on
		h.checkpoint()
		passes(t, h.verify(record.VerifyOptions{Outside: h.kept()}))
		h.st.Close()
	}
}
