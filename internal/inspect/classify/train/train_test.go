package train

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// invented makes sentences of made-up kinds: weather, cooking and letters in English.
func invented(n int, seed uint64) []Sample {
	rng := rand.New(rand.NewPCG(seed, 9))
	kinds := [][]string{
		{"今天晴转多云", "明天有小雨", "气温回升", "北风三级", "湿度很大", "台风将至"},
		{"先把锅烧热", "加入少许盐", "小火慢炖", "切成薄片", "撒上葱花", "倒入清水"},
		{"Dear Sir,", "thank you for your letter", "Kind regards", "we look forward", "please find enclosed", "Best wishes"},
	}
	all := make([]Sample, n)
	for i := range all {
		kind := rng.IntN(len(kinds))
		var b strings.Builder
		for range 1 + rng.IntN(4) {
			b.WriteString(kinds[kind][rng.IntN(6)] + []string{"，", "。", " "}[rng.IntN(3)])
		}
		all[i] = Sample{Text: b.String(), Answer: []int8{No, No}}
		if kind < 2 {
			all[i].Answer[kind] = Yes
		}
		if kind == 2 && rng.IntN(3) == 0 {
			all[i].Answer[1] = Unknown
		}
	}
	return all
}

func options() Options {
	return Options{Heads: []Head{{ID: "weather", Risk: "A.5.a"}, {ID: "cooking"}}, Bits: 12, Seed: 5, Note: "invented"}
}

func TestAHeadLearnsToTellItsKind(t *testing.T) {
	m, err := Fit(invented(400, 1), invented(200, 2), options())
	if err != nil {
		t.Fatal(err)
	}
	tests := invented(300, 3)
	for h, head := range m.Heads() {
		var of []float64
		var yes []bool
		for i := range tests {
			if tests[i].Answer[h] != Unknown {
				of, yes = append(of, m.Scores(nil, tests[i].Text)[h]), append(yes, tests[i].Answer[h] == Yes)
			}
		}
		f := Measure(of, yes, head.Threshold)
		if f.Accuracy() < 0.97 || f.AUC < 0.99 || f.Calibration > 0.05 {
			t.Errorf("%s: %+v, accuracy %v", head.ID, f, f.Accuracy())
		}
	}
	// The check would see a model that learned nothing: with answers that chance gave it does not get there.
	lost := invented(400, 1)
	rng := rand.New(rand.NewPCG(8, 8))
	for i := range lost {
		lost[i].Answer = []int8{int8(2*rng.IntN(2) - 1), int8(2*rng.IntN(2) - 1)}
	}
	if m, err := Fit(lost, invented(200, 2), options()); err == nil {
		var of []float64
		var yes []bool
		for i := range tests {
			of, yes = append(of, m.Scores(nil, tests[i].Text)[0]), append(yes, tests[i].Answer[0] == Yes)
		}
		if f := Measure(of, yes, 0.5); f.AUC > 0.9 {
			t.Errorf("learned from chance: %+v", f)
		}
	}
}

// opposite makes sentences in which the same words are harm of the one subject and
// none of the other; no two characters in a row give both away. Of half of them the
// subject is told.
func opposite(n int, seed uint64) []Sample {
	rng := rand.New(rand.NewPCG(seed, 7))
	about := map[string][]string{"weather": {"今天刮风", "明天下雨", "气温回升", "台风将至"}, "cooking": {"小火慢炖", "切成薄片", "撒上葱花", "倒入清水"}}
	said := [][]string{{"又热又辣", "火气十足", "滚烫"}, {"冷冰冰", "淡而无味", "凉透"}}
	all := make([]Sample, n)
	for i := range all {
		subject, kind := []string{"weather", "cooking"}[rng.IntN(2)], rng.IntN(2)
		all[i] = Sample{Text: about[subject][rng.IntN(4)] + "那么" + said[kind][rng.IntN(3)] + "那么" + about[subject][rng.IntN(4)], Answer: []int8{No}}
		if (kind == 0) == (subject == "weather") {
			all[i].Answer[0] = Yes
		}
		if rng.IntN(2) == 0 {
			all[i].Subject = subject
		}
	}
	return all
}

