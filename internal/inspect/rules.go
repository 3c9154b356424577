package inspect

import (
	"fmt"

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

// Kinds of rules, as found in [Check.Kind] and [Match.Kind].
const (
	KindTerm     = "term"
	KindRule     = "rule"
	KindCNID     = "cn_id"
	KindBankCard = "bank_card"
	KindCNID15   = "cn_id15"
	KindCNMobile = "cn_mobile"
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
	Gap   int  `json:"gap"`   // separators that may stand between two characters, 0 to match.MaxGap; needs Loose or one of the last three
	Word  bool `json:"word"`  // a Latin letter or digit at an end must not be part of a longer word
	Sound bool `json:"sound"` // what sounds alike; three syllables or more
	Spell bool `json:"spell"` // its pinyin
	Parts bool `json:"parts"` // characters written as their parts
}

// Check is one built-in detector for personal data.
//
// Kind "cn_id" is the citizen identity number of GB 11643: 17 digits and a
// check character, with a plausible region and date of birth, not part of a
// longer run of digits. Kind "bank_card" is a payment card number of ISO/IEC
// 7812: 13 to 19 digits with a known issuer prefix and a right Luhn digit,
// single spaces or hyphens allowed in between. Kind "cn_id15" is the citizen
// identity number of before 1999, 15 digits with a plausible region and date
// but without a check digit, so that chance makes some; ask for it only where
// old papers are expected. Kind "cn_mobile" is a mobile number of China, 11
// digits, also as 3-4-4, or 13 digits with the country code before it.
type Check struct {
	ID     string // unique among all terms and checks
	Kind   string // one of the kinds but KindTerm
	Action Action // Observe, Mask, Replace or Block
	Risk   string // risk code, reported only
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
	Field  string // "id", "text", "action", "contexts", "window", "kind", "gap", "sound", "mask_rune", "max_hold", "hold_from", ...
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
	RuleID      string
	Kind        string // KindTerm, that of a check, or KindClassifier
	Action      Action
	Risk, Topic string
	// Start and End are byte offsets in the original text, counted from the
	// beginning of the stream; skipped characters inside the hit are included.
	Start, End int
	Runes      int // symbols of the hit, skipped characters not counted
	// FirstRune and EndRune are the same place in characters of the original.
	FirstRune, EndRune int
	Gap                int       // separators inside, not counted in the term; above 0 the term was disguised
	Via                match.Via // text, sound, spelling or parts
	Score              float64   // of a classifier: probability
	// Encoding says in which encoding the hit stood, from outside in ("percent,base64");
	// empty for one in the text itself. See [Decoder].
	Encoding string
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
}
