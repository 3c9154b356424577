package inspect

import "slices"

// Kinds of rules, as found in [Check.Kind] and [Match.Kind]; see [Check] for
// what each of them finds.
const (
	KindTerm       = "term"
	KindRule       = "rule"
	KindCNID       = "cn_id"
	KindCNID15     = "cn_id15"
	KindBankCard   = "bank_card"
	KindCNMobile   = "cn_mobile"
	KindCNLandline = "cn_landline"
	KindCNPassport = "cn_passport"
	KindCNPermit   = "cn_permit"
	KindCNPlate    = "cn_plate"
	KindCNCredit   = "cn_uscc"
	KindEmail      = "email"
	KindIP         = "ip"
	KindURL        = "url"
	KindAPIKey     = "api_key"
	KindPrivateKey = "private_key"
	KindCNAddress  = "cn_address"
	KindCNName     = "cn_name"
)

// Kinds gives the kind of every check there is, in the order in which to offer
// them. There is no other list: whoever shows or takes kinds asks this one.
func Kinds() []string {
	out := make([]string, nKinds)
	for i := range out {
		out[i] = kindTable[i].name
	}
	return out
}

type kindID int8

const (
	kCNID kindID = iota
	kCNID15
	kBankCard
	kCNMobile
	kCNLandline
	kCNPassport
	kCNPermit
	kCNPlate
	kCNCredit
	kEmail
	kIP
	kURL
	kAPIKey
	kPrivateKey
	kCNAddress
	kCNName
	nKinds
)

// kindInfo says how a kind is recognised and what that may cost.
type kindInfo struct {
	name string
	hold int // symbols that may be held back for it, its context aside
	// digits of the shortest one, for what is found in runs of digits.
	digits int
	// run is where the others without anchors are found, and runDigits how many
	// digits are in a run at least that may be one; 0 leaves that open.
	run       runClass
	runDigits int
	anchors   func() []anchor
	// contexts, one of which has to stand within window symbols.
	contexts []string
	window   int
	// first and last symbols that a mask may leave, see [Check.Ends].
	first, last int
}

var kindTable = [nKinds]kindInfo{
	kCNID:       {name: KindCNID, hold: idDigits, digits: cardMinDigits, first: 3, last: 4},
	kCNID15:     {name: KindCNID15, hold: oldIDDigits, digits: cardMinDigits, first: 3, last: 4},
	kBankCard:   {name: KindBankCard, hold: 2 * cardMaxDigits, digits: cardMinDigits, first: 4, last: 4}, // a separator after each digit
	kCNMobile:   {name: KindCNMobile, hold: mobileDigits + 2, digits: mobileDigits, first: 3, last: 4},
	kCNLandline: {name: KindCNLandline, hold: landlineHold, digits: landlineMinDigits, first: 4, last: 2},
	kCNPassport: {name: KindCNPassport, hold: passportSymbols, run: runWord, runDigits: 7, contexts: passportContexts, window: 24, first: 1, last: 3},
	kCNPermit:   {name: KindCNPermit, hold: permitSymbols, run: runWord, runDigits: 7, contexts: permitContexts, window: 24, first: 1, last: 3},
	kCNPlate:    {name: KindCNPlate, hold: plateSymbols + 3, anchors: plateAnchors, first: 2, last: 2},
	kCNCredit:   {name: KindCNCredit, hold: creditSymbols, run: runWord, runDigits: 6, first: 2, last: 4},
	kEmail:      {name: KindEmail, hold: mailSymbols, run: runMail, first: 1, last: 6},
	kIP:         {name: KindIP, hold: ipSymbols, run: runIP, runDigits: 4},
	kURL:        {name: KindURL, hold: urlSymbols, anchors: urlAnchors},
	kAPIKey:     {name: KindAPIKey, hold: secretSymbols, anchors: secretAnchors},
	kPrivateKey: {name: KindPrivateKey, hold: pemHold, anchors: pemAnchors},
	kCNAddress:  {name: KindCNAddress, hold: addressSymbols + 8, anchors: addressAnchors},
	kCNName:     {name: KindCNName, hold: nameSymbols, anchors: nameAnchors},
}

// HasEnds tells whether checks of a kind can leave both ends, see [Check.Ends].
func HasEnds(kind string) bool {
	k, ok := kindOf(kind)
	return ok && kindTable[k].first > 0
}

// IsKey tells whether a kind opens a door instead of naming a person.
func IsKey(kind string) bool { return kind == KindAPIKey || kind == KindPrivateKey }

func kindOf(name string) (kindID, bool) {
	for i := range kindTable {
		if kindTable[i].name == name {
			return kindID(i), true
		}
	}
	return 0, false
}

// looksFor tells whether a rule asks for a kind.
func (e *Engine) looksFor(k kindID) bool { return len(e.of[k]) > 0 }

// watch says what has to be read closely for the kinds that are looked for.
func (e *Engine) watch() {
	e.digits, e.fewest, e.runDigits, e.tokens, e.runs = false, cardMinDigits, 0, 0, nil
	for k := range nKinds {
		if !e.looksFor(k) {
			continue
		}
		info := &kindTable[k]
		if info.digits > 0 {
			e.digits = true
			e.fewest = min(e.fewest, info.digits)
		}
		if info.runDigits > 0 && (e.runDigits == 0 || info.runDigits < e.runDigits) {
			e.runDigits = info.runDigits
		}
		e.addRuns(k)
	}
	e.look = e.lookFor()
}

// takeKind is called for each number, token or secret found, in the order in
// which that becomes certain.
func (s *Stream) takeKind(k kindID, at span) {
	for _, r := range s.e.of[k] {
		s.takeFor(r, at)
	}
}

// takeFor gives it to a check, or to the rules that use the kind.
func (s *Stream) takeFor(r int, at span) {
	if g := s.e.rules[r].gathering; g > 0 {
		s.see(g-1, at, found{})
		return
	}
	s.begin(r, at, found{})
}

// isLetter and isAlnum are of folded symbols: what is Latin is lower case.
func isLetter(f rune) bool { return 'a' <= f && f <= 'z' }
func isAlnum(f rune) bool  { return isLetter(f) || isDigit(f) }
func isHan(f rune) bool    { return 0x4E00 <= f && f <= 0x9FFF }

func allDigits(text []byte) bool {
	return !slices.ContainsFunc(text, func(c byte) bool { return c < '0' || c > '9' })
}