func TestAHeadBySubjectLearnsWhatTheSameWordsMeanOfEach(t *testing.T) {
	right := func(bySubject bool) float64 {
		o := Options{Heads: []Head{{ID: "harm", BySubject: bySubject}}, Bits: 12, Seed: 5}
		m, err := Fit(opposite(600, 1), opposite(300, 2), o)
		if err != nil {
			return 0.5 // it says itself that it learned nothing
		}
		if lanes := len(m.Heads()[0].Lanes); bySubject != (lanes == 4) {
			t.Errorf("by subject %v: %d lanes", bySubject, lanes)
		}
		n, tests := 0, opposite(400, 3)
		for _, s := range tests {
			if (m.Scores(nil, s.Text)[0] >= 0.5) == (s.Answer[0] == Yes) {
				n++
			}
		}
		return float64(n) / float64(len(tests))
	}
	if got := right(true); got < 0.97 {
		t.Errorf("by subject %v are right", got)
	}
	if got := right(false); got > 0.8 {
		t.Errorf("%v are right without subjects, so this test shows nothing", got)
	}
}

func TestASubjectOfFewTextsIsNone(t *testing.T) {
	fit := opposite(200, 1)
	for i := range fit {
		if fit[i].Subject == "cooking" && i > 20 {
			fit[i].Subject = "weather"
		}
		fit[i].Answer[0] = No
		if strings.Contains(fit[i].Text, "滚烫") {
			fit[i].Answer[0] = Yes
		}
	}
	m, err := Fit(fit, fit, Options{Heads: []Head{{ID: "hot", BySubject: true}}, Bits: 12})
	if err != nil || len(m.Heads()[0].Lanes) != 1 {
		t.Errorf("%v, %+v", err, m)
	}
}

func TestCompareLearnsAsFitDoesFromWhatTheCallerCounts(t *testing.T) {
	numbers := map[rune]uint32{}
	count := func(samples []Sample) (list [][]uint32) {
		for _, s := range samples {
			var of []uint32
			for _, r := range s.Text {
				if _, known := numbers[r]; !known {
					numbers[r] = uint32(len(numbers))
				}
				of = append(of, numbers[r]<<1)
			}
			list = append(list, of)
		}
		return list
	}
	fit, others := opposite(600, 1), opposite(400, 3)
	a, b := count(fit), count(others)
	right := func(bySubject bool) float64 {
		n := 0
		for i, score := range Compare(fit, a, b, len(numbers), Options{Heads: []Head{{ID: "harm", BySubject: bySubject}}}) {
			if (score >= 0) == (others[i].Answer[0] == Yes) {
				n++
			}
		}
		return float64(n) / float64(len(others))
	}
	if got := right(true); got < 0.97 {
		t.Errorf("by subject %v are right", got)
	}
	if got := right(false); got > 0.8 {
		t.Errorf("%v are right without subjects, so this test shows nothing", got)
	}
}

func TestTheThresholdIsNeverBelowTheLeast(t *testing.T) {
	threshold := func(least float64) float64 {
		o := options()
		o.Heads[0].FalseAlarms, o.Heads[0].Least = 0.3, least
		m, err := Fit(invented(400, 1), invented(200, 2), o)
		if err != nil {
			t.Fatal(err)
		}
		return m.Heads()[0].Threshold
	}
	if free, bound := threshold(0), threshold(0.4); free >= 0.4 || bound != 0.4 {
		t.Errorf("%v, with a least of 0.4 %v", free, bound)
	}
}

