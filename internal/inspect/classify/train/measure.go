package train

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
)

// Part gives the part of ten, 0 to 9, that a text belongs to, whatever else is
// among the samples.
func Part(text string) int {
	h := fnv.New64a()
	h.Write([]byte(text))
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xFF51AFD7ED558CCD
	return int((x >> 33) % 10)
}

// Figures say how a head did on texts whose answers are known, at one threshold.
type Figures struct {
	Yes, Hits   int     // texts that are it, and those of them that reached the threshold
	No, Alarms  int     // texts that are not, and those of them that reached it
	AUC         float64 // how often a text that is it scores above one that is not; NaN without both
	Calibration float64 // mean distance of probability and share, in tenths of the probability
}

// Accuracy is the share of right answers.
func (f Figures) Accuracy() float64 {
	return float64(f.Hits+f.No-f.Alarms) / float64(f.Yes+f.No)
}

// Balanced is the mean of the shares of right answers to yes and to no.
func (f Figures) Balanced() float64 {
	return (float64(f.Hits)/float64(f.Yes) + float64(f.No-f.Alarms)/float64(f.No)) / 2
}

// F1 is the harmonic mean of precision and recall.
func (f Figures) F1() float64 {
	return 2 * float64(f.Hits) / float64(f.Yes+f.Hits+f.Alarms)
}

// Measure compares probabilities with answers.
func Measure(probabilities []float64, yes []bool, threshold float64) Figures {
	var f Figures
	order := make([]int, len(yes))
	var sum, right, of [10]float64
	for i, p := range probabilities {
		order[i] = i
		reached := p >= threshold
		bin := min(9, int(p*10))
		sum[bin] += p
		of[bin]++
		if yes[i] {
			right[bin]++
			f.Yes++
			if reached {
				f.Hits++
			}
		} else {
			f.No++
			if reached {
				f.Alarms++
			}
		}
	}
	for bin := range of {
		f.Calibration += math.Abs(sum[bin]-right[bin]) / float64(len(yes))
	}
	slices.SortFunc(order, func(a, b int) int {
		switch {
		case probabilities[a] < probabilities[b]:
			return -1
		case probabilities[a] > probabilities[b]:
			return 1
		}
		return 0
	})
	// Equal probabilities share their ranks.
	ranks := 0.0
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && probabilities[order[j]] == probabilities[order[i]] {
			j++
		}
		for _, k := range order[i:j] {
			if yes[k] {
				ranks += float64(i+j+1) / 2
			}
		}
		i = j
	}
	f.AUC = (ranks - float64(f.Yes)*float64(f.Yes+1)/2) / (float64(f.Yes) * float64(f.No))
	return f
}

// Wilson gives the 95 % interval of a share of which k of n were counted.
func Wilson(k, n int) (low, high float64) {
	if n == 0 {
		return 0, 1
	}
	const z = 1.959964
	p, m := float64(k)/float64(n), float64(n)
	middle := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return max(0, middle-half), min(1, middle+half)
}

// McNemar gives how likely it is that two models which are equally often right
// differ so much: of the texts on which only one is right, a go to the first and
// b to the second. It is the exact test, of both sides.
func McNemar(a, b int) float64 {
	n, log := a+b, func(k int) float64 {
		x, _ := math.Lgamma(float64(k) + 1)
		return x
	}
	sum := 0.0
	for k := range min(a, b) + 1 {
		sum += math.Exp(log(n) - log(k) - log(n-k) - float64(n)*math.Ln2)
	}
	return min(1, 2*sum)
}

// Share writes a count of n with its 95 % interval.
func Share(k, n int) string {
	if n == 0 {
		return "–"
	}
	low, high := Wilson(k, n)
	return fmt.Sprintf("%d of %d = %.1f %% (%.1f–%.1f)", k, n, 100*float64(k)/float64(n), 100*low, 100*high)
}
