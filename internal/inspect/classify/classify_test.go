package classify

import (
	"bytes"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

const sample = "今天天气不错，我们去湖边走走；Have a nice DAY, see U at 18:30! ２０２４年\u200b的计划😀还没有写完。繁體字也可以，Привет мир."

// made is a model with weights that chance made.
func made(t testing.TB, heads int) *Model {
	t.Helper()
	const bits = 12
	rng := rand.New(rand.NewPCG(1, uint64(heads)))
	list, lanes, weights := make([]Head, heads), make([]Lane, heads), make([][]int8, heads)
	for h := range list {
		list[h] = Head{ID: string(rune('a' + h)), Risk: "A.2.e", Threshold: 0.5, Lanes: []int{h}, Slope: 1.5, Offset: 0.2}
		if h == 6 { // judges by two subjects
			list[h].Lanes = []int{3, 1, 6, 2}
		}
		lanes[h] = Lane{Scale: 0.01 * float64(h+1), Bias: -0.3}
		weights[h] = make([]int8, 1<<bits)
		for i := range weights[h] {
			if i%3 > 0 { // the others are unknown
				weights[h][i] = int8(rng.IntN(256) - 128)
			}
		}
	}
	m, err := New(list, lanes, bits, weights, "made for a test")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// plainly scores text in the way that the documentation tells, feature by feature.
func plainly(m *Model, text string) (last, peak []float64) {
	f := NewFeatures()
	type block struct {
		sums []float64
		n    float64
	}
	var all []block
	now := block{sums: make([]float64, len(m.lanes))}
	peak = slices.Repeat([]float64{math.Inf(-1)}, len(m.heads))
	last = make([]float64, len(m.heads))
	measure := func() {
		from := max(0, len(all)-Window/Step)
		lanes := make([]float64, len(m.lanes))
		for l := range lanes {
			total, n := now.sums[l], now.n
			for _, b := range all[from:] {
				total, n = total+b.sums[l], n+b.n
			}
			lanes[l] = m.lanes[l].Bias
			if n > 0 {
				lanes[l] += total * m.lanes[l].Scale / math.Sqrt(n)
			}
		}
		for h := range last {
			of := m.heads[h].Lanes
			last[h] = lanes[of[0]]
			if len(of) == 4 {
				first := 1 / (1 + math.Exp(3*(lanes[of[1]]-lanes[of[0]])))
				last[h] = first*lanes[of[2]] + (1-first)*lanes[of[3]]
			}
			peak[h] = max(peak[h], last[h])
		}
	}
	take := func(features []uint32) {
		for _, x := range features {
			known, times := false, 1.0
			if x&Again != 0 {
				times = 0.5
			}
			for l := range m.lanes {
				w := m.weight(int(x>>(32-m.bits)), l)
				now.sums[l] += times * float64(w)
				known = known || w != 0
			}
			if known {
				now.n += times
			}
		}
	}
	symbols := 0
	for _, r := range text {
		found, symbol := f.Next(r)
		take(found)
		if symbol {
			if symbols++; symbols%Step == 0 {
				all = append(all, now)
				now = block{sums: make([]float64, len(m.lanes))}
				if symbols >= Warm {
					measure()
				}
			}
		}
	}
	take(f.End())
	measure()
	return last, peak
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-9 }

func TestAScoreIsWhatThePackageSaysFeatureByFeature(t *testing.T) {
	for _, heads := range []int{1, 7, MaxLanes} {
		m := made(t, heads)
		for _, text := range []string{"", "好", "a", sample, strings.Repeat(sample, 40), strings.Repeat("a", 5000), strings.Repeat("!?", 3000), "\xff\xfe" + sample} {
			s := m.NewState()
			s.Write(text)
			s.Close()
			last, peak := plainly(m, text)
			for h := range heads {
				if !near(s.Score(h), last[h]) || !near(s.PeakScore(h), peak[h]) {
					t.Fatalf("%d heads, text of %d bytes, head %d: score %v, peak %v, want %v, %v", heads, len(text), h, s.Score(h), s.PeakScore(h), last[h], peak[h])
				}
			}
		}
	}
}

func TestScoresDoNotDependOnWhereTheTextWasCut(t *testing.T) {
	m := made(t, 5)
	text := strings.Repeat(sample, 9) + "\xe4\xb8A\xff尾\xf0\x9f"
	want := m.Scores(nil, text)
	rng := rand.New(rand.NewPCG(2, 3))
	for range 200 {
		s := m.NewState()
		for rest := text; rest != ""; {
			n := min(len(rest), 1+rng.IntN(1+rng.IntN(90)))
			s.Write(rest[:n])
			rest = rest[n:]
		}
		s.Close()
		for h := range want {
			if s.Peak(h) != want[h] {
				t.Fatalf("head %d: %v, in one piece %v", h, s.Peak(h), want[h])
			}
		}
	}
}

func TestAStateThatWasResetRemembersNothing(t *testing.T) {
	m := made(t, 3)
	s := m.NewState()
	s.Write(strings.Repeat(sample, 5) + "\xe4")
	s.Reset()
	if s.Peak(0) != 0 {
		t.Errorf("peak %v before anything was read", s.Peak(0))
	}
	s.Write(sample)
	s.Close()
	if want := m.Scores(nil, sample); s.Peak(0) != want[0] || s.Peak(2) != want[2] {
		t.Errorf("%v and %v, want %v", s.Peak(0), s.Peak(2), want)
	}
}

func TestWhatLeftTheWindowCountsNoMore(t *testing.T) {
	m := made(t, 2)
	end := strings.Repeat("湖边散步", Window/4+Step)
	before, n := strings.Repeat(sample, 20), 0
	f := NewFeatures()
	for _, r := range before {
		if _, symbol := f.Next(r); symbol {
			n++
		}
	}
	a, b := m.NewState(), m.NewState()
	a.Write(before + end)
	b.Write(strings.Repeat("别", n) + end)
	if a.Score(0) != b.Score(0) || a.Score(1) != b.Score(1) {
		t.Errorf("%v and %v", a.Score(0), b.Score(0))
	}
	if a.PeakScore(0) == b.PeakScore(0) {
		t.Error("what was read before made no difference, so this test shows nothing")
	}
}

func TestFeaturesAreTheSameForWhatAReaderTakesForTheSame(t *testing.T) {
	list := func(text string) []uint32 {
		f := NewFeatures()
		var all []uint32
		for _, r := range text {
			found, _ := f.Next(r)
			all = append(all, found...)
		}
		return append(all, f.End()...)
	}
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"計劃書", "计划书", true},
		{"Ｈｅｌｌｏ", "Hello", true},
		{"计\u200b划", "计划", true},
		{"2024年", "1357年", true},
		{"计 划", "计划", true},
		{"计划", "划计", false},
		{"in put", "input", false},
		{"a b", "a  b", true},
		{"Stop it", "stop it", false}, // shape only
		{"你好！", "你好", false},
	} {
		a, b := list(c.a), list(c.b)
		if got := slices.Equal(a, b); got != c.same {
			t.Errorf("%q and %q: same is %v", c.a, c.b, got)
		}
	}
	if a, b := list("Stop it"), list("stop it"); len(a) != len(b) {
		t.Errorf("%d and %d features", len(a), len(b))
	}
	if n := len(list("你好吗")); n != 1+2+2 {
		t.Errorf("%d features of three characters", n)
	}
}

