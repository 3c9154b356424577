package gateway

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/inspect/classify/shipped"
	"github.com/fengsui/fengsui/internal/posture"
)

// hears judges every text, however harmless: what is tested here is who is asked about what, not how right it is.
func hears(head string, change ...func(*posture.Classifier)) posture.Classifier {
	c := posture.Classifier{ID: "classifier." + head, Model: shipped.Digest(), Head: head, Risk: "A.1.h", Observe: 1e-12}
	for _, f := range change {
		f(&c)
	}
	return c
}

func blocks(c *posture.Classifier)    { c.Block = c.Observe }
func onlyAsked(c *posture.Classifier) { c.Asked = true }

// places lists where classifiers hit: side, channel and choice.
func places(matches []inspect.Hit) (out []string) {
	for _, m := range matches {
		if m.Kind == inspect.KindClassifier {
			out = append(out, fmt.Sprint(m.Side, " ", m.Channel, " ", m.Choice))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func TestClassifiersJudgeWhatPeopleAndTheModelWriteAndNotWhatTheOperatorDoes(t *testing.T) {
	const question = `{"model":"demo","messages":[{"role":"system","content":"你是助手。"},{"role":"user","content":"今天天气如何？"},` +
		`{"role":"assistant","content":"晴。"},{"role":"tool","tool_call_id":"1","content":"气温二十度。"}]}`
	for _, c := range []struct {
		name string
		list []posture.Classifier
		want []string
	}{
		{"none", nil, nil},
		{"one of all texts", []posture.Classifier{hears("gambling")}, []string{"input content 1", "input content 2", "input content 3", "output content 0"}},
		{"one of what is asked", []posture.Classifier{hears("injection", onlyAsked)}, []string{"input content 1", "input content 3"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, answers("是个好天气。"), func(_ *Options, d *posture.Draft) { d.Rules.Classifiers = c.list })
			w.apply()
			if r := w.post(question); r.status != 200 || !strings.Contains(r.body, "是个好天气。") {
				t.Fatalf("%d %s", r.status, r.body)
			}
			row := w.sink.row(t)
			if got := places(row.Verdict.Hits); !slices.Equal(got, c.want) {
				t.Errorf("judged %v, want %v", got, c.want)
			}
			for _, m := range row.Verdict.Hits {
				if m.Score <= 0 || m.Score >= 1 || m.Risk != "A.1.h" || m.Action != inspect.Observe {
					t.Errorf("%+v", m)
				}
			}
			if want := map[bool]string{true: VerdictObserve, false: VerdictAllow}[c.list != nil]; row.InputVerdict != want {
				t.Errorf("verdict %s", row.InputVerdict)
			}
		})
	}
}

func TestAClassifierThatIsCertainStopsPromptAndAnswer(t *testing.T) {
	block := func(c posture.Classifier) func(*Options, *posture.Draft) {
		return func(_ *Options, d *posture.Draft) { d.Rules.Classifiers = []posture.Classifier{c} }
	}
	w := newWorld(t, answers("好"), block(hears("injection", onlyAsked, blocks)))
	w.apply()
	w.post(ask("今天天气如何？"))
	if row := w.sink.row(t); row.InputVerdict != VerdictBlock || len(w.asked) != 0 {
		t.Errorf("a prompt went through: %s", row.InputVerdict)
	}
	// Below its certainty the same classifier lets the text go and notes it.
	w = newWorld(t, answers("好"), block(hears("injection", onlyAsked, func(c *posture.Classifier) { c.Block = 0.9999999 })))
	w.apply()
	w.post(ask("今天天气如何？"))
	if row := w.sink.row(t); row.InputVerdict != VerdictObserve {
		t.Errorf("verdict %s", row.InputVerdict)
	}
}

func TestEachTextOfAStreamIsJudgedByItself(t *testing.T) {
	w := newWorld(t, answers(""), func(_ *Options, d *posture.Draft) { d.Rules.Classifiers = []posture.Classifier{hears("gambling")} })
	w.apply()
	r := w.g.regime.Load()
	c := &call{g: w.g, key: r.keys[posture.HashKey(w.keys["real"])], svc: r.services["svc1"], answer: capture{left: 64 << 10}, cancel: func(error) {}, wake: make(chan struct{}, 1)}
	f := newFilter(c, []*inspect.Engine{c.svc.base})
	texts := []chanKey{{0, slotContent, 0}, {1, slotContent, 0}, {0, slotReasoning, 0}, {0, slotToolArguments, 0}, {0, slotToolArguments, 1}, {0, slotToolName, 0}}
	for range 3 {
		for _, k := range texts {
			if out, blocked, err := f.write(k, "天气"); err != nil || blocked || k.slot != slotToolArguments && out != "天气" {
				t.Fatalf("%+v: %q %v %v", k, out, blocked, err)
			}
		}
	}
	for _, x := range slices.Clone(f.texts) {
		if _, _, err := f.close(x); err != nil {
			t.Fatal(err)
		}
	}
	hits := 0
	for _, m := range c.row.Verdict.Hits {
		if m.Kind == inspect.KindClassifier {
			hits++
		}
	}
	if hits != 5 { // all but the name of the tool
		t.Errorf("%d texts were judged: %v", hits, places(c.row.Verdict.Hits))
	}
}

func ofAnotherVersion(c *posture.Classifier) { c.Model = "sha256:" + strings.Repeat("0", 64) }

func TestAClassifierOfAModelThatTheGatewayDoesNotHaveIsLeftOutAndTheRestBinds(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	with := func(o *Options, d *posture.Draft) {
		o.StateDir, o.Logger = dir, slog.New(slog.NewTextHandler(&log, nil))
		d.Rules.Classifiers = []posture.Classifier{hears("gambling", ofAnotherVersion, blocks), hears("injection", onlyAsked)}
	}
	w := newWorld(t, answers("好"), with)
	w.apply()
	check := func(when string) {
		t.Helper()
		if st := w.g.Status(); !st.Effective || len(st.Unjudged) != 1 || !slices.Equal(st.Unjudged["svc1"], []string{"classifier.gambling"}) || st.Missing() != 1 {
			t.Errorf("%s: %+v", when, st)
		}
		if r := w.post(ask("今天天气如何？")); r.status != 200 {
			t.Fatalf("%s: %d %s", when, r.status, r.body)
		}
		if got := places(w.sink.row(t).Verdict.Hits); !slices.Equal(got, []string{"input content 0"}) {
			t.Errorf("%s: judged %v", when, got)
		}
		if n := strings.Count(log.String(), "classifier.gambling"); n != 1 {
			t.Errorf("%s: logged %d times", when, n)
		}
		log.Reset()
	}
	check("when it came")
	keys := w.keys
	w = newWorld(t, answers("好"), with)
	w.keys = keys
	check("after a restart")

	// Orders bind, and one known model alone has nothing to report.
	w = newWorld(t, answers("好"), func(_ *Options, d *posture.Draft) {
		d.Rules.Classifiers = []posture.Classifier{hears("gambling", ofAnotherVersion)}
	})
	w.apply(offline())
	if r := w.post(ask("问")); r.status != 503 || r.code() != "service_offline" {
		t.Errorf("%d %s", r.status, r.body)
	}
	w = newWorld(t, answers("好"), func(_ *Options, d *posture.Draft) { d.Rules.Classifiers = []posture.Classifier{hears("gambling")} })
	w.apply()
	if st := w.g.Status(); len(st.Unjudged) != 0 {
		t.Errorf("control: %v", st.Unjudged)
	}
}

func TestAHeadThatTheModelDoesNotHaveIsRefused(t *testing.T) {
	if _, missing, err := newJudges([]posture.Classifier{hears("gambling")}); err != nil || len(missing) != 0 {
		t.Fatal(missing, err)
	}
	if _, _, err := newJudges([]posture.Classifier{hears("gambling", func(c *posture.Classifier) { c.Head = "none" })}); err == nil {
		t.Error("an unknown head was taken")
	}
}
