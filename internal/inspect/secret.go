package inspect

import (
	"math/bits"
	"strings"
	"unicode/utf8"
)

// secretSymbols of a key are held at most: what is longer is certain by then.
const (
	secretSymbols = 200
	secretBehind  = secretSymbols - 32 // without the prefix
)

// variety is how many different symbols a key has at least: a placeholder such
// as sk-xxxxxxxx has fewer.
const variety = 8

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
	t.count++
	switch {
	case s.max > 0 && t.count > s.max:
		return verdictVoid
	case t.count < s.min || bits.OnesCount64(t.seen) < variety:
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

// A private key begins with a line that says so and ends with another. The hit
// is certain with the first one: what follows goes out masked, to the end line,
// to a symbol that cannot stand in a key, or to openMost symbols.
const pemLabel = 48

func pemAnchors() []anchor {
	return []anchor{{"-----begin ", &tailForm{kind: kPrivateKey, max: 2 * pemLabel, step: stepPEM}}}
}

const (
	pemInLabel = iota
	pemDashes  // of the begin line
	pemInBody
	pemInEnd   // the label of the end line
	pemTrailer // its dashes
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
		return verdictSure
	case pemInBody:
		// count says how much of the end line was read: dashes, then "end ".
		const end = "-----end "
		switch {
		case it.r >= utf8.RuneSelf:
			return verdictOff
		case f == '-':
			t.count = min(t.count+1, 5)
		case t.count >= 5 && f == rune(end[t.count]):
			if t.count++; t.count == len(end) {
				t.state, t.count = pemInEnd, 0
			}
		case isAlnum(f) || f == '+' || f == '/' || f == '=' || f <= ' ' || f == '\\' || f == ':' || f == ',' || f == '"' || f == '_' || f == '.' || f == '(' || f == ')':
			t.count = 0
		default:
			return verdictOff
		}
		return verdictHit
	case pemInEnd:
		switch {
		case f == '-':
			t.state, t.count = pemTrailer, 1
		case !isAlnum(f) && f != ' ':
			return verdictOff
		}
		return verdictHit
	default:
		if f != '-' {
			return verdictOff
		}
		if t.count++; t.count == 5 {
			return verdictDone
		}
		return verdictHit
	}
}
