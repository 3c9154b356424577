package record_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/store"
)

func TestThePinnedSignerIsFollowedThroughRotations(t *testing.T) {
	h := newHouse(t)
	first := h.signer()
	h.write(decision("", 1))
	second := h.rotate()
	third := h.rotate()
	h.write(decision("", 2))
	h.checkpoint()
	if third != h.signer() || first == second || second == third {
		t.Fatalf("signers %s %s %s", first, second, third)
	}
	for _, pin := range []string{first, second, third, strings.ToUpper(first)} {
		rep := h.verify(record.VerifyOptions{Signer: pin, Outside: h.kept()})
		passes(t, rep)
		if rep.Verdict != record.VerdictOK || rep.Signer != third {
			t.Errorf("pin %.8s: %s by %.8s", pin, rep.Verdict, rep.Signer)
		}
	}
	finds(t, h.verify(record.VerifyOptions{Signer: newHouse(t).signer()}), "pinned")
	// A record that was forged whole, with a key of its own, is consistent, but not ours.
	forged := newHouse(t)
	forged.write(decision("", 1))
	forged.checkpoint()
	if rep := forged.verify(record.VerifyOptions{}); rep.Verdict != record.VerdictUnknownSigner {
		t.Errorf("unpinned: %s", rep.Verdict)
	}
	finds(t, forged.verify(record.VerifyOptions{Signer: first}), "pinned")
	finds(t, forged.verify(record.VerifyOptions{Outside: h.kept()}), "foreign") // nor does it fit what was kept outside
	seeds := 0
	names, err := h.keys.Files("record-signer-")
	if err != nil || len(names) != 3 {
		t.Fatal(names, err)
	}
	for _, n := range names {
		if v, err := h.keys.File(n); err != nil {
			t.Fatal(err)
		} else if bytes.Contains(v, []byte(`"seed"`)) {
			seeds++
		}
	}
	if seeds != 1 {
		t.Errorf("%d private keys are kept, want 1", seeds)
	}
}

func TestAProofShowsOneEntryAndNothingElse(t *testing.T) {
	h := newHouse(t)
	for i := range 13 {
		h.write(decision("incident:1", i))
	}
	first := h.signer()
	h.rotate()
	h.write(decision("incident:1", 20))
	last := h.verify(record.VerifyOptions{}).Entries - 1
	if _, err := h.log.Proof(ctx, h.st.Read(), last, false); !fault.Is(err, "record.not_signed_yet") {
		t.Errorf("an unsigned entry: %v", err)
	}
	if _, err := h.log.Proof(ctx, h.st.Read(), last+1, false); !fault.Is(err, "record.no_entry") {
		t.Errorf("no entry: %v", err)
	}
	h.checkpoint()
	for idx := range last + 1 {
		p, err := h.log.Proof(ctx, h.st.Read(), idx, true)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Check(first); err != nil {
			t.Errorf("entry %d: %v", idx, err)
		}
		for name, bend := range map[string]func(p *record.Proof){
			"leaf":       func(p *record.Proof) { p.Leaf = strings.Replace(p.Leaf, `"at_ms":1`, `"at_ms":2`, 1) },
			"index":      func(p *record.Proof) { p.Idx++ },
			"content":    func(p *record.Proof) { p.Content = []byte(`"other"`) },
			"checkpoint": func(p *record.Proof) { p.Checkpoint = strings.Replace(p.Checkpoint, "time 2", "time 3", 1) },
			"signers":    func(p *record.Proof) { p.Signers = p.Signers[1:] },
			"hashes":     func(p *record.Proof) { p.Hashes = slices.Clone(p.Hashes); p.Hashes[0][0] ^= 1 },
		} {
			q := *p
			bend(&q)
			if _, err := q.Check(first); err == nil {
				t.Errorf("entry %d with another %s checks", idx, name)
			}
		}
	}
}

func TestASegmentEntersAsOneDigestAndOnce(t *testing.T) {
	h := newHouse(t)
	s := record.Segment{Kind: "signal", ID: "2026-11-22/1", Rows: 5, SHA256: strings.Repeat("cd", 32)}
	add := func(s record.Segment) error {
		return h.st.Write(ctx, officer, func(tx *store.Tx) error { return h.log.AppendSegment(ctx, tx, s) })
	}
	if err := add(s); err != nil {
		t.Fatal(err)
	}
	if err := add(s); !fault.Is(err, "record.segment_twice") {
		t.Errorf("twice: %v", err)
	}
	if err := add(record.Segment{Kind: "signal", ID: "x", SHA256: "abc"}); !fault.Is(err, "record.bad_segment") {
		t.Errorf("a bad digest: %v", err)
	}
	if d, err := record.FindSegment(ctx, h.st.Read(), "signal", s.ID); err != nil || d != s.SHA256 {
		t.Errorf("digest %s, %v", d, err)
	}
	if _, err := record.FindSegment(ctx, h.st.Read(), "verdict", s.ID); !fault.Is(err, "record.no_segment") {
		t.Errorf("another kind: %v", err)
	}
	passes(t, h.verify(record.VerifyOptions{}))
}
