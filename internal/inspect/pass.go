package inspect

import "unicode/utf8"

// pass is the way of most chunks: what is held together with the chunk has no
// hit, though its end may be the beginning of one. The chunk then leaves
// without a copy unless something was held. pass leaves to the long way what
// is rare: hits, skipped and broken characters, numbers that could be longer
// than a date or a price. It changes nothing unless it answers ok.
func (s *Stream) pass(chunk string) (step Step, ok bool) {
	if s.nCarry > 0 || len(s.waiting) > 0 || len(s.marks) > 0 ||
		s.maskTo > s.rel || s.replTo > s.rel || !s.digits.idle() {
		return Step{}, false
	}
	held := 0 // items not yet released; they are the last ones
	for i := range s.items {
		if s.items[i].f == skip {
			return Step{}, false
		}
		if s.items[i].off >= s.rel {
			held++
		}
	}
	if chunk == "" {
		return Step{Held: held}, true
	}
	e := s.e
	p := passing{prefixes: e.prefixes, chunk: chunk, keep: s.off + len(chunk), hold: s.off + len(chunk)}

	// What was kept may go on in the chunk, from each of its symbols.
	prev, open := rune(0), false
	for i := range s.items {
		prev = s.items[i].f
		open = e.gate.begins(prev)
		if open && !p.try(s.items[i:], 0, s.items[i].off) {
			return Step{}, false
		}
	}
	if len(s.items) > 0 {
		open = false // tried
	}

	digits, sep, n, prevAt := 0, false, 0, 0
	for i := 0; i < len(chunk); {
		r, w := rune(chunk[i]), 1
		if r >= utf8.RuneSelf {
			if r, w = decodeRune(chunk[i:]); r == utf8.RuneError && w == 1 {
				return Step{}, false
			}
		}
		f := r
		if r < 0x4E00 || r > 0x9FFF {
			if f = fold(r); f == skip {
				return Step{}, false
			}
			if e.digits {
				switch {
				case isDigit(f):
					if digits++; digits >= cardMinDigits {
						return Step{}, false
					}
					sep = false
				case digits > 0 && !sep && isSeparator(f):
					sep = true
				default:
					digits = 0
				}
			}
		} else {
			digits = 0
		}
		if open && e.gate.pairKnown(prev, f) && !p.try(nil, prevAt, s.off+prevAt) || e.gate.isSingle(f) {
			return Step{}, false
		}
		open = e.gate.begins(f)
		prev, prevAt = f, i
		n++
		i += w
	}
	if digits > 0 || open && !p.try(nil, prevAt, s.off+prevAt) {
		return Step{}, false
	}
	return s.commit(&p, held, n), true
}

// decodeRune is utf8.DecodeRuneInString with a short way for the three-byte
// characters that Chinese text is made of. text is not empty.
func decodeRune(text string) (rune, int) {
	if len(text) >= 3 && text[0]&0xF0 == 0xE0 && text[1]&0xC0 == 0x80 && text[2]&0xC0 == 0x80 {
		r := rune(text[0]&0x0F)<<12 | rune(text[1]&0x3F)<<6 | rune(text[2]&0x3F)
		if r >= 0x800 && (r < 0xD800 || r > 0xDFFF) {
			return r, 3
		}
	}
	return utf8.DecodeRuneInString(text)
}

// passing is what pass has learned so far.
type passing struct {
	prefixes   *prefixes
	chunk      string
	keep, hold int // as in Stream.holdFrom
}

// try follows the patterns that begin at offset off of the original: with
// items, if any, then with the chunk from byte at on. It answers false if one
// of them is complete.
func (p *passing) try(items []item, at, off int) bool {
	node := int32(0)
	for i := range items {
		// What was complete here was taken in an earlier step.
		if node = p.prefixes.step(node, items[i].f); node == 0 {
			return true
		}
	}
	for at < len(p.chunk) {
		r, w := utf8.DecodeRuneInString(p.chunk[at:])
		f := fold(r)
		if f == skip || r == utf8.RuneError && w == 1 {
			return false
		}
		if node = p.prefixes.step(node, f); node == 0 {
			return true
		}
		if p.prefixes.nodes[node].ends {
			return false
		}
		at += w
	}
	if p.prefixes.nodes[node].grows {
		p.keep = min(p.keep, off)
	}
	if p.prefixes.nodes[node].enforces {
		p.hold = min(p.hold, off)
	}
	return true
}

// commit makes the step that pass found possible; n is the number of symbols
// in the chunk.
func (s *Stream) commit(p *passing, held, n int) Step {
	from, start := s.off, s.rel
	s.off += len(p.chunk)
	s.rel = p.hold
	step := Step{}
	switch {
	case held == 0:
		step.Released = p.chunk[:p.hold-from]
	case p.hold > start:
		// All that is held in pass is plain, so bytes can be counted.
		buf := make([]byte, 0, p.hold-start+utf8.UTFMax)
		for i := len(s.items) - held; i < len(s.items); i++ {
			if s.items[i].off < p.hold {
				buf = utf8.AppendRune(buf, s.items[i].r)
			}
		}
		if p.hold > from {
			buf = append(buf, p.chunk[:p.hold-from]...)
		}
		step.Released = string(buf)
	}
	cut := 0
	for cut < len(s.items) && s.items[cut].off < p.keep {
		cut++
	}
	s.items = s.items[:copy(s.items, s.items[cut:])]
	s.sym += n
	s.skipRun = 0
	if p.keep < s.off {
		rest := p.chunk[max(0, p.keep-from):]
		sym, off := s.sym-utf8.RuneCountInString(rest), s.off-len(rest)
		for _, r := range rest {
			w := utf8.RuneLen(r)
			s.items = append(s.items, item{off: off, sym: sym, r: r, f: fold(r), w: uint8(w)})
			sym++
			off += w
		}
	}
	for i := len(s.items) - 1; i >= 0 && s.items[i].off >= s.rel; i-- {
		step.Held++
	}
	return step
}
