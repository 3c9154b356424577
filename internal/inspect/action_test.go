package inspect

import (
	"encoding/json"
	"testing"
)

func TestActionsAreOrderedBySeverityAndKeepTheirNames(t *testing.T) {
	names := []string{"allow", "observe", "mask", "replace", "block"}
	for i, a := range []Action{Allow, Observe, Mask, Replace, Block} {
		if int(a) != i || a.String() != names[i] {
			t.Errorf("%d is %q", a, a)
		}
		text, err := json.Marshal(a)
		if err != nil || string(text) != `"`+names[i]+`"` {
			t.Errorf("%v marshals to %s, %v", a, text, err)
		}
		var back Action
		if err := json.Unmarshal(text, &back); err != nil || back != a {
			t.Errorf("%s reads back as %v, %v", text, back, err)
		}
	}
}

func TestUnknownActionIsRefused(t *testing.T) {
	for _, name := range []string{"", "Mask", "drop", "mask "} {
		if a, err := ParseAction(name); err == nil {
			t.Errorf("%q parsed to %v", name, a)
		}
	}
	a := Mask
	if err := a.UnmarshalText([]byte("none")); err == nil || a != Mask {
		t.Errorf("unmarshal of an unknown name: %v, %v", a, err)
	}
	if _, err := Action(5).MarshalText(); err == nil {
		t.Error("action 5 marshals")
	}
	if got := Action(5).String(); got != "action(5)" {
		t.Errorf("action 5 prints as %q", got)
	}
}
