package train

import (
	"cmp"
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
	Text     string
	Answer   []int8
	Weight   float64 // how much it counts; 0 means 1
	Register string  // what kind of text it is or where it is from; may be empty
}

// Head is what a model shall answer.
type Head struct {
	ID   string
	Risk string // code of the risk; may be empty
	// FalseAlarms is the share of the texts to choose by, of all and on the mean of
	// their registers, that may reach the threshold though their answer is no; 0
	// means 0.005.
	FalseAlarms float64
}

// Options of the training; zero values mean the defaults, which were chosen on
// texts that no report uses.
type Options struct {
	Heads    []Head
	Bits     int     // the table has 1<<Bits places; default 18
	Epochs   int     // default 20
	Cost     float64 // the most that one text can pull; default 2
	Prior    float64 // 0: every feature may weigh the same … 1: as far apart as its shares of yes and no are; default 0.7
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
		o.Epochs = 20
	}
	if o.Rare == 0 {
		o.Rare = 2
	}
	set(&o.Cost, 2)
	set(&o.Prior, 0.7)
	set(&o.Balance, 0.5)
}

// minimum is how many texts of each answer a head needs to learn from and to
// choose by.
const minimum = 8

// few texts of a register by themselves say nothing of its false alarms; they
// are counted together.
const few = 20

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

// row is the features of a text: places in the table and how often each, those of rare features
// left out, and one over the root of their number.
type row struct {
	places []int32
	times  []float32
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
		slices.Sort(all[i])
		n, x := 0, &rows[i]
		for _, feature := range all[i] {
			p := int32(feature >> (32 - o.Bits))
			if !known[p] {
				continue
			}
			n++
			if last := len(x.places) - 1; last >= 0 && x.places[last] == p {
				x.times[last]++
				continue
			}
			x.places, x.times = append(x.places, p), append(x.times, 1)
		}
		x.scale = float32(1 / math.Sqrt(float64(max(1, n))))
	}
	return rows
}

// learn finds the weights of a head: the smallest with which as few texts as
// possible are on the wrong side of a margin (a linear support vector machine, by
// dual coordinate descent as Hsieh and others describe it, 2008). A text can pull
// only so much, so that wrong labels, which public sets have, do little. A
// feature may weigh the more the further its shares of yes and of no are apart
// (Wang and Manning, 2012): what says nothing by itself is held near nothing.
func learn(rows []row, samples []Sample, head int, o Options) (w []float32, bias float64) {
	yes, no := 0.0, 0.0
	ofYes, ofNo := make([]float64, 1<<o.Bits), make([]float64, 1<<o.Bits)
	var order []int
	for i := range samples {
		total, of, by := &no, ofNo, weight(&samples[i])
		switch answer(&samples[i], head) {
		case Yes:
			total, of = &yes, ofYes
		case Unknown:
			continue
		}
		*total += by
		for _, p := range rows[i].places {
			of[p] += by
		}
		order = append(order, i)
	}
	may := make([]float32, 1<<o.Bits) // squares of how much each feature may weigh
	for p := range may {
		ratio := math.Log((ofYes[p] + 1) / (yes + 1) * (no + 1) / (ofNo[p] + 1))
		may[p] = float32(math.Pow(math.Abs(ratio), 2*o.Prior))
	}
	// How much each side counts: together always as much as they are many.
	even := (yes + no) / 2
	onYes, onNo := math.Pow(even/yes, o.Balance), math.Pow(even/no, o.Balance)
	w = make([]float32, 1<<o.Bits)
	pulls, lengths := make([]float64, len(rows)), make([]float64, len(rows))
	for _, i := range order {
		lengths[i] = 1 // the bias is a feature of every text
		for j, p := range rows[i].places {
			v := float64(rows[i].times[j] * rows[i].scale)
			lengths[i] += v * v * float64(may[p])
		}
	}
	rng := rand.New(rand.NewPCG(o.Seed, uint64(head)))
	for range o.Epochs {
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, i := range order {
			x := &rows[i]
			total := float32(0)
			for j, p := range x.places {
				total += w[p] * x.times[j]
			}
			side, most := -1.0, o.Cost*onNo*weight(&samples[i])
			if answer(&samples[i], head) == Yes {
				side, most = 1, o.Cost*onYes*weight(&samples[i])
			}
			lacks := 1 - side*(float64(total*x.scale)+bias)
			pull := min(most, max(0, pulls[i]+lacks/lengths[i]))
			by := side * (pull - pulls[i])
			if by == 0 {
				continue
			}
			pulls[i] = pull
			bias += by
			step := float32(by) * x.scale
			for j, p := range x.places {
				w[p] += step * x.times[j] * may[p]
			}
		}
	}
	return w, bias
}

// steps makes whole steps of the weights; none that is something becomes
// nothing, since it would no longer be counted as known.
func steps(w []float32) (out []int8, scale float64) {
	scale = 1e-6
	for _, x := range w {
		scale = max(scale, math.Abs(float64(x))/127)
	}
	out = make([]int8, len(w))
	for i, x := range w {
		out[i] = int8(math.RoundToEven(float64(x) / scale))
		if out[i] == 0 && x != 0 {
			out[i] = int8(math.Copysign(1, float64(x)))
		}
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
		var of []float64
		var yes []bool
		no := map[string][]float64{} // by register
		for i := range choose {
			if a := answer(&choose[i], h); a != Unknown {
				of, yes = append(of, scores[i][h]), append(yes, a == Yes)
				if a == No {
					no[choose[i].Register] = append(no[choose[i].Register], scores[i][h])
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
		at := highest(no, share)
		heads[h].Threshold = min(0.999, max(0.001, 1/(1+math.Exp(-(slope*at+offset)))+1e-6))
	}
	return nil
}

// highest gives the score that must not reach the threshold, of texts by register
// that are not it: neither of all of them nor on the mean of the registers may
// more than the share reach it. Of all alone, the largest register would decide.
func highest(no map[string][]float64, share float64) float64 {
	type text struct{ score, of float64 }
	var all []text
	registers, pooled := 0, 0
	for register, scores := range no {
		if register == "" || len(scores) < few {
			pooled += len(scores)
		} else {
			registers++
		}
	}
	if pooled > 0 {
		registers++
	}
	for register, scores := range no {
		n := len(scores)
		if register == "" || n < few {
			n = pooled
		}
		for _, x := range scores {
			all = append(all, text{x, 1 / float64(n*registers)})
		}
	}
	slices.SortFunc(all, func(a, b text) int { return cmp.Compare(b.score, a.score) })
	mean := 0.0
	for i, x := range all {
		mean += x.of
		if of := float64(i+1) / float64(len(all)); max(of, mean) > share+1e-9 {
			return x.score
		}
	}
	return all[len(all)-1].score
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
