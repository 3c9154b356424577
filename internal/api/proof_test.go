package api_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/fengsui/fengsui/internal/flow"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
)

func TestAProofLeadsFromTheLeafToTheSignedRootAndFailsWhenAByteIsAltered(t *testing.T) {
	b := newBench(t)
	b.world(t)
	b.note(t, "incident", "incident:RWinc", "RWinc", "RWinc", "RWinc")
	seq := b.count(t, "SELECT MAX(idx) + 1 FROM record_entries WHERE object_id = 'RWinc'")
	path := fmt.Sprintf("/record/%d/proof", seq)
	if a := b.call(t, "auditor", "GET", path, ""); a.status != 409 || a.Key != "record.not_signed_yet" || a.Field != "seq" || !strings.Contains(a.Detail, fmt.Sprintf("第 %d 条", seq)) || strings.Contains(a.Detail, "fengsui ") {
		t.Errorf("before a checkpoint: %d %s", a.status, a.body)
	}
	if _, err := b.app.House.Record.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	var p flow.EntryProof
	b.must(t, b.call(t, "auditor", "GET", path, ""), &p)
	if !p.Verified || p.Seq != int64(seq) || p.Problem != "" || !strings.Contains(p.Leaf, "RWinc") || !strings.Contains(p.Checkpoint, p.Root) || p.Signer == "" {
		t.Errorf("%+v", p)
	}
	hash := func(s string) (h tlog.Hash) { // as a stranger would check it, from the answer alone
		raw, err := base64.StdEncoding.DecodeString(s)
		if err != nil || len(raw) != len(h) {
			t.Fatal(s, err)
		}
		return tlog.Hash(raw)
	}
	var proof tlog.RecordProof
	for _, s := range p.Path {
		proof = append(proof, hash(s))
	}
	if p.LeafHash != tlog.RecordHash([]byte(p.Leaf)).String() {
		t.Error("the leaf has another hash")
	}
	if err := tlog.CheckRecord(proof, p.TreeSize, hash(p.Root), p.Seq-1, hash(p.LeafHash)); err != nil {
		t.Error(err)
	}
	var report record.Report
	b.must(t, b.call(t, "auditor", "POST", "/record/verify", ""), &report)
	if !report.OK || report.Entries < int64(seq) {
		t.Errorf("%+v", report)
	}
	var points []record.Checkpoint
	b.must(t, b.call(t, "auditor", "GET", "/record/checkpoints", ""), &points)
	if len(points) < 1 || points[0].Size < int64(seq) || points[0].Note != p.Checkpoint {
		t.Errorf("%+v", points)
	}
	// One letter of the leaf, and then one byte of a hash on its path.
	b.exec(t, fmt.Sprintf("UPDATE record_entries SET leaf = REPLACE(leaf, 'test.note', 'test.vote') WHERE idx = %d", seq-1))
	b.must(t, b.call(t, "auditor", "GET", path, ""), &p)
	if p.Verified || p.Problem == "" {
		t.Errorf("an altered leaf is proven: %+v", p)
	}
	b.must(t, b.call(t, "auditor", "POST", "/record/verify", ""), &report)
	if report.OK || report.ProblemCount == 0 {
		t.Errorf("an altered record verifies: %+v", report)
	}
	b.exec(t, fmt.Sprintf("UPDATE record_entries SET leaf = REPLACE(leaf, 'test.vote', 'test.note') WHERE idx = %d", seq-1))
	b.must(t, b.call(t, "auditor", "GET", path, ""), &p)
	if !p.Verified {
		t.Errorf("what was altered was not all: %s", p.Problem)
	}
	kept := 0 // some hashes on the path are put together from several that are kept
	for _, s := range p.Path {
		h := hash(s)
		if kept = b.count(t, "SELECT COUNT(*) FROM record_hashes WHERE hash = "+storetest.Bytes(h[:])); kept == 1 {
			b.exec(t, "UPDATE record_hashes SET hash = "+storetest.Bytes([]byte{0xff})+" || SUBSTR(hash, 2) WHERE hash = "+storetest.Bytes(h[:]))
			break
		}
	}
	b.must(t, b.call(t, "auditor", "GET", path, ""), &p)
	if kept != 1 || p.Verified {
		t.Errorf("an altered hash is part of a proof (%d altered)", kept)
	}
	// What is hidden cannot be proven, nor told from what never was.
	b.exec(t, "UPDATE incident SET restricted = TRUE")
	hidden, never := b.call(t, "auditor", "GET", path, ""), b.call(t, "auditor", "GET", "/record/99999999/proof", "")
	if hidden.status != 404 || hidden.body != never.body {
		t.Errorf("%d %s, %s", hidden.status, hidden.body, never.body)
	}
}

func TestErasuresAreListedWithGroundPersonsAndWhatBecameOfThem(t *testing.T) {
	b := newBench(t)
	b.world(t)
	b.exec(t, "DELETE FROM second_signature")
	b.note(t, "incident", "incident:RWinc", "RWinc")
	var asked struct{ ID string }
	b.must(t, b.call(t, "management", "POST", "/record/erasures", `{"scope":"incident:RWinc","ground":"依法申请"}`), &asked)
	var list []flow.ErasureAsked
	read := func(role string) flow.ErasureAsked {
		t.Helper()
		b.must(t, b.call(t, role, "GET", "/record/erasures", ""), &list)
		if len(list) != 1 {
			t.Fatalf("%+v", list)
		}
		return list[0]
	}
	if e := read("auditor"); e.State != "requested" || e.Ground != "依法申请" || e.RequestedByName != "management" || e.Seq != 0 || e.Scope != "incident:RWinc" {
		t.Errorf("%+v", e)
	}
	b.exec(t, "UPDATE incident SET restricted = TRUE")
	b.must(t, b.call(t, "auditor", "GET", "/record/erasures", ""), &list)
	if len(list) != 0 {
		t.Errorf("of a restricted incident: %+v", list)
	}
	b.exec(t, "UPDATE incident SET restricted = FALSE")
	b.must(t, b.call(t, "audit_admin", "POST", "/record/erasures/"+asked.ID+"/decide", `{"approve":true}`), nil)
	e := read("auditor")
	if n := b.count(t, "SELECT idx + 1 FROM record_entries WHERE action = 'record.erase'"); e.State != "confirmed" || e.DecidedByName != "audit_admin" || e.Seq != int64(n) {
		t.Errorf("%+v", e)
	}
	if a := b.call(t, "engineer", "GET", "/record/erasures", ""); a.status != 403 {
		t.Errorf("an engineer: %d", a.status)
	}
}
