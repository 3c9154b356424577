package inspect

import (
	"fmt"
	"slices"

	"github.com/fengsui/fengsui/internal/inspect/match"
)

// Limits of a rule set. They bound the text that a stream may hold back.
const (
	// MaxTermRunes is the longest term or context, in symbols after folding.
	MaxTermRunes = 64
	// DefaultMaxHold is the cap on held symbols if Rules.MaxHold is zero.
	DefaultMaxHold = 256
	// DefaultMaskRune stands for one masked symbol if Rules.MaskRune is zero.
	DefaultMaskRune = '*'
)

// Term is one lexicon entry. Text is folded before it is compared, so case,
// width, traditional forms and invisible characters in it do not matter.
type Term struct {
	ID     string // unique among all terms and checks
	Text   string // 1 to MaxTermRunes symbols after folding
	Action Action // Observe, Mask, Replace or Block
	Risk   string // risk code such as "A.2.e", reported only
	Topic  string // topic for topic-wise orders, reported only
	// Replacement is released in place of the hit if Action is Replace; empty
	// means Rules.ReplaceText.
	Replacement string
	// Contexts, if not empty, lets the term hit only when at least one of them
	// stands wholly within Window symbols before or after the hit and does not
	// overlap it.
	Contexts []string
	Window   int // symbols, at least 1 with Contexts; ignored without
	Disguise
}

// Disguise says in which disguises a term is found as well; see [match.Entry].
// Contexts are compared like their term, without gap and word.
type Disguise struct {
	Loose bool `json:"loose"` // blanks, signs, look-alikes and accents do not matter
	Gap   int  `json:"gap"`   // separators that may stand between two characters, 0 to match.MaxGap; needs Loose or one of the last four
	Word  bool `json:"word"`  // a Latin letter or digit at an end must not be part of a longer word
	Sound bool `json:"sound"` // what sounds alike; three syllables or more
	Spell bool `json:"spell"` // its pinyin
	Parts bool `json:"parts"` // characters written as their parts
	// Repeat: characters written again inside it, each counted as a separator; needs Gap.
	Repeat bool `json:"repeat"`
}

// Check is one built-in detector for personal data or secrets. Kind is one of
// [Kinds]:
//
//   - cn_id: citizen identity number of GB 11643, 17 digits and a check
//     character, with a plausible region and date of birth.
//   - cn_id15: that of before 1999, 15 digits with a plausible region and date
//     but without a check digit, so that chance makes some; ask for it only
//     where old papers are expected.
//   - bank_card: payment card number of ISO/IEC 7812, 13 to 19 digits with a
//     known issuer, a length that this issuer uses and a right Luhn digit,
//     single spaces or hyphens allowed in between.
//   - cn_mobile: mobile number of China, 11 digits, also as 3-4-4, or 13 with
//     the country code before it.
//   - cn_landline: area code and 7 or 8 digits, together or with a separator;
//     behind the country code the area code has no zero. Not in parentheses.
//   - cn_passport, cn_permit: passports of China, Hong Kong and Macao; permits
//     to Hong Kong, Macao and Taiwan and those of their residents to the
//     mainland. They have no check digit, so that a word for such a paper has
//     to stand within 24 symbols; of eight digits those that are a date do not
//     count.
//   - cn_plate: vehicle plate, normal or new-energy; not those of the military,
//     the police force and embassies.
//   - cn_uscc: unified social credit code of GB 32100, with its check symbol.
//   - email: with a domain of two labels or more, 129 symbols at most.
//   - ip: IPv4 with four parts (a version number of four parts looks the same),
//     IPv6 of seven symbols or more; not 0, 127 and 255.
//   - url: with http, https or ftp before it, or www.
//   - api_key: keys and tokens of the usual vendors by their prefixes, JSON web
//     tokens, keys behind the name of their field; placeholders and the examples
//     of documentation do not count.
//   - private_key: the first line of a PEM or PGP private key, and what behind
//     it looks like one.
//   - cn_address, cn_name: candidates by score, right more often than wrong and
//     no more: an address begins with a known place and has a number in it, a
//     name stands behind a label such as 姓名. Observe them first.
//
// What adjoins makes a number or token part of something longer, which is no
// hit: a digit beside digits, a letter or digit beside letters and digits.
type Check struct {
	ID     string // unique among all terms and checks
	Kind   string // one of the kinds but KindTerm
	Action Action // Observe, Mask, Replace or Block
	Risk   string // risk code, reported only
	// Ends lets Mask leave as many symbols at both ends as is usual for the
	// kind, such as three and four of a mobile number, so that a reader knows
	// which one is meant; for the kinds that [HasEnds] says.
	Ends bool
}

