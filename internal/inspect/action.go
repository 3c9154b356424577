package inspect

import "fmt"

// Action is what a rule asks for when it hits, ordered by severity: the worst
// of several actions is the largest.
type Action uint8

const (
	// Allow does nothing; it is the verdict of a text without a hit. A rule
	// cannot carry it.
	Allow Action = iota
	// Observe reports the hit and releases the text unchanged, without delay.
	Observe
	// Mask releases the text with one mask rune for each symbol of the hit.
	Mask
	// Replace releases a fixed wording in place of the hit.
	Replace
	// Block releases nothing from the start of the hit on.
	Block
)

var actionNames = [...]string{"allow", "observe", "mask", "replace", "block"}

// String gives the lower-case name used in configuration and on the wire.
func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return fmt.Sprintf("action(%d)", uint8(a))
}

// ParseAction reads a name that [Action.String] writes. Case matters.
func ParseAction(name string) (Action, error) {
	for i, n := range actionNames {
		if n == name {
			return Action(i), nil
		}
	}
	return Allow, fmt.Errorf("inspect: unknown action %q", name)
}

// MarshalText writes the name; an Action outside the five is an error.
func (a Action) MarshalText() ([]byte, error) {
	if int(a) >= len(actionNames) {
		return nil, fmt.Errorf("inspect: unknown action %d", uint8(a))
	}
	return []byte(actionNames[a]), nil
}

// UnmarshalText reads a name, see [ParseAction].
func (a *Action) UnmarshalText(text []byte) error {
	parsed, err := ParseAction(string(text))
	if err != nil {
		return err
	}
	*a = parsed
	return nil
}

// enforces tells whether the action changes what is released, so that text
// must be held back for it.
func (a Action) enforces() bool { return a >= Mask }
