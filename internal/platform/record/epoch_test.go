package record_test

import (
	"path/filepath"
	"testing"

	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
)

func backup(t *testing.T, h *house) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "copy")
	storetest.Copy(t, h.dir, dir)
	return dir
}

func from(t *testing.T, h *house, kept string) *house {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	storetest.Copy(t, kept, dir)
	old := &house{t: t, dir: dir, outside: filepath.Join(t.TempDir(), "other"), keys: h.keys, clock: h.clock}
	old.open()
	t.Cleanup(func() { old.st.Close() })
	return old
}

func TestARestoredRecordPassesOnlyWithAnEpochThatNamesWhatWasLost(t *testing.T) {
	h := newHouse(t)
	first := h.signer()
	for i := range 5 {
		h.write(decision("incident:1", i), decision("subject:9", i))
	}
	h.checkpoint()
	early := backup(t, h)
	h.write(decision("incident:1", 7))
	h.checkpoint()
	h.erase("subject:9")
	second := h.rotate()
	h.write(decision("incident:1", 8))
	c := h.checkpoint()
	kept := h.kept()

	old := from(t, h, early)
	check := func(o *record.Outside, signer string) *record.Report {
		return old.verify(record.VerifyOptions{Keys: h.keys, Outside: o, Signer: signer})
	}
	finds(t, check(kept, ""), "lost")
	res, err := old.log.Resume(ctx, record.ReasonRestore, kept)
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Reerased) != 1 || len(res.Signers) != 1 || res.Signers[0] != second {
		t.Errorf("resumption: %+v", res)
	}
	for _, pin := range []string{first, second} {
		rep := check(kept, pin)
		passes(t, rep)
		if rep.Epoch != 2 || len(rep.Restores) != 1 || rep.Restores[0].Lost == nil || rep.Restores[0].Lost.To != c.Size-1 || rep.Erased != 5 {
			t.Errorf("report: %+v", rep)
		}
	}
	// The old epoch went on after the last known checkpoint: that is not explained.
	h.write(decision("incident:1", 8))
	h.checkpoint()
	finds(t, check(h.kept(), second), "lost")
}

func TestASecondRestoreFromTheSameBackupTakesANewEpoch(t *testing.T) {
	h := newHouse(t)
	h.write(decision("incident:1", 1))
	h.checkpoint()
	early := backup(t, h)
	h.write(decision("incident:1", 2))
	h.checkpoint()
	one := from(t, h, early)
	one.outside = h.outside
	one.open()
	if _, err := one.log.Resume(ctx, record.ReasonRestore, h.kept()); err != nil {
		t.Fatal(err)
	}
	one.write(decision("incident:1", 3))
	one.checkpoint()
	two := from(t, h, early)
	if rep := two.verify(record.VerifyOptions{Outside: h.kept()}); rep.OK {
		t.Fatal("the second restore passes before its epoch")
	}
	if _, err := two.log.Resume(ctx, record.ReasonRestore, h.kept()); err != nil {
		t.Fatal(err)
	}
	rep := two.verify(record.VerifyOptions{Outside: h.kept(), Signer: h.signer()})
	if passes(t, rep); rep.Epoch != 3 {
		t.Errorf("epoch %d, want 3", rep.Epoch)
	}
}

func TestAnEarlierStateCatchesUpByItselfAndAPresentOneBeginsNothing(t *testing.T) {
	h := newHouse(t)
	h.write(decision("incident:1", 1))
	h.checkpoint()
	early := backup(t, h)
	catch := func(h *house, o *record.Outside) bool {
		t.Helper()
		res, err := h.log.CatchUp(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		return res != nil
	}
	if catch(h, h.kept()) || catch(h, &record.Outside{}) {
		t.Error("a record that is whole began an epoch")
	}
	h.write(decision("incident:1", 2))
	h.rotate()
	c := h.checkpoint()
	stranger := newHouse(t)
	for i := range 9 {
		stranger.write(decision("incident:1", i))
	}
	stranger.checkpoint()
	old := from(t, h, early)
	if catch(old, stranger.kept()) {
		t.Error("another record's checkpoints began an epoch")
	}
	if !catch(old, h.kept()) {
		t.Fatal("an earlier state went on as if nothing had happened")
	}
	rep := old.verify(record.VerifyOptions{Keys: h.keys, Outside: h.kept()})
	if passes(t, rep); rep.Epoch != 2 || len(rep.Restores) != 1 || rep.Restores[0].Lost == nil || rep.Restores[0].Lost.To != c.Size-1 {
		t.Errorf("report %+v", rep)
	}
	if catch(old, h.kept()) {
		t.Error("it began a second one")
	}
}