func TestAFeatureThatComesAgainSoonSaysSo(t *testing.T) {
	f := NewFeatures()
	read := func(text string) (again []bool) {
		for _, r := range text {
			found, _ := f.Next(r)
			for _, x := range found {
				again = append(again, x&Again != 0)
			}
		}
		return again
	}
	if got := read("好好好"); !slices.Equal(got, []bool{false, true, false, true, true}) {
		t.Errorf("of a character three times in a row: %v", got)
	}
	var long strings.Builder
	for r := '一'; r < '一'+20*lately; r++ {
		long.WriteRune(r)
	}
	read(long.String())
	if got := read("好"); got[0] {
		t.Error("a character is remembered for ever")
	}
	f.Reset()
	if got := read("好"); got[0] {
		t.Error("a new text remembers the one before")
	}
}

func TestFeaturesNeverOutgrowTheirPlace(t *testing.T) {
	f := NewFeatures()
	for r := rune(0); r <= utf8.MaxRune; r++ {
		if found, _ := f.Next(r); len(found) > maxFeatures {
			t.Fatalf("%U: %d features", r, len(found))
		}
		if r%3 == 0 {
			f.Next('A')
		}
	}
}

func TestScoringAllocatesNothing(t *testing.T) {
	m := made(t, MaxLanes)
	s := m.NewState()
	text, dst := strings.Repeat(sample, 10), make([]float64, 0, MaxLanes)
	if n := testing.AllocsPerRun(50, func() {
		s.Write(text)
		s.Write("\xe4")
		s.Write("\xb8\xad")
		s.Close()
		s.Probability(3)
		s.Peak(3)
		s.Reset()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(50, func() { m.Scores(dst, text) }); n > 0.5 {
		t.Errorf("%v allocations for a whole text", n)
	}
}

func TestAModelSurvivesItsFile(t *testing.T) {
	m := made(t, 9)
	var file, again bytes.Buffer
	if err := m.Write(&file); err != nil {
		t.Fatal(err)
	}
	got, err := Read(bytes.NewReader(file.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Heads(), m.Heads()) || !slices.Equal(got.lanes, m.lanes) || got.Note() != m.Note() || !slices.Equal(got.table, m.table) {
		t.Error("the model that was read is not the one that was written")
	}
	if err := got.Write(&again); err != nil || !bytes.Equal(file.Bytes(), again.Bytes()) {
		t.Errorf("written again it is another file (%v)", err)
	}
}

func BenchmarkWrite4KB(b *testing.B) {
	m := made(b, MaxLanes)
	text := strings.Repeat("今天我们来聊一聊如何准备一次周末的短途旅行，首先要确定目的地。", 60)[:4095]
	s := m.NewState()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		s.Write(text)
		s.Close()
		s.Reset()
	}
}
