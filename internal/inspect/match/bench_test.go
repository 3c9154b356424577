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
