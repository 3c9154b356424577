package match

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

var ordinary = strings.Repeat("今天我们来聊一聊如何准备一次周末的短途旅行。首先要确定目的地，可以选择离家不远的山区或者湖边，空气清新，人也不多。"+
	"其次是交通方式，如果有车，自驾最为方便；没有车的话，可以查一下火车和长途汽车的时刻表。", 60)

func BenchmarkScan(b *testing.B) {
	b.Run("runes", func(b *testing.B) {
		b.SetBytes(int64(len(ordinary)))
		for b.Loop() {
			utf8.RuneCountInString(ordinary)
		}
	})
	for _, n := range []int{10_000, 100_000, 200_000} {
		entries := make([]Entry, n)
		for i := range entries {
			entries[i] = Entry{Text: nonsense(i), Hold: true}
		}
		l := build(b, entries...)
		for _, plain := range []bool{false, true} {
			b.Run(fmt.Sprintf("entries=%d/automaton=%v", n, plain), func(b *testing.B) {
				b.SetBytes(int64(len(ordinary)))
				var dst []Hit
				for b.Loop() {
					dst = l.scan(dst[:0], ordinary, plain)
				}
			})
		}
	}
}

// What it costs to look for characters written again, in text where some are
// and in text that is made of them.
func BenchmarkRepeats(b *testing.B) {
	texts := []struct{ name, text string }{
		{"ordinary", strings.Repeat("今天我们来聊一聊如何准备一次周末的短途旅行。妈妈常常说，首先要确定目的地，可以选择离家不远的山区或者湖边，空气清新，人也不多。"+
			"其次是交通方式，如果有车，自驾最为方便；没有车的话，可以看看火车和长途汽车的时刻表，慢慢商量。", 60)},
		{"english", strings.Repeat("Let us see how to prepare a small trip for the weekend: happy people need good weather, a little food and a full bottle. ", 130)},
		{"made of them", ""},
	}
	for i := range 400 {
		for _, r := range nonsense(i * 17) {
			texts[2].text += strings.Repeat(string(r), 1+i%3)
		}
	}
	for _, again := range []bool{false, true} {
		entries := make([]Entry, 100_000)
		for i := range entries {
			entries[i] = Entry{Text: nonsense(i), Loose: true, Gap: 3, Hold: true, Repeat: again}
		}
		l := build(b, entries...)
		for _, text := range texts {
			b.Run(fmt.Sprintf("%s, repeat=%v, whole", text.name, again), func(b *testing.B) {
				b.SetBytes(int64(len(text.text)))
				var dst []Hit
				for b.Loop() {
					dst = l.Scan(dst[:0], text.text)
				}
			})
			b.Run(fmt.Sprintf("%s, repeat=%v, stream", text.name, again), func(b *testing.B) {
				b.SetBytes(int64(len(text.text)))
				ends := 0
				for b.Loop() {
					var c Cursor
					for _, r := range text.text {
						if l.Step(&c, r) {
							ends++
						}
					}
				}
			})
		}
	}
}

func BenchmarkNothingButWords(b *testing.B) {
	entries := make([]Entry, 100_000)
	var text strings.Builder
	for i := range entries {
		entries[i] = Entry{Text: nonsense(i), Hold: true}
		if i%31 == 0 && text.Len() < 16<<10 {
			text.WriteString(entries[i].Text)
		}
	}
	l := build(b, entries...)
	b.SetBytes(int64(text.Len()))
	var dst []Hit
	for b.Loop() {
		dst = l.Scan(dst[:0], text.String())
	}
}

func BenchmarkBuild(b *testing.B) {
	entries := make([]Entry, 200_000)
	for i := range entries {
		entries[i] = Entry{Text: nonsense(i), Hold: true}
	}
	b.ReportAllocs()
	for b.Loop() {
		build(b, entries...)
	}
}
