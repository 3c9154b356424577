package match

import (
	"cmp"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/fengsui/fengsui/internal/inspect/fold"
)

// Limits of an entry.
const (
	// MaxRunes is the longest entry, in characters after folding.
	MaxRunes = 64
	// MaxGap is how many separators at most may be allowed between two
	// characters of an entry.
	MaxGap = 8
	// MinSounds is how many syllables an entry needs to be looked for by sound:
	// of two syllables nearly every text has one that only sounds alike.
	MinSounds = 3
)

// Entry is one thing to look for. The zero options compare by [fold.Strict].
type Entry struct {
	Text string // 1 to MaxRunes characters after folding
	// Loose compares by [fold.Loose]: blanks, punctuation and signs in Text do
	// not count, those in the inspected text do as far as Gap allows.
	Loose bool
	Gap   int  // separators that may stand between two characters, 0 to MaxGap; only with Loose
	Word  bool // where the hit begins or ends with a Latin letter or digit, none may adjoin
	// The next three imply Loose.
	Sound bool // also what sounds alike, tones not counted; at least MinSounds syllables
	Spell bool // also its pinyin in Latin letters, as a word
	Parts bool // also with characters written as their parts, 氵去 for 法
	// Repeat implies Loose too and needs a Gap: also with characters written again, 测测试试题 for 测试题,
	// each counted as a separator.
	Repeat bool
	Hold   bool // a stream has to hold text back for this entry, see [Cursor.Hold]
}

// Via tells by which way a hit was found.
type Via uint8

const (
	ViaText Via = iota
	ViaSound
	ViaSpelling
	ViaParts
	ViaRepeats
)

var viaNames = [...]string{"text", "sound", "spelling", "parts", "repeats"}

func (v Via) String() string { return viaNames[v] }

// MarshalText writes the name.
func (v Via) MarshalText() ([]byte, error) { return []byte(viaNames[v]), nil }

// UnmarshalText reads a name that [Via.String] writes.
func (v *Via) UnmarshalText(text []byte) error {
	at := slices.Index(viaNames[:], string(text))
	if at < 0 {
		return fmt.Errorf("match: unknown way %q", text)
	}
	*v = Via(at)
	return nil
}

// EntryError says which entry cannot be looked for, and why. The text of the
// entry is never part of it.
type EntryError struct {
	Index  int    // in the list given to Build
	Field  string // "text", "gap", "sound" or "repeat"
	Reason string
}

func (e *EntryError) Error() string {
	return fmt.Sprintf("match: entry %d: %s: %s", e.Index, e.Field, e.Reason)
}

// pattern is a distinct sequence of symbols in one reading.
type pattern struct {
	from uint32 // in reading.symbols
	refs uint32 // first of its refs
	next int32  // the longest pattern that is an end of this one, or -1
	n    uint8  // symbols
	// anchor is where the rarest symbols of the pattern end, for the gate.
	anchor uint8
	nrefs  uint16
}

// ref is an entry that a pattern stands for.
type ref struct {
	entry int32
	via   Via
	gap   uint8
	word  bool
	again bool // also with characters written again; only so if via says it
}

// reading is one way to fold a text, with all patterns that are looked for in
// it. Nothing in it is a pointer but its slices.
type reading struct {
	pats    []pattern
	refs    []ref
	symbols []uint16
	longest int // symbols of the longest pattern
	machine machine
	gate    gate
}

// The readings.
const (
	strict = iota
	loose
	sound
	readings
)

// Lexicon is a compiled set of entries: immutable, safe for concurrent use.
// Make one with [Build].
type Lexicon struct {
	read          [readings]reading
	strict, loose *fold.Table
	widest        int32 // gap of all entries
	entries       int
	words         bool     // some entry needs word boundaries
	texts         []uint32 // for entries that also go by sound or repeats: their own loose symbols,
	own           []uint16 // to tell the text itself from what is like it
	repeats       repeats
}

// Build compiles entries; a hit names its entry by index. The error is an
// *EntryError. Entries may repeat each other.
func Build(entries []Entry) (*Lexicon, error) {
	b := builder{lex: &Lexicon{entries: len(entries), strict: fold.Strict(), loose: fold.Loose()}}
	for i := range entries {
		if err := b.add(i, &entries[i]); err != nil {
			return nil, err
		}
	}
	for r := range b.read {
		b.finish(r)
	}
	b.finishRepeats()
	return b.lex, nil
}

// draft is a pattern before equal ones were joined.
type draft struct {
	from uint32
	n    uint8
	hold bool
	ref  ref
}

type builder struct {
	lex *Lexicon
	buf []uint16
	// The kinds of entries with Repeat, a 0 behind each.
	middles []uint16
	read    [readings]struct {
		symbols []uint16
		drafts  []draft
	}
}

