package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAFigureShowsTheMiddleAndTheEndsOfItsRuns(t *testing.T) {
	for _, c := range []struct {
		values           []float64
		median, min, max float64
		cell             string
	}{
		{[]float64{3, 1, 2}, 2, 1, 3, "2 (1–3)"},
		{[]float64{4, 1, 3, 2}, 2.5, 1, 4, "2.50 (1–4)"},
		{[]float64{7}, 7, 7, 7, "7"},
		{[]float64{-1, 0, 0.01234}, 0, -1, 0.01234, "0 (-1–0.012)"},
		{[]float64{1234567, 999.6, 43.21}, 999.6, 43.21, 1234567, "1000 (43.2–1,234,567)"},
		{nil, 0, 0, 0, "–"},
	} {
		f := newFigure("x", "", c.values)
		if f.Median != c.median || f.Min != c.min || f.Max != c.max || f.cell() != c.cell {
			t.Errorf("%v: median %v, %v–%v, shown as %q, not %q", c.values, f.Median, f.Min, f.Max, f.cell(), c.cell)
		}
	}
}

func TestAPercentileIsAValueThatOccurred(t *testing.T) {
	var d []time.Duration
	for i := range 100 {
		d = append(d, time.Duration(100-i))
	}
	for p, want := range map[float64]time.Duration{0.5: 50, 0.99: 99, 1: 100, 0.001: 1} {
		if got := percentile(slices.Clone(d), p); got != want {
			t.Errorf("p%v of 1 to 100 is %d", p*100, got)
		}
	}
	if percentile(nil, 0.5) != 0 || percentile([]time.Duration{9}, 0.99) != 9 {
		t.Error("none or one value")
	}
}

func TestTheReportIsATableForPeopleAndAllRunsForMachines(t *testing.T) {
	a, b := &series{}, &series{}
	for _, v := range []float64{1, 2, 3} {
		a.add("time", "ms", v)
		a.add("ratio", "", v/2)
		b.none("time", "ms")
		b.add("ratio", "", 5)
	}
	r := report{Command: "go run ./bench", Machine: machine{Cores: 2, OS: "linux/amd64", Go: "go1.26", Date: "today"}, Runs: 3,
		Tables: []table{{Part: "x", Title: "Things", Keys: []string{"what"}, Rows: []row{{[]string{"a"}, a.figures()}, {[]string{"b"}, b.figures()}}, Notes: []string{"a note"}}}}
	var out bytes.Buffer
	if err := r.writeMarkdown(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2 cores, linux/amd64, go1.26, today", "\n| what | time, ms | ratio |\n| --- | ---: | ---: |\n| a | 2 (1–3) | 1 (0.50–1.50) |\n| b | – | 5 |\n", "\n- a note\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
	out.Reset()
	if err := r.writeJSON(&out); err != nil {
		t.Fatal(err)
	}
	var back report
	if err := json.Unmarshal(out.Bytes(), &back, json.RejectUnknownMembers(true)); err != nil {
		t.Fatal(err)
	}
	if got := back.Tables[0].Rows[0].Figures[0]; !slices.Equal(got.Values, []float64{1, 2, 3}) || got.Unit != "ms" {
		t.Errorf("figure came back as %+v", got)
	}
}

func TestBenchRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, args := range [][]string{{"-only", "gateway,nothing"}, {"-runs", "0"}, {"-sink", "floor"}, {"-streams", "3"}, {"-phase", "0s"}, {"stray"}, {"-no-such-flag"}} {
		var out bytes.Buffer
		if err := run(t.Context(), args, &out, io.Discard); err == nil || out.Len() > 0 {
			t.Errorf("%q: error %v, output %q", args, err, out.String())
		}
	}
	chosen, err := choose("due, sse")
	if err != nil || len(chosen) != 2 || chosen[0].name != "due" || chosen[1].name != "sse" {
		t.Errorf("chose %v, %v", chosen, err)
	}
}

