package anomaly

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// raise opens an anomaly by a complaint.
func (h *house) raise(svc, contentNo string, kind string) Anomaly {
	h.t.Helper()
	var a Anomaly
	h.n++
	id := fmt.Sprintf("cmp-%d", h.n)
	h.write(store.System("intake"), func(tx *store.Tx) (err error) {
		a, err = h.desk.Raise(h.t.Context(), tx, Observation{Kind: kind, Signal: Signal{ID: id, Source: "complaint", ServiceID: h.services[svc].ID, ContentNo: contentNo, ComplaintID: id}})
		return err
	})
	return a
}

func (h *house) try(a store.Actor, event, id, arg string) error {
	return h.st.Write(h.t.Context(), a, func(tx *store.Tx) (err error) {
		switch event {
		case "assess":
			_, err = Assess(h.t.Context(), tx, id)
		case "dismiss":
			_, err = Dismiss(h.t.Context(), tx, id, arg)
		case "promote":
			_, err = MarkPromoted(h.t.Context(), tx, id, arg)
		case "merge":
			_, err = Merge(h.t.Context(), tx, id, arg)
		}
		return err
	})
}

func TestEveryStateTakesOnlyTheEventsOfTheMachine(t *testing.T) {
	events := []string{"assess", "dismiss", "promote", "merge"}
	allowed := map[State]map[string]State{}
	for _, tr := range Machine() {
		if allowed[tr.From] == nil {
			allowed[tr.From] = map[string]State{}
		}
		allowed[tr.From][tr.Event] = tr.To
	}
	path := map[State][]string{Open: {}, Assessing: {"assess"}, Dismissed: {"assess", "dismiss"}, Promoted: {"assess", "promote"}, Merged: {"assess", "merge"}}
	h := newHouse(t, t.TempDir())
	other := h.raise("b", "other", "real")
	arg := map[string]string{"dismiss": "误报", "promote": "inc-1", "merge": other.ID}
	for state, steps := range path {
		for _, event := range events {
			a := h.raise("a", fmt.Sprintf("%s-%s", state, event), "real")
			for _, s := range steps {
				if err := h.try(officer, s, a.ID, arg[s]); err != nil {
					t.Fatalf("%s: %v", s, err)
				}
			}
			entries := len(h.rec.Of("anomaly." + event))
			before, _ := Get(t.Context(), h.st.Read(), officer, a.ID)
			err := h.try(officer, event, a.ID, arg[event])
			after, _ := Get(t.Context(), h.st.Read(), officer, a.ID)
			if to, ok := allowed[state][event]; ok {
				if err != nil || after.State != to || len(h.rec.Of("anomaly."+event)) != entries+1 {
					t.Errorf("%s in %s: %v, now %s", event, state, err, after.State)
				}
				continue
			}
			if !fault.Is(err, "error.transition") || fault.KindOf(err) != fault.KindConflict || after != before || len(h.rec.Of("anomaly."+event)) != entries {
				t.Errorf("%s in %s: %v, from %+v to %+v", event, state, err, before, after)
			}
		}
	}
}

