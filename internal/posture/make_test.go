package posture

import (
	"crypto/ed25519"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/inspect"
)

// firstMake says everything that make 1 can say.
func firstMake() Draft {
	term := func(id string) Term {
		return Term{ID: id, Text: "词" + id, Action: Replace, Risk: "A.1.a", Topic: "gossip", Replacement: "它", Contexts: []string{"乙", "甲"}, Window: 8}
	}
	text := Text{ZH: "无", EN: "none"}
	return Draft{
		OperatorID: "op1", ServiceID: "svc1", Models: []string{"demo"},
		Deployments: []Deployment{{ID: "d1", BaseURL: "http://127.0.0.1:1/v1", Model: "m1", Secret: "up1", Role: RolePrimary, Filed: true, Tested: true, ModelRev: "r", Prompt: "p"}},
		Rules: Rules{Terms: []Term{term("2"), term("1")}, Checks: []Check{
			{ID: "check.cn_id", Kind: inspect.KindCNID, Action: Mask, Risk: "A.4.f"}, {ID: "check.bank_card", Kind: inspect.KindBankCard, Action: Block, Risk: "A.4.f"}}},
		Strict:  Rules{Terms: []Term{term("s")}, Checks: []Check{{ID: "strict", Kind: inspect.KindCNID, Action: Observe, Risk: "A.4.f"}}},
		Topics:  []Topic{{ID: "gossip", Name: text, Terms: []Term{term("g")}}},
		Notices: Notices{Replaced: text, Blocked: text, Limited: text, Offline: text}, Failure: Failure{Input: Open, Output: Closed},
		Limits:  Limits{MaxBodyBytes: 1, MaxMessages: 2, MaxChoices: 3, MaxDepth: 4, MaxAnswerBytes: 5, MaxEventBytes: 6, FirstByteMs: 7, IdleMs: 8, TotalMs: 9, ClientWriteMs: 10, MaxOpenStreams: 11, MaxCaptureBytes: 12},
		Sources: []Source{{Kind: "lexicon", ID: "live", Edition: "e"}},
	}
}

// secondMake says beside that everything that make 2 can say.
func secondMake() Draft {
	d := firstMake()
	d.Rules.Checks = nil
	for _, kind := range inspect.Kinds() {
		d.Rules.Checks = append(d.Rules.Checks, Check{ID: "check." + kind, Kind: kind, Action: Mask, Risk: "A.4.f", Ends: inspect.HasEnds(kind), Swap: !inspect.HasEnds(kind)})
	}
	d.Rules.Injection, d.Strict.Injection = Observe, Block
	model := "sha256:" + strings.Repeat("0a", 32)
	d.Rules.Classifiers = []Classifier{{ID: "classifier.b", Model: model, Head: "b", Risk: "A.1.a", Observe: 0.5}, {ID: "classifier.a", Model: model, Head: "a", Observe: 0.25, Block: 0.95, Asked: true}}
	gap, on, off := 2, true, false
	d.Rules.Terms[0].Matching = inspect.Matching{Fold: inspect.FoldLoose, Gap: &gap, Word: &on, Sound: &off, Spell: &off, Parts: &on}
	d.Rules.Terms[0].Text = "测试违禁"
	d.Rules.Terms[1].Text, d.Rules.Terms[1].Matching = "测试违", inspect.Matching{Sound: &on, Spell: &on, Repeat: &off}
	d.Guard = &Guard{BaseURL: "http://127.0.0.1:3/v1", Model: "g", Format: Qwen3Guard, Secret: "s", Action: Block, Failure: Open, WaitMs: 1, PerMinute: 2, AtOnce: 3}
	return d
}

// A make that was released never changes: control nodes of two versions must compile the same rules to the same bytes, and
// gateways of the older one must understand them. What a later version can say beside belongs to a make of its own, which may
// change until it is released. Raise Understands for the first such change after a release.
var makes = []struct {
	draft  func() Draft
	digest string
}{
	{firstMake, "sha256:257e4734996a700a522ea1f6edd83127763a438af1d8834f779a541d0cb3a673"},
	{secondMake, "sha256:d3cb5ad284d9272e764e4fb5b5d183f113b11b7dafdd3efe0e50bc020d0281a5"},
}

