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
// Package fold says what is compared as the same: case, width, compatibility
// forms and traditional characters always; what a reader does not see is
// skipped in comparison but belongs to the hit in which it stands. A term can
// ask for more, see [Disguise]: separators inside, look-alikes, what sounds
// alike, pinyin, characters written as their parts or again and again. Such a
// hit says by which way it was found and how many separators stand in it.
//
// Of more than 64 skipped characters in a row the rest is removed from the
// text: otherwise a sender could make a stream hold back without limit. Offsets
// always refer to the original bytes. A byte that is not UTF-8 is released as
// U+FFFD, which is equal to nothing; a character cut in two between chunks is
// put together first.
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
// # Rules
//
// A [Rule] hits where what it finds stands in the right surroundings; a term
// with Contexts hits only if one of them stands wholly within Window symbols
// before its start or after its end, without overlapping it, which is the same
// mechanism. Words of a [Set] and contexts hit nothing by themselves. What
// stands before a hit is remembered, so it costs no delay. What may follow does:
// if the rule does more than observe, its hit is held until the condition is
// decided, at most for the symbols that it looks ahead (Window, within). Of the
// hit itself nothing is released; what a condition asks for around it is not
// masked and may have gone. A rule that blocks at a distance therefore leaks at
// most its window: the text ends before the hit, wherever the rest stands.
//
// A condition is decided after the first symbol by which nothing that may come
// can change it: for not, when the width has gone by or the sentence is over.
// [Engine.Explain] tells what became of each of its parts.
//
// # Numbers
//
// An identity number is exactly 18 adjacent characters, and a digit next to it
// on either side makes it part of something longer; so is an old one of 15 and
// a mobile number of 11, the latter also as 3-4-4. A card number is looked
// for in a run of digits with single spaces or hyphens in between: each group
// of adjacent digits, consecutive groups in a shape in which cards are printed
// (4-4-4-4, 4-6-5 ...), and the run as a whole. Neither is decided before the
// symbol behind it is known, or the end.
//
// # Tokens and secrets
//
// Other personal data stands in runs of letters, digits and a few signs, which
// are judged when they are complete, or begins with something that gives it
// away: a scheme, the prefix of a vendor, a province. Such beginnings are
// looked for by the automaton together with the terms, so that a text without
// one costs nothing; behind one a small recogniser reads on. Each kind has a
// bound on what it may hold. A key or address that is longer is certain by
// then: it goes out masked while it is still coming, and is reported when it
// ends, or after 16,384 symbols.
//
// # Limits
//
// A term, context or word of a set has at most [MaxTermRunes] symbols, a card number with its
// separators at most 38. [Compile] refuses a rule that could make a stream hold
// back more than Rules.MaxHold symbols. The cap therefore cannot be met at run
// time, and there is no moment at which text is let go unjudged because too
// much was waiting. Held text is only ever released by a decision.
//
// Hits are not bounded. Each term is reported wherever it stands, so the list a,
// aa … up to 64 of them gives 64 hits a character of a text of a, and all of them
// stand in Result.Matches. In the gateway the limits of the posture bound
// the text: 1 MB of a request and 8 MB of an answer that is not a stream, unless
// set otherwise. In here nothing does. Who inspects text without such a limit
// should cut it, or write it to a stream in small pieces and keep of each step's
// matches only what is needed, as a [Verdict] does.
//
// # Modes of holding
//
// As a rule the whole beginning of a term that enforces is held. Rules.Cut
// holds nothing for terms that block, Rules.HoldFrom holds from so many symbols
// on; both say what may be released of a hit then.
//
// # Verdict
//
// A [Verdict] sums up what streams and scans of texts that belong together gave:
// the channels of all choices of one conversation. It is bounded whatever the
// texts, and holds none of them. Step.Why says for what a stream holds text back.
//
// # Inside
//
// Package match finds the terms. A whole text goes through its gate first, and
// only if something is there, or a number may be, through a stream as well. A
// stream carries a cursor of the automaton, whose state also says how much of
// what was read last may still grow into a hit.
package inspect
