package inspect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// MaxReach is how far before a hit, in symbols, a condition can look. Behind a
// hit it can look as far as a stream can hold back.
const MaxReach = 4096

// Set is a list of words that rules know by name. Words of a set hit nothing
// by themselves.
type Set struct {
	Name  string   `json:"name"` // small letters, digits, _ and -, a letter first
	Words []string `json:"words"`
	Disguise
	Usual bool `json:"usual"` // each word in the disguises that [Usual] gives, instead
}

// Rule is a hit that depends on what stands around it.
//
// Find says what hits: the name of a set, the kind of a number such as "cn_id",
// a text in quotation marks, or a term by "#" and its id. When says where:
//
//	prior within 20 after
//	(secret within 12 or "密钥" within 12) and not lesson in sentence
//	6x turn within 2000 before
//
// A part is something of the same sort as Find, how often it must stand there
// (2x; once if not said) and where: within so many symbols of the hit, on both
// sides if neither before nor after is said, and with "in sentence" not beyond
// the end of the sentence, where 64 symbols are the width unless another is
// given. What overlaps the hit does not count, nor what is partly outside. Each
// place of each word of a set counts. Parts are joined by and, or, not and
// brackets. An empty When always holds.
//
// A sentence ends behind one of 。 ！ ？ ； ! ? ; … and at a line break, and
// before a blank that follows a full stop.
//
// A rule is decided as soon as nothing that may come can change it. Until then
// a stream holds the hit back (if the rule does more than observe), for as many
// symbols behind it as the parts look ahead; what stands before it has gone.
type Rule struct {
	ID          string `json:"id"` // unique among all terms, checks and rules
	Find        string `json:"find"`
	When        string `json:"when"`
	Action      Action `json:"action"` // Observe, Mask, Replace or Block, done to what Find found
	Risk        string `json:"risk"`   // reported only, like Topic
	Topic       string `json:"topic"`
	Replacement string `json:"replacement"` // as in [Term]
	// Channels and Audiences say where the rule is in force, in words of the
	// caller, such as "input" and "minor"; empty is everywhere. See [Rules.In].
	Channels  []string `json:"channels"`
	Audiences []string `json:"audiences"`
	// About describes the rule, by language ("zh", "en"). It is for readers.
	About map[string]string `json:"about"`
}

// ReadRules reads a file of sets and rules:
//
//	{"sets":  [{"name": "prior", "word": true, "words": ["previous", "先前"]}],
//	 "rules": [{"id": "r1", "find": "\"ignore\"", "when": "prior within 20 after", "action": "block"}]}
//
// The members are those of [Set] and [Rule] in small letters; one that is
// unknown is an error. Whether the rules can be compiled says [Compile].
func ReadRules(file []byte) (sets []Set, rules []Rule, err error) {
	var read struct {
		Sets  []Set  `json:"sets"`
		Rules []Rule `json:"rules"`
	}
	in := json.NewDecoder(bytes.NewReader(file))
	in.DisallowUnknownFields()
	if err := in.Decode(&read); err != nil {
		return nil, nil, fmt.Errorf("inspect: rules at byte %d: %w", in.InputOffset(), err)
	}
	if _, err := in.Token(); err != io.EOF {
		return nil, nil, fmt.Errorf("inspect: rules: something stands behind the end, at byte %d", in.InputOffset())
	}
	return read.Sets, read.Rules, nil
}

// In gives the rules that are in force in a channel for an audience. The lists
// of r are shared where nothing is left out; an engine is compiled for each
// outcome that differs.
func (r Rules) In(channel, audience string) Rules {
	out := func(rule Rule) bool {
		return len(rule.Channels) > 0 && !slices.Contains(rule.Channels, channel) ||
			len(rule.Audiences) > 0 && !slices.Contains(rule.Audiences, audience)
	}
	if slices.ContainsFunc(r.Rules, out) {
		r.Rules = slices.DeleteFunc(slices.Clone(r.Rules), out)
	}
	return r
}
