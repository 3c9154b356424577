package gateway

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/inspect/classify/shipped"
	"github.com/fengsui/fengsui/internal/posture"
)

const (
	tiersTerms   = 100_000
	tiersStreams = 1000
)

// plain sentences, of which no term is a part.
var sentences = strings.SplitAfter("今天我们来聊一聊如何准备一次周末的短途旅行。首先要确定目的地，可以选择离家不远的山区或者湖边，空气清新，人也不多。"+
	"其次是交通方式，如果有车，自驾最为方便；没有车的话，可以查一下火车和长途汽车的时刻表。住宿方面，建议提前几天预订，比较一下不同平台的价格和评价。"+
	"最后别忘了带上雨伞、常用药品和一件外套，山里早晚的温度变化比较大。", "。")

// tiers is a service with everything on: terms, each kind of check, the rules about injection, every head of the model.
var tiers = sync.OnceValues(func() (*service, error) {
	d := posture.Draft{OperatorID: "op1", ServiceID: "svc1", Models: []string{"demo"},
		Deployments: []posture.Deployment{{ID: "d1", BaseURL: "http://127.0.0.1:1/v1", Model: "m", Role: posture.RolePrimary}}}
	text, rng := strings.Join(sentences, ""), rand.New(rand.NewPCG(1, 2))
	chars := []rune(text + "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方后多定行学法所民得经")
	for have := map[string]bool{}; len(d.Rules.Terms) < tiersTerms; {
		t := make([]rune, 2+rng.IntN(5))
		for i := range t {
			t[i] = chars[rng.IntN(len(chars))]
		}
		if s := string(t); !have[s] && !strings.Contains(text, s) {
			have[s] = true
			d.Rules.Terms = append(d.Rules.Terms, posture.Term{ID: fmt.Sprint("t", len(have)), Text: s, Action: posture.Mask, Risk: "A.1.a"})
		}
	}
	// Made of so few characters, some sound like a part of the text, or are one across a comma; plain text hits nothing.
	rules, err := engineRules(d.Rules, d.Notices)
	if err != nil {
		return nil, err
	}
	engine, err := inspect.Compile(rules)
	if err != nil {
		return nil, err
	}
	hit := map[string]bool{}
	for _, a := range sentences {
		for _, b := range sentences {
			for _, m := range engine.Scan(a + b).Matches {
				hit[m.RuleID] = true
			}
		}
	}
	d.Rules.Terms = slices.DeleteFunc(d.Rules.Terms, func(t posture.Term) bool { return hit[t.ID] })
	for _, kind := range inspect.Kinds() {
		d.Rules.Checks = append(d.Rules.Checks, posture.Check{ID: "check." + kind, Kind: kind, Action: posture.Mask, Risk: "A.4.f"})
	}
	d.Rules.Injection = posture.Observe
	model, err := shipped.Model()
	if err != nil {
		return nil, err
	}
	for _, h := range model.Heads() {
		d.Rules.Classifiers = append(d.Rules.Classifiers, posture.Classifier{ID: "classifier." + h.ID, Model: shipped.Digest(), Head: h.ID, Observe: h.Threshold, Asked: h.ID == "injection"})
	}
	p, err := posture.Compile(d)
	if err != nil {
		return nil, err
	}
	return newService(p)
})

func tiersCall(b *testing.B, g *Gateway) *call {
	b.Helper()
	svc, err := tiers()
	if err != nil {
		b.Fatal(err)
	}
	return &call{g: g, svc: svc, answer: capture{left: 64 << 10}, cancel: func(error) {}, wake: make(chan struct{}, 1)}
}

// spread reports the middle and the slow end of single durations.
func spread(b *testing.B, each []time.Duration) {
	slices.Sort(each)
	at := func(p float64) float64 { return float64(each[int(p*float64(len(each)-1))].Nanoseconds()) / 1000 }
	b.ReportMetric(at(0.5), "p50-µs")
	b.ReportMetric(at(0.99), "p99-µs")
}

// BenchmarkTiersPrompt is what inspection adds to a request of 4 KB of Chinese before it is sent on, everything on.
func BenchmarkTiersPrompt(b *testing.B) {
	w := newWorld(b, answers(""))
	w.apply()
	rng := rand.New(rand.NewPCG(3, 4))
	prompts := make([]string, 64)
	for i := range prompts {
		for len(prompts[i]) < 4096 {
			prompts[i] += sentences[rng.IntN(len(sentences)-1)]
		}
		prompts[i] = strings.ToValidUTF8(prompts[i][:4096], "")
	}
	c := tiersCall(b, w.g)
	c.svc.judges[0].asked.Scan(prompts[0]) // the first reads the model
	var each []time.Duration
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		req := &chatRequest{Messages: []message{{Role: "user", Content: &content{Text: &prompts[i%len(prompts)]}}}}
		i++
		start := time.Now()
		blocked, err := c.inspectInput(context.Background(), req, []*inspect.Engine{c.svc.base})
		each = append(each, time.Since(start))
		if blocked || err != nil {
			b.Fatal(blocked, err)
		}
	}
	if len(c.row.Verdict.Hits) > 0 {
		b.Fatalf("plain text hit: %+v", c.row.Verdict.Hits[0])
	}
	spread(b, each)
}

// BenchmarkTiersEvent is one event of one of a thousand open streams, everything on and nothing in it to change.
func BenchmarkTiersEvent(b *testing.B) {
	w := newWorld(b, answers(""))
	w.apply()
	text := []rune(strings.Join(sentences, ""))
	var wire strings.Builder
	for at := 0; at+6 <= len(text); at += 6 {
		wire.WriteString("data: " + contentEvent(string(text[at:at+6])) + "\n\n")
	}
	src := newFrames(&endless{text: []byte(wire.String())}, 1<<20)
	pumps := make([]*pump, tiersStreams)
	var f frame
	send := func(p *pump) {
		if err := src.next(&f); err != nil {
			b.Fatal(err)
		}
		if p.frame(context.Background(), &f) || !p.flush() {
			b.Fatal("the answer ended")
		}
	}
	for i := range pumps {
		c := tiersCall(b, w.g)
		req, _ := http.NewRequestWithContext(context.Background(), "POST", "/", nil)
		c.link.open(&discard{http.Header{}}, req, w.g.o.Clock)
		pumps[i] = &pump{c: c, filter: newFilter(c, []*inspect.Engine{c.svc.base})}
		send(pumps[i])
	}
	var each []time.Duration
	slow := w.g.count.eventsSlow.Load()
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		send(pumps[i%len(pumps)])
		each = append(each, time.Since(start))
		i++
	}
	if n := w.g.count.eventsSlow.Load(); n != slow {
		b.Fatalf("%d events took the slow way", n-slow)
	}
	spread(b, each)
}
