package api_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/api"
	"github.com/fengsui/fengsui/internal/monitor/anomaly"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/prepare/drill"
	"github.com/fengsui/fengsui/internal/respond/containment"
	"github.com/fengsui/fengsui/internal/respond/dispatch"
	"github.com/fengsui/fengsui/internal/respond/gatereview"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/standard"
)

// wordless lists the values of a reference that lack words in a language.
func wordless(r api.Reference) (out []string) {
	for list, values := range r.Lists {
		for _, v := range values {
			if n := r.Words[list+"."+v]; n.ZH == "" || n.EN == "" {
				out = append(out, list+"."+v)
			}
		}
	}
	slices.Sort(out)
	return out
}

// unlisted lists the enumerations of the OpenAPI document that no list of the reference is made of.
func unlisted(doc string, lists map[string][]string) (out []string) {
	known := map[string]bool{"zh,en": true, "tsv,json": true, "A.1,A.2": true} // languages, file formats; scenarios have titles of their own
	for _, values := range lists {
		for n := range values { // a call may take the first or some of a list, in the list's order
			for m := n + 1; m <= len(values); m++ {
				known[strings.Join(values[n:m], ",")] = true
			}
		}
	}
	for _, part := range strings.Split(doc, `"enum":[`)[1:] {
		raw, _, _ := strings.Cut(part, "]")
		if v := strings.ReplaceAll(raw, `"`, ""); !known[v] {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func TestEveryValueThatTheAPIGivesHasWordsInBothLanguages(t *testing.T) {
	b := newBench(t)
	var r api.Reference
	b.must(t, b.call(t, "engineer", "GET", "/reference", ""), &r)
	if len(r.Lists) < 50 || len(r.Editions) < 5 || len(r.Lists["risk"]) != 31 || len(r.Lists["action"]) < 90 {
		t.Errorf("%d lists, %d editions, %d risks, %d actions", len(r.Lists), len(r.Editions), len(r.Lists["risk"]), len(r.Lists["action"]))
	}
	if got := wordless(r); len(got) > 0 {
		t.Errorf("without words: %q", got)
	}
	doc := b.call(t, "", "GET", "/openapi.json", "").body
	if got := unlisted(doc, r.Lists); len(got) > 0 {
		t.Errorf("the API takes values that no list has: %q", got)
	}
	if w := r.Words["action.order.issue"]; w.ZH != "下达处置指令" || w.EN != "issue order" || r.Words["rung.strict_filter"].EN != "strict filter" || r.Words["cac_grade.major"].ZH != "重大" {
		t.Errorf("%+v", w)
	}
	// The controls: a value without words, one without English, and an enumeration that is in no list are found.
	bad := api.Reference{Lists: map[string][]string{"rung": {"a", "b"}}, Words: map[string]standard.Name{"rung.a": {ZH: "甲"}}}
	if got := wordless(bad); len(got) != 2 {
		t.Errorf("found %q", got)
	}
	rungs := maps.Clone(r.Lists)
	delete(rungs, "rung")
	if got := unlisted(doc, rungs); len(got) != 1 {
		t.Errorf("found %q", got)
	}
}

func TestEveryEventOfEveryStateMachineHasTheWordsOfItsAction(t *testing.T) {
	catalog, err := locale.Load()
	if err != nil {
		t.Fatal(err)
	}
	var actions []string
	for _, m := range anomaly.Machine() {
		actions = append(actions, "anomaly."+m.Event)
	}
	for _, m := range containment.Machine() {
		actions = append(actions, "order."+m.Event)
	}
	for _, m := range drill.Machine() {
		actions = append(actions, "drill."+m.Event)
	}
	for _, m := range gatereview.Machine() {
		actions = append(actions, "gatereview."+m.Event)
	}
	for _, m := range dispatch.Machine() {
		actions = append(actions, "task."+m.Event)
	}
	for _, m := range incident.Machine() {
		actions = append(actions, "incident."+string(m.Event))
	}
	for _, state := range []string{"pending", "owed", "decision", "struck_off"} {
		actions = append(actions, "obligation."+state)
	}
	for _, a := range append(actions, "second.confirmed", "second.rejected", "closing.verified", "closing.rejected", "servicetest.passed", "servicetest.failed", "servicetest.error", "spread.ask", "spread.remove") {
		if !catalog.Has("action." + a) {
			t.Errorf("action.%s has no words", a)
		}
	}
	if catalog.Has("action.order.invent") {
		t.Error("the catalog has everything: this test proves nothing")
	}
}

func TestTheReferenceIsForWhoIsSignedInAndIsSentOnceOnly(t *testing.T) {
	b := newBench(t)
	if a := b.call(t, "", "GET", "/reference", ""); a.status != 401 {
		t.Errorf("nobody: %d", a.status)
	}
	var tag string
	for _, role := range append(identity.Roles(), "seat") {
		a := b.call(t, role, "GET", "/reference", "")
		tag = a.header.Get("ETag")
		if a.status != 200 || tag == "" || a.header.Get("Cache-Control") != "private, no-cache" || !json.Valid([]byte(a.body)) {
			t.Errorf("%s: %d %q %q", role, a.status, tag, a.header.Get("Cache-Control"))
		}
	}
	if a := b.call(t, "expert", "GET", "/reference", "", "If-None-Match", tag); a.status != 304 || a.body != "" || a.header.Get("ETag") != tag {
		t.Errorf("known already: %d %q", a.status, a.body)
	}
	if a := b.call(t, "expert", "GET", "/reference", "", "If-None-Match", `"other"`); a.status != 200 {
		t.Errorf("another: %d", a.status)
	}
	if a := b.call(t, "", "GET", "/reference", "", "If-None-Match", tag); a.status != 401 {
		t.Errorf("nobody, with the tag: %d", a.status)
	}
}
