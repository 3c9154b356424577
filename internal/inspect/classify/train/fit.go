package train

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"

	"github.com/fengsui/fengsui/internal/inspect/classify"
)

// Answers of a sample to the question of a head.
const (
	No      = -1
	Unknown = 0
	Yes     = 1
)

// Sample is a text with the answer for each head, in the order of the heads.
type Sample struct {
	Text   string
	Answer []int8
	Weight float64 // how much it counts; 0 means 1
}

// Head is what a model shall answer.
type Head struct {
	ID   string
	Risk string // code of the risk; may be empty
	// FalseAlarms is the share of the texts to choose by that may reach the
	// threshold though their answer is no; 0 means 0.005.
	FalseAlarms float64
}

// Options of the training; zero values mean the defaults, which were chosen on
// texts that no report uses.
type Options struct {
	Heads    []Head
	Bits     int     // the table has 1<<Bits places; default 18
	Epochs   int     // default 8
	Rate     float64 // of learning; default 0.25
	L2       float64 // pull of the weights to nothing; default 0.001
	Rare     int     // features of fewer texts are left out; default 2
	Balance  float64 // 0: each text counts the same … 1: yes and no count the same together; default 0.5
	Seed     uint64
	Note     string
	Progress func(head string) // called when a head is done, if given; not concurrently
}

func (o *Options) defaults() {
	set := func(v *float64, d float64) {
		if *v == 0 {
			*v = d
		}
	}
	if o.Bits == 0 {
		o.Bits = 18
	}
	if o.Epochs == 0 {
		o.Epochs = 8
	}
	if o.Rare == 0 {
		o.Rare = 2
	}
	set(&o.Rate, 0.25)
	set(&o.L2, 1e-3)
	set(&o.Balance, 0.5)
}

// minimum is how many texts of each answer a head needs to learn from and to
// choose by.
const minimum = 8

// Fit learns from fit and chooses by choose.
func Fit(fit, choose []Sample, o Options) (*classify.Model, error) {
	o.defaults()
	if len(o.Heads) == 0 || len(o.Heads) > classify.MaxHeads {
		return nil, fmt.Errorf("train: %d heads, not 1 to %d", len(o.Heads), classify.MaxHeads)
	}
	for _, part := range []struct {
		name    string
		samples []Sample
	}{{"to learn from", fit}, {"to choose by", choose}} {
		for h := range o.Heads {
			yes, no := counts(part.samples, h)
			if yes < minimum || no < minimum {
				return nil, fmt.Errorf("train: head %q: %d texts that are and %d that are not it %s; it takes %d of each", o.Heads[h].ID, yes, no, part.name, minimum)
			}
		}
	}
	rows := featuresOf(fit, o)
	heads := make([]classify.Head, len(o.Heads))
	weights := make([][]int8, len(o.Heads))
	var group sync.WaitGroup
	var one sync.Mutex
	turns := make(chan struct{}, runtime.GOMAXPROCS(0))
	for h := range o.Heads {
		group.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			w, bias := learn(rows, fit, h, o)
			head := classify.Head{ID: o.Heads[h].ID, Risk: o.Heads[h].Risk, Threshold: 0.5, Bias: bias, Slope: 1}
			weights[h], head.Scale = steps(w)
			one.Lock()
			defer one.Unlock()
			heads[h] = head
			if o.Progress != nil {
				o.Progress(head.ID)
			}
		})
	}
	group.Wait()
	model, err := classify.New(heads, o.Bits, weights, o.Note)
	if err != nil {
		return nil, err
	}
	if err := settle(heads, model, choose, o); err != nil {
		return nil, err
	}
	return classify.New(heads, o.Bits, weights, o.Note)
}

func counts(samples []Sample, head int) (yes, no int) {
	for i := range samples {
		switch answer(&samples[i], head) {
		case Yes:
			yes++
		case No:
			no++
		}
	}
	return yes, no
}

func answer(s *Sample, head int) int8 {
	if head >= len(s.Answer) {
		return Unknown
	}
	return s.Answer[head]
}

func weight(s *Sample) float64 {
	if s.Weight == 0 {
		return 1
	}
	return s.Weight
}

// row is the features of a text: places in the table, those of rare features
// left out, and one over the root of their number.
type row struct {
	places []int32
	scale  float32
}

func featuresOf(samples []Sample, o Options) []row {
	all := make([][]uint32, len(samples))
	texts := map[uint32]int32{} // that have a feature
	f := classify.NewFeatures()
	for i := range samples {
		f.Reset()
		for _, r := range samples[i].Text {
			found, _ := f.Next(r)
			all[i] = append(all[i], found...)
		}
		all[i] = append(all[i], f.End()...)
		once := slices.Clone(all[i])
		slices.Sort(once)
		for _, x := range slices.Compact(once) {
			texts[x]++
		}
	}
	// A rare feature that shares its place with a known one counts as known: it
	// will when the model is used.
	known := make([]bool, 1<<o.Bits)
	for x, n := range texts {
		if int(n) >= o.Rare {
			known[x>>(32-o.Bits)] = true
		}
	}
	rows := make([]row, len(samples))
	for i := range all {
		for _, x := range all[i] {
			if p := x >> (32 - o.Bits); known[p] {
				rows[i].places = append(rows[i].places, int32(p))
			}
		}
		rows[i].scale = float32(1 / math.Sqrt(float64(max(1, len(rows[i].places)))))
	}
	return rows
}

