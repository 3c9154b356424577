package train

import (
	"cmp"
	"fmt"
	"maps"
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
	Subject  string  // what it is about, for heads that judge by subject; may be empty
}

// Head is what a model shall answer.
type Head struct {
	ID   string
	Risk string // code of the risk; may be empty
	// FalseAlarms is the share of the texts to choose by, of all and on the mean of
	// their registers, that may reach the threshold though their answer is no; 0
	// means 0.005.
	FalseAlarms float64
	// Least is the least that the threshold may be, however few of those texts
	// reach it: they are not all that there is. 0 means 0.001.
	Least float64
	// BySubject makes the head learn, beside what holds for all texts, what holds
	// for each subject that there are samples of: the same word may mean harm of the
	// one and none of the other. With fewer than two subjects it does nothing.
	BySubject bool
}

// Options of the training; zero values mean the defaults, which were chosen on
// texts that no report uses.
type Options struct {
	Heads   []Head
	Bits    int     // the table has 1<<Bits places; default 18
	Epochs  int     // default 20
	Cost    float64 // the most that one text can pull; default 2
	Prior   float64 // 0: every feature may weigh the same … 1: as far apart as its shares of yes and no are; default 0.7
	Rare    int     // features of fewer texts are left out; default 2
	Balance float64 // 0: each text counts the same … 1: yes and no count the same together; default 0.5
	Seed    uint64
	Note    string
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
	if len(o.Heads) == 0 || len(o.Heads) > classify.MaxLanes {
		return nil, fmt.Errorf("train: %d heads, not 1 to %d", len(o.Heads), classify.MaxLanes)
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
	place := func(feature uint32) int32 { return int32(feature >> (32 - o.Bits)) }
	l := learner{o: o, samples: fit, rows: rowsOf(featuresOf(fit), nil, 1<<o.Bits, o.Rare, place), size: 1 << o.Bits}
	about, made := l.learnAll()
	var lanes []classify.Lane
	var weights [][]int8
	put := func(made []sum) (numbers []int) {
		for _, x := range made {
			whole, scale := steps(x.weights)
			numbers = append(numbers, len(lanes))
			lanes, weights = append(lanes, classify.Lane{Scale: scale, Bias: x.bias}), append(weights, whole)
		}
		return numbers
	}
	gates := put(about)
	heads := make([]classify.Head, len(o.Heads))
	for h := range heads {
		own := put(made[h])
		if len(own) > 1 {
			own = append(slices.Clone(gates), own...)
		}
		heads[h] = classify.Head{ID: o.Heads[h].ID, Risk: o.Heads[h].Risk, Threshold: 0.5, Lanes: own, Slope: 1}
	}
	model, err := classify.New(heads, lanes, o.Bits, weights, o.Note)
	if err != nil {
		return nil, err
	}
	if err := settle(heads, model, choose, o); err != nil {
		return nil, err
	}
	return classify.New(heads, lanes, o.Bits, weights, o.Note)
}

// learner learns sums of weights from samples.
type learner struct {
	o       Options
	samples []Sample
	rows    []row
	size    int   // places that rows may have
	of      []int // subject of each sample, by number
}

// sum is what a lane of a model is made of.
type sum struct {
	weights []float32
	bias    float64
}

// maxSubject keeps the order in which subjects are learned apart from that of heads.
const maxSubject = 1 << 10

// learnAll learns how to tell each subject, if a head asks for it, and each head: by
// subject or not.
func (l *learner) learnAll() (about []sum, heads [][]sum) {
	subjects := l.subjects()
	for _, one := range l.all(len(subjects), func(t int) []sum { return []sum{l.learn(l.about(subjects[t]), maxSubject+t)} }) {
		about = append(about, one...)
	}
	l.place(subjects, about)
	return about, l.all(len(l.o.Heads), func(h int) []sum {
		if l.o.Heads[h].BySubject && len(subjects) > 0 {
			return l.learnBySubject(h, len(subjects))
		}
		return []sum{l.learn(l.answers(h), h)}
	})
}

// all learns n things at the same time, on as many cores as there are.
func (l *learner) all(n int, learn func(int) []sum) [][]sum {
	made := make([][]sum, n)
	var group sync.WaitGroup
	turns := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i := range made {
		group.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			made[i] = learn(i)
		})
	}
	group.Wait()
	return made
}

