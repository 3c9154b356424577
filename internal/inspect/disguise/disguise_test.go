package disguise

import (
	"math/rand/v2"
	"testing"
)

func TestEveryWayWritesAWordOtherwiseOrNotAtAll(t *testing.T) {
	written := map[string]int{}
	for name, way := range Ways(rand.New(rand.NewPCG(1, 1))) {
		for _, word := range []string{"湖边散步", "明好林", "计划书", "湖", "trip2", "計劃"} {
			switch got := way([]rune(word)); got {
			case "":
			case word:
				// Nothing goes between the characters of a word of one.
				if len([]rune(word)) > 1 {
					t.Errorf("%s: %q stays as it is", name, word)
				}
			default:
				written[name]++
			}
		}
		if written[name] == 0 {
			t.Errorf("%s can be done to none of the words", name)
		}
	}
	if len(written) < 9 {
		t.Errorf("%d ways", len(written))
	}
}