func (b *builder) add(index int, e *Entry) error {
	fail := func(field, format string, args ...any) error {
		return &EntryError{index, field, fmt.Sprintf(format, args...)}
	}
	if e.Gap < 0 || e.Gap > MaxGap {
		return fail("gap", "must be 0 to %d", MaxGap)
	}
	if !utf8.ValidString(e.Text) {
		return fail("text", "not valid UTF-8")
	}
	table, read, gap := fold.Strict(), strict, uint8(0)
	if e.Repeat && e.Gap == 0 {
		return fail("repeat", "needs a gap of at least 1")
	}
	if e.Loosely() {
		table, read, gap = fold.Loose(), loose, uint8(e.Gap)
	}
	symbols := table.Symbols(b.buf[:0], e.Text)
	b.buf = symbols
	switch n := runes(symbols); {
	case n == 0:
		return fail("text", "has no character that is compared")
	case n > MaxRunes:
		return fail("text", "longer than %d characters", MaxRunes)
	case slices.Contains(symbols, fold.Break):
		return fail("text", "has a character that is equal to nothing")
	}
	b.lex.widest = max(b.lex.widest, int32(gap))
	ref := ref{entry: int32(index), gap: gap, word: e.Word}
	text := ref
	text.again = e.Repeat && b.addRepeats(e, symbols, ref)
	b.put(read, symbols, e, text)
	if e.Sound {
		if syllables(symbols) < MinSounds {
			return fail("sound", "needs at least %d syllables", MinSounds)
		}
		ref.via = ViaSound
		for _, s := range soundsOf(symbols) {
			b.put(sound, s, e, ref)
		}
		b.lex.keep(index, symbols)
	}
	if e.Spell {
		if s := spellingOf(symbols); s != nil {
			ref.via, ref.word = ViaSpelling, true
			b.put(loose, s, e, ref)
		}
	}
	if e.Parts {
		ref.via, ref.word = ViaParts, e.Word
		for _, s := range partsOf(symbols) {
			b.put(loose, s, e, ref)
		}
	}
	return nil
}

// Loosely tells whether the entry is compared by the loose table.
func (e *Entry) Loosely() bool { return e.Loose || e.Sound || e.Spell || e.Parts || e.Repeat }

// Syllables is how many characters of a text have a syllable.
func Syllables(text string) int { return syllables(fold.Loose().Symbols(nil, text)) }

func syllables(symbols []uint16) (n int) {
	for _, c := range symbols {
		if fold.Syllables().Has(c) {
			n++
		}
	}
	return n
}

func runes(symbols []uint16) (n int) {
	for _, c := range symbols {
		if c&0xFC00 != 0xDC00 {
			n++
		}
	}
	return n
}

func (b *builder) put(read int, symbols []uint16, e *Entry, r ref) {
	if len(symbols) > 2*MaxRunes {
		return // a variant only: the text itself was checked
	}
	t := &b.read[read]
	t.drafts = append(t.drafts, draft{uint32(len(t.symbols)), uint8(len(symbols)), e.Hold, r})
	t.symbols = append(t.symbols, symbols...)
	b.lex.words = b.lex.words || r.word
}

// finish joins equal patterns of a reading and builds what finds them.
func (b *builder) finish(read int) {
	t, out := &b.read[read], &b.lex.read[read]
	if len(t.drafts) == 0 {
		return
	}
	of := func(d *draft) []uint16 { return t.symbols[d.from : d.from+uint32(d.n)] }
	slices.SortFunc(t.drafts, func(a, b draft) int {
		if c := slices.Compare(of(&a), of(&b)); c != 0 {
			return c
		}
		return cmp.Or(cmp.Compare(a.ref.entry, b.ref.entry), cmp.Compare(a.ref.via, b.ref.via))
	})
	var holds []bool
	for i := range t.drafts {
		d := &t.drafts[i]
		same := i > 0 && slices.Equal(of(d), of(&t.drafts[i-1]))
		if !same {
			out.pats = append(out.pats, pattern{from: uint32(len(out.symbols)), refs: uint32(len(out.refs)), n: d.n, next: -1})
			out.symbols = append(out.symbols, of(d)...)
			holds = append(holds, false)
			out.longest = max(out.longest, int(d.n))
		}
		p := &out.pats[len(out.pats)-1]
		if same && out.refs[len(out.refs)-1].entry == d.ref.entry {
			continue // one entry in two ways to the same symbols
		}
		if p.nrefs == ^uint16(0) {
			continue // 65,535 entries with one text
		}
		holds[len(holds)-1] = holds[len(holds)-1] || d.hold
		p.nrefs++
		out.refs = append(out.refs, d.ref)
	}
	out.machine = newMachine(out.pats, out.symbols, holds)
	out.gate = newGate(out.pats, out.symbols)
}

// keep remembers the symbols of an entry that is looked for by sound or with
// characters written again.
func (l *Lexicon) keep(entry int, text []uint16) {
	if len(l.texts) == entry+2 {
		return // in both ways
	}
	for len(l.texts) < entry+2 {
		l.texts = append(l.texts, uint32(len(l.own)))
	}
	l.own = append(l.own, text...)
	l.texts[entry+1] = uint32(len(l.own))
}

func (l *Lexicon) kept(entry int32) []uint16 { return l.own[l.texts[entry]:l.texts[entry+1]] }

// Entries is how many entries the lexicon was built of.
func (l *Lexicon) Entries() int { return l.entries }

// Words tells whether some entry needs to know its neighbours.
func (l *Lexicon) Words() bool { return l.words }

// Loosely tells whether some entry is compared by the loose table.
func (l *Lexicon) Loosely() bool { return len(l.read[loose].pats)+len(l.read[sound].pats) > 0 }