// Rules is the source of an [Engine].
type Rules struct {
	Terms       []Term
	Checks      []Check
	Sets        []Set  // words that Rules know by name
	Rules       []Rule // hits that depend on what stands around
	Classifiers []Classifier
	// MaskRune is released for each symbol of a masked hit; zero means
	// DefaultMaskRune.
	MaskRune rune
	// ReplaceText is released for a Replace hit without a wording of its own;
	// empty removes the hit.
	ReplaceText string
	// MaxHold caps the symbols that a stream holds back; zero means
	// DefaultMaxHold. Compile refuses a rule that could need more, so that the
	// cap never forces a choice between a leak and a stall.
	MaxHold int
	// HoldFrom lets the beginning of a term go until that many symbols of it
	// have come; 0 or 1 holds the first already. Text that has gone cannot be
	// masked any more, so of a hit up to HoldFrom-1 symbols may be released.
	HoldFrom int
	// Cut holds nothing back for terms that block: of such a hit all symbols
	// but the last may be released before the text ends.
	Cut bool
}

// RuleError says which entry of a rule set is wrong. ID is empty if the fault
// lies in Rules itself. The text of a term is never part of it.
type RuleError struct {
	ID     string // id of the term or check
	Field  string // "id", "text", "action", "contexts", "window", "kind", "gap", "sound", "repeat", "mask_rune", "max_hold", "hold_from", ...
	Reason string
}

func (e *RuleError) Error() string {
	if e.ID == "" {
		return fmt.Sprintf("inspect: %s: %s", e.Field, e.Reason)
	}
	return fmt.Sprintf("inspect: rule %q: %s: %s", e.ID, e.Field, e.Reason)
}

// Match is one hit.
type Match struct {
	RuleID string `json:"rule_id"`
	Kind   string `json:"kind"` // KindTerm, that of a check, or KindClassifier
	Action Action `json:"action"`
	Risk   string `json:"risk,omitzero"`
	Topic  string `json:"topic,omitzero"`
	// Start and End are byte offsets in the original text, counted from the
	// beginning of the stream; skipped characters inside the hit are included.
	Start int `json:"start"`
	End   int `json:"end"`
	Runes int `json:"runes"` // symbols of the hit, skipped characters not counted
	// FirstRune and EndRune are the same place in characters of the original.
	FirstRune int       `json:"first_rune"`
	EndRune   int       `json:"end_rune"`
	Gap       int       `json:"gap,omitzero"`   // separators inside and characters written again, not counted in the term; above 0 the term was disguised
	Via       match.Via `json:"via,omitzero"`   // text, sound, spelling, parts or repeats
	Score     float64   `json:"score,omitzero"` // of a classifier: probability
	// Encoding says in which encoding the hit stood, from outside in ("percent,base64");
	// empty for one in the text itself. See [Decoder].
	Encoding string `json:"encoding,omitzero"`
}

// Result is the outcome for a whole text.
type Result struct {
	Action  Action  // the worst of the matches, Allow if there is none
	Matches []Match // ordered by Start, then End
	// Released is the text after masks and replacements. With a Block it ends
	// before the blocking hit, exactly as a stream would.
	Released string
}

// Step is the outcome of one call on a stream.
type Step struct {
	Released string  // may go out now
	Matches  []Match // decided by this call, each reported once
	Blocked  bool    // a blocking hit was found now or earlier
	Held     int     // symbols kept back after this call
	Why      Hold    // for what the first of them is; HoldNone if none is
}

// Hold says for what a stream keeps text back.
type Hold uint8

const (
	HoldNone    Hold = iota
	HoldTerm         // a term may have begun, or what gives personal data away
	HoldWord         // a term is complete, but its last word may go on
	HoldContext      // a hit was found whose condition is open
	HoldNumber       // digits may become a number that is looked for
	HoldToken        // an address or a key may not be complete
)

var holdNames = [...]string{"none", "term", "word", "context", "number", "token"}

// String gives the lower-case name used on the wire.
func (h Hold) String() string {
	if int(h) < len(holdNames) {
		return holdNames[h]
	}
	return fmt.Sprintf("hold(%d)", uint8(h))
}

// MarshalText writes the name; a Hold outside the six is an error.
func (h Hold) MarshalText() ([]byte, error) {
	if int(h) >= len(holdNames) {
		return nil, fmt.Errorf("inspect: unknown hold %d", uint8(h))
	}
	return []byte(holdNames[h]), nil
}

// UnmarshalText reads a name that [Hold.String] writes.
func (h *Hold) UnmarshalText(text []byte) error {
	at := slices.Index(holdNames[:], string(text))
	if at < 0 {
		return fmt.Errorf("inspect: unknown hold %q", text)
	}
	*h = Hold(at)
	return nil
}
