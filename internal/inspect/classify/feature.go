package classify

import "github.com/fengsui/fengsui/internal/inspect/fold"

// maxFeatures is how many features one character can complete: its four
// n-grams, or itself as a sign, and the three of the word that it ends.
const maxFeatures = 8

// lately is how many places there are to remember features in.
const lately = 1024

// Features turns a text, character by character, into features. Make one with
// [NewFeatures].
//
// A feature is a number of 32 bits. The upper bits are a place in the table of
// a model; the lowest, [Again], tells that the feature came a short while ago. There
// is one for
//
//   - each character and each two in a row, up to four where the last is a letter;
//     blanks and signs left out, digits all the same; a blank between words of
//     letters is kept as one,
//   - each sign and emoji,
//   - each word of letters and digits, each two words in a row,
//   - the shape of each word: capitals, digits, how long.
//
// Chinese characters, kana and Hangul are no words. Each feature depends on what came
// before only, so a text can be continued.
type Features struct {
	strict, loose *fold.Table
	found         [maxFeatures]uint32
	n             int            // of found
	seen          [lately]uint32 // the last feature that came to each place

	row   uint64 // the last four symbols
	word  uint32 // hash of the word that is being read
	last  uint32 // hash of the word before
	shape uint32 // kinds of characters in the word, in order, runs as one
	kind  uint32 // of the last character of the word
	size  uint32 // characters of the word
}

// Again is the bit of a feature that came a short while ago: within the text, and
// no other of its place in a memory of a thousand since.
const Again = 1

// NewFeatures begins a text.
func NewFeatures() *Features {
	return &Features{strict: fold.Strict(), loose: fold.Loose()}
}

// Reset begins a new text.
func (f *Features) Reset() { *f = Features{strict: f.strict, loose: f.loose} }

// Next takes the next character and gives what it completes; symbol tells
// whether it counts as one. The list is valid until the next call.
func (f *Features) Next(r rune) (features []uint32, symbol bool) {
	s := f.strict.Rune(r)
	if s == fold.Skip {
		return nil, false
	}
	c := f.loose.Rune(r)
	f.n = 0
	switch {
	case s <= fold.Break || c <= fold.Break: // a sign, or broken
		f.endWord()
		if word(f.row & 0xFFFF) {
			f.row = f.row<<16 | ' '
		}
		if s > ' ' {
			f.put(mix(uint64(s), 5))
		}
		return f.found[:f.n], s > ' '
	case s >= '0' && s <= '9':
		c = '0'
	}
	letter := uint64(c)
	if c > 0xFFFF {
		letter = uint64(c) * 0x9E37 & 0xFFFF
	}
	if word(letter) {
		f.add(r, c)
	} else {
		f.endWord()
	}
	f.row = f.row<<16 | letter
	f.put(mix(letter, 1))
	most := 2
	if word(letter) {
		most = 4
	}
	for k := 2; k <= most; k++ {
		part := f.row & (1<<(16*k) - 1)
		if k == 4 {
			part = f.row
		}
		if part>>(16*(k-1)) == 0 {
			break // the text is not that long yet
		}
		f.put(mix(part, uint64(k)))
	}
	return f.found[:f.n], true
}

// End gives what the end of the text completes.
func (f *Features) End() []uint32 {
	f.n = 0
	f.endWord()
	return f.found[:f.n]
}

// put notes a feature, and whether it came a short while ago.
func (f *Features) put(feature uint32) {
	feature |= Again
	place := &f.seen[feature>>1%lately]
	if *place != feature {
		*place = feature
		feature ^= Again
	}
	f.found[f.n] = feature
	f.n++
}

// word tells whether a folded character is part of words that blanks part.
func word(c uint64) bool {
	switch {
	case c < 0x1100:
		return c > ' '
	case c >= 0x1E00 && c < 0x2E80:
		return true
	}
	return c >= 0xA4D0 && c < 0xAC00 || c >= 0xFB00 && c < 0xFE00
}

func (f *Features) add(r, c rune) {
	f.word = (f.word ^ uint32(c)) * 0x01000193
	f.size++
	kind := uint32(1)
	switch {
	case r >= 'A' && r <= 'Z', r >= 'Ａ' && r <= 'Ｚ':
		kind = 2
	case c == '0':
		kind = 3
	}
	if kind != f.kind {
		f.shape, f.kind = f.shape<<2|kind, kind
	}
}

func (f *Features) endWord() {
	if f.size == 0 {
		return
	}
	f.put(mix(uint64(f.word), 6))
	f.put(mix(uint64(f.last)<<32|uint64(f.word), 7))
	f.put(mix(uint64(f.shape)<<8|uint64(min(f.size, 16)), 8))
	f.last = f.word
	f.word, f.shape, f.kind, f.size = 0, 0, 0, 0
}

// mix spreads a value of a kind over 32 bits.
func mix(value, kind uint64) uint32 {
	h := (value ^ kind<<59) * 0x9E3779B97F4A7C15
	h ^= h >> 29
	h *= 0xBF58476D1CE4E5B9
	return uint32(h >> 32)
}
