package inspect

// group is a maximal sequence of adjacent digits.
type group struct {
	span
	n  int // digits, possibly more than are kept
	at int // first kept digit in digitRun.kept
}

// digitRun follows the digits of a text, symbol by symbol. A run is a sequence
// of groups with single separators in between; it is what may hold a number.
// What it finds depends on the symbols only, never on how they arrived.
//
// A card is found as one group, as consecutive groups in a usual shape, or as
// the whole run. A mobile number is one group or three of 3, 4 and 4 digits, a
// landline number one group, or an area code and one or two more. An identity
// number, also an old one, is one group.
type digitRun struct {
	groups []group // of the open run, the last one open unless afterSep
	kept   []byte  // digits of groups, at most cardMaxDigits each
	total  int     // digits in the run
	open   bool    // a run is open
	sep    bool    // the last symbol was a separator inside the run
	// maybeID is a group of 17 digits and an x, waiting for what follows.
	maybeID span
	hasID   bool
}

// numberHit is a number found, by the kind of check.
type numberHit struct {
	kind kindID
	span
}

func isDigit(f rune) bool { return '0' <= f && f <= '9' }

// isSeparator: what people put between groups of digits. Dashes that look
// like a hyphen count as one here, though not in terms.
func isSeparator(f rune) bool {
	return f == ' ' || f == '-' || f == 0xA0 || f == 0x202F ||
		0x2000 <= f && f <= 0x200A || 0x2010 <= f && f <= 0x2015 || f == 0x2212
}

func (d *digitRun) idle() bool { return !d.open && !d.hasID }

func (d *digitRun) reset() {
	d.groups, d.kept = d.groups[:0], d.kept[:0]
	d.total, d.open, d.sep, d.hasID = 0, false, false, false
}

// digitsOf gives the digits of a group, or nil if it is too long for a number.
func (d *digitRun) digitsOf(g *group) []byte {
	if g.n > cardMaxDigits {
		return nil
	}
	return d.kept[g.at : g.at+g.n]
}

// feed takes one symbol and appends what it decides to hits.
func (d *digitRun) feed(e *Engine, it *item, hits []numberHit) []numberHit {
	if isDigit(it.f) {
		d.hasID = false // 17 digits, x, digit: part of something longer
		d.digit(it)
		return hits
	}
	hits = d.settleID(hits)
	if !d.open {
		return hits
	}
	if isSeparator(it.f) && !d.sep {
		hits = d.closeGroup(e, hits)
		d.sep = true
		return hits
	}
	if it.f == 'x' && !d.sep {
		if last := d.groups[len(d.groups)-1]; last.n == idDigits-1 {
			d.maybeID = last.span
			d.maybeID.end, d.maybeID.symEnd, d.maybeID.posEnd = it.off+int(it.w), it.sym+1, it.pos+1
			var number [idDigits]byte
			copy(number[:], d.digitsOf(&last))
			number[idDigits-1] = 'x'
			d.hasID = validID(number[:])
		}
	}
	return d.closeRun(e, hits)
}

// finish decides what waits for a next symbol that will not come.
func (d *digitRun) finish(e *Engine, hits []numberHit) []numberHit {
	hits = d.settleID(hits)
	if d.open {
		hits = d.closeRun(e, hits)
	}
	return hits
}

func (d *digitRun) settleID(hits []numberHit) []numberHit {
	if d.hasID {
		d.hasID = false
		hits = append(hits, numberHit{kCNID, d.maybeID})
	}
	return hits
}

func (d *digitRun) digit(it *item) {
	if !d.open || d.sep {
		d.prune()
		d.groups = append(d.groups, group{span: span{start: it.off, symStart: it.sym, pos: it.pos}, at: len(d.kept)})
		d.open, d.sep = true, false
	}
	g := &d.groups[len(d.groups)-1]
	g.end, g.symEnd, g.posEnd = it.off+int(it.w), it.sym+1, it.pos+1
	g.n++
	d.total++
	if g.n <= cardMaxDigits {
		d.kept = append(d.kept, byte(it.f))
	}
}

// prune forgets groups that no number can reach any more, before a new one.
func (d *digitRun) prune() {
	drop := len(d.groups) - (cardMaxGroups - 1)
	if d.total < cardMaxDigits || drop <= 0 {
		return
	}
	cut := d.groups[drop].at
	d.groups = d.groups[:copy(d.groups, d.groups[drop:])]
	d.kept = d.kept[:copy(d.kept, d.kept[cut:])]
	for i := range d.groups {
		d.groups[i].at -= cut
	}
}