// subjects gives those that a head can be asked by: none if there is no such
// head or only one subject.
func (l *learner) subjects() []string {
	if !slices.ContainsFunc(l.o.Heads, func(h Head) bool { return h.BySubject }) {
		return nil
	}
	number := map[string]int{}
	for i := range l.samples {
		number[l.samples[i].Subject]++
	}
	delete(number, "")
	maps.DeleteFunc(number, func(_ string, n int) bool { return n < minimum })
	if len(number) < 2 {
		return nil
	}
	return slices.Sorted(maps.Keys(number))
}

// about tells of the samples whose subject is known whether it is this one.
func (l *learner) about(subject string) []int8 {
	out := make([]int8, len(l.samples))
	for i := range l.samples {
		switch l.samples[i].Subject {
		case "":
		case subject:
			out[i] = Yes
		default:
			out[i] = No
		}
	}
	return out
}

func (l *learner) answers(head int) []int8 {
	out := make([]int8, len(l.samples))
	for i := range l.samples {
		out[i] = answer(&l.samples[i], head)
	}
	return out
}

// place gives each sample its subject; where none is told, that which it looks
// most like, as it will when the model is used.
func (l *learner) place(subjects []string, about []sum) {
	l.of = make([]int, len(l.samples))
	for i := range l.samples {
		told := slices.Index(subjects, l.samples[i].Subject)
		most := math.Inf(-1)
		for t := range subjects {
			v := about[t].of(&l.rows[i])
			if t == told {
				v = math.Inf(1)
			}
			if v > most {
				l.of[i], most = t, v
			}
		}
	}
}

func (s *sum) of(x *row) float64 {
	total := float32(0)
	for j, p := range x.places {
		total += s.weights[p] * x.times[j]
	}
	return float64(total*x.scale) + s.bias
}

