package inspect

import (
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"
)

// secretSymbols of a key are held at most: what is longer is certain by then.
const (
	secretSymbols = 200
	secretBehind  = secretSymbols - 32 // without the prefix
)

// What documentation shows in the place of a key is none. variety is how many
// different symbols a key has at least: sk-xxxxxxxx has fewer. surprises is how
// many different pairs of neighbours it has of which the second is not the next
// one to what stands before it: sk-1234567890abcdef has fewer, however long.
const (
	variety   = 8
	surprises = 7
)

// placeholders are words by which documentation marks a key as no key.
func placeholder(last uint64) bool {
	const example, your = 'e'<<48 | 'x'<<40 | 'a'<<32 | 'm'<<24 | 'p'<<16 | 'l'<<8 | 'e', 'y'<<24 | 'o'<<16 | 'u'<<8 | 'r'
	return last&(1<<56-1) == example || last&(1<<32-1) == your
}

// surprise notes a letter or digit that does not go on from one of the two before it.
func (t *tail) surprise(f byte) {
	one, two := byte(t.last), byte(t.last>>8)
	t.last = t.last<<8 | uint64(f)
	if t.pairs == surprises || one == 0 || follows(one, f) || two != 0 && follows(two, f) {
		return
	}
	pair := [2]byte{one, f}
	if !slices.Contains(t.pair[:t.pairs], pair) {
		t.pair[t.pairs] = pair
		t.pairs++
	}
}

// follows tells whether b is a itself, or the one beside it in the alphabet or in a row of digits.
func follows(a, b byte) bool {
	return a-b+1 <= 2 || a == '9' && b == '0' || a == '0' && b == '9'
}

// secret is a form of keys: a prefix that only they have and a number of
// symbols behind it, which are letters, digits and those of more.
type secret struct {
	prefixes string // separated by blanks
	more     string
	min, max int  // symbols behind the prefix; max 0 leaves it open
	label    bool // the prefix is the name of a field, with signs behind it, and no part of the key
}

// secretForms are the keys of the usual vendors in the shapes that their
// documents or their own scanners give. Case does not count here, so that each
// is a little wider than it could be.
func secretForms() []secret {
	return []secret{
		{"sk-", "", 20, 64, false}, // OpenAI before projects, DashScope, DeepSeek, Moonshot
		{"sk-proj- sk-svcacct- sk-admin- sk-ant- sk-or-v1-", "-_", 20, 0, false},     // OpenAI, Anthropic, OpenRouter
		{"akia asia", "", 16, 16, false},                                             // AWS access key id
		{"aiza", "-_", 35, 35, false},                                                // Google API key
		{"ya29.", "-_", 20, 0, false},                                                // Google access token
		{"gocspx-", "-_", 28, 28, false},                                             // Google client secret
		{"ltai", "", 12, 26, false},                                                  // Aliyun access key id
		{"akid", "", 13, 40, false},                                                  // Tencent Cloud secret id
		{"aklt", "-_=", 20, 60, false},                                               // Volcengine access key id
		{"bce-v3/altak-", "/", 20, 100, false},                                       // Baidu Qianfan
		{"ghp_ gho_ ghu_ ghs_ ghr_", "", 36, 36, false},                              // GitHub
		{"github_pat_", "_", 40, 100, false},                                         // GitHub, fine-grained
		{"glpat- gldt- glrt-", "-_", 20, 60, false},                                  // GitLab
		{"xoxb- xoxp- xoxa- xoxr- xoxs- xapp-", "-", 10, 0, false},                   // Slack
		{"hooks.slack.com/services/", "/", 20, 80, false},                            // Slack, incoming hook
		{"sk_live_ sk_test_ rk_live_ rk_test_ whsec_", "", 16, 0, false},             // Stripe
		{"hf_", "", 30, 40, false},                                                   // Hugging Face
		{"npm_", "", 36, 36, false},                                                  // npm
		{"pypi-", "-_", 50, 0, false},                                                // PyPI
		{"dop_v1_ doo_v1_", "", 64, 64, false},                                       // DigitalOcean
		{"shpat_ shpss_ shpca_", "", 32, 32, false},                                  // Shopify
		{"gsk_", "", 40, 60, false},                                                  // Groq
		{"xai-", "", 60, 100, false},                                                 // xAI
		{"pplx-", "", 40, 60, false},                                                 // Perplexity
		{"sg.", "-_.", 50, 80, false},                                                // SendGrid
		{"accountkey=", "+/=", 86, 90, true},                                         // Azure storage
		{"sharedaccesskey=", "+/=", 40, 90, true},                                    // Azure service bus
		{"aws_secret_access_key aws_secret_key secretaccesskey", "+/", 40, 40, true}, // AWS secret
	}
}

func secretAnchors() (out []anchor) {
	for _, s := range secretForms() {
		form := &tailForm{kind: kAPIKey, token: true, late: s.label, max: secretBehind, long: s.max == 0, step: s.step}
		for _, prefix := range strings.Fields(s.prefixes) {
			out = append(out, anchor{prefix, form})
		}
	}
	// A JSON web token: three parts, the first two JSON objects.
	jwt := &tailForm{kind: kAPIKey, token: true, max: secretBehind, long: true, step: stepJWT}
	return append(out, anchor{"eyj", jwt})
}

// labelSigns may stand between the name of a field and its key.
const labelSigns = 4