func (d *digitRun) closeGroup(e *Engine, hits []numberHit) []numberHit {
	last := &d.groups[len(d.groups)-1]
	if validID(d.digitsOf(last)) {
		hits = append(hits, numberHit{kCNID, last.span})
	}
	if validCard(e.issuers, d.digitsOf(last)) {
		hits = append(hits, d.from(kBankCard, len(d.groups)-1))
	}
	if validOldID(d.digitsOf(last)) {
		hits = append(hits, numberHit{kCNID15, last.span})
	}
	if validMobile(d.digitsOf(last)) {
		hits = append(hits, numberHit{kCNMobile, last.span})
	}
	if from := len(d.groups) - len(mobileShape); from >= 0 && d.fits(from, mobileShape[:]) && last.n == mobileShape[2] && validMobile(d.kept[d.groups[from].at:]) {
		hits = append(hits, d.from(kCNMobile, from))
	}
	if e.looksFor(kCNLandline) {
		hits = d.landline(hits)
	}
	for _, shape := range e.shapes {
		from := len(d.groups) - len(shape)
		if from < 0 || !d.fits(from, shape) || d.groups[len(d.groups)-1].n != shape[len(shape)-1] {
			continue
		}
		if validCard(e.issuers, d.kept[d.groups[from].at:]) {
			hits = append(hits, d.from(kBankCard, from))
		}
	}
	return hits
}

// closeRun ends the run; unless the last symbol was a separator, its last
// group ends here too.
func (d *digitRun) closeRun(e *Engine, hits []numberHit) []numberHit {
	if !d.sep {
		hits = d.closeGroup(e, hits)
	}
	if len(d.groups) > 1 && d.total <= cardMaxDigits && !d.wholeIsShape(e) && validCard(e.issuers, d.kept) {
		hits = append(hits, d.from(kBankCard, 0))
	}
	d.groups, d.kept = d.groups[:0], d.kept[:0]
	d.total, d.open, d.sep = 0, false, false
	return hits
}

// wholeIsShape: then closeGroup has judged the whole run already.
func (d *digitRun) wholeIsShape(e *Engine) bool {
	for _, shape := range e.shapes {
		if len(shape) == len(d.groups) && d.fits(0, shape) && d.groups[len(shape)-1].n == shape[len(shape)-1] {
			return true
		}
	}
	return false
}

// from is the number that reaches from a group to the last one.
func (d *digitRun) from(kind kindID, group int) numberHit {
	first, last := &d.groups[group], &d.groups[len(d.groups)-1]
	return numberHit{kind, span{first.start, last.end, first.symStart, last.symEnd, first.pos, last.posEnd}}
}

// fits tells whether the groups from index from on can be the beginning of
// shape: all full but the last, which may be still growing.
func (d *digitRun) fits(from int, shape []int) bool {
	have := d.groups[from:]
	if len(have) > len(shape) {
		return false
	}
	for i := range have {
		if i < len(have)-1 && have[i].n != shape[i] || have[i].n > shape[i] {
			return false
		}
	}
	return true
}

// holdFrom gives the byte offset from which text must stay back because a
// number may still come of it; ok is false if there is none.
func (d *digitRun) holdFrom(e *Engine) (off int, ok bool) {
	if d.hasID && e.holds[kCNID] {
		return d.maybeID.start, true
	}
	if !d.open {
		return 0, false
	}
	lastIndex := len(d.groups) - 1
	for i := range d.groups {
		if e.holds[kBankCard] && d.cardPossible(e, i) || e.holds[kCNMobile] && d.mobilePossible(i) || e.holds[kCNLandline] && d.landlinePossible(i) {
			return d.groups[i].start, true
		}
	}
	last := &d.groups[lastIndex]
	if e.holds[kCNID] && !d.sep && last.n <= idDigits && regionPossible(d.digitsOf(last)) {
		return last.start, true
	}
	if e.holds[kCNID15] && !d.sep && last.n <= oldIDDigits && regionPossible(d.digitsOf(last)) {
		return last.start, true
	}
	return 0, false
}

// mobilePossible tells whether a mobile number that begins with group i may
// still be completed by what comes.
func (d *digitRun) mobilePossible(i int) bool {
	last := len(d.groups) - 1
	if !mobilePrefix(d.digitsOf(&d.groups[i])) {
		return false
	}
	if i == last && !d.sep {
		return true
	}
	return d.fits(i, mobileShape[:]) && (!d.sep || d.groups[last].n == mobileShape[last-i] && last-i < len(mobileShape)-1)
}

// cardPossible tells whether a card that begins with group i may still be
// completed by what comes.
func (d *digitRun) cardPossible(e *Engine, i int) bool {
	last := len(d.groups) - 1
	g := &d.groups[i]
	if g.n > cardMaxDigits {
		return false
	}
	have := 0
	for k := i; k <= last; k++ {
		have += d.groups[k].n
	}
	if have > cardMaxDigits {
		return false
	}
	// Some known length is at least what stands there already.
	if cardLengths(e.issuers, d.kept[g.at:])>>have == 0 {
		return false
	}
	if have == d.total || i == last && !d.sep {
		return true // as the whole run, or as one group
	}
	for _, shape := range e.shapes {
		if !d.fits(i, shape) {
			continue
		}
		if !d.sep || (d.groups[last].n == shape[last-i] && len(shape) > last-i+1) {
			return true
		}
	}
	return false
}
