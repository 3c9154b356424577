package inspect

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fengsui/fengsui/internal/inspect/match"
)

func matching(t testing.TB, text string) Matching {
	t.Helper()
	m, err := ParseMatching(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAMatchingChangesWhatItNamesAndLeavesTheRestUsual(t *testing.T) {
	for _, c := range []struct {
		text, matching string
		want           Disguise
	}{
		{"测试违禁", "", Disguise{Loose: true, Gap: 3, Parts: true, Sound: true, Repeat: true}},
		{"测试违禁", "sound=off|repeat=off", Disguise{Loose: true, Gap: 3, Parts: true}},
		{"测试违禁", "gap=0", Disguise{Loose: true, Parts: true, Sound: true}},
		{"测试违禁", "gap=8|spell", Disguise{Loose: true, Gap: 8, Parts: true, Sound: true, Spell: true, Repeat: true}},
		{"测试违禁", "strict", Disguise{}},
		{"测试违", "sound", Disguise{Loose: true, Gap: 3, Parts: true, Sound: true, Repeat: true}},
		{"cat", "", Disguise{Word: true}},
		{"cat", "word=off", Disguise{}},
		{"cat", "loose", Disguise{Loose: true, Word: true}},
		{"cat", "gap=1|repeat", Disguise{Loose: true, Gap: 1, Word: true, Repeat: true}},
		{"cat", "gap=1", Disguise{Loose: true, Gap: 1, Word: true}},
		{"cat", "strict|gap=0", Disguise{Word: true}},
		{"??", "strict", Disguise{}},
	} {
		if got, err := matching(t, c.matching).Of(c.text); err != nil || got != c.want {
			t.Errorf("%s, %q: %+v, %v, want %+v", c.text, c.matching, got, err, c.want)
		}
	}
	if d, err := (Matching{}).Of("测试违禁", "甲", "？"); err != nil || d != (Disguise{}) {
		t.Errorf("with a context that is only a sign: %+v, %v", d, err)
	}
}

func TestAMatchingThatTheTextDoesNotAllowNamesTheField(t *testing.T) {
	gap := 9
	for _, c := range []struct {
		text  string
		m     Matching
		field string
	}{
		{"测试", matching(t, "sound"), "sound"},
		{"abc", matching(t, "sound"), "sound"},
		{"测试a", matching(t, "spell"), "spell"},
		{"测", matching(t, "spell"), "spell"},
		{"测试违", matching(t, "strict|sound"), "sound"},
		{"测试违", matching(t, "strict|parts"), "parts"},
		{"测试违", matching(t, "strict|repeat"), "repeat"},
		{"测试违", matching(t, "gap=0|repeat"), "repeat"},
		{"cat", matching(t, "repeat"), "repeat"},
		{"测试违", matching(t, "strict|gap=1"), "gap"},
		{"测试违", Matching{Gap: &gap}, "gap"},
		{"测试违", Matching{Fold: "loosely"}, "fold"},
		{"?!", matching(t, "loose"), "fold"},
	} {
		var wrong *RuleError
		if _, err := c.m.Of(c.text); !errors.As(err, &wrong) || wrong.Field != c.field {
			t.Errorf("%s, %q: %v, want field %s", c.text, c.m, err, c.field)
		}
	}
	var wrong *RuleError
	if _, err := matching(t, "gap=1").Of("测试", "甲", "？"); !errors.As(err, &wrong) || wrong.Field != "contexts" {
		t.Errorf("a context that is only a sign: %v", err)
	}
	for _, bad := range []string{"shout", "strict|loose", "gap", "gap=", "gap=9", "gap=-1", "gap=1|gap=2", "sound|sound=off", "sound=yes", "strict=on", "|", "word||parts"} {
		if m, err := ParseMatching(bad); err == nil {
			t.Errorf("%q is read as %q", bad, m)
		}
	}
}

func TestAMatchingIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := Matching{Fold: rapid.SampledFrom([]string{"", FoldStrict, FoldLoose}).Draw(t, "fold")}
		if rapid.Bool().Draw(t, "gapped") {
			gap := rapid.IntRange(0, match.MaxGap).Draw(t, "gap")
			m.Gap = &gap
		}
		for i, s := range m.switches() {
			if on := rapid.Bool().Draw(t, switchNames[i]); rapid.Bool().Draw(t, "said") {
				*s = &on
			}
		}
		again, err := ParseMatching(m.String())
		if err != nil || again.String() != m.String() || m.Clone().String() != m.String() || m.IsZero() != (m.String() == "") {
			t.Fatalf("%q, %q, %v", m, again, err)
		}
		if text := "测试违禁词甲乙"; m.Fold != FoldStrict && !(m.Gap != nil && *m.Gap == 0 && m.Repeat != nil && *m.Repeat) {
			d, err := m.Of(text)
			same, err2 := again.Of(text)
			if err != nil || err2 != nil || d != same {
				t.Fatalf("%q: %+v, %+v, %v, %v", m, d, same, err, err2)
			}
		}
	})
	m := matching(t, "gap=2|word")
	c := m.Clone()
	*c.Gap, *c.Word = 3, false
	if m.String() != "gap=2|word" {
		t.Error("a clone shares what it holds")
	}
}

// A list of terms is compiled as one: what one of them may not be keeps all of them from being looked for.
func TestNoTermIsRefusedForItsUsualDisguises(t *testing.T) {
	rules := Rules{MaxHold: WidestHold}
	add := func(text string, m Matching, contexts ...string) {
		if _, reason := lengthOf(text, false); reason != "" {
			return
		}
		d, err := m.Of(text, contexts...)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		rules.Terms = append(rules.Terms, Term{ID: fmt.Sprint(len(rules.Terms)), Text: text, Action: Block, Disguise: d, Contexts: contexts, Window: 24 * min(1, len(contexts))})
	}
	for r := rune(' '); r <= 0xFFFF; r++ { // each with neighbours that make it loose, and that do not
		add(strings.Repeat(string(r), 4), Matching{})
		add("甲乙丙"+string(r), Matching{})
		add(string(r)+"a", Matching{})
	}
	if len(rules.Terms) < 100_000 {
		t.Fatalf("only %d terms", len(rules.Terms))
	}
	add(strings.Repeat("长", MaxTermRunes), Matching{}, "甲")
	add(strings.Repeat("装", MaxTermRunes), matching(t, "gap=8|spell|parts|word"), "乙")
	add("测试违禁", Matching{}, "，")
	if _, err := Compile(rules); err != nil {
		t.Fatal(err)
	}
	rules.MaxHold = 0
	if _, err := Compile(rules); err == nil {
		t.Error("the terms do not need the widest hold: the test tries too little")
	}
}
