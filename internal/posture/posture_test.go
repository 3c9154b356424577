package posture

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/platform/fault"
)

func testKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func testDraft() Draft {
	return Draft{
		OperatorID: "op1", ServiceID: "svc1", Models: []string{"demo"},
		Deployments: []Deployment{
			{ID: "d2", BaseURL: "http://127.0.0.1:2/v1", Model: "m2", Role: RoleBackup, Filed: true, Tested: true},
			{ID: "d1", BaseURL: "http://127.0.0.1:1/v1", Model: "m1", Secret: "up1", Role: RolePrimary, Filed: true, Tested: true},
		},
		Rules: Rules{
			Terms: []Term{
				{ID: "t2", Text: "测试违禁词乙", Action: Mask, Risk: "A2"},
				{ID: "t1", Text: "测试违禁词甲", Action: Block, Risk: "A1", Contexts: []string{"乙", "甲"}, Window: 8},
			},
			Checks: []Check{{ID: "c1", Kind: "cn_id", Action: Mask, Risk: "A4"}},
		},
		Strict:  Rules{Terms: []Term{{ID: "s1", Text: "严格词", Action: Block, Risk: "A1"}}},
		Topics:  []Topic{{ID: "gossip", Terms: []Term{{ID: "g1", Text: "话题词", Action: Observe, Risk: "A2"}}}},
		Notices: Notices{Blocked: Text{ZH: "无法回答", EN: "cannot answer"}},
	}
}

func field(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Field
	}
	return ""
}

func TestThePostureAddressDependsOnContentNotOnListOrder(t *testing.T) {
	a, err := Compile(testDraft())
	if err != nil {
		t.Fatal(err)
	}
	d := testDraft()
	slices.Reverse(d.Rules.Terms)
	slices.Reverse(d.Deployments)
	b, err := Compile(d)
	if err != nil {
		t.Fatal(err)
	}
	if a.Digest() != b.Digest() || !strings.HasPrefix(a.Digest(), "sha256:") {
		t.Fatalf("digests %s and %s", a.Digest(), b.Digest())
	}
	d.Rules.Terms[0].Action = Observe
	if c, err := Compile(d); err != nil || c.Digest() == a.Digest() {
		t.Fatal("a changed action kept the address")
	}
}

func TestACompiledPostureCannotBeChangedThroughItsParts(t *testing.T) {
	d := testDraft()
	p, _ := Compile(d)
	d.Rules.Terms[0].Text = "changed"
	got := p.Draft()
	got.Rules.Terms[0].Text = "changed"
	got.Rules.Terms[0].Contexts[0] = "changed"
	got.Topics[0].Terms[0].Text = "changed"
	p.Bytes()[5] = 'X'
	again, err := Parse(p.Bytes())
	if err != nil || again.Digest() != p.Digest() || strings.Contains(string(p.Bytes()), "changed") || p.Draft().Rules.Terms[0].Text == "changed" {
		t.Fatal("the posture was changed from outside")
	}
}

func TestCompileNamesTheFieldThatIsWrong(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*Draft)
		field string
	}{
		{"no service", func(d *Draft) { d.ServiceID = "" }, "posture.service_id"},
		{"no model", func(d *Draft) { d.Models = nil }, "posture.models"},
		{"model twice", func(d *Draft) { d.Models = []string{"a", "a"} }, "posture.models"},
		{"mask injection", func(d *Draft) { d.Rules.Injection = Mask }, "posture.rules.injection"},
		{"other format", func(d *Draft) { d.Format = 9 }, "posture.format"},
		{"no primary", func(d *Draft) { d.Deployments[1].Role = RoleBackup }, "posture.deployments"},
		{"two primaries", func(d *Draft) { d.Deployments[0].Role = RolePrimary }, "posture.deployments"},
		{"role unknown", func(d *Draft) { d.Deployments[1].Role = "x" }, "posture.deployments.d1.role"},
		{"file address", func(d *Draft) { d.Deployments[1].BaseURL = "file:///etc/passwd" }, "posture.deployments.d1.base_url"},
		{"credentials in address", func(d *Draft) { d.Deployments[1].BaseURL = "http://u:p@h/v1" }, "posture.deployments.d1.base_url"},
		{"action unknown", func(d *Draft) { d.Rules.Terms[1].Action = "explode" }, "posture.rules.terms.t1.action"},
		{"rule id twice across sets", func(d *Draft) { d.Strict.Terms[0].ID = "t1" }, "posture.strict.terms.t1"},
		{"empty term", func(d *Draft) { d.Rules.Terms[0].Text = "" }, "posture.rules.terms.t2.text"},
		{"context without window", func(d *Draft) { d.Rules.Terms[1].Window = 0 }, "posture.rules.terms.t1.window"},
		{"check unknown", func(d *Draft) { d.Rules.Checks[0].Kind = "iban" }, "posture.rules.checks.c1.kind"},
		{"failure mode unknown", func(d *Draft) { d.Failure.Output = "maybe" }, "posture.failure"},
		{"negative limit", func(d *Draft) { d.Limits.MaxMessages = -1 }, "posture.limits"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := testDraft()
			c.spoil(&d)
			_, err := Compile(d)
			if fault.KindOf(err) != fault.KindInvalid || field(err) != c.field {
				t.Fatalf("got %v, want field %s", err, c.field)
			}
		})
	}
}

