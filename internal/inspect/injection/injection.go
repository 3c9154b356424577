// Package injection holds rules that tell attempts to turn a model against the
// one who runs it: to put its instructions aside, to draw out what it was told
// or entrusted with, to cast it in a part without limits, to steer it by orders
// in a tool result or a document. The rules are written for Chinese and English
// and are data, rules.json; each is described in both languages.
//
// They go by words near each other. An attempt that has none of these words, or
// is made in another language, is not seen, and one who only writes about such
// attempts may be taken for one who makes them: what is found is a sign, not a
// proof, and the rules observe unless asked for more.
package injection

import (
	_ "embed"
	"fmt"

	"github.com/fengsui/fengsui/internal/inspect"
)

//go:embed rules.json
var file []byte

// The channels in which rules are in force, see [inspect.Rules.In].
const (
	Input    = "input"    // what a user writes
	Tool     = "tool"     // what a tool answers
	Document = "document" // what was attached or fetched
)

// Rules gives the rules with an action; what they find is reported under risks
// that begin with "injection.". A rule that hangs on one word alone observes,
// whatever the action: the word may be quoted. The lists may be changed.
func Rules(action inspect.Action) inspect.Rules {
	sets, rules, err := inspect.ReadRules(file)
	if err != nil {
		panic(fmt.Errorf("injection: %w", err)) // a test reads the file
	}
	for i := range rules {
		if rules[i].Action = action; rules[i].When == "" {
			rules[i].Action = inspect.Observe
		}
	}
	return inspect.Rules{Sets: sets, Rules: rules}
}