// learn minimises the logistic loss by AdaGrad over shuffled texts.
func learn(rows []row, samples []Sample, head int, o Options) (w []float32, bias float64) {
	yes, no := 0.0, 0.0
	var order []int
	for i := range samples {
		switch answer(&samples[i], head) {
		case Yes:
			yes += weight(&samples[i])
		case No:
			no += weight(&samples[i])
		default:
			continue
		}
		order = append(order, i)
	}
	// How much each side counts: together always as much as they are many.
	even := (yes + no) / 2
	onYes, onNo := math.Pow(even/yes, o.Balance), math.Pow(even/no, o.Balance)
	w = make([]float32, 1<<o.Bits)
	seen := make([]float32, len(w)) // squares of the slopes so far
	for i := range seen {
		seen[i] = 1e-3
	}
	bias = math.Log(yes * onYes / (no * onNo))
	biasSeen := 1.0
	rng := rand.New(rand.NewPCG(o.Seed, uint64(head)))
	rate, pull := float32(o.Rate), float32(o.L2)
	for range o.Epochs {
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, i := range order {
			x := &rows[i]
			total := float32(0)
			for _, p := range x.places {
				total += w[p]
			}
			p := 1 / (1 + math.Exp(-(float64(total*x.scale) + bias)))
			slope := p * onNo
			if answer(&samples[i], head) == Yes {
				slope = (p - 1) * onYes
			}
			slope *= weight(&samples[i])
			step := float32(slope) * x.scale
			for _, p := range x.places {
				g := step + pull*w[p]
				seen[p] += g * g
				w[p] -= rate * g / float32(math.Sqrt(float64(seen[p])))
			}
			biasSeen += slope * slope
			bias -= o.Rate * slope / math.Sqrt(biasSeen)
		}
	}
	return w, bias
}

// steps makes whole steps of the weights: the few largest are cut off, so that
// one odd feature does not make the others coarse.
func steps(w []float32) (out []int8, scale float64) {
	sizes := make([]float64, 0, len(w))
	for _, x := range w {
		if x != 0 {
			sizes = append(sizes, math.Abs(float64(x)))
		}
	}
	slices.Sort(sizes)
	scale = 1e-6
	if len(sizes) > 0 {
		scale = max(scale, sizes[len(sizes)*9995/10000]/127)
	}
	out = make([]int8, len(w))
	for i, x := range w {
		out[i] = int8(min(127, max(-127, math.RoundToEven(float64(x)/scale))))
	}
	return out, scale
}

// settle gives each head its curve and its threshold.
func settle(heads []classify.Head, m *classify.Model, choose []Sample, o Options) error {
	s := m.NewState()
	scores := make([][]float64, len(choose))
	for i := range choose {
		s.Reset()
		s.Write(choose[i].Text)
		s.Close()
		for h := range heads {
			scores[i] = append(scores[i], s.PeakScore(h))
		}
	}
	for h := range heads {
		var of, no []float64
		var yes []bool
		for i := range choose {
			if a := answer(&choose[i], h); a != Unknown {
				of, yes = append(of, scores[i][h]), append(yes, a == Yes)
				if a == No {
					no = append(no, scores[i][h])
				}
			}
		}
		slope, offset := curve(of, yes)
		if !(slope > 0) {
			return fmt.Errorf("train: head %q: it learned nothing that holds for the texts to choose by", heads[h].ID)
		}
		heads[h].Slope, heads[h].Offset = slope, offset
		share := o.Heads[h].FalseAlarms
		if share == 0 {
			share = 0.005
		}
		slices.Sort(no)
		may := int(share * float64(len(no)))
		at := no[len(no)-1-min(may, len(no)-1)] // the highest that must not reach it
		heads[h].Threshold = min(0.999, max(0.001, 1/(1+math.Exp(-(slope*at+offset)))+1e-6))
	}
	return nil
}

// curve fits slope and offset of a probability to scores, by Platt's method with
// Newton steps; its targets keep away from 0 and 1 so that few texts make no
// certainty.
func curve(scores []float64, yes []bool) (slope, offset float64) {
	n := 0.0
	for _, y := range yes {
		if y {
			n++
		}
	}
	rest := float64(len(yes)) - n
	high, low := (n+1)/(n+2), 1/(rest+2)
	slope, offset = 1, math.Log((n+1)/(rest+1))
	loss := func(a, b float64) (sum float64) {
		for i, x := range scores {
			z, t := a*x+b, low
			if yes[i] {
				t = high
			}
			sum += math.Max(z, 0) - t*z + math.Log1p(math.Exp(-math.Abs(z)))
		}
		return sum
	}
	for range 100 {
		var ga, gb, aa, ab, bb float64
		for i, x := range scores {
			p, t := 1/(1+math.Exp(-(slope*x+offset))), low
			if yes[i] {
				t = high
			}
			d, v := p-t, max(p*(1-p), 1e-12)
			ga, gb = ga+d*x, gb+d
			aa, ab, bb = aa+v*x*x, ab+v*x, bb+v
		}
		aa, bb = aa+1e-9, bb+1e-9
		det := aa*bb - ab*ab
		da, db := (bb*ga-ab*gb)/det, (aa*gb-ab*ga)/det
		now, step := loss(slope, offset), 1.0
		for step > 1e-6 && loss(slope-step*da, offset-step*db) > now-1e-4*step*(ga*da+gb*db) {
			step /= 2
		}
		slope, offset = slope-step*da, offset-step*db
		if math.Abs(ga)+math.Abs(gb) < 1e-7*float64(len(scores)) {
			break
		}
	}
	return slope, offset
}
