package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	anknown "github.com/anknown/ahocorasick"
	ahocorasick "github.com/petar-dambovaliev/aho-corasick"
	"golang.org/x/text/unicode/norm"

	"github.com/fengsui/fengsui/internal/inspect/fold"
	"github.com/fengsui/fengsui/internal/inspect/match"
)

// document is how a text is handed to a matcher: a long prompt.
const document = 16 << 10

// matchPart measures the matcher of the text engine beside what else is there. Everything runs on one core unless it
// says otherwise, the cases of a run one after the other, so that a slow minute slows them all.
func matchPart(ctx context.Context, b *bench) ([]table, error) {
	m, err := newMatchText(b.samples)
	if err != nil {
		return nil, err
	}
	before := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(before)
	scan := table{Part: "match", Title: "Words in whole texts", Keys: []string{"words"}}
	stream := table{Part: "match", Title: "Words in a text that arrives in pieces of 1 to 5 characters", Keys: []string{"words"}}
	worst := table{Part: "match", Title: "Texts made to be slow", Keys: []string{"text"}}
	for i, words := range m.sets {
		b.say("       words: %s", words.name)
		set, err := newMatchSet(b, m.text, words.words)
		if err != nil {
			return nil, err
		}
		all, pieces := &series{}, &series{}
		for range b.runs {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if err := set.scan(all); err != nil {
				return nil, err
			}
			set.stream(pieces)
		}
		scan.Rows = append(scan.Rows, row{Keys: []string{words.name}, Figures: all.figures()})
		stream.Rows = append(stream.Rows, row{Keys: []string{words.name}, Figures: pieces.figures()})
		if i == len(m.sets)-1 {
			worst.Rows = set.worst(b.runs)
		}
		set.close()
	}
	folding := &series{}
	for range b.runs {
		foldRun(folding, m.text)
	}
	scan.Notes = []string{
		m.from + fmt.Sprintf("; %.1f MB in documents of 16 KB. Every hit, overlapping ones included, with its place.", float64(len(m.text))/1e6),
		"Runes: utf8.RuneCount over the same text in the same run, the yardstick that needs no peer. Our scan folds (case, width, traditional, invisible); the peers compare exact characters.",
		"Peers: anknown/ahocorasick at every size, petar-dambovaliev/aho-corasick as its table-driven automaton where that stays under 1 GB; the faster counts. Vectorscan only where -vectorscan names a harness, see tools/vectorscan.",
		"Resident is the heap that the lexicon keeps, garbage collected; two cores: twice as much text on two goroutines. Of runes it is what the machine gives to two threads that share nothing.",
	}
	for _, words := range m.sets {
		scan.Notes = append(scan.Notes, words.made+".")
	}
	stream.Notes = []string{"Re-scan: what a library without state needs: for each piece it scans the piece and as many characters before it as the longest word has. The whole text, in pieces of two characters on average."}
	worst.Notes = []string{"Beside ordinary text in the same run, with the largest set."}
	return []table{scan, stream, worst, {Part: "match", Title: "Folding", Keys: []string{"by"}, Rows: []row{{Keys: []string{"one table, strict"}, Figures: folding.figures()}}}}, nil
}

// matchSet is a lexicon and its peers.
type matchSet struct {
	words   []string
	docs    []string
	bytes   int
	lexicon *match.Lexicon
	built   time.Duration
	heap    uint64
	anknown *anknown.Machine
	petar   *ahocorasick.AhoCorasick
	vs      *vectorscan
	hits    []match.Hit
	longest int
}

