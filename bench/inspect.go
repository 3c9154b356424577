package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	ahocorasick "github.com/petar-dambovaliev/aho-corasick"

	"github.com/fengsui/fengsui/internal/inspect"
)

const (
	benignText = "今天我们来聊一聊如何准备一次周末的短途旅行。首先要确定目的地，可以选择离家不远的山区或者湖边，空气清新，人也不多。" +
		"其次是交通方式，如果有车，自驾最为方便；没有车的话，可以查一下火车和长途汽车的时刻表。住宿方面，建议提前几天预订，比较一下不同平台的价格和评价。" +
		"最后别忘了带上雨伞、常用药品和一件外套，山里早晚的温度变化比较大。have a nice trip, and don't forget your camera! "
	digitsText = "2024年5月，第3号文件列出了128项、共4096条记录，电话 010-6655-4321，编号 20240506-7。"
)

// chunksOf cuts a text like a model does: 4 to 20 symbols at a time.
func chunksOf(text string) []string {
	rng := rand.New(rand.NewPCG(3, 4))
	var out []string
	for runes := []rune(text); len(runes) > 0; {
		n := min(len(runes), 4+rng.IntN(17))
		out = append(out, string(runes[:n]))
		runes = runes[n:]
	}
	return out
}

// inspectPart measures the text engine beside the bare Aho–Corasick library with the same terms, which finds
// occurrences and neither folds, holds back, masks, checks numbers nor remembers the chunk before.
func inspectPart(ctx context.Context, b *bench) ([]table, error) {
	rules := inspect.Rules{Checks: []inspect.Check{{ID: "id", Kind: inspect.KindCNID, Action: inspect.Mask}, {ID: "card", Kind: inspect.KindBankCard, Action: inspect.Mask}}}
	terms := nonsense(lexiconSize)
	for i, t := range terms {
		rules.Terms = append(rules.Terms, inspect.Term{ID: fmt.Sprint("t", i), Text: t, Action: inspect.Mask})
	}
	engine, err := inspect.Compile(rules)
	if err != nil {
		return nil, err
	}
	builder := ahocorasick.NewAhoCorasickBuilder(ahocorasick.Opts{MatchKind: ahocorasick.StandardMatch})
	bare := builder.Build(terms)
	whole := firstBytes(strings.Repeat(benignText, 10), 4096)
	if res := engine.Scan(whole); len(res.Matches) > 0 || engine.Scan(terms[7]).Action != inspect.Mask {
		return nil, errors.New("the engine is not looking for what it should")
	}
	find := func(text string) {
		for it := bare.IterOverlapping(text); it.Next() != nil; {
		}
	}
	cases := []struct {
		name  string
		ours  func(*testing.B)
		peer  func(*testing.B)
		bytes int
	}{
		{"4 KB text, whole", func(b *testing.B) {
			for b.Loop() {
				engine.Scan(whole)
			}
		}, func(b *testing.B) {
			for b.Loop() {
				find(whole)
			}
		}, len(whole)},
		streamCase("chunk of a stream, plain text", engine, find, benignText),
		streamCase("chunk of a stream, full of digits", engine, find, digitsText),
	}
	t := table{Part: "inspect", Title: fmt.Sprintf("Inspection with %s terms, cn_id and bank_card", number(lexiconSize)), Keys: []string{"text"}}
	for _, c := range cases {
		s := &series{}
		for range b.runs {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			ours, peer := testing.Benchmark(c.ours), testing.Benchmark(c.peer)
			us := float64(ours.T.Nanoseconds()) / float64(ours.N) / 1000
			peerUs := float64(peer.T.Nanoseconds()) / float64(peer.N) / 1000
			s.add("engine", "µs", us)
			s.add("engine, allocations", "", float64(ours.AllocsPerOp()))
			s.add("speed", "MB/s", float64(c.bytes)/us)
			s.add("bare library", "µs", peerUs)
			s.add("engine ÷ library", "", us/peerUs)
		}
		t.Rows = append(t.Rows, row{Keys: []string{c.name}, Figures: s.figures()})
	}
	t.Notes = []string{"Bare library: an Aho–Corasick module (petar-dambovaliev), same terms, same text, every occurrence; it neither folds, holds back, masks nor checks numbers, and in a stream it misses what is cut in two.",
		"Whole texts go through the gate of the matcher, pieces through its automaton; see the part match for larger sets."}
	return []table{t}, nil
}

func streamCase(name string, engine *inspect.Engine, find func(string), text string) struct {
	name  string
	ours  func(*testing.B)
	peer  func(*testing.B)
	bytes int
} {
	chunks := chunksOf(text)
	return struct {
		name  string
		ours  func(*testing.B)
		peer  func(*testing.B)
		bytes int
	}{name, func(b *testing.B) {
		b.ReportAllocs()
		s := engine.NewStream()
		i := 0
		for b.Loop() {
			s.Write(chunks[i])
			if i++; i == len(chunks) {
				i = 0
				s.Reset()
			}
		}
	}, func(b *testing.B) {
		i := 0
		for b.Loop() {
			find(chunks[i])
			i = (i + 1) % len(chunks)
		}
	}, len(text) / len(chunks)}
}

// firstBytes is the longest beginning of text that has at most n bytes and no broken character.
func firstBytes(text string, n int) string {
	end := 0
	for i, r := range text {
		if i+len(string(r)) > n {
			break
		}
		end = i + len(string(r))
	}
	return text[:end]
}
