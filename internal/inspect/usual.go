package inspect

import (
	"github.com/fengsui/fengsui/internal/inspect/fold"
	"github.com/fengsui/fengsui/internal/inspect/match"
)

const (
	usualGap    = 3 // separators between two Chinese characters
	usualSounds = 4 // syllables from which what sounds alike is seldom chance
	usualParts  = 16
	// Of two characters the term stands between what is written again anyway.
	usualRepeats = 3
)

// Usual gives the disguises that are worth looking for in a text: for Chinese
// separators of up to three, characters written as their parts, from three
// syllables on characters written again and, from four on, sound; for what begins or ends with a Latin letter or a digit
// that it is a word by itself, and no separators.
func Usual(text string) (d Disguise) {
	chinese, others := 0, 0
	symbols := fold.Strict().Symbols(nil, text)
	for _, c := range symbols {
		switch {
		case fold.Syllables().Has(c):
			chinese++
		case c > ' ':
			others++
		}
	}
	if len(symbols) == 0 {
		return d
	}
	first, last := rune(symbols[0]), rune(symbols[len(symbols)-1])
	d.Word = match.Adjoin(first, first) || match.Adjoin(last, last)
	if chinese >= 2 && others == 0 {
		d.Loose, d.Gap = true, usualGap
		d.Sound = chinese >= usualSounds
		d.Parts = chinese <= usualParts
		d.Repeat = chinese >= usualRepeats
	}
	return d
}
