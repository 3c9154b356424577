package inspect

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"
)

// A line without an end is inspected as it comes, in the memory of a short one.
// FENGSUI_LONG_LINE=1 makes it a gigabyte.
func TestALineOfAGigabyteNeedsNoMoreMemoryThanAShortOne(t *testing.T) {
	size := 24 << 20
	if testing.Short() {
		size = 4 << 20
	}
	if os.Getenv("FENGSUI_LONG_LINE") != "" {
		size = 1 << 30
	}
	var terms []Term
	for i := range 2000 {
		terms = append(terms, Term{ID: fmt.Sprint(i), Text: fmt.Sprintf("违禁%d号", i), Action: Mask, Disguise: Disguise{Loose: true, Gap: 3}})
	}
	e := mustCompile(t, Rules{Terms: terms, Checks: []Check{{ID: "id", Kind: KindCNID, Action: Mask}, {ID: "card", Kind: KindBankCard, Action: Mask}}})
	held := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for name, piece := range map[string]string{
		"ordinary":             strings.Repeat("今天我们来聊一聊如何准备一次周末的短途旅行。", 50) + "违 禁7号 %E8%BF%9D",
		"digits":               strings.Repeat("1234567890", 400),
		"invisible":            strings.Repeat("\u200b", 1500),
		"broken":               strings.Repeat("\xe8\xbf", 2000),
		"beginnings of a term": strings.Repeat("违禁", 700),
		"a payload":            strings.Repeat("5rWL6K+V", 500),
		"a mail address":       strings.Repeat("a.b", 1300),
		"separators":           "违" + strings.Repeat("-", 4000),
	} {
		s, d := e.NewStream(), e.NewDecoder()
		part := size / 8
		if name == "ordinary" {
			part = size
		}
		was, hits, released, read := held(), 0, 0, 0
		for k := 0; read < part; k++ {
			from := k % 7 // cut anywhere, inside characters too
			chunk := piece[from:] + piece[:from]
			step := s.Write(chunk)
			hits += len(step.Matches)
			released += utf8.RuneCountInString(step.Released)
			if name == "ordinary" || read < 1<<20 { // the decoder is slow where there is much to decode
				d.Write(chunk)
			}
			read += len(chunk)
			if step.Held > DefaultMaxHold {
				t.Fatalf("%s: %d symbols are held", name, step.Held)
			}
		}
		now := held()
		runtime.KeepAlive(s)
		runtime.KeepAlive(d)
		if now > was+1<<20 {
			t.Errorf("%s: %d KB more than at the beginning, after %d MB", name, (now-was)>>10, read>>20)
		}
		if name == "ordinary" && (hits < read/len(piece)/2 || released == 0) {
			t.Errorf("%d hits in %d pieces", hits, read/len(piece))
		}
	}
}

// What doc.go says of the number of hits, at a smaller size: a list can have MaxTermRunes hits a character, a scan gives
// them all at once and a stream each piece's alone.
func TestHitsAreAsManyAsTheListAndTheTextMakeThem(t *testing.T) {
	var rules Rules
	for n := range MaxTermRunes {
		rules.Terms = append(rules.Terms, Term{ID: fmt.Sprint(n + 1), Text: strings.Repeat("a", n+1), Action: Observe})
	}
	e := mustCompile(t, rules)
	const size, piece = 2 * scanPiece, 8 // more than a scan looks at in one go
	all := MaxTermRunes*(size+1) - MaxTermRunes*(MaxTermRunes+1)/2
	if got := len(e.Scan(strings.Repeat("a", size)).Matches); got != all {
		t.Errorf("a scan gives %d hits, not %d", got, all)
	}
	s, sum, most := e.NewStream(), 0, 0
	count := func(step Step) { sum, most = sum+len(step.Matches), max(most, len(step.Matches)) }
	for range size / piece {
		count(s.Write(strings.Repeat("a", piece)))
	}
	if count(s.Close()); sum != all || most > piece*MaxTermRunes {
		t.Errorf("a stream gives %d hits, not %d; %d at once, not %d at most", sum, all, most, piece*MaxTermRunes)
	}
	var v Verdict
	v.Add(Place{Channel: "input"}, e.Scan(strings.Repeat("a", size)).Matches)
	if len(v.Hits)+v.MoreHits != all || len(v.Hits) != maxSpans {
		t.Errorf("a verdict keeps %d hits and counts %d more", len(v.Hits), v.MoreHits)
	}
}
