// Package classify says how likely a text is to be of some kind, by linear
// models on hashed n-grams of folded characters.
//
// # Use
//
// [Read] a [Model], open a [State] for each text that arrives in pieces, give it
// every piece with [State.Write] and ask at any time:
//
//	state := model.NewState()
//	for chunk := range chunks {
//		state.Write(chunk)
//		if state.Probability(0) > model.Heads()[0].Threshold { … }
//	}
//	state.Close()
//	state.Peak(0)
//
// [Model.Scores] does it for a whole text. A model is immutable and safe for
// concurrent use; a state belongs to one goroutine.
//
// # What is counted
//
// See [Features]: characters and two in a row, and for what is written in words
// up to four letters, the word, two words in a row and the shape of a word. (For
// Chinese, three and four in a row made no score better.) Characters are
// compared as package fold says, signs between characters do not part them.
// Each feature is a place in one table that holds a small weight for every
// [Lane], so all heads cost one look. A feature that came a short while ago, which a
// memory of a thousand tells, counts half.
//
// # Windows
//
// The value of a lane is the sum of the weights of all features of the last
// [Window] symbols, divided by the root of the number of those that the model knows. The score of
// a head is the value of its lane, or, where it judges by subject, the mean of those
// of its subjects by how much the text is about each: see [Head]. Its probability is
// that score put through the curve that was fitted to it on texts that it was
// not trained on. Sums are kept in blocks of [Step] symbols: to move the window
// on costs one subtraction, whatever its length. [State.Peak] is the highest
// probability at the end of any block from [Warm] symbols on, and at the end of the
// text. It depends
// on the text only, never on where the text was cut.
//
// # What it cannot do
//
// A linear model knows no irony, no negation at a distance and no facts. It
// takes the tone and the words of a text for what is meant, so quotations,
// condemnations and questions about a harm look like the harm. A head is worth
// what the report of its training says, on texts like those.
package classify
