// Package match finds many words in a text at once, however they are disguised.
//
// # Use
//
// Compile a list of [Entry] with [Build]. Ask [Lexicon.Scan] about a text that
// is at hand, or carry a [Cursor] through one that arrives in pieces. Both find
// the same. A lexicon is immutable and safe for concurrent use; it can be built
// while another is in use and take its place at any moment. It holds no
// pointers but its slices, so that the garbage collector has nothing to do.
//
// # What is found
//
// Every place of every entry, overlapping ones included, with its bytes in the
// original, the separators inside and the way by which it was found: a gap of
// 0 is the entry as it stands, more is likely an evasion. How characters are
// compared says package fold. What a reader does not see never counts, neither
// inside a hit nor beside it.
//
// An entry with Repeat is found with characters written again as well, 测测试试题
// for 测试题: each counts as a separator, so Gap bounds them. What the entry has
// twice must stand there twice: 妈妈 is not found in 妈. Where only its ends are
// written again, and with it every entry of two characters, it stands there as
// it is.
//
// # Inside
//
// Text is folded into blocks of symbols by one table. Streams go through an
// Aho–Corasick automaton in a double array, a few bytes of state each. Whole
// texts go through a gate that asks at each place whether the two symbols read
// last, and the one before, can end the rarest part of any entry; what passes
// is looked up and compared. Where too much passes, the block goes through the
// automaton instead. Both give the same, which is tested against each other and
// against brute force. What is written again needs no table of its own: the
// automaton reads the text a second time without it, but only around places
// where there is such a thing and its neighbours stand like that in an entry.
//
// # Limits
//
// An entry has at most [MaxRunes] characters, a gap at most [MaxGap]
// separators, an entry at most 16 ways to be read or taken apart. Of more than
// 65,535 entries with one text the rest is not found. Texts are up to 2 GB.
package match