func (s *secret) step(t *tail, it *item) verdict {
	f := it.f
	if s.label && !t.held {
		switch {
		case f < 128 && (isAlnum(f) || strings.IndexByte(s.more[:1], byte(f)) >= 0):
			t.begin(it)
		case t.n < labelSigns && f < 128 && strings.IndexByte(` "':=>`, byte(f)) >= 0:
			return verdictMore
		default:
			return verdictVoid
		}
	}
	switch {
	case isDigit(f):
		t.seen |= 1 << (f - '0')
	case isLetter(f):
		t.seen |= 1 << (10 + f - 'a')
	case f >= 128 || strings.IndexByte(s.more, byte(f)) < 0:
		return verdictOff
	}
	if isAlnum(f) {
		t.surprise(byte(f))
	}
	t.count++
	switch {
	case s.max > 0 && t.count > s.max || !t.open && placeholder(t.last):
		return verdictVoid
	case t.count < s.min || bits.OnesCount64(t.seen) < variety || t.pairs < surprises:
		return verdictMore
	}
	return verdictHit
}

// jwtPart is the shortest part of a token.
const jwtPart = 10

func stepJWT(t *tail, it *item) verdict {
	switch f := it.f; {
	case f == '.':
		if t.state == 2 {
			return verdictOff
		}
		if t.count+3 < jwtPart || t.state == 1 && t.count < jwtPart {
			return verdictVoid
		}
		t.state, t.count = t.state+1, 0
	case !inToken(f):
		return verdictOff
	default:
		if t.count++; t.state == 1 && t.count <= 3 && f != rune("eyj"[t.count-1]) {
			return verdictVoid
		}
		if t.state == 2 && t.count >= jwtPart {
			return verdictHit
		}
	}
	return verdictMore
}

// A private key begins with a line that says so and ends with another. That
// line is a hit. What follows belongs to it as long as it looks like a key: once
// a word has pemWord letters and digits it goes out masked while it comes, to the
// end line, to a symbol that cannot stand there, to words as prose has them, or
// to openMost symbols.
const (
	pemLabel  = 48
	pemWord   = 20  // a word of so many letters and digits is no prose
	pemFields = 160 // symbols that fields such as Proc-Type may take before the key
	pemBehind = pemLabel + 5 + pemFields
	pemHold   = len(pemBegin) + pemBehind

	pemBegin = "-----begin "
)

func pemAnchors() []anchor {
	return []anchor{{pemBegin, &tailForm{kind: kPrivateKey, max: pemBehind, step: stepPEM}}}
}

const (
	pemInLabel = iota
	pemDashes  // of the begin line
	pemInBody
	pemInEnd   // the label of the end line
	pemTrailer // its dashes
)

// What is to be known of the body beside the state.
const (
	pemShort  = 1 << iota // a word ended that was too short for a key: no other may follow
	pemEscape             // a backslash: the symbol behind it stands for a line's end
	pemNamed              // a field was named, see pemFields
)

// pemTail is what the label of a private key ends with.
const pemTail = "private key"

func stepPEM(t *tail, it *item) verdict {
	f := it.f
	switch t.state {
	case pemInLabel:
		// count says how much of pemTail was read; PGP puts a word behind it.
		switch {
		case f == '-':
			if t.count < len(pemTail) {
				return verdictVoid
			}
			t.state, t.count = pemDashes, 1
			return verdictMore
		case t.n >= pemLabel || !isAlnum(f) && f != ' ':
			return verdictVoid
		case t.count == len(pemTail):
		case f == rune(pemTail[t.count]):
			t.count++
		case f == rune(pemTail[0]):
			t.count = 1
		default:
			t.count = 0
		}
		return verdictMore
	case pemDashes:
		if f != '-' {
			return verdictVoid
		}
		if t.count++; t.count < 5 {
			return verdictMore
		}
		t.state, t.count = pemInBody, 0
		return verdictHit
	case pemInBody:
		return stepPEMBody(t, it)
	case pemInEnd:
		switch {
		case f == '-':
			t.state, t.count = pemTrailer, 1
		case !isAlnum(f) && f != ' ':
			return verdictOff
		}
		return verdictMore
	default:
		if f != '-' {
			return verdictOff
		}
		if t.count++; t.count == 5 {
			return verdictDone
		}
		return verdictMore
	}
}

// stepPEMBody: count says how much of the end line was read (dashes, then "end "),
// gap how many letters and digits of a word, score what is left for fields.
func stepPEMBody(t *tail, it *item) verdict {
	const end = "-----end "
	f, escaped := it.f, t.seen&pemEscape != 0
	t.score = max(t.score-1, 0)
	t.seen &^= pemEscape
	switch {
	case it.r >= utf8.RuneSelf:
		return verdictOff
	case escaped && isLetter(f):
		return verdictMore
	case f == '-' && t.count <= 5:
		t.count = min(t.count+1, 5)
		return verdictMore
	case t.count >= 5:
		if f != rune(end[t.count]) { // another key begins, or a row of dashes
			return verdictOff
		}
		if t.count++; t.count == len(end) {
			t.state, t.count = pemInEnd, 0
		}
		return verdictMore
	}
	t.count = 0
	switch {
	case isAlnum(f):
		if t.seen&pemShort != 0 && t.score == 0 {
			return verdictOff
		}
		if t.gap++; t.gap == pemWord && !t.open {
			return verdictSure
		}
	case f == '=': // fills up a short last line; a checksum may follow
		t.seen &^= pemShort
	case f == '+' || f == '/' || f == '_':
	case f == ':':
		if t.seen&pemNamed == 0 {
			t.seen, t.score = t.seen|pemNamed, pemFields
		}
	case f <= ' ' || f == '\\' || f == '"' || f == '\'' || f == ',' || f == '.' || f == '(' || f == ')':
		if 0 < t.gap {
			t.seen &^= pemShort
			if t.gap < pemWord {
				t.seen |= pemShort
			}
		}
		t.gap = 0
		if f == '\\' {
			t.seen |= pemEscape
		}
	default:
		return verdictOff
	}
	return verdictMore
}
