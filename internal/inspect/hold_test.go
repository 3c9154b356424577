package inspect

import (
	"strings"
	"testing"
)

func TestModesOfHolding(t *testing.T) {
	block, mask := Term{ID: "b", Text: "甲乙丙丁", Action: Block}, Term{ID: "m", Text: "测试违禁", Action: Mask}
	for _, c := range []struct {
		name    string
		rules   Rules
		text    string
		want    string // releases, one for each character and the end
		blocked bool
	}{
		{"everything is held", Rules{Terms: []Term{block}}, "前甲乙丙后", "前||||甲乙丙后|", false},
		{"cut lets the beginning of a block go", Rules{Terms: []Term{block}, Cut: true}, "前甲乙丙丁后", "前|甲|乙|丙||", true},
		{"cut still holds what is masked", Rules{Terms: []Term{block, mask}, Cut: true}, "甲测试违禁", "甲||||****", false},
		{"hold from two lets one go", Rules{Terms: []Term{mask}, HoldFrom: 2}, "测试题", "测||试题|", false},
		{"of a hit what is left is masked", Rules{Terms: []Term{mask}, HoldFrom: 2}, "测试违禁。", "测|||***|。|", false},
		{"a disguised term is held with its separators", Rules{Terms: []Term{{ID: "l", Text: "测试", Action: Mask, Disguise: Disguise{Loose: true, Gap: 2}}}},
			"测--题", "|||测--题|", false},
		{"and no longer than they may be", Rules{Terms: []Term{{ID: "l", Text: "测试", Action: Mask, Disguise: Disguise{Loose: true, Gap: 2}}}},
			"测---题", "|||测---|题|", false},
		{"a disguised hit is masked whole", Rules{Terms: []Term{{ID: "l", Text: "测试", Action: Mask, Disguise: Disguise{Loose: true, Gap: 2}}}},
			"测-\u200b-試", "||||****", false},
		{"what is written again is held with the term", Rules{Terms: []Term{{ID: "l", Text: "测试违", Action: Mask, Disguise: Disguise{Gap: 2, Repeat: true}}}},
			"测试试试题", "||||测试试试题|", false},
		{"and no longer than it may be", Rules{Terms: []Term{{ID: "l", Text: "测试违", Action: Mask, Disguise: Disguise{Gap: 2, Repeat: true}}}},
			"测试试试试题", "||||测试试试试|题|", false},
		{"and masked whole", Rules{Terms: []Term{{ID: "l", Text: "测试违", Action: Mask, Disguise: Disguise{Gap: 2, Repeat: true}}}},
			"测测试\u200b试违违", "|测||||****|违|", false},
		{"a term that ends twice is held until that is over", Rules{Terms: []Term{{ID: "l", Text: "测试违违", Action: Mask, Disguise: Disguise{Gap: 2, Repeat: true}}}},
			"测试试违违题", "|||||*****题|", false},
		{"also one that has something twice inside", Rules{Terms: []Term{{ID: "l", Text: "测试试违违", Action: Mask, Disguise: Disguise{Gap: 2, Repeat: true}}}},
			"测试试试违违题", "||||||******题|", false},
		{"a word waits for what follows", Rules{Terms: []Term{{ID: "w", Text: "cat", Action: Mask, Disguise: Disguise{Word: true}}}},
			"a cat cats", "a| ||||*** ||||cats|", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := mustCompile(t, c.rules).NewStream()
			var got []string
			blocked := false
			for _, r := range c.text {
				step := s.Write(string(r))
				got = append(got, step.Released)
				blocked = blocked || step.Blocked
			}
			got = append(got, s.Close().Released)
			joined := strings.Join(got, "|")
			if strings.TrimRight(joined, "|") != strings.TrimRight(c.want, "|") || blocked != c.blocked {
				t.Errorf("released %q, blocked %v; want %q", joined, blocked, c.want)
			}
		})
	}
}

func TestUsualDisguisesSuitTheText(t *testing.T) {
	for text, want := range map[string]Disguise{
		"法":      {},
		"违禁":     {Loose: true, Gap: 3, Parts: true},
		"测试违":    {Loose: true, Gap: 3, Parts: true, Repeat: true},
		"测试违禁":   {Loose: true, Gap: 3, Parts: true, Repeat: true, Sound: true},
		"cat":    {Word: true},
		"c++":    {Word: true},
		"VPN翻墙":  {Word: true},
		"😀":      {},
		"":       {},
		"测试 违禁。": {},
	} {
		if got := Usual(text); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
	for _, text := range []string{strings.Repeat("长", MaxTermRunes), "測試違禁", "a b"} {
		if _, err := Compile(Rules{Terms: []Term{{ID: "t", Text: text, Action: Block, Disguise: Usual(text)}}}); err != nil {
			t.Errorf("%.9q: %v", text, err)
		}
	}
}
