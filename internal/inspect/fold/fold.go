// Package fold turns text into symbols to be compared: what looks or means the
// same becomes the same, and what a reader does not see is left out.
//
// # Two tables
//
// [Strict] undoes what changes no reading: case, width and other compatibility
// forms, traditional characters (one at a time), combining marks, and invisible
// characters such as zero-width joiners, direction marks, variation selectors
// and control characters.
//
// [Loose] goes on from there: blanks, punctuation, signs and emoji are left
// out, look-alike letters of other scripts and the digits 0 and 1 become the
// Latin letter they are taken for, accents go, and what is enclosed in
// brackets or a circle is taken out of them.
//
// # Symbols
//
// Folded text is UTF-16: a character of the first plane is one symbol, one of
// the others two. Two values are special: a symbol is never [Skip], which is
// what left-out characters fold to, and [Break] is equal to nothing and can be
// part of no pattern; bytes that are not UTF-8 and U+FFFD give it. Each
// character gives at most one folded character, so that every place in folded
// text is a place in the original. Ligatures and units (ﬁ, ㎏) that stand for
// several letters therefore stay as they are.
//
// Folding twice is folding once.
package fold

import (
	"encoding/binary"
	"unicode/utf8"
)

const (
	// Skip is what a character that takes no part in comparison folds to.
	Skip = 0
	// Break is what a character that is equal to nothing folds to.
	Break = 1
)

// Table says what each character is compared as. Get one from [Strict] or
// [Loose]; it is immutable and safe for concurrent use.
type Table struct {
	short [1 << 11]uint16 // of characters of one or two bytes
	three [1 << 16]uint16 // of three; what is not right as three bytes is Break
	page  [1 << 12]uint16 // of the planes above the first, 256 characters each
	pages [][256]rune     // pages[0] is not used: characters that stay as they are
}

// Rune gives Skip, Break or the character that r is compared as.
func (t *Table) Rune(r rune) rune {
	switch {
	case uint32(r) < 1<<11:
		return rune(t.short[r])
	case uint32(r) < 1<<16:
		return rune(t.three[r])
	}
	return t.astral(r)
}

func (t *Table) astral(r rune) rune {
	p := uint32(r-1<<16) >> 8
	if p >= 1<<12 {
		return Break
	}
	if n := t.page[p]; n != 0 {
		return t.pages[n][r&0xFF]
	}
	return r
}

// Symbols appends the folded text to dst.
func (t *Table) Symbols(dst []uint16, text string) []uint16 {
	for len(text) > 0 {
		n := len(dst)
		for cap(dst)-n < min(len(text), 1<<12)+2 {
			dst = append(dst[:cap(dst)], 0)[:n]
		}
		made, used, _ := t.Fill(dst[n:cap(dst)], text, len(text))
		dst, text = dst[:n+made], text[used:]
	}
	return dst
}

// wrong tells of three bytes that they are too long a form of what fewer
// stand for, or half of a pair.
func wrong(r uint16) bool { return r < 1<<11 || r>>11 == 0xD800>>11 }

// Fill folds text into dst until limit bytes or more are used or dst has less
// than two places left. It gives how many symbols were made and how many bytes
// of text they, and what was left out, stand for; odd tells whether something
// was left out or is equal to nothing.
func (t *Table) Fill(dst []uint16, text string, limit int) (made, used int, odd bool) {
	flaw := uint32(0)
	limit = min(limit, len(text))
	var in pane
	for used < limit && made < len(dst)-1 {
		// No byte makes more than one symbol, so for so many bytes there is room.
		for used < limit && len(dst)-made > paneBytes {
			end := min(limit-used, paneBytes, copy(in[:], text[used:])-7)
			if end <= 0 {
				break
			}
			n, at, f := t.usual((*[paneBytes]uint16)(dst[made:]), &in, uint(end))
			if made, used, flaw = made+n, used+at, flaw|f; at < end {
				break
			}
		}
		if used < limit && made < len(dst)-1 {
			m, w := t.slow(dst[made:], text[used:])
			if m == 0 || dst[made] == Break {
				flaw |= 1 << 31
			}
			made, used = made+m, used+w
		}
	}
	return made, used, flaw>>31 != 0
}

