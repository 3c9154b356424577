package inspect

import ahocorasick "github.com/petar-dambovaliev/aho-corasick"

// occurrence is one place where a pattern stands, as byte offsets in the
// folded text.
type occurrence struct{ pattern, start, end int }

// matcher finds patterns in folded text. It is the seam behind which the
// keyword engine can be exchanged: everything else in this package (gate,
// hold-back, contexts, masking) works on occurrences only.
type matcher interface {
	// find appends every occurrence of every pattern in text to dst,
	// overlapping ones included, ordered by end. Safe for concurrent use.
	find(dst []occurrence, text []byte) []occurrence
}

// dfaLimit is the pattern volume up to which the table-driven automaton is
// built. It scans about three times faster than the linked one but costs
// roughly a kilobyte per pattern byte, which a large lexicon cannot afford.
const dfaLimit = 8 << 10

// libraryMatcher is the Aho–Corasick library. Standard semantics are required:
// they are the only ones in which it reports overlapping matches.
type libraryMatcher struct{ ac ahocorasick.AhoCorasick }

func newLibraryMatcher(patterns []string) matcher {
	volume := 0
	for _, p := range patterns {
		volume += len(p)
	}
	builder := ahocorasick.NewAhoCorasickBuilder(ahocorasick.Opts{
		MatchKind: ahocorasick.StandardMatch,
		DFA:       volume <= dfaLimit,
	})
	return libraryMatcher{ac: builder.Build(patterns)}
}

func (m libraryMatcher) find(dst []occurrence, text []byte) []occurrence {
	iter := m.ac.IterOverlappingByte(text)
	for hit := iter.Next(); hit != nil; hit = iter.Next() {
		dst = append(dst, occurrence{pattern: hit.Pattern(), start: hit.Start(), end: hit.End()})
	}
	return dst
}