func TestTheOutputOfGoTestIsRead(t *testing.T) {
	cells, err := parseBenchmarks([]byte("goos: linux\nBenchmarkEventUnchanged-2 \t 100 \t 2461 ns/op \t 90.1 MB/s \t 37 B/op \t 1 allocs/op\nBenchmarkEventUnchanged-2 200 2500.5 ns/op 90 MB/s 36 B/op 1 allocs/op\nBenchmarkOther 1 9 ns/op\nPASS\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := cells["BenchmarkEventUnchanged"].valuesOf("ns/op"); !slices.Equal(got, []float64{2461, 2500.5}) {
		t.Errorf("ns/op: %v", got)
	}
	if got := cells["BenchmarkOther"].valuesOf("ns/op"); !slices.Equal(got, []float64{9}) {
		t.Errorf("a name without processors: %v", got)
	}
	if cells["BenchmarkGone"].valuesOf("ns/op") != nil {
		t.Error("something came of nothing")
	}
	if _, err := parseBenchmarks([]byte("BenchmarkX-2 1 many ns/op\n")); err == nil {
		t.Error("a word was taken for a number")
	}
}

func TestNonsenseIsDifferentAndHitsNoTextOfOurs(t *testing.T) {
	terms := nonsense(lexiconSize)
	if sorted := slices.Compact(slices.Sorted(slices.Values(terms))); len(sorted) != lexiconSize {
		t.Fatalf("%d different terms", len(sorted))
	}
	for _, term := range terms {
		if strings.Contains(strings.ToLower(answerText+promptText+benignText+digitsText), term) {
			t.Fatalf("%q stands in a text that must not be touched", term)
		}
	}
	if !slices.Equal(terms, nonsense(lexiconSize)) {
		t.Error("another time, other terms")
	}
	if strings.Join(answerPieces(), "") != answerText {
		t.Error("the pieces are not the answer")
	}
	for n := range 20 {
		if s := firstBytes("一二a三四", n); len(s) > n || !utf8.ValidString(s) {
			t.Errorf("first %d bytes: %q", n, s)
		}
	}
}

func TestAnAnswerThatIsNotTheModelsIsFound(t *testing.T) {
	u := newUpstream()
	events := len(u.events)
	streamed := slices.Concat(u.events...)
	for _, c := range []struct {
		name   string
		body   []byte
		stream bool
		ok     bool
	}{
		{"whole", u.plain, false, true},
		{"streamed", streamed, true, true},
		{"cut short", streamed[:len(streamed)-20], true, false},
		{"one event less", slices.Concat(u.events[1:]...), true, false},
		{"ended by a filter", bytes.ReplaceAll(u.plain, []byte(`"stop"`), []byte(`"content_filter"`)), false, false},
		{"half a document", u.plain[:len(u.plain)/2], false, false},
	} {
		if complete(c.body, c.stream, events) != c.ok {
			t.Errorf("%s: complete is not %t", c.name, c.ok)
		}
	}
	for stream, body := range map[bool][]byte{false: u.plain, true: streamed} {
		if text, finish, err := said(body, stream); err != nil || text != answerText || finish != "stop" {
			t.Errorf("stream %t says %q, %q, %v", stream, text, finish, err)
		}
	}
	masked := bytes.Replace(u.plain, []byte("目的地"), []byte("***"), 1)
	if text, _, err := said(masked, false); err != nil || text == answerText {
		t.Errorf("a masked answer passed for the model's: %v", err)
	}
}

func TestEachWayToTheModelGivesTheSameAnswerAndFiguresOfIt(t *testing.T) {
	up, value, err := beginUpstream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer up.stop()
	with, err := json.Marshal(middleSetUp{Upstream: value.(string), Dir: t.TempDir(), Sink: "telemetry", Terms: 100})
	if err != nil {
		t.Fatal(err)
	}
	events := len(newUpstream().events)
	direct, err := newTarget("direct", value.(string), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	ways := []*target{direct}
	for name, begin := range map[string]func(context.Context, jsontext.Value) (actor, any, error){"proxy": beginProxy, "gateway": beginGateway} {
		a, ready, err := begin(t.Context(), with)
		if err != nil {
			t.Fatal(err)
		}
		defer a.stop()
		way, err := newTarget(name, ready.(middleReady).URL, ready.(middleReady).Key, nil)
		if err != nil {
			t.Fatal(err)
		}
		ways = append(ways, way)
	}
	for _, w := range ways {
		if err := w.prove(t.Context(), events); err != nil {
			t.Error(err)
		}
		for _, l := range []load{{stream: true, conns: 3, rate: 100, phase: 100 * time.Millisecond}, {conns: 2, phase: 50 * time.Millisecond}} {
			out, err := w.apply(t.Context(), l, events)
			if err != nil {
				t.Error(err)
			} else if out.p50 <= 0 || out.p99 < out.p50 || out.first50 <= 0 || out.perSecond <= 0 {
				t.Errorf("%s: %+v", w.name, out)
			}
			if _, err := w.apply(t.Context(), load{stream: true, conns: 1, phase: 10 * time.Millisecond}, events+1); !errors.Is(err, errWrongAnswer) {
				t.Errorf("%s: an answer with an event too few was taken: %v", w.name, err)
			}
		}
	}
}

func TestAnUpstreamThatRefusesFailsTheMeasurement(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	defer srv.Close()
	way, err := newTarget("direct", srv.URL, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := way.prove(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "418") {
		t.Errorf("error %v", err)
	}
}

func TestAClientTellsWhatItReadAndHowItsStreamEnded(t *testing.T) {
	up, value, err := beginUpstream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer up.stop()
	people, _, err := beginClients()
	if err != nil {
		t.Fatal(err)
	}
	defer people.stop()
	direct, err := newTarget("direct", value.(string), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(op string, with any) any {
		raw, err := json.Marshal(with)
		if err != nil {
			t.Fatal(err)
		}
		out, err := people.answer(t.Context(), op, raw)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if n := ask("open", openCall{Addr: direct.addr, Streams: map[string]int{steady: 3, slow: 1, silent: 2}}); n != 6 {
		t.Fatalf("%v streams are open", n)
	}
	time.Sleep(3 * tick) // something to read
	before := time.Now().UnixMicro()
	up.(*upstream).server.stop()
	classes := map[string]int{}
	for _, s := range ask("see", before).([]seen) {
		classes[s.Class]++
		if !s.Ended || s.Farewell || s.Bytes == 0 || s.LastUs == 0 {
			t.Errorf("%+v: the upstream was closed without a goodbye", s)
		}
	}
	if classes[steady] != 3 || classes[slow] != 1 || classes[silent] != 2 {
		t.Errorf("%v", classes)
	}
}

func TestARoleAnswersUntilItsInputEnds(t *testing.T) {
	var out bytes.Buffer
	in := `{"op":"spent"}` + "\n" + `{"op":"begin"}` + "\n" + `{"op":"dance"}` + "\n"
	if err := play(t.Context(), "clients", strings.NewReader(in), &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], `{"value":`) || lines[1] != `{"value":true}` || !strings.Contains(lines[2], `unknown question \"dance\"`) {
		t.Errorf("%q", lines)
	}
	out.Reset()
	if err := play(t.Context(), "nobody", strings.NewReader(`{"op":"begin"}`+"\n"), &out); err != nil || !strings.Contains(out.String(), "no role") {
		t.Errorf("%v, %q", err, out.String())
	}
	if err := play(t.Context(), "clients", strings.NewReader("nonsense\n"), io.Discard); err == nil {
		t.Error("nonsense was understood")
	}
}

func TestTooFewFilesAreNamedBeforeAnythingIsOpened(t *testing.T) {
	if err := needFiles(10); err != nil {
		t.Error(err)
	}
	if err := needFiles(1 << 40); err == nil || !strings.Contains(err.Error(), "ulimit") {
		t.Errorf("error %v", err)
	}
}

func TestTheMachineSaysWhatItIs(t *testing.T) {
	s := lookAround(t.Context(), os.TempDir(), time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)).String()
	for _, want := range []string{" cores", "go1.", "2026-11-22"} {
		if !strings.Contains(s, want) {
			t.Errorf("%q lacks %q", s, want)
		}
	}
	if fmt.Sprint(machine{Cores: 4, OS: "x", Go: "y", Date: "z"}) != "4 cores, x, y, z" {
		t.Error("what is not known is not left out")
	}
}