const paneBytes = 256

// pane is a part of a text, and what stands behind it, so that eight bytes are read at once.
type pane [paneBytes + 8]byte

// usual folds what text is mostly made of, up to byte end or to the first other
// character. flaw is negative as an int32 if something was left out or is equal
// to nothing.
func (t *Table) usual(dst *[paneBytes]uint16, in *pane, end uint) (made, used int, flaw uint32) {
	_, _, _ = dst[0], in[0], t.three[0] // not looked at for nil again and again
	n, i := uint(0), uint(0)
	for i < end {
		k := i % paneBytes
		w := binary.LittleEndian.Uint64(in[k : k+8])
		if flaw>>31 == 0 { // nothing has been left out, so likely nothing will be
			for w&0xC0C0F0C0C0F0 == 0x8080E08080E0 && i+3 < end { // what Chinese text is made of, two of it
				both := w&0x00000F00000F<<12 | w>>2&0x000FC0000FC0 | w>>16&0x00003F00003F
				c, d := t.three[uint16(both)], t.three[uint16(both>>24)]
				if c <= Break || d <= Break {
					break
				}
				dst[n%paneBytes] = c
				dst[(n+1)%paneBytes] = d
				n += 2
				i += 6
				k = i % paneBytes
				w = binary.LittleEndian.Uint64(in[k : k+8])
			}
		}
		for w&0xC0C0F0C0C0F0 == 0x8080E08080E0 && i+3 < end {
			both := w&0x00000F00000F<<12 | w>>2&0x000FC0000FC0 | w>>16&0x00003F00003F
			c, d := uint32(t.three[uint16(both)]), uint32(t.three[uint16(both>>24)])
			if c == Break || d == Break {
				break
			}
			dst[n%paneBytes] = uint16(c)
			n += uint((c + 0xFFFF) >> 16) // nothing is made of Skip
			dst[n%paneBytes] = uint16(d)
			n += uint((d + 0xFFFF) >> 16)
			flaw |= (c - 1) | (d - 1) // negative for Skip
			i += 6
			k = i % paneBytes
			w = binary.LittleEndian.Uint64(in[k : k+8])
		}
		if i >= end {
			break
		}
		var c uint16
		switch {
		case w&0xC0C0F0 == 0x8080E0:
			r := uint16(w&0xF<<12 | w>>2&0xFC0 | w>>16&0x3F)
			if c = t.three[r]; c == Break && wrong(r) {
				return int(n), int(i), flaw
			}
			i += 3
		case w&0x8080808080808080 == 0 && i+8 <= end:
			for range 8 {
				c := uint32(t.short[w&0x7F])
				dst[n%paneBytes] = uint16(c)
				n += uint((c + 0xFFFF) >> 16)
				flaw |= c - 1
				w >>= 8
			}
			i += 8
			continue
		case w&0x80 == 0:
			c = t.short[w&0x7F]
			i++
		default:
			return int(n), int(i), flaw
		}
		dst[n%paneBytes] = c
		n += uint((uint32(c) + 0xFFFF) >> 16) // nothing is made of Skip
		flaw |= uint32(c) - 2                 // negative for Skip and Break
	}
	return int(n), int(i), flaw
}

func (t *Table) slow(dst []uint16, text string) (made, used int) {
	r, w := utf8.DecodeRuneInString(text)
	f := t.Rune(r)
	switch {
	case f == Skip:
		return 0, w
	case f <= 0xFFFF:
		dst[0] = uint16(f)
		return 1, w
	}
	dst[0], dst[1] = Pair(f)
	return 2, w
}

// Pair gives the two symbols of a folded character above the first plane.
func Pair(f rune) (uint16, uint16) {
	f -= 1 << 16
	return uint16(0xD800 + f>>10), uint16(0xDC00 + f&0x3FF)
}

// AppendBackwards appends the symbols of a folded character, the last first,
// for a caller who collects a text from its end.
func AppendBackwards(dst []uint16, f rune) []uint16 {
	if f > 0xFFFF {
		a, b := Pair(f)
		return append(dst, b, a)
	}
	return append(dst, uint16(f))
}
