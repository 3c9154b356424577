// Package train makes models for package classify.
//
// A [Sample] is a text that says for each head yes, no or nothing. [Fit] learns
// from one part of the samples, each head by itself, a support vector machine
// whose features may weigh as much as their shares of yes and no differ, and which may
// learn apart what holds for one subject only; on the
// other part, which it has not learned from, it fits the curve that makes
// probabilities of scores and chooses the threshold. The same samples, options
// and seed give the same model.
//
// What is reported of a model must come from texts of neither part; see
// [Part] for a division that does not depend on the order of the samples, and
// [Measure] and [Wilson] for how to report.
package train
