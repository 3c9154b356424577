package inspect

import (
	"errors"
	"strings"
	"testing"
)

func TestCompileNamesTheEntryAndTheFieldThatIsWrong(t *testing.T) {
	good := Term{ID: "g", Text: "甲乙", Action: Mask}
	with := func(change func(*Term)) Rules {
		bad := Term{ID: "bad", Text: "测试违禁词甲", Action: Mask}
		change(&bad)
		return Rules{Terms: []Term{good, bad}}
	}
	for _, tt := range []struct {
		name, id, field string
		rules           Rules
	}{
		{"no id", "", "id", with(func(t *Term) { t.ID = "" })},
		{"same id twice", "g", "id", with(func(t *Term) { t.ID = "g" })},
		{"check with the id of a term", "g", "id", Rules{Terms: []Term{good}, Checks: []Check{{ID: "g", Kind: KindCNID, Action: Mask}}}},
		{"action allow", "bad", "action", with(func(t *Term) { t.Action = Allow })},
		{"action out of range", "bad", "action", with(func(t *Term) { t.Action = 9 })},
		{"empty text", "bad", "text", with(func(t *Term) { t.Text = "" })},
		{"invisible text", "bad", "text", with(func(t *Term) { t.Text = "\u200b\ufeff" })},
		{"broken text", "bad", "text", with(func(t *Term) { t.Text = "a\xff" })},
		{"long text", "bad", "text", with(func(t *Term) { t.Text = strings.Repeat("长", MaxTermRunes+1) })},
		{"broken replacement", "bad", "replacement", with(func(t *Term) { t.Replacement = "\xff" })},
		{"empty context", "bad", "contexts", with(func(t *Term) { t.Contexts, t.Window = []string{"乙", ""}, 5 })},
		{"context without window", "bad", "window", with(func(t *Term) { t.Contexts = []string{"乙"} })},
		{"negative window", "bad", "window", with(func(t *Term) { t.Contexts, t.Window = []string{"乙"}, -1 })},
		{"window over the cap", "bad", "window", with(func(t *Term) { t.Contexts, t.Window = []string{"乙"}, DefaultMaxHold-5 })},
		{"observing window over the cap", "bad", "window", with(func(t *Term) {
			t.Contexts, t.Window, t.Action = []string{"乙"}, DefaultMaxHold+1, Observe
		})},
		{"unknown check", "k", "kind", Rules{Checks: []Check{{ID: "k", Kind: "iban", Action: Mask}}}},
		{"check without action", "k", "action", Rules{Checks: []Check{{ID: "k", Kind: KindCNID}}}},
		{"cap below a term", "g", "text", Rules{Terms: []Term{good}, MaxHold: 1}},
		{"cap below a check", "k", "kind", Rules{Checks: []Check{{ID: "k", Kind: KindBankCard, Action: Mask}}, MaxHold: 37}},
		{"negative cap", "", "max_hold", Rules{MaxHold: -1}},
		{"surrogate as mask", "", "mask_rune", Rules{MaskRune: 0xD800}},
		{"broken replace text", "", "replace_text", Rules{ReplaceText: "\xff"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Compile(tt.rules)
			var re *RuleError
			if !errors.As(err, &re) || re.ID != tt.id || re.Field != tt.field {
				t.Fatalf("got %v, want entry %q field %q", err, tt.id, tt.field)
			}
			if strings.Contains(err.Error(), "违禁") || !strings.Contains(err.Error(), tt.field) {
				t.Errorf("message %q must name the field and not show the term", err)
			}
		})
	}
}

func TestRulesThatNeedLessThanTheCapCompile(t *testing.T) {
	mustCompile(t, Rules{})
	mustCompile(t, Rules{MaxHold: 2, Terms: []Term{{ID: "g", Text: "甲乙", Action: Mask}}})
	mustCompile(t, Rules{MaxHold: 38, Checks: []Check{{ID: "k", Kind: KindBankCard, Action: Mask}}})
	// What only observes holds nothing back.
	mustCompile(t, Rules{MaxHold: 1, Terms: []Term{{ID: "g", Text: "甲乙", Action: Observe}},
		Checks: []Check{{ID: "k", Kind: KindBankCard, Action: Observe}}})
}

func TestChangingTheRulesAfterwardsDoesNotChangeTheEngine(t *testing.T) {
	rules := Rules{Terms: []Term{{ID: "g", Text: "甲乙", Action: Mask, Contexts: []string{"丙"}, Window: 4}}}
	e := mustCompile(t, rules)
	rules.Terms[0].Contexts[0] = "丁"
	rules.Terms[0].Action = Observe
	if got := e.Scan("丙甲乙").Released; got != "丙**" {
		t.Fatalf("released %q", got)
	}
}
