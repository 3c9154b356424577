package simulate

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
)

func TestTrafficIsRefusedToAnythingButThisMachine(t *testing.T) {
	for gateway, want := range map[string]string{
		"http://127.0.0.1:8080":        "http://127.0.0.1:8080/v1/chat/completions",
		"http://127.0.0.1:8080/v1/":    "http://127.0.0.1:8080/v1/chat/completions",
		"http://[::1]:8080/v1":         "http://[::1]:8080/v1/chat/completions",
		"http://localhost:8080/gw":     "http://localhost:8080/gw/v1/chat/completions",
		"https://api.example.com":      "",
		"http://192.0.2.1:80":          "",
		"http://10.0.0.1":              "",
		"http://0.0.0.0:8080":          "",
		"http://localhost.example.com": "",
		"http://127.0.0.1.example.com": "",
		"http://user@192.0.2.1#@127.1": "",
		"http://2130706433":            "",
	} {
		tr, err := NewTraffic(TrafficOptions{Gateway: gateway, Key: "k", Clock: clock.System()})
		if want == "" {
			if !errors.Is(err, ErrNotLoopback) {
				t.Errorf("%s: %v", gateway, err)
			}
		} else if err != nil || tr.target != want {
			t.Errorf("%s: %v, %+v", gateway, err, tr)
		}
	}
	for _, gateway := range []string{"", "127.0.0.1:8080", "ftp://127.0.0.1", "http://"} {
		if _, err := NewTraffic(TrafficOptions{Gateway: gateway, Key: "k", Clock: clock.System()}); err == nil {
			t.Errorf("%q was taken", gateway)
		}
	}
}

func TestTheSocketItselfRefusesToLeaveTheMachine(t *testing.T) {
	client := loopbackClient()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://192.0.2.1:9/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := client.Do(req); !errors.Is(err, ErrNotLoopback) {
		t.Errorf("%v %v", resp, err)
	}
}

