package obligation_test

import (
	"testing"

	"github.com/fengsui/fengsui/internal/respond/obligation"
	"github.com/fengsui/fengsui/internal/standard"
)

func TestWhatIsOwedAtOnceComesBeforeEveryClockAndWhatIsOnlyPossibleDoesNot(t *testing.T) {
	book, err := standard.Load()
	if err != nil {
		t.Fatal(err)
	}
	type o = obligation.Obligation
	burning := o{ID: "burning", RuleID: "cac.other", State: "owed", DueMs: 10}
	cases := map[string]struct {
		list    []o
		nearest string
		atOnce  bool
	}{
		"nothing":                           {nil, "", false},
		"a duty of a number":                {[]o{burning}, "burning", false},
		"an earlier number":                 {[]o{burning, {ID: "x", RuleID: "r", State: "pending", DueMs: 9}}, "x", false},
		"promptly, before one that is over": {[]o{burning, {ID: "x", RuleID: "guide.immediate", State: "owed", ClockStartMs: 50}}, "x", true},
		"the longer standing of two":        {[]o{{ID: "y", RuleID: "guide.immediate", State: "owed", ClockStartMs: 50}, {ID: "x", RuleID: "pipl.authority", State: "owed", ClockStartMs: 40}}, "x", true},
		"promptly, but perhaps not owed":    {[]o{burning, {ID: "x", RuleID: "guide.immediate", State: "pending", ClockStartMs: 5}}, "burning", false},
		"promptly, if somebody so decides":  {[]o{burning, {ID: "x", RuleID: "guide.five_in_24h", State: "decision", ClockStartMs: 5}}, "burning", false},
		"promptly, and handed in":           {[]o{burning, {ID: "x", RuleID: "guide.immediate", State: "met", ClockStartMs: 5}}, "burning", false},
		"at the operator's own interval":    {[]o{burning, {ID: "x", RuleID: "guide.periodic", State: "owed", ClockStartMs: 5}}, "burning", false},
		"only pending without a time":       {[]o{{ID: "x", RuleID: "guide.immediate", State: "pending"}}, "", false},
		"a rule that the book has no more":  {[]o{burning, {ID: "x", RuleID: "gone", State: "owed", ClockStartMs: 5}}, "x", true},
		"all settled":                       {[]o{{ID: "x", RuleID: "cac.other", State: "met", DueMs: 1}, {ID: "y", RuleID: "r", State: "struck_off", DueMs: 2}}, "", false},
	}
	for name, c := range cases {
		got := obligation.Nearest(book, c.list)
		switch {
		case got == nil && c.nearest != "", got != nil && (got.ID != c.nearest || got.AtOnce != c.atOnce):
			t.Errorf("%s: %+v instead of %q, at once %v", name, got, c.nearest, c.atOnce)
		}
	}
}