func entriesOf(words []string) []match.Entry {
	entries := make([]match.Entry, len(words))
	for i, w := range words {
		entries[i] = match.Entry{Text: w, Hold: true}
	}
	return entries
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

func newMatchSet(b *bench, text string, words []string) (*matchSet, error) {
	s := &matchSet{words: words}
	for rest := text; rest != ""; {
		doc := firstBytes(rest, document)
		s.docs, rest = append(s.docs, doc), rest[len(doc):]
		s.bytes += len(doc)
	}
	entries := entriesOf(s.words)
	was, start := heap(), time.Now()
	var err error
	if s.lexicon, err = match.Build(entries); err != nil {
		return nil, err
	}
	s.built = time.Since(start)
	s.heap = heap() - was
	runes := make([][]rune, len(words))
	volume := 0
	for i, w := range s.words {
		runes[i] = []rune(w)
		volume += len(w)
		s.longest = max(s.longest, len(runes[i]))
	}
	s.anknown = new(anknown.Machine)
	if err := s.anknown.Build(runes); err != nil {
		return nil, err
	}
	if volume < 200<<10 {
		ac := ahocorasick.NewAhoCorasickBuilder(ahocorasick.Opts{MatchKind: ahocorasick.StandardMatch, DFA: true})
		built := ac.Build(s.words)
		s.petar = &built
	}
	if b.vectorscan != "" {
		if s.vs, err = startVectorscan(b.vectorscan, b.dir, s.words, s.docs); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *matchSet) close() {
	if s.vs != nil {
		s.vs.in.Close()
		_ = s.vs.cmd.Wait()
	}
}

// speed is MB/s of one pass over all documents, the better of two.
func (s *matchSet) speed(pass func(doc string)) float64 {
	best := time.Duration(1 << 62)
	for range 2 {
		start := time.Now()
		for _, d := range s.docs {
			pass(d)
		}
		best = min(best, time.Since(start))
	}
	return float64(s.bytes) / 1e6 / best.Seconds()
}

func (s *matchSet) scan(out *series) error {
	runes := s.speed(func(doc string) { keep(utf8.RuneCountInString(doc)) })
	var was, is runtime.MemStats
	found := 0
	runtime.ReadMemStats(&was)
	ours := s.speed(func(doc string) { s.hits = s.lexicon.Scan(s.hits[:0], doc); found += len(s.hits) })
	runtime.ReadMemStats(&is)
	peer := s.speed(func(doc string) { keep(len(s.anknown.MultiPatternSearch([]rune(doc), false))) })
	if s.petar != nil {
		peer = max(peer, s.speed(func(doc string) {
			for it := s.petar.IterOverlapping(doc); it.Next() != nil; {
				keep(1)
			}
		}))
	}
	out.add("hits a KB", "", float64(found)/2/float64(s.bytes)*1000)
	out.add("scan", "MB/s", ours)
	out.add("÷ runes", "", ours/runes)
	out.add("÷ best Go peer", "", ours/peer)
	if s.vs != nil {
		speed, err := s.vs.run(s.bytes)
		if err != nil {
			return err
		}
		out.add("÷ Vectorscan", "", ours/speed)
	}
	out.add("two cores ÷ one", "", s.both(func() func(string) {
		var hits []match.Hit
		return func(doc string) { hits = s.lexicon.Scan(hits[:0], doc) }
	})/ours)
	out.add("runes, two ÷ one", "", s.both(func() func(string) {
		n := 0
		return func(doc string) { n += utf8.RuneCountInString(doc) }
	})/runes)
	out.add("allocations a document", "", float64(is.Mallocs-was.Mallocs)/float64(2*len(s.docs)))
	out.add("build", "ms", s.built.Seconds()*1000)
	out.add("resident", "MB", float64(s.heap)/1e6)
	return nil
}

// both is the speed of two goroutines, each with all documents; the better of two.
func (s *matchSet) both(pass func() func(doc string)) float64 {
	runtime.GOMAXPROCS(2)
	defer runtime.GOMAXPROCS(1)
	best := time.Duration(1 << 62)
	for range 2 {
		var wg sync.WaitGroup
		start := time.Now()
		for range 2 {
			each := pass()
			wg.Go(func() {
				for _, d := range s.docs {
					each(d)
				}
			})
		}
		wg.Wait()
		best = min(best, time.Since(start))
	}
	return 2 * float64(s.bytes) / 1e6 / best.Seconds()
}

// stream compares a cursor with scanning a window again for each piece.
func (s *matchSet) stream(out *series) {
	var text []rune
	for _, d := range s.docs {
		text = append(text, []rune(d)...)
	}
	cuts := []int{0}
	for at := 0; at < len(text); {
		at = min(len(text), at+1+(at*7+len(cuts))%5)
		cuts = append(cuts, at)
	}
	n := float64(len(cuts) - 1)
	start := time.Now()
	var c match.Cursor
	for i := 1; i < len(cuts); i++ {
		for _, r := range text[cuts[i-1]:cuts[i]] {
			if s.lexicon.Step(&c, r) {
				s.lexicon.Ends(&c, r, func(e match.End) bool { keep(e.Entry); return true })
			}
		}
		keep(s.lexicon.Hold(&c).Strict)
	}
	ours := float64(time.Since(start).Nanoseconds()) / n
	start = time.Now()
	for i := 1; i < len(cuts); i++ {
		keep(len(s.anknown.MultiPatternSearch(text[max(0, cuts[i-1]-s.longest):cuts[i]], false)))
	}
	peer := float64(time.Since(start).Nanoseconds()) / n
	out.add("cursor, a piece", "ns", ours)
	out.add("re-scan by the peer, a piece", "ns", peer)
	out.add("cursor ÷ re-scan", "", ours/peer)
}

// step reads a text with a cursor.
func (s *matchSet) step(doc string) {
	var c match.Cursor
	for _, r := range doc {
		if s.lexicon.Step(&c, r) {
			s.lexicon.Ends(&c, r, func(e match.End) bool { keep(e.Entry); return true })
		}
	}
}

// worst are texts that somebody might send to be slow.
func (s *matchSet) worst(runs int) []row {
	fill := func(piece func(i int) string) []string {
		var docs []string
		for i := 0; len(docs) < 16; {
			var b strings.Builder
			for ; b.Len() < document; i++ {
				b.WriteString(piece(i))
			}
			docs = append(docs, b.String())
		}
		return docs
	}
	unfinished := func(i int) string {
		w := []rune(s.words[i*31%len(s.words)])
		return string(w[:len(w)-1])
	}
	var rows []row
	for _, c := range []struct {
		name string
		docs []string
	}{
		{"ordinary", s.docs[:min(64, len(s.docs))]},
		{"nothing but words of the list", fill(func(i int) string { return s.words[i*31%len(s.words)] })},
		{"words without their last character", fill(unfinished)},
		{"the first two characters of words, a stranger", fill(func(i int) string { return string([]rune(s.words[i*31%len(s.words)])[:2]) + "龘" })},
		{"one character", fill(func(int) string { return "的" })},
		{"emoji", fill(func(i int) string { return string(rune(0x1F600 + i%64)) })},
		{"broken bytes", fill(func(int) string { return "\xe4\xb8\xff" })},
		{"invisible characters", fill(func(int) string { return "\u200b\u200d" })},
	} {
		t := &series{}
		bytes := 0
		for _, d := range c.docs {
			bytes += len(d)
		}
		for range runs {
			own := &matchSet{docs: c.docs, bytes: bytes, lexicon: s.lexicon}
			scan := func(doc string) { s.hits = s.lexicon.Scan(s.hits[:0], doc) }
			ordinary, speed := s.speed(scan), own.speed(scan)
			t.add("scan", "MB/s", speed)
			t.add("÷ ordinary", "", speed/ordinary)
			ordinary, speed = s.speed(s.step), own.speed(s.step)
			t.add("cursor", "MB/s", speed)
			t.add("cursor ÷ ordinary", "", speed/ordinary)
		}
		rows = append(rows, row{Keys: []string{c.name}, Figures: t.figures()})
	}
	return rows
}

func foldRun(out *series, text string) {
	block, buf := make([]uint16, 4096), make([]byte, 0, 2*document)
	start := time.Now()
	for rest := text; rest != ""; {
		made, used, _ := fold.Strict().Fill(block, rest, len(rest))
		keep(made)
		rest = rest[used:]
	}
	ours := time.Since(start)
	start = time.Now()
	for rest := text; rest != ""; {
		doc := firstBytes(rest, document)
		buf = norm.NFKC.AppendString(buf[:0], doc)
		keep(len(buf))
		rest = rest[len(doc):]
	}
	nfkc := time.Since(start)
	mb := float64(len(text)) / 1e6
	out.add("fold", "MB/s", mb/ours.Seconds())
	out.add("NFKC", "MB/s", mb/nfkc.Seconds())
	out.add("fold ÷ NFKC", "", nfkc.Seconds()/ours.Seconds())
}

var kept int

// keep uses a result, so that nobody optimises its making away.
func keep(n int) { kept += n }

// vectorscan is the harness of tools/vectorscan, which scans once for each line it is sent.
type vectorscan struct {
	cmd *exec.Cmd
	in  interface {
		Write([]byte) (int, error)
		Close() error
	}
	out *bufio.Reader
}

func startVectorscan(program, dir string, words, docs []string) (*vectorscan, error) {
	wordFile, textFile := filepath.Join(dir, "words"), filepath.Join(dir, "text")
	err := errors.Join(os.WriteFile(wordFile, []byte(strings.Join(words, "\n")+"\n"), 0o600), os.WriteFile(textFile, []byte(strings.Join(docs, "")), 0o600))
	if err != nil {
		return nil, err
	}
	v := &vectorscan{cmd: exec.Command(program, wordFile, textFile)}
	v.cmd.Stderr = os.Stderr
	if v.in, err = v.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := v.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	v.out = bufio.NewReader(out)
	if err := v.cmd.Start(); err != nil {
		return nil, err
	}
	_, err = v.run(1)
	return v, err
}

// run is MB/s of one pass, the better of two.
func (v *vectorscan) run(bytes int) (speed float64, err error) {
	for range 2 {
		if _, err := v.in.Write([]byte("\n")); err != nil {
			return 0, err
		}
		line, err := v.out.ReadString('\n')
		if err != nil {
			return 0, err
		}
		var ns, hits float64
		if _, err := fmt.Sscan(line, &ns, &hits); err != nil {
			return 0, err
		}
		speed = max(speed, float64(bytes)/1e6/(ns/1e9))
	}
	return speed, nil
}