func TestTheSameSamplesAndSeedGiveTheSameFile(t *testing.T) {
	file := func(seed uint64) []byte {
		o := options()
		o.Seed = seed
		m, err := Fit(invented(200, 1), invented(100, 2), o)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := m.Write(&b); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	if !bytes.Equal(file(5), file(5)) {
		t.Error("two files of one seed differ")
	}
	if bytes.Equal(file(5), file(6)) {
		t.Error("the seed does nothing")
	}
}

func TestTheThresholdLetsNoMoreThanItsShareOfFalseAlarmsPass(t *testing.T) {
	choose := invented(400, 2)
	for i := 0; i < len(choose); i += 10 { // some wrong answers, so that there is something to alarm
		choose[i].Answer[0] = -choose[i].Answer[0]
	}
	for _, share := range []float64{0.001, 0.02, 0.05} {
		o := options()
		o.Heads[0].FalseAlarms = share
		m, err := Fit(invented(400, 1), choose, o)
		if err != nil {
			t.Fatal(err)
		}
		no, alarms := 0, 0
		for i := range choose {
			if choose[i].Answer[0] == No {
				no++
				if m.Scores(nil, choose[i].Text)[0] >= m.Heads()[0].Threshold {
					alarms++
				}
			}
		}
		if float64(alarms) > share*float64(no) {
			t.Errorf("share %v: %d alarms of %d", share, alarms, no)
		}
	}
}

func TestASmallRegisterCountsAsMuchAsALargeOneForTheThreshold(t *testing.T) {
	alarms := func(named bool) int {
		choose := invented(400, 2)
		for i := range 40 { // a register of its own that looks like the kind and is not
			name := ""
			if named {
				name = "menus"
			}
			choose = append(choose, Sample{Text: strings.Repeat("切成薄片", 1+i%4) + "明天有小雨", Answer: []int8{No, No}, Register: name})
		}
		o := options()
		o.Heads[0].FalseAlarms = 0.2
		m, err := Fit(invented(400, 1), choose, o)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, s := range choose[400:] {
			if m.Scores(nil, s.Text)[0] >= m.Heads()[0].Threshold {
				n++
			}
		}
		return n
	}
	if n := alarms(true); n > 16 { // with the other register 0.2 on the mean
		t.Errorf("%d of 40 texts of a register alarm", n)
	}
	if n := alarms(false); n <= 16 {
		t.Errorf("%d of 40 alarm though they are no register of their own, so this test shows nothing", n)
	}
}

func TestTooFewSamplesAreRefusedByHead(t *testing.T) {
	for name, c := range map[string]struct {
		fit, choose []Sample
		heads       []Head
		want        string
	}{
		"none to learn from":  {nil, invented(100, 2), options().Heads, `head "weather": 0 texts`},
		"none to choose by":   {invented(100, 2), nil, options().Heads, "to choose by"},
		"no head":             {invented(100, 2), invented(100, 2), nil, "0 heads"},
		"a head without data": {invented(100, 2), invented(100, 2), append(options().Heads, Head{ID: "third"}), `head "third"`},
	} {
		o := options()
		o.Heads = c.heads
		if _, err := Fit(c.fit, c.choose, o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWholeStepsChangeAScoreLittle(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	w := make([]float32, 1<<12)
	for i := range w {
		w[i] = float32(rng.NormFloat64())
	}
	q, scale := steps(w)
	for i := range w {
		// What would be less than half a step becomes one.
		if d := math.Abs(float64(w[i]) - float64(q[i])*scale); d > scale/2+1e-9 && (math.Abs(float64(q[i])) != 1 || d > scale) || q[i] == 0 {
			t.Fatalf("weight %v became %v", w[i], float64(q[i])*scale)
		}
	}
	if q, _ := steps([]float32{0, 1}); q[0] != 0 {
		t.Error("a weight of nothing became something")
	}
	if _, scale := steps(make([]float32, 8)); !(scale > 0) {
		t.Error("no scale for weights of nothing")
	}
}

func TestTheCurveFindsTheProbabilitiesThatMadeTheAnswers(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	var scores []float64
	var yes []bool
	for range 20000 {
		x := 4 * (rng.Float64() - 0.5)
		scores = append(scores, x)
		yes = append(yes, rng.Float64() < 1/(1+math.Exp(-(2*x-0.7))))
	}
	if a, b := curve(scores, yes); math.Abs(a-2) > 0.1 || math.Abs(b+0.7) > 0.1 {
		t.Errorf("%v, %v", a, b)
	}
	if a, b := curve([]float64{-3, -2, 2, 3}, []bool{false, false, true, true}); math.IsNaN(a+b) || math.IsInf(a, 0) || a > 1e3 {
		t.Errorf("what is told apart perfectly gives %v, %v", a, b)
	}
}

func TestFiguresAreWhatTheyAreCalled(t *testing.T) {
	f := Measure([]float64{0.9, 0.8, 0.8, 0.1}, []bool{true, true, false, false}, 0.5)
	if f.Yes != 2 || f.Hits != 2 || f.No != 2 || f.Alarms != 1 || f.AUC != 0.875 || f.Accuracy() != 0.75 || f.Balanced() != 0.75 || math.Abs(f.F1()-0.8) > 1e-12 {
		t.Errorf("%+v", f)
	}
	// Values of an independent source (Newcombe 1998, method 3).
	if low, high := Wilson(81, 263); math.Abs(low-0.2553) > 5e-5 || math.Abs(high-0.3662) > 5e-5 {
		t.Errorf("81 of 263: %v to %v", low, high)
	}
	if low, high := Wilson(0, 20); low != 0 || math.Abs(high-0.1611) > 5e-5 {
		t.Errorf("0 of 20: %v to %v", low, high)
	}
}

func TestADifferenceOfTwoModelsIsAsLikelyAsThatOfACoinThrownAsOften(t *testing.T) {
	for _, c := range []struct {
		a, b int
		want float64
	}{
		{0, 0, 1}, {4, 4, 1}, {0, 1, 1}, {0, 5, 0.0625}, {5, 0, 0.0625}, {1, 9, 22.0 / 1024}, {2, 8, 112.0 / 1024},
		{500, 600, 0.0028}, // by the normal curve, corrected: z = 99/√1100
	} {
		if got := McNemar(c.a, c.b); math.Abs(got-c.want) > 1e-4 {
			t.Errorf("%d and %d: %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

func TestTenPartsAreOfAboutTheSameSize(t *testing.T) {
	var n [10]int
	for _, s := range invented(20000, 7) {
		n[Part(s.Text+s.Text)]++
	}
	for part, k := range n {
		if k < 1000 || k > 3500 { // few different texts, so no even parts
			t.Errorf("part %d: %d", part, k)
		}
	}
}

func TestALineThatIsWrongIsNamedWithItsField(t *testing.T) {
	const right = `{"text":"今天","label":1,"risk":"A.2.e"}` + "\n\n"
	for name, c := range map[string]struct{ line, field string }{
		"no JSON":            {"text", "line"},
		"a list":             {"[]", "line"},
		"null":               {"null", "line"},
		"no text":            {`{"label":1}`, "text"},
		"text is a number":   {`{"text":1,"label":1}`, "text"},
		"text is empty":      {`{"text":" ","label":1}`, "text"},
		"no label":           {`{"text":"x"}`, "label"},
		"label is a word":    {`{"text":"x","label":"yes"}`, "label"},
		"label is 2":         {`{"text":"x","label":2}`, "label"},
		"risk is a number":   {`{"text":"x","label":1,"risk":3}`, "risk"},
		"risk is a phrase":   {`{"text":"x","label":1,"risk":"a b"}`, "risk"},
		"an unknown field":   {`{"text":"x","label":1,"lable":1}`, "lable"},
		"a line too long":    {`{"text":"` + strings.Repeat("x", maxLine) + `","label":1}`, "text"},
		"the last cut short": {`{"text":"x","lab`, "line"},
	} {
		_, err := ReadLines(strings.NewReader(right + c.line))
		var wrong *LineError
		if !errors.As(err, &wrong) || wrong.Line != 3 || wrong.Field != c.field {
			t.Errorf("%s: %v", name, err)
		}
	}
	var wrong *LineError
	if _, err := ReadLines(strings.NewReader("\n")); !errors.As(err, &wrong) {
		t.Errorf("an empty file: %v", err)
	}
}

func TestAnswersFollowTheRiskOfALine(t *testing.T) {
	lines, err := ReadLines(strings.NewReader("\ufeff" + `{"text":"a","label":true,"risk":"A.1.h"}
{"text":"b","label":0}
{"text":"c","label":1}
{"text":"d","label":0,"risk":"A.1.h"}
{"text":"e","label":0,"risk":"A.3.a"}`))
	if err != nil {
		t.Fatal(err)
	}
	heads := Heads(lines, "own")
	samples := Answers(lines, heads, "own")
	if len(heads) != 2 || heads[0].ID != "A.1.h" || heads[0].Risk != "A.1.h" || heads[1].ID != "own" || heads[1].Risk != "" {
		t.Fatalf("%+v", heads)
	}
	for i, want := range [][]int8{{Yes, Unknown}, {No, No}, {Unknown, Yes}, {No, Unknown}, {Unknown, Unknown}} {
		if !bytes.Equal(bytesOf(samples[i].Answer), bytesOf(want)) {
			t.Errorf("line %d: %v, want %v", i+1, samples[i].Answer, want)
		}
	}
}

func bytesOf(list []int8) []byte {
	var out []byte
	for _, x := range list {
		out = append(out, byte(x))
	}
	return out
}
