//go:build ignore

// Writes pairs.bin: for each of 65,536 hashed pairs of symbols about 8·log2 of
// how often they stand side by side in the lines of text on standard input.
//
//	zcat texts*.gz | go run pairs.go
//
// The gate uses it to tell which symbols of a pattern are rare; a poor choice
// costs speed, never a match. The file in the tree was counted over public
// Chinese and English sets: COLD, SWSR, ChineseHarm-Bench, CValues, JADE, XSTest
// and BELLE's evaluation set. It holds counts of hashed pairs, no text.
package main

import (
	"bufio"
	"fmt"
	"math"
	"os"

	"github.com/fengsui/fengsui/internal/inspect/fold"
)

func main() {
	var counts [1 << 16]float64
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<24)
	for in.Scan() {
		s := fold.Strict().Symbols(nil, in.Text())
		for i := 1; i < len(s); i++ {
			counts[(uint32(s[i-1])<<16|uint32(s[i]))*0x9E3779B1>>16]++
		}
	}
	var out [1 << 16]byte
	for i, n := range counts {
		out[i] = byte(min(255, 8*math.Log2(1+n)))
	}
	if err := os.WriteFile("pairs.bin", out[:], 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