func TestEachMakeCompilesToTheBytesThatItAlwaysHad(t *testing.T) {
	if len(makes) != Understands {
		t.Fatalf("%d makes are held here, the program understands %d", len(makes), Understands)
	}
	for i, m := range makes {
		p, err := Compile(m.draft())
		if err != nil {
			t.Fatal(err)
		}
		if p.Digest() != m.digest {
			t.Errorf("make %d compiles to %s", i+1, p.Digest())
		}
		if p.Needs() != int64(i+1) {
			t.Errorf("what make %d can say is said to need make %d", i+1, p.Needs())
		}
	}
}

func TestEverythingThatAPostureCanSayIsHeldByAMake(t *testing.T) {
	said := map[string]bool{}
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		switch v.Kind() {
		case reflect.Slice:
			for i := range v.Len() {
				walk(path, v.Index(i))
			}
		case reflect.Struct:
			for i := range v.NumField() {
				walk(v.Type().Name()+"."+v.Type().Field(i).Name, v.Field(i))
			}
		case reflect.Pointer:
			if said[path] = said[path] || !v.IsZero(); !v.IsZero() {
				walk(path, v.Elem())
			}
		default:
			said[path] = said[path] || !v.IsZero()
		}
	}
	for _, m := range makes {
		p, err := Compile(m.draft())
		if err != nil {
			t.Fatal(err)
		}
		walk("", reflect.ValueOf(p.Draft()))
	}
	for path, ever := range said {
		if !ever {
			t.Errorf("no make says anything in %s: let the newest, unreleased one say it, or begin the next", path)
		}
	}
	if len(said) < 40 {
		t.Errorf("only %d fields were looked at", len(said))
	}
}

func TestWhatAMakeDoesNotKnowNeedsTheNext(t *testing.T) {
	for name, change := range map[string]func(*Draft){
		"a further kind":             func(d *Draft) { d.Rules.Checks[0].Kind = inspect.KindEmail },
		"a further kind when strict": func(d *Draft) { d.Strict.Checks[0].Kind = inspect.KindEmail },
		"placeholders":               func(d *Draft) { d.Rules.Checks[0].Action, d.Rules.Checks[0].Swap = Mask, true },
		"both ends":                  func(d *Draft) { d.Rules.Checks[0].Ends = true },
		"injection":                  func(d *Draft) { d.Rules.Injection = Observe },
		"classifiers":                func(d *Draft) { d.Rules.Classifiers = secondMake().Rules.Classifiers },
		"a guard model":              func(d *Draft) { d.Guard = secondMake().Guard },
		"a term's matching":          func(d *Draft) { d.Rules.Terms[0].Matching.Fold = inspect.FoldStrict },
		"a strict term's matching":   func(d *Draft) { d.Strict.Terms[0].Matching.Fold = inspect.FoldStrict },
		"a topic's matching":         func(d *Draft) { d.Topics[0].Terms[0].Matching.Fold = inspect.FoldStrict },
		"injection when strict":      func(d *Draft) { d.Strict.Injection = Allow },
	} {
		d := firstMake()
		if d.Needs() != 1 {
			t.Fatal("the first make needs a later one")
		}
		if change(&d); d.Needs() != 2 {
			t.Errorf("%s needs make %d", name, d.Needs())
		}
	}
}

func TestAPostureThatIsNotUnderstoodIsHandedOnAndNotObeyed(t *testing.T) {
	p, err := Compile(testDraft())
	if err != nil {
		t.Fatal(err)
	}
	newer := []byte(strings.Replace(string(p.Bytes()), `{`, `{"added_later":1,`, 1))
	if _, err := Parse(newer); err == nil {
		t.Fatal("an unknown member was passed over")
	}
	c, err := Carry(newer)
	if err != nil || c.ServiceID() != "svc1" || !slices.Equal(c.Bytes(), newer) || c.Needs() <= Understands {
		t.Fatalf("%+v, %v", c, err)
	}
	key := testKey(1)
	s, err := NewBundle(key, Bundle{Revision: 1}, []*Posture{c}, []Order{order("a", 1, ServiceOffline)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenBundle(s, nil, key.Public().(ed25519.PublicKey)); err == nil {
		t.Error("a gateway took rules that it does not understand")
	}
	if same, err := Carry(p.Bytes()); err != nil || same.Digest() != p.Digest() || same.Needs() != 1 {
		t.Errorf("one that is understood: %v", err)
	}
	for _, bad := range []string{"", "{}", "[]", `{"service_id":""}`} {
		if _, err := Carry([]byte(bad)); err == nil {
			t.Errorf("%q was carried", bad)
		}
	}
}
