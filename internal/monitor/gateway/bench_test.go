package gateway

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/posture"
)

// discard is a client that takes everything at once.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Flush()                      {}

// benchPump is a pump whose client takes everything, with 1,000 terms in force.
func benchPump(b testing.TB) *pump {
	w := newWorld(b, answers(""), func(_ *Options, d *posture.Draft) {
		for i := range 1000 {
			id := "w" + string(rune('0'+i/100)) + string(rune('0'+i/10%10)) + string(rune('0'+i%10))
			d.Rules.Terms = append(d.Rules.Terms, posture.Term{ID: id, Text: "词条" + id, Action: posture.Mask, Risk: "R"})
		}
	})
	w.apply()
	r := w.g.regime.Load()
	c := &call{g: w.g, key: r.keys[posture.HashKey(w.keys["real"])], svc: r.services["svc1"], answer: capture{left: 64 << 10}, cancel: func(error) {}, wake: make(chan struct{}, 1)}
	req, _ := http.NewRequestWithContext(context.Background(), "POST", "/", nil)
	c.link.open(&discard{http.Header{}}, req, w.g.o.Clock)
	return &pump{c: c, filter: newFilter(c, []*inspect.Engine{c.svc.base})}
}

// BenchmarkEventUnchanged is one event of a stream from the upstream's bytes to the client's, nothing in it to
// change: framing, scanning, inspecting, writing. Goal: 5 µs and 3 allocations.
func BenchmarkEventUnchanged(b *testing.B) {
	p := benchPump(b)
	one := "data: " + contentEvent("这是一段") + "\n\n"
	src := newFrames(&endless{text: []byte(strings.Repeat(one, 64))}, 1<<20)
	var f frame
	b.SetBytes(int64(len(one)))
	b.ReportAllocs()
	for b.Loop() {
		if err := src.next(&f); err != nil {
			b.Fatal(err)
		}
		if p.frame(b.Context(), &f) {
			b.Fatal("the answer ended")
		}
		if !p.flush() {
			b.Fatal("not written")
		}
	}
	if n := p.c.g.count.eventsSlow.Load(); n != 0 {
		b.Fatalf("%d events took the slow way", n)
	}
}

// The verdict is kept while an answer runs; an event in which nothing is must not pay for it. Goal: 3 allocations.
func TestAnEventInWhichNothingIsCostsFewAllocations(t *testing.T) {
	p := benchPump(t)
	src := newFrames(&endless{text: []byte("data: " + contentEvent("这是一段") + "\n\n")}, 1<<20)
	var f frame
	n := testing.AllocsPerRun(2000, func() {
		if err := src.next(&f); err != nil || p.frame(t.Context(), &f) || !p.flush() {
			t.Fatal("the answer ended", err)
		}
	})
	if n > 3 {
		t.Errorf("%.0f allocations an event", n)
	}
	if len(p.c.row.Verdict.Texts) != 1 || len(p.c.row.Verdict.Hits) != 0 {
		t.Errorf("%+v", p.c.row.Verdict)
	}
}

// BenchmarkEventMasked is the same with a term to mask in every event.
func BenchmarkEventMasked(b *testing.B) {
	p := benchPump(b)
	one := "data: " + contentEvent("前"+masked+"后") + "\n\n"
	src := newFrames(&endless{text: []byte(strings.Repeat(one, 64))}, 1<<20)
	var f frame
	b.ReportAllocs()
	for b.Loop() {
		if err := src.next(&f); err != nil {
			b.Fatal(err)
		}
		p.frame(b.Context(), &f)
		p.flush()
	}
}

// BenchmarkEventDecoded is the slow way: an event that the scanner is not sure about.
func BenchmarkEventDecoded(b *testing.B) {
	p := benchPump(b)
	one := "data: " + strings.Replace(contentEvent("这是一段"), `"logprobs"`, `"unknown"`, 1) + "\n\n"
	src := newFrames(&endless{text: []byte(strings.Repeat(one, 64))}, 1<<20)
	var f frame
	b.ReportAllocs()
	for b.Loop() {
		if err := src.next(&f); err != nil {
			b.Fatal(err)
		}
		p.frame(b.Context(), &f)
		p.flush()
	}
}

type endless struct {
	text []byte
	at   int
}

func (e *endless) Read(b []byte) (int, error) {
	n := copy(b, e.text[e.at:])
	e.at = (e.at + n) % len(e.text)
	return n, nil
}

// BenchmarkRequest is a whole request over loopback, not streamed.
func BenchmarkRequest(b *testing.B) {
	w := newWorld(b, answers("好"))
	w.apply()
	body := ask("这是一个问题")
	b.ReportAllocs()
	for b.Loop() {
		res, err := w.client.Do(w.request(body))
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		<-w.asked
		<-w.headers
		w.sink.row(b)
	}
}