func TestTrafficOptionsOutOfRangeAreRefused(t *testing.T) {
	good := TrafficOptions{Gateway: "http://127.0.0.1:1", Key: "k", Clock: clock.System()}
	if _, err := NewTraffic(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*TrafficOptions){
		"rate too high": func(o *TrafficOptions) { o.Rate = 51 },
		"rate negative": func(o *TrafficOptions) { o.Rate = -1 },
		"rate NaN":      func(o *TrafficOptions) { o.Rate = math.NaN() },
		"no key":        func(o *TrafficOptions) { o.Key = "" },
		"two-line key":  func(o *TrafficOptions) { o.Key = "a\r\nX: y" },
		"no clock":      func(o *TrafficOptions) { o.Clock = nil },
		"subjects":      func(o *TrafficOptions) { o.Subjects = -1 },
		"in flight":     func(o *TrafficOptions) { o.InFlight = -1 },
	} {
		o := good
		spoil(&o)
		if _, err := NewTraffic(o); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// run starts traffic on a fake clock; tick lets one more question go.
func run(t *testing.T, opts TrafficOptions) (tr *Traffic, tick func(), stop func()) {
	t.Helper()
	fake := clock.NewFake(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	opts.Clock = fake
	if opts.Key == "" {
		opts.Key = "gw-key"
	}
	tr, err := NewTraffic(opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- tr.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return tr, func() { fake.Advance(time.Second) }, stop
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

func TestTrafficIsLabelledAndComesFromSeveralSubjects(t *testing.T) {
	m, srv := serve(t, Options{APIKey: "gw-key", Record: true})
	tr, tick, stop := run(t, TrafficOptions{Gateway: srv.URL, TriggerEvery: 5})
	const want = 20
	for n := 1; n < want; n++ {
		until(t, "an answer", func() bool { return tr.Stats().Answered >= n })
		tick()
		until(t, "the next question", func() bool { tick(); return tr.Stats().Sent > n })
	}
	until(t, "the last answer", func() bool { s := tr.Stats(); return s.Answered == s.Sent && s.Sent >= want })
	if s := tr.Stats(); s.Refused+s.Failed != 0 || s.LastMS == 0 {
		t.Errorf("stats %+v", s)
	}
	stop()
	subjects, streams, triggers := map[string]bool{}, map[bool]int{}, 0
	for _, c := range m.Calls() {
		var body struct {
			User     string
			Stream   bool
			Messages []struct{ Content string }
		}
		if err := json.Unmarshal(c.Body, &body); err != nil {
			t.Fatal(err)
		}
		if c.Header.Get(SimulatedHeader) != "1" {
			t.Error("a request is not labelled")
		}
		subjects[body.User] = true
		streams[body.Stream]++
		for _, q := range triggerQuestions() {
			if body.Messages[0].Content == q {
				triggers++
			}
		}
	}
	if len(subjects) != defaultSubjects || streams[true] == 0 || streams[false] == 0 || triggers < want/5 {
		t.Errorf("subjects %v, streamed %v, triggers %d", subjects, streams, triggers)
	}
}

func TestEveryTriggerQuestionBringsAFaultUpAndNoBenignOneDoes(t *testing.T) {
	faults := []Fault{{Name: FaultDiscrimination}, {Name: FaultFalseMedicine}, {Name: FaultPersonalData}}
	speaks := func(q string) (n int) {
		for _, f := range faults {
			if f.hits(q) {
				n++
			}
		}
		return n
	}
	for _, q := range triggerQuestions() {
		if speaks(q) == 0 {
			t.Errorf("%q brings nothing up", q)
		}
	}
	for _, q := range benignQuestions() {
		if speaks(q) != 0 {
			t.Errorf("%q brings a fault up", q)
		}
	}
}

func TestTrafficNeverHasMoreUnderWayThanAllowed(t *testing.T) {
	var under, most atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		n := under.Add(1)
		defer under.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		<-r.Context().Done()
	}))
	t.Cleanup(srv.Close)
	tr, tick, stop := run(t, TrafficOptions{Gateway: srv.URL, InFlight: 3})
	until(t, "ticks were left out", func() bool { tick(); return tr.Stats().LeftOut >= 5 })
	until(t, "three under way", func() bool { return under.Load() == 3 })
	if most.Load() != 3 || tr.Stats().Sent != 3 {
		t.Errorf("most %d, stats %+v", most.Load(), tr.Stats())
	}
	stop()
	if s := tr.Stats(); s.Failed != 3 {
		t.Errorf("those let go are not counted: %+v", s)
	}
}

func TestTrafficTellsRegularFilteredRefusedAndBrokenAnswersApart(t *testing.T) {
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		want    TrafficStats
	}{
		"refused": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, TrafficStats{Sent: 1, Refused: 1}},
		"moved": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		}, TrafficStats{Sent: 1, Refused: 1}},
		"broken":  {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, TrafficStats{Sent: 1, Failed: 1}},
		"endless": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"choices":[]}`) }, TrafficStats{Sent: 1, Failed: 1}},
		"filtered": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"choices":[{"finish_reason":"content_filter"}]}`)
		}, TrafficStats{Sent: 1, Answered: 1, Filtered: 1}},
	} {
		srv := httptest.NewServer(tc.handler)
		tr, _, stop := run(t, TrafficOptions{Gateway: srv.URL})
		until(t, name, func() bool { s := tr.Stats(); return s.Answered+s.Refused+s.Failed == 1 })
		stop()
		got := tr.Stats()
		got.LastMS = 0
		if got != tc.want {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
		srv.Close()
	}
	stream := "data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[{\"finish_reason\":\"content_filter\"}]}\n\ndata: [DONE]\n\n"
	if got := finishOf([]byte(stream), true); got != "content_filter" {
		t.Errorf("stream: %q", got)
	}
	if got := finishOf([]byte(strings.TrimSuffix(stream, "data: [DONE]\n\n")), true); got != "" {
		t.Errorf("stream without an end: %q", got)
	}
}

func TestServeStopsCleanlyWithAnAnswerStalled(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := NewModel(Options{Record: true, Faults: []Fault{{Name: FaultStall}}})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Serve(ctx, l) }()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		resp, err := client.Post("http://"+l.Addr().String()+"/v1/chat/completions", "application/json", strings.NewReader(chatBody("hi", `,"stream":true`)))
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	}()
	until(t, "a stalled answer", func() bool { c := m.Calls(); return len(c) == 1 && c[0].Events > 0 })
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("Serve: %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("Serve did not stop")
	}
	<-asked
}

func TestServeReportsAListenerThatIsGone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if err := NewModel(Options{}).Serve(context.Background(), l); err == nil {
		t.Error("no error")
	}
}
