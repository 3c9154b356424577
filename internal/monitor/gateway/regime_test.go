package gateway

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/posture"
)

// manyTerms adds so many terms of the base set.
func manyTerms(d *posture.Draft, n int) {
	for i := range n {
		d.Rules.Terms = append(d.Rules.Terms, posture.Term{ID: fmt.Sprint("many", i), Text: fmt.Sprintf("填充词%c%c%c", 0x4e00+i%5000, 0x4e00+i/5000, 0x5e00+i%7), Action: posture.Observe})
	}
}

func TestAPostureIsCompiledOnceForAllThatDiffersInWhatIsDone(t *testing.T) {
	kept := func(make func() any) float64 {
		heap := func() float64 {
			runtime.GC()
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return float64(m.HeapAlloc)
		}
		before := heap()
		v := make()
		after := heap()
		runtime.KeepAlive(v)
		return after - before
	}
	d := newWorld(t, answers("好")).draft
	manyTerms(&d, 30_000)
	d.Rules.Checks = append(d.Rules.Checks, posture.Check{ID: "name", Kind: inspect.KindCNName, Action: posture.Mask, Swap: true},
		posture.Check{ID: "mobile", Kind: inspect.KindCNMobile, Action: posture.Mask, Swap: true})
	for i := range 10 {
		d.Topics = append(d.Topics, posture.Topic{ID: fmt.Sprint("more", i), Terms: []posture.Term{{ID: fmt.Sprint("more", i), Text: fmt.Sprint("更多", i), Action: posture.Block}}})
	}
	p, err := posture.Compile(d)
	if err != nil {
		t.Fatal(err)
	}
	one := kept(func() any {
		rules, err := engineRules(p.Draft().Rules, posture.Notices{})
		if err != nil {
			t.Fatal(err)
		}
		e, err := inspect.Compile(rules)
		if err != nil {
			t.Fatal(err)
		}
		return e
	})
	all := kept(func() any {
		svc, err := newService(p)
		if err != nil {
			t.Fatal(err)
		}
		if svc.unswapped[0] == nil || svc.unswapped[1] == nil {
			t.Fatal("control: there is nothing to swap")
		}
		return svc
	})
	if all > 1.25*one {
		t.Errorf("a service keeps %.1f MB, one engine %.1f MB", all/1e6, one/1e6)
	}
}

// Each way to compile a posture has to do the same.
func TestTheStrictSetBindsUnderItsOrderOnlyHoweverThePostureIsCompiled(t *testing.T) {
	for _, many := range []int{0, 2 * sparse} {
		option := func(_ *Options, d *posture.Draft) {
			manyTerms(d, many)
			d.Strict.Checks = []posture.Check{{ID: "mail", Kind: inspect.KindEmail, Action: posture.Mask, Risk: "A.4.f"}}
		}
		const mail = "someone@example.com"
		for _, form := range []string{"", streamed} {
			t.Run(fmt.Sprintf("%d more terms, form %q", many, form), func(t *testing.T) {
				up := answers("甲" + strictT + mail)
				if form != "" {
					up = pieces("甲测试", "严格", "词some", "one@example.com", "")
				}
				w := newWorld(t, up, option)
				w.apply()
				read := func(r reply) (content, finish string) {
					if form != "" {
						s := r.said(t)
						return s.content[0], s.finish[0]
					}
					var a completion
					if err := json.Unmarshal([]byte(r.body), &a); err != nil {
						t.Fatal(err, r.body)
					}
					return *a.Choices[0].Message.Content, *a.Choices[0].Finish
				}
				if content, finish := read(w.post(ask("问"+strictT, form))); content != "甲"+strictT+mail || finish != "stop" {
					t.Errorf("under the base set: %q %s", content, finish)
				}
				if row := w.sink.row(t); row.InputVerdict != VerdictAllow || row.OutputVerdict != VerdictAllow {
					t.Errorf("%s %s", row.InputVerdict, row.OutputVerdict)
				}
				w.apply(posture.Order{Rung: posture.StrictFilter})
				if content, finish := read(w.post(ask("问", form))); strings.Contains(content, strictT) || finish != "content_filter" {
					t.Errorf("under the strict set: %q %s", content, finish)
				}
				w.sink.row(t)
				w.post(ask("问"+strictT, form))
				if row := w.sink.row(t); row.InputVerdict != VerdictBlock {
					t.Error("a prompt under the strict set:", row.InputVerdict)
				}
				w.upstream = answers(mail + "好")
				if r := w.post(ask("问")); strings.Contains(r.body, mail) {
					t.Error("a check of the strict set:", r.body)
				}
			})
		}
	}
}
