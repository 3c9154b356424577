// Package inspect finds terms and personal data in text that arrives in
// pieces, and says what of it may be released.
//
// # Use
//
// Compile a set of [Rules] into an [Engine]. Ask [Engine.Scan] about a whole
// text, or open a [Stream] for each choice and channel of an answer that is
// still being written, give it every piece with [Stream.Write], pass on
// Step.Released, and end with [Stream.Close]:
//
//	stream := engine.NewStream()
//	for chunk := range chunks {
//		step := stream.Write(chunk)
//		send(step.Released)
//		if step.Blocked {
//			return
//		}
//	}
//	send(stream.Close().Released)
//
// An engine is immutable and safe for concurrent use; a stream belongs to one
// goroutine. There is no clock, no input or output and no goroutine in here.
//
// # What is promised
//
// The verdict, the matches and the released text depend on the text and the
// rules only, never on where the text was cut. Of a hit that is masked,
// replaced or blocked not one symbol is released, at any moment. To that end a
// stream holds back the longest suffix that may still grow into such a hit,
// and no more: a chunk that cannot begin one leaves at once, uncopied.
//
// # How text is compared
//
// Each character is folded to at most one symbol: lower case, full width to
// half width. Invisible characters (zero-width space and joiners, soft hyphen,
// byte order mark, variation selectors, direction marks) are skipped in
// comparison but belong to the hit in which they stand. Of more than 64 skipped
// characters in a row the rest is removed from the text: otherwise a sender
// could make a stream hold back without limit. Offsets always refer to the
// original bytes. A byte that is not UTF-8 is released as U+FFFD and compared
// as that; a character cut in two between chunks is put together first.
//
// # What an action does
//
//   - Observe reports.
//   - Mask puts one mask rune in place of each symbol of the hit; where masked
//     hits overlap, their union is masked. Skipped characters inside vanish.
//   - Replace puts its wording in place of the hit. It wins over a mask where
//     they overlap. Where replacements overlap, the union is taken out and the
//     wording of the one that starts first (of those, the longest) stands at
//     its beginning.
//   - Block ends the text. It takes effect at the character that makes the
//     hit certain: what comes behind is not looked at, and nothing from the
//     start of the hit on is released. Should an unfinished term have begun
//     before the blocking hit, release ends there: it might have been masked.
//
// # Terms with context
//
// A term with Contexts hits only if one of them stands wholly within Window
// symbols before its start or after its end, without overlapping it. Contexts
// before are remembered, so they cost no delay. Otherwise the term (if it does
// more than observe) is held until a context follows or Window symbols have
// gone by.
//
// # Numbers
//
// An identity number is exactly 18 adjacent characters, and a digit next to it
// on either side makes it part of something longer. A card number is looked
// for in a run of digits with single spaces or hyphens in between: each group
// of adjacent digits, consecutive groups in a shape in which cards are printed
// (4-4-4-4, 4-6-5 ...), and the run as a whole. Neither is decided before the
// symbol behind it is known, or the end.
//
// # Limits
//
// A term or context has at most [MaxTermRunes] symbols, a card number with its
// separators at most 38. [Compile] refuses a rule that could make a stream hold
// back more than Rules.MaxHold symbols. The cap therefore cannot be met at run
// time, and there is no moment at which text is let go unjudged because too
// much was waiting. Held text is only ever released by a decision.
//
// # Inside
//
// Keywords are matched by an Aho–Corasick library behind the unexported
// interface matcher, which gives all occurrences, overlapping ones included.
// The library keeps no state between calls and cannot say how much of a pattern
// has been seen, so two small structures stand around it: a gate, which tells
// from two symbols that no pattern begins here, and a table of all prefixes,
// which tells what to hold. The library runs only over text in which some term
// does occur or something unusual stands.
package inspect