// learnBySubject learns a head by samples each of whose features is there twice:
// for all texts, and for those of its subject (Daumé, 2007). What a feature says in
// a text of a subject is both together.
func (l *learner) learnBySubject(head, subjects int) []sum {
	size := l.size
	twice := learner{o: l.o, samples: l.samples, rows: make([]row, len(l.rows)), size: size * (1 + subjects)}
	half := float32(1 / math.Sqrt2) // so that a text is as long as before
	for i, x := range l.rows {
		y := row{places: slices.Clone(x.places), times: slices.Concat(x.times, x.times), scale: x.scale * half}
		for _, p := range x.places {
			y.places = append(y.places, p+int32(size*(1+l.of[i])))
		}
		twice.rows[i] = y
	}
	all := twice.learn(l.answers(head), head)
	out := make([]sum, subjects)
	for t := range out {
		out[t] = sum{make([]float32, size), all.bias}
		for p := range size {
			out[t].weights[p] = half * (all.weights[p] + all.weights[size*(1+t)+p])
		}
	}
	return out
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
// left out, and one over the root of their number. What came a short while ago counts half.
type row struct {
	places []int32
	times  []float32
	scale  float32
}

func rowsOf(fit, more [][]uint32, size, rare int, place func(uint32) int32) []row {
	texts := map[uint32]int32{} // to learn from, that have a feature
	for _, list := range fit {
		slices.Sort(list)
		for j, x := range list {
			if j == 0 || x|classify.Again != list[j-1]|classify.Again {
				texts[x|classify.Again]++
			}
		}
	}
	// A rare feature that shares its place with a known one counts as known: it
	// will when the model is used.
	known := make([]bool, size)
	for x, n := range texts {
		if int(n) >= rare {
			known[place(x)] = true
		}
	}
	rows := make([]row, 0, len(fit)+len(more))
	for _, list := range slices.Concat(fit, more) {
		slices.Sort(list)
		var x row
		n := float32(0)
		for _, feature := range list {
			p := place(feature)
			if !known[p] {
				continue
			}
			by := float32(1)
			if feature&classify.Again != 0 {
				by = 0.5
			}
			n += by
			if last := len(x.places) - 1; last >= 0 && x.places[last] == p {
				x.times[last] += by
				continue
			}
			x.places, x.times = append(x.places, p), append(x.times, by)
		}
		x.scale = float32(1 / math.Sqrt(max(1, float64(n))))
		rows = append(rows, x)
	}
	return rows
}

// featuresOf lists what a model counts in each text.
func featuresOf(samples []Sample) [][]uint32 {
	all := make([][]uint32, len(samples))
	f := classify.NewFeatures()
	for i := range samples {
		f.Reset()
		for _, r := range samples[i].Text {
			found, _ := f.Next(r)
			all[i] = append(all[i], found...)
		}
		all[i] = append(all[i], f.End()...)
	}
	return all
}

// Compare says what a head would score if something else were counted. It learns
// the only head of o from fit, as [Fit] does, and gives the scores of other texts,
// above 0 for yes. The features of both are the caller's: even numbers below
// 2·size, one more for what came a short while ago. Nothing is hashed or rounded.
func Compare(fit []Sample, features, others [][]uint32, size int, o Options) []float64 {
	o.defaults()
	place := func(feature uint32) int32 { return int32(feature >> 1) }
	rows := rowsOf(features, others, size, o.Rare, place)
	l := learner{o: o, samples: fit, rows: rows[:len(fit)], size: size}
	about, heads := l.learnAll()
	scores := make([]float64, len(others))
	for i := range scores {
		x := &rows[len(fit)+i]
		if scores[i] = heads[0][0].of(x); len(heads[0]) > 1 {
			scores[i] = classify.BySubject(values(about, x), values(heads[0], x))
		}
	}
	return scores
}

func values(of []sum, x *row) (out []float64) {
	for i := range of {
		out = append(out, of[i].of(x))
	}
	return out
}

// learn finds the weights that give the answers: the smallest with which as few texts as
// possible are on the wrong side of a margin (a linear support vector machine, by
// dual coordinate descent as Hsieh and others describe it, 2008). A text can pull
// only so much, so that wrong labels, which public sets have, do little. A
// feature may weigh the more the further its shares of yes and of no are apart
// (Wang and Manning, 2012): what says nothing by itself is held near nothing.
func (l *learner) learn(answers []int8, number int) sum {
	o, rows, size := l.o, l.rows, l.size
	yes, no := 0.0, 0.0
	ofYes, ofNo := make([]float64, size), make([]float64, size)
	var order []int
	for i := range answers {
		total, of, by := &no, ofNo, weight(&l.samples[i])
		switch answers[i] {
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
	may := make([]float32, size) // squares of how much each feature may weigh
	for p := range may {
		ratio := math.Log((ofYes[p] + 1) / (yes + 1) * (no + 1) / (ofNo[p] + 1))
		may[p] = float32(math.Pow(math.Abs(ratio), 2*o.Prior))
	}
	// How much each side counts: together always as much as they are many.
	even := (yes + no) / 2
	onYes, onNo := math.Pow(even/yes, o.Balance), math.Pow(even/no, o.Balance)
	w, bias := make([]float32, size), 0.0
	pulls, lengths := make([]float64, len(rows)), make([]float64, len(rows))
	for _, i := range order {
		lengths[i] = 1 // the bias is a feature of every text
		for j, p := range rows[i].places {
			v := float64(rows[i].times[j] * rows[i].scale)
			lengths[i] += v * v * float64(may[p])
		}
	}
	rng := rand.New(rand.NewPCG(o.Seed, uint64(number)))
	for range o.Epochs {
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, i := range order {
			x := &rows[i]
			total := float32(0)
			for j, p := range x.places {
				total += w[p] * x.times[j]
			}
			side, most := -1.0, o.Cost*onNo*weight(&l.samples[i])
			if answers[i] == Yes {
				side, most = 1, o.Cost*onYes*weight(&l.samples[i])
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
	return sum{w, bias}
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
		heads[h].Threshold = min(0.999, max(0.001, o.Heads[h].Least, 1/(1+math.Exp(-(slope*at+offset)))+1e-6))
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
