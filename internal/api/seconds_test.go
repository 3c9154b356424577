package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/flow"
	"github.com/fengsui/fengsui/internal/platform/identity"
)

func TestWhatWaitsForASecondPersonIsListedForBothAndTakenBackByItsAuthorOnly(t *testing.T) {
	b := newBench(t)
	b.world(t)
	var s identity.SecondSignature
	b.must(t, b.call(t, "duty_officer", "POST", "/awareness/RWaware2/withdraw", `{"reason":"r"}`), &s)
	list := func(role string) (forMe, byMe string) {
		var out flow.Waiting
		b.must(t, b.call(t, role, "GET", "/second-signatures", ""), &out)
		for _, x := range out.ForMe {
			if x.IncidentID != "" && (x.IncidentNumber == "" || x.ServiceName == "") {
				t.Errorf("%s does not say what it is about: %+v", role, x)
			}
			forMe += x.ID + " "
		}
		for _, x := range out.ByMe {
			byMe += x.ID + " "
		}
		return forMe, byMe
	}
	if forMe, byMe := list("duty_officer"); forMe != "RWsecond " || byMe != s.ID+" " {
		t.Errorf("the author: %q %q", forMe, byMe)
	}
	if forMe, byMe := list("commander"); forMe != "RWsecond "+s.ID+" " || byMe != "" {
		t.Errorf("who may decide: %q %q", forMe, byMe)
	}
	if forMe, byMe := list("engineer"); forMe+byMe != "" {
		t.Errorf("who may not decide: %q %q", forMe, byMe)
	}
	if forMe, byMe := list("seat"); forMe+byMe != "" {
		t.Errorf("a drill's seat: %q %q", forMe, byMe)
	}
	withdraw := func(role string) answer {
		return b.call(t, role, "POST", "/second-signatures/"+s.ID+"/withdraw", "")
	}
	if a := withdraw("commander"); a.status != 403 || a.Key != "identity.not_yours" {
		t.Errorf("by another: %d %s", a.status, a.body)
	}
	// Hidden, it is as if it never was, for its author too.
	b.exec(t, "UPDATE incident SET restricted = TRUE")
	if forMe, byMe := list("commander"); forMe+byMe != "" {
		t.Errorf("hidden: %q %q", forMe, byMe)
	}
	if a := withdraw("duty_officer"); a.status != 404 {
		t.Errorf("hidden: %d %s", a.status, a.body)
	}
	b.exec(t, "UPDATE incident SET restricted = FALSE")
	b.must(t, withdraw("duty_officer"), &s)
	if s.State != "withdrawn" {
		t.Errorf("%+v", s)
	}
	if a := withdraw("duty_officer"); a.status != 409 || a.Key != "identity.second_decided" {
		t.Errorf("twice: %d %s", a.status, a.body)
	}
	if a := b.call(t, "commander", "POST", "/second-signatures/"+s.ID+"/decide", `{"approve":true}`); a.status != 409 {
		t.Errorf("decided after it was withdrawn: %d %s", a.status, a.body)
	}
	if n := b.count(t, "SELECT COUNT(*) FROM awareness WHERE withdrawn_by <> ''"); n != 0 {
		t.Error("the awareness was struck all the same")
	}
	if n := b.count(t, "SELECT COUNT(*) FROM record_entries WHERE action = 'second.withdrawn'"); n != 1 {
		t.Errorf("%d entries", n)
	}
}

// The order was adopted by a restricted incident after it was asked to be lifted.
func TestARequestAboutAnOrderOfAHiddenIncidentIsNotListed(t *testing.T) {
	b := newBench(t)
	b.world(t)
	b.exec(t, `INSERT INTO second_signature (id, action, object_kind, object_id, request, reason, state, requested_by, requested_ms) VALUES ('RWlift', 'order.lift', 'order', 'RWorder', '{}', 'r', 'requested', 'x', 1)`)
	lists := func() bool {
		return strings.Contains(b.call(t, "commander", "GET", "/second-signatures", "").body, "RWlift")
	}
	if !lists() {
		t.Error("the control: an open one is not listed")
	}
	b.exec(t, "UPDATE incident SET restricted = TRUE")
	if lists() {
		t.Error("a hidden one is listed")
	}
}

func TestThePublicStatusLooksAtTheClocksOfRealIncidentsOnly(t *testing.T) {
	b := newBench(t)
	b.world(t)
	b.exec(t, "UPDATE obligation SET due_ms = 5, state = 'owed'")
	status := func() (s struct {
		NearestDue int64 `json:"nearest_due_ms"`
		Overdue    int
		AtOnce     int `json:"at_once"`
	}) {
		b.must(t, b.call(t, "commander", "GET", "/status", ""), &s)
		return s
	}
	for kind, want := range map[string]int64{"drill": 0, "backfill": 0, "real": 5} {
		b.exec(t, fmt.Sprintf("UPDATE incident SET kind = '%s'", kind))
		if s := status(); s.NearestDue != want || (s.Overdue > 0) != (want > 0) {
			t.Errorf("%s: %+v", kind, s)
		}
	}
	b.exec(t, "UPDATE incident SET kind = 'real'", "UPDATE obligation SET due_ms = 0, rule_id = 'guide.immediate'")
	if s := status(); s.AtOnce != 1 || s.NearestDue != 0 || s.Overdue != 0 {
		t.Errorf("owed at once: %+v", s)
	}
	since := func(role string) (out struct {
		Items []struct {
			Rule  string `json:"nearest_due_rule"`
			Since int64  `json:"nearest_since_ms"`
		}
	}) {
		b.must(t, b.call(t, role, "GET", "/incidents", ""), &out)
		return out
	}
	if got := since("commander").Items[0]; got.Rule != "guide.immediate" || got.Since == 0 {
		t.Errorf("the list: %+v", got)
	}
	if got := since("engineer").Items[0]; got.Rule != "" || got.Since != 0 {
		t.Errorf("who may not read what is owed: %+v", got)
	}
	b.exec(t, "UPDATE incident SET restricted = TRUE")
	if s := status(); s.AtOnce != 0 {
		t.Errorf("the public is told of what is restricted: %+v", s)
	}
}
