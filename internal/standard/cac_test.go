package standard

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestCACGradesFollowTheAnnex(t *testing.T) {
	b := load(t)
	const minute, hour = int64(60_000), int64(3_600_000)
	one := func(indicator string, value int64, scope string) []Quantity {
		return []Quantity{{Indicator: indicator, Value: value, Scope: scope}}
	}
	for name, tt := range map[string]struct {
		in       []Quantity
		grade    CACGradeID
		verified bool
	}{
		"100 million people's data":              {one("personal_information_persons", 100_000_000, ""), "especially_major", true},
		"one below 100 million":                  {one("personal_information_persons", 99_999_999, ""), "major", true},
		"10 million":                             {one("personal_information_persons", 10_000_000, ""), "major", true},
		"1 million":                              {one("personal_information_persons", 1_000_000, ""), "considerable", true},
		"one below 1 million":                    {one("personal_information_persons", 999_999, ""), "general", true},
		"100 million CNY":                        {one("direct_loss_cny", 100_000_000, ""), "especially_major", true},
		"20 million CNY rests on the draft":      {one("direct_loss_cny", 20_000_000, ""), "major", false},
		"below a draft threshold":                {one("direct_loss_cny", 4_999_999, ""), "general", false},
		"provincial portal for a day":            {one("portal_unreachable_ms", 24*hour, "provincial_portal"), "especially_major", true},
		"prefecture portal for a day":            {one("portal_unreachable_ms", 24*hour, "prefecture_portal"), "major", true},
		"key news site for 6 h":                  {one("portal_unreachable_ms", 6*hour, "other_news"), "considerable", false},
		"half a province":                        {one("population_share_bp", 5000, "province"), "especially_major", true},
		"half a city":                            {one("population_share_bp", 5000, "prefecture"), "major", true},
		"30 % of a city is not verified":         {one("population_share_bp", 3000, "prefecture"), "considerable", false},
		"infrastructure down half an hour":       {one("cii_whole_down_ms", 30*minute, ""), "considerable", false},
		"infrastructure down 6 h":                {one("cii_whole_down_ms", 6*hour, ""), "especially_major", true},
		"judged by a person":                     {[]Quantity{{Indicator: "systems", Judged: "especially_major"}}, "especially_major", true},
		"judged without threat":                  {[]Quantity{{Indicator: "systems", Judged: "general"}}, "general", true},
		"the gravest of several wins":            {[]Quantity{{Indicator: "reposts", Value: 1000}, {Indicator: "personal_information_persons", Value: 10_000_000}}, "major", true},
		"the same indicator for several sites":   {[]Quantity{{Indicator: "portal_unreachable_ms", Value: hour, Scope: "provincial_portal"}, {Indicator: "portal_unreachable_ms", Value: 24 * hour, Scope: "central_news"}}, "especially_major", true},
		"a higher number of a lesser scope is 0": {one("tampered_home_page_ms", 6*hour, "other_platform"), "considerable", false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := b.CACGrade(tt.in)
			if err != nil || got.Grade != tt.grade || got.Verified != tt.verified {
				t.Fatalf("%+v %v, want %s verified %v", got, err, tt.grade, tt.verified)
			}
			if (got.Grade == "general") != (len(got.Deciding) == 0) || got.Reportable != (got.Grade != "general") {
				t.Errorf("%+v", got)
			}
			for _, h := range got.Deciding {
				if h.Grade != got.Grade || h.Cite.Clause == "" {
					t.Errorf("deciding cell %+v", h)
				}
			}
		})
	}
}