func TestDecisionsThatAreNotAllowedChangeNothing(t *testing.T) {
	h := newHouse(t, t.TempDir())
	a, b, d := h.raise("a", "1", "real"), h.raise("b", "2", "real"), h.raise("d", "3", "drill")
	dismissed := h.raise("b", "4", "real")
	stand := store.Actor{ID: "p-stand", Roles: []string{"duty_officer"}, Drill: "drill-1"}
	elsewhere := store.Actor{ID: "p-other", Roles: []string{"duty_officer"}, Drill: "drill-2"}
	for _, id := range []string{a.ID, dismissed.ID} {
		if err := h.try(officer, "assess", id, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.try(officer, "dismiss", dismissed.ID, "误报"); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		actor          store.Actor
		event, id, arg string
		want           string
	}{
		"a dismissal without a reason":     {officer, "dismiss", a.ID, "  ", "error.required"},
		"a reason without end":             {officer, "dismiss", a.ID, strings.Repeat("长", 2001), "anomaly.too_long"},
		"a promotion without incident":     {officer, "promote", a.ID, "", "error.required"},
		"merging into itself":              {officer, "merge", a.ID, a.ID, "anomaly.merge_itself"},
		"merging into a drill":             {officer, "merge", a.ID, d.ID, "anomaly.merge_kind"},
		"merging into a dismissed one":     {officer, "merge", a.ID, dismissed.ID, "anomaly.merge_ended"},
		"merging into nothing":             {officer, "merge", a.ID, "nothing", "error.not_found"},
		"an unknown anomaly":               {officer, "assess", "nothing", "", "error.not_found"},
		"an auditor who decides":           {auditor, "assess", b.ID, "", "identity.not_allowed"},
		"nobody":                           {store.Actor{}, "assess", b.ID, "", "identity.unknown"},
		"a stand-in on a real anomaly":     {stand, "assess", b.ID, "", "identity.other_drill"},
		"a stand-in of another drill":      {elsewhere, "assess", d.ID, "", "identity.other_drill"},
		"a stand-in merging into the real": {stand, "merge", d.ID, a.ID, "error.transition"},
	} {
		if err := h.try(tc.actor, tc.event, tc.id, tc.arg); !fault.Is(err, tc.want) {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
	for id, want := range map[string]State{a.ID: Assessing, b.ID: Open, d.ID: Open} {
		if got, err := Get(t.Context(), h.st.Read(), officer, id); err != nil || got.State != want {
			t.Errorf("state %s, %v; want %s", got.State, err, want)
		}
	}
	if err := h.try(stand, "assess", d.ID, ""); err != nil {
		t.Errorf("a stand-in in its own drill: %v", err)
	}
}

func TestAComplaintOpensAnAnomalyAtOnceAndJoinsTheOneThatHoldsItsContent(t *testing.T) {
	h := newHouse(t, t.TempDir())
	for i := range 4 {
		h.put("a", fmt.Sprint(i))
	}
	h.run()
	detected := h.list(Filter{})[0]
	if a := h.raise("a", "C-2", "real"); a.ID != detected.ID || a.Signals != 5 || a.Subjects != 4 {
		t.Errorf("a complaint about detected content: %+v", a)
	}
	if a := h.raise("a", "C-2", "drill"); a.ID == detected.ID || a.Kind != "drill" || !strings.HasPrefix(a.Number, "D-") {
		t.Errorf("a drill's complaint joins a real anomaly: %+v", a)
	}
	fresh := h.raise("a", "C-99", "real")
	if fresh.ID == detected.ID || fresh.Signals != 1 || fresh.RuleID != "complaint" {
		t.Errorf("a complaint about other content: %+v", fresh)
	}
	if again := h.raise("a", "C-99", "real"); again.ID != fresh.ID || again.Signals != 2 {
		t.Errorf("a second complaint about it: %+v", again)
	}
	before := len(h.alerts.got)
	h.n -= 1 // the same signal once more
	if same := h.raise("a", "C-99", "real"); same.Signals != 2 || len(h.alerts.got) != before {
		t.Errorf("the same signal counts twice: %+v", same)
	}
	// The engine goes on counting on what the complaint changed.
	h.put("a", "9")
	h.clock.Advance(2e9)
	h.run()
	if a, _ := Get(t.Context(), h.st.Read(), officer, detected.ID); a.Signals != 6 {
		t.Errorf("%d signals, want 6", a.Signals)
	}
	err := h.st.Write(t.Context(), store.System("x"), func(tx *store.Tx) error {
		_, err := h.desk.Raise(t.Context(), tx, Observation{Kind: "real", Signal: Signal{Source: "complaint", ServiceID: "gone"}})
		return err
	})
	if fault.KindOf(err) != fault.KindNotFound {
		t.Errorf("a complaint about no service: %v", err)
	}
}

func TestEveryKeyOfThisRoomIsInTheCatalog(t *testing.T) {
	c, err := locale.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"anomaly.too_long", "anomaly.merge_itself", "anomaly.merge_kind", "anomaly.merge_ended", "anomaly.no_rule", "error.transition", "error.required"} {
		if !c.Has(key) {
			t.Errorf("%s is missing", key)
		}
	}
}