func TestParseRefusesAnythingButTheCanonicalBytes(t *testing.T) {
	p, _ := Compile(testDraft())
	body := string(p.Bytes())
	for name, b := range map[string]string{
		"blank added":   strings.Replace(body, `{"format"`, `{ "format"`, 1),
		"unknown name":  strings.Replace(body, `{"format"`, `{"extra":1,"format"`, 1),
		"twice":         strings.Replace(body, `{"format":1`, `{"format":1,"format":1`, 1),
		"other case":    strings.Replace(body, `"service_id"`, `"Service_ID"`, 1),
		"trailing data": body + "{}",
		"cut":           body[:len(body)-1],
		"bad utf-8":     strings.Replace(body, "demo", "de\xffmo", 1),
	} {
		if _, err := Parse([]byte(b)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := Parse([]byte(body)); err != nil {
		t.Errorf("control: %v", err)
	}
}

func TestTightenedAddsTheStrictSetAndATopicBlocksAllThatCarriesIt(t *testing.T) {
	d := testDraft()
	d.Rules.Terms[0].Topic, d.Strict.Terms[0].Topic = "gossip", "gossip"
	actions := func(terms []Term) map[string]Action {
		out := map[string]Action{}
		for _, term := range terms {
			out[term.ID] = term.Action
		}
		return out
	}
	if got, want := actions(d.Tightened().Terms), (map[string]Action{"t1": Block, "t2": Mask, "s1": Block}); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	topical := d.Topical("gossip")
	if got, want := actions(topical), (map[string]Action{"t2": Block, "s1": Block, "g1": Block}); !maps.Equal(got, want) || topical[2].Topic != "gossip" {
		t.Errorf("%v, want %v", got, want)
	}
	if len(d.Topical("nowhere")) != 0 || len(d.Rules.Terms) != 2 || d.Rules.Terms[0].Action != Mask {
		t.Error("a topic that there is not has terms, or the base set was changed")
	}
}

func TestASignatureHoldsOnlyForItsDomainKeyAndBytes(t *testing.T) {
	key, other := testKey(1), testKey(2)
	pub, otherPub := key.Public().(ed25519.PublicKey), other.Public().(ed25519.PublicKey)
	s := Sign(key, DomainOrder, []byte("payload"))
	if got, err := s.Verify(DomainOrder, otherPub, pub); err != nil || string(got) != "payload" {
		t.Fatal(err)
	}
	wire, _ := json.Marshal(s)
	var back Signed
	if err := json.Unmarshal(wire, &back); err != nil {
		t.Fatal(err)
	}
	if _, err := back.Verify(DomainOrder, pub); err != nil {
		t.Fatalf("after the wire: %v", err)
	}
	for name, try := range map[string]func() error{
		"other domain":  func() error { _, err := s.Verify(DomainPosture, pub); return err },
		"domain forged": func() error { x := s; x.Domain = DomainBundle; _, err := x.Verify(DomainBundle, pub); return err },
		"other key":     func() error { _, err := s.Verify(DomainOrder, otherPub); return err },
		"no key":        func() error { _, err := s.Verify(DomainOrder); return err },
		"key id forged": func() error {
			x := s
			x.KeyID = KeyID(otherPub)
			_, err := x.Verify(DomainOrder, otherPub)
			return err
		},
		"payload changed": func() error { x := s; x.Payload = []byte("Payload"); _, err := x.Verify(DomainOrder, pub); return err },
	} {
		if try() == nil {
			t.Errorf("%s: verified", name)
		}
	}
}

func TestGatewayKeysAreRandomAndHashedOnlyIfOurs(t *testing.T) {
	a, b := NewKey(), NewKey()
	if a == b || HashKey(a) == HashKey(b) || len(HashKey(a)) != 64 {
		t.Fatal("keys repeat")
	}
	for _, bad := range []string{"", "sk-" + strings.Repeat("x", 40), "fsk-short", a + strings.Repeat("x", 300)} {
		if HashKey(bad) != "" {
			t.Errorf("hashed %q", bad)
		}
	}
}

func TestAStrictFilterRaisesWhatIsDoneAboutInjection(t *testing.T) {
	for _, c := range []struct{ base, strict, want Action }{
		{"", "", ""}, {Observe, Block, Block}, {Block, Observe, Block}, {"", Observe, Observe}, {Observe, "", Observe},
	} {
		d := testDraft()
		d.Rules.Injection, d.Strict.Injection = c.base, c.strict
		if r := d.Tightened(); r.Injection != c.want {
			t.Errorf("%+v: %q with the strict set", c, r.Injection)
		}
	}
}

func TestAPostureTakesEveryKindThatTheEngineHasAndNoOther(t *testing.T) {
	for _, kind := range append(inspect.Kinds(), "term", "made_up") {
		d := testDraft()
		d.Rules.Checks = []Check{{ID: "c", Kind: kind, Action: Mask}}
		_, err := Compile(d)
		if known := slices.Contains(inspect.Kinds(), kind); known != (err == nil) {
			t.Errorf("%s: %v", kind, err)
		}
		if _, err := inspect.Compile(inspect.Rules{Checks: []inspect.Check{{ID: "c", Kind: kind, Action: inspect.Mask}}}); (err == nil) != slices.Contains(inspect.Kinds(), kind) {
			t.Errorf("the engine and its list disagree about %s: %v", kind, err)
		}
	}
}