func TestEveryThresholdOfTheAnnexIncludesItsOwnNumber(t *testing.T) {
	b := load(t)
	cells := 0
	for _, ind := range b.Indicators() {
		for _, c := range ind.Cells {
			if ind.Kind == IndicatorJudged {
				continue
			}
			cells++
			q := Quantity{Indicator: ind.ID, Value: c.AtLeast}
			if len(c.Scope) > 0 {
				q.Scope = c.Scope[0]
			}
			at, err := b.CACGrade([]Quantity{q})
			if err != nil || b.cac.rank(at.Grade) > b.cac.rank(c.Grade) {
				t.Errorf("%s at %d: %+v %v", ind.ID, c.AtLeast, at, err)
			}
			q.Value--
			below, err := b.CACGrade([]Quantity{q})
			hit := slices.ContainsFunc(below.Deciding, func(h CACHit) bool { return h.AtLeast == c.AtLeast && h.Grade == c.Grade })
			if err != nil || hit {
				t.Errorf("%s just below %d still meets it: %+v %v", ind.ID, c.AtLeast, below, err)
			}
		}
	}
	if cells != 33 { // 11 measured indicators of three grades each
		t.Errorf("%d cells", cells)
	}
}

func TestTheCACGradeNeverFallsWhenAQuantityRises(t *testing.T) {
	b := load(t)
	var measured []Indicator
	for _, ind := range b.Indicators() {
		if ind.Kind == IndicatorMeasured {
			measured = append(measured, ind)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		var low, high []Quantity
		for range rapid.IntRange(1, 5).Draw(rt, "quantities") {
			ind := rapid.SampledFrom(measured).Draw(rt, "indicator")
			q := Quantity{Indicator: ind.ID}
			if s := ind.scopes(); len(s) > 0 {
				q.Scope = rapid.SampledFrom(s).Draw(rt, "scope")
			}
			top := int64(2e8)
			if ind.Unit == "basis_points" {
				top = 10000
			}
			q.Value = rapid.Int64Range(0, top).Draw(rt, "low")
			low = append(low, q)
			q.Value = rapid.Int64Range(q.Value, top).Draw(rt, "high")
			high = append(high, q)
		}
		a, err1 := b.CACGrade(low)
		z, err2 := b.CACGrade(high)
		if err1 != nil || err2 != nil || b.cac.rank(z.Grade) > b.cac.rank(a.Grade) {
			rt.Fatalf("%v %v: %s then %s", err1, err2, a.Grade, z.Grade)
		}
	})
}

func TestQuantitiesThatMakeNoSenseAreRefused(t *testing.T) {
	b := load(t)
	for field, in := range map[string][]Quantity{
		"quantities":              nil,
		"quantities[0].indicator": {{Indicator: "mood", Value: 1}},
		"quantities[0].value":     {{Indicator: "views", Value: -1}},
		"quantities[1].value":     {{Indicator: "views"}, {Indicator: "population_share_bp", Value: 10001, Scope: "province"}},
		"quantities[0].scope":     {{Indicator: "population_share_bp", Value: 1}},
		"quantities[1].scope":     {{Indicator: "views"}, {Indicator: "views", Scope: "province"}},
		"quantities[0].judged":    {{Indicator: "systems", Judged: "dreadful"}},
		"quantities[1].judged":    {{Indicator: "views"}, {Indicator: "views", Judged: "major"}},
		"quantities[0]":           {{Indicator: "systems", Judged: "major", Value: 3}},
	} {
		var bad *InputError
		if _, err := b.CACGrade(in); !errors.As(err, &bad) || bad.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestReportersHaveTheirClocksAndHops(t *testing.T) {
	b := load(t)
	const minute, hour = int64(60_000), int64(3_600_000)
	for _, want := range []struct {
		id         string
		due, hop   int64
		recipients []string
	}{
		{"cii", hour, 30 * minute, []string{"cii_protection_department", "public_security"}},
		{"central_organ", 2 * hour, hour, []string{"organ_cyberspace_office"}},
		{"other", 4 * hour, hour, []string{"provincial_cac"}},
	} {
		r, ok := b.cac.reporter(want.id)
		if !ok || r.DueMs != want.due || !slices.Equal(r.FirstRecipients, want.recipients) || !r.Cite.Verified {
			t.Errorf("%+v", r)
		}
		if len(r.NextHops) != 1 || r.NextHops[0].DueMs != want.hop || !slices.Equal(r.NextHops[0].Grades, []CACGradeID{"especially_major", "major"}) {
			t.Errorf("%+v", r.NextHops)
		}
	}
}
