package standard

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const (
	testHour = int64(3_600_000)
	testDay  = 24 * testHour
)

func byRule(t testing.TB, b *Book, f Facts) map[string]Obligation {
	t.Helper()
	list, err := b.Obligations(f)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]Obligation{}
	for _, o := range list {
		out[o.Rule.ID] = o
	}
	if len(out) != len(b.Rules()) {
		t.Fatalf("%d obligations for %d rules", len(out), len(b.Rules()))
	}
	return out
}

func TestObligationsFollowTheFacts(t *testing.T) {
	b := load(t)
	yes, no := new(true), new(false)
	illegal, discrimination := []string{"content.illegal"}, []string{"content.discrimination"}
	for name, tt := range map[string]struct {
		facts Facts
		rule  string
		state string
		why   string
	}{
		"level 3 owes the report at once":                 {Facts{Level: 3}, "guide.immediate", StateOwed, "all"},
		"level 1 owes the report at once":                 {Facts{Level: 1}, "guide.immediate", StateOwed, "all"},
		"level 4 strikes it off":                          {Facts{Level: 4}, "guide.immediate", StateStruck, "level"},
		"level 4 files once handling ended":               {Facts{Level: 4, HandlingEnded: true}, "guide.periodic", StateOwed, "all"},
		"level 4 waits for the end of handling":           {Facts{Level: 4}, "guide.periodic", StatePending, "handling_ended"},
		"level 2 does not file periodically":              {Facts{Level: 2, HandlingEnded: true}, "guide.periodic", StateStruck, "level"},
		"ordinary operator, grade 较大":                     {Facts{CACGrade: "considerable", Reporter: "other"}, "cac.other", StateOwed, "all"},
		"ordinary operator, grade 一般":                     {Facts{CACGrade: "general", Reporter: "other"}, "cac.other", StateStruck, "cac_grade"},
		"ordinary operator, no grade":                     {Facts{Level: 3, Reporter: "other"}, "cac.other", StatePending, "cac_grade"},
		"another reporter's clock":                        {Facts{CACGrade: "major", Reporter: "other"}, "cac.cii.police", StateStruck, "reporter"},
		"unknown reporter, grade 重大":                      {Facts{CACGrade: "major"}, "cac.cii.police", StatePending, "reporter"},
		"unknown reporter, grade 一般":                      {Facts{CACGrade: "general"}, "cac.cii.police", StateStruck, "cac_grade"},
		"critical infrastructure tells the police":        {Facts{CACGrade: "major", Reporter: "cii"}, "cac.cii.police", StateOwed, "all"},
		"critical infrastructure tells its department":    {Facts{CACGrade: "major", Reporter: "cii"}, "cac.cii.protection", StateOwed, "all"},
		"illegal content at level 4":                      {Facts{Level: 4, Categories: illegal}, "genai.illegal_content", StateOwed, "all"},
		"illegal content before any level":                {Facts{Categories: illegal}, "genai.illegal_content", StateOwed, "all"},
		"illegal content as secondary category":           {Facts{Level: 4, Categories: []string{"data.leak", "content.illegal"}}, "genai.illegal_content", StateOwed, "all"},
		"a first guess at the category strikes off none":  {Facts{Categories: discrimination}, "genai.illegal_content", StatePending, "category"},
		"discrimination, graded":                          {Facts{Level: 4, Categories: discrimination}, "genai.illegal_content", StateStruck, "category"},
		"graded but not classified":                       {Facts{Level: 4}, "genai.illegal_content", StatePending, "category"},
		"personal information":                            {Facts{PersonalInformation: yes}, "pipl.authority", StateOwed, "all"},
		"no personal information":                         {Facts{PersonalInformation: no}, "pipl.authority", StateStruck, "personal_information"},
		"individuals are told":                            {Facts{PersonalInformation: yes}, "pipl.individuals", StateOwed, "all"},
		"individuals need not be told if harm is avoided": {Facts{PersonalInformation: yes, HarmAvoided: true}, "pipl.individuals", StateStruck, "harm_avoided"},
		"the authority is told even if harm is avoided":   {Facts{PersonalInformation: yes, HarmAvoided: true}, "pipl.authority", StateOwed, "all"},
		"endangering flaw":                                {Facts{EndangeringFlaw: yes}, "netdata.flaw", StateOwed, "all"},
		"no such flaw":                                    {Facts{EndangeringFlaw: no}, "netdata.flaw", StateStruck, "endangering_flaw"},
		"suspected crime":                                 {Facts{CrimeSuspected: yes}, "cac.crime", StateOwed, "all"},
		"five times":                                      {Facts{Occurrences: new(int64(5))}, "guide.five_in_24h", StateDecision, "all"},
		"four times":                                      {Facts{Occurrences: new(int64(4))}, "guide.five_in_24h", StateStruck, "occurrences"},
		"10,001 users":                                    {Facts{Users: new(int64(10_001))}, "guide.users_over_10000", StateDecision, "all"},
		"10,000 users are not more than 10,000":           {Facts{Users: new(int64(10_000))}, "guide.users_over_10000", StateStruck, "users"},
		"summary after the end":                           {Facts{CACGrade: "considerable", HandlingEnded: true}, "cac.summary", StateOwed, "all"},
		"summary before the end":                          {Facts{CACGrade: "considerable"}, "cac.summary", StatePending, "handling_ended"},
		"no summary without a report":                     {Facts{CACGrade: "general", HandlingEnded: true}, "cac.summary", StateStruck, "cac_grade"},
		"scales disagree, the guide owes":                 {Facts{Level: 3, CACGrade: "general", Reporter: "other"}, "scales.disagree", StateDecision, "all"},
		"scales disagree, the CAC grade owes":             {Facts{Level: 4, CACGrade: "considerable", Reporter: "other"}, "scales.disagree", StateDecision, "all"},
		"scales agree that it is owed":                    {Facts{Level: 2, CACGrade: "major", Reporter: "other"}, "scales.disagree", StateStruck, "scales_disagree"},
		"scales agree that it is not":                     {Facts{Level: 4, CACGrade: "general", Reporter: "other"}, "scales.disagree", StateStruck, "scales_disagree"},
		"one scale open":                                  {Facts{Level: 3, Reporter: "other"}, "scales.disagree", StatePending, "scales_disagree"},
	} {
		t.Run(name, func(t *testing.T) {
			got := byRule(t, b, tt.facts)[tt.rule]
			if got.State != tt.state || got.Reason.Key != "obligation."+tt.state+"."+tt.why {
				t.Errorf("%s is %s because %s", tt.rule, got.State, got.Reason.Key)
			}
		})
	}
}

func TestAnUngradedIncidentCarriesEveryCandidateClock(t *testing.T) {
	b := load(t)
	for _, o := range byRule(t, b, Facts{}) {
		if o.State != StatePending {
			t.Errorf("%s is %s", o.Rule.ID, o.State)
		}
	}
	// The kind of reporter is known of most operators: only the others' clocks are struck off.
	var pending []string
	for id, o := range byRule(t, b, Facts{Reporter: "other"}) {
		if o.State == StatePending {
			pending = append(pending, id)
		} else if o.Reason.Key != "obligation.struck.reporter" {
			t.Errorf("%s is %s because %s", id, o.State, o.Reason.Key)
		}
	}
	if len(pending) != len(b.Rules())-3 || !slices.Contains(pending, "cac.other") {
		t.Errorf("pending: %v", pending)
	}
}

func TestDueTimesRunFromTheRightClock(t *testing.T) {
	b := load(t)
	yes := true
	const aware, ended = int64(1_000_000), int64(9_000_000)
	got := byRule(t, b, Facts{Level: 4, CACGrade: "major", Reporter: "other", EndangeringFlaw: &yes, HandlingEnded: true})
	for id, want := range map[string]int64{
		"cac.other": aware + 4*testHour, "cac.cii.police": aware + testHour, "cac.central_organ": aware + 2*testHour,
		"netdata.flaw": aware + testDay, "cac.summary": ended + 30*testDay, "guide.immediate": aware,
	} {
		if due, ok := got[id].DueAt(aware, ended); !ok || due != want {
			t.Errorf("%s: %d %v, want %d", id, due, ok, want)
		}
	}
	if due, ok := got["guide.periodic"].DueAt(aware, ended); ok {
		t.Errorf("a filing without an interval is due at %d", due)
	}
	if due, ok := got["cac.summary"].DueAt(aware, 0); ok {
		t.Errorf("the summary is due at %d before handling ended", due)
	}
}

func TestADisagreementIsDueOnTheShorterClock(t *testing.T) {
	b := load(t)
	for reporter, want := range map[string]int64{"cii": testHour, "central_organ": 2 * testHour, "other": 4 * testHour, "": testHour} {
		got := byRule(t, b, Facts{Level: 3, CACGrade: "general", Reporter: reporter})["scales.disagree"]
		if got.State != StateDecision || got.Due != (Due{Kind: DueWithin, Ms: want}) {
			t.Errorf("%q: %s %+v", reporter, got.State, got.Due)
		}
	}
}

func TestNoMoreKnowledgeEverReopensAStruckClockUnlessAFactChanges(t *testing.T) {
	b := load(t)
	draw := func(rt *rapid.T, name string) *bool {
		return rapid.SampledFrom([]*bool{nil, new(true), new(false)}).Draw(rt, name)
	}
	rapid.Check(t, func(rt *rapid.T) {
		f := Facts{
			Level:    rapid.IntRange(0, 4).Draw(rt, "level"),
			CACGrade: rapid.SampledFrom([]CACGradeID{"", "especially_major", "major", "considerable", "general"}).Draw(rt, "grade"),
			Reporter: rapid.SampledFrom([]string{"", "cii", "central_organ", "other"}).Draw(rt, "reporter"),
			Categories: rapid.SliceOfN(rapid.SampledFrom([]string{"content.illegal", "content.discrimination", "data.leak"}), 0, 2).
				Draw(rt, "categories"),
			PersonalInformation: draw(rt, "personal"), EndangeringFlaw: draw(rt, "flaw"), CrimeSuspected: draw(rt, "crime"),
			HarmAvoided: rapid.Bool().Draw(rt, "avoided"),
		}
		before := byRule(t, b, f)
		more := f
		if more.Level == 0 {
			more.Level = rapid.IntRange(1, 4).Draw(rt, "level later")
		}
		if more.CACGrade == "" {
			more.CACGrade = "major"
		}
		if more.Reporter == "" {
			more.Reporter = "other"
		}
		more.Occurrences, more.Users = new(int64(9)), new(int64(9))
		after := byRule(t, b, more)
		for id, o := range before {
			n := after[id]
			if o.State != StatePending && n.State != o.State {
				rt.Fatalf("%s was %s and became %s by facts that were only unknown", id, o.State, n.State)
			}
			if o.Reason.ZH == "" || o.Reason.EN == "" || o.Due.Kind == DueShorterClock {
				rt.Fatalf("%s: %+v", id, o)
			}
		}
	})
}

func TestTheReadingOfTheGuidesSentenceIsASetting(t *testing.T) {
	five := Facts{Level: 4, Occurrences: new(int64(5))}
	for name, tt := range map[string]struct{ old, new, rule, state string }{
		"OR":  {"effect: decision\n    recipient: competent_authority\n    channel: authority_contact\n    trigger: {occurrences", "effect: owed\n    recipient: competent_authority\n    channel: authority_contact\n    trigger: {occurrences", "guide.five_in_24h", StateOwed},
		"AND": {"trigger: {levels: [1, 2, 3]}", "trigger: {levels: [1, 2, 3], occurrences_at_least: 5, window_ms: 86400000}", "guide.immediate", StateStruck},
	} {
		files := shipped(t)
		was := string(files[fileObligations].Data)
		if !strings.Contains(was, tt.old) {
			t.Fatalf("%s changes nothing", name)
		}
		files[fileObligations].Data = []byte(strings.Replace(was, tt.old, tt.new, 1))
		b, err := LoadFS(files)
		if err != nil {
			t.Fatal(err)
		}
		if got := byRule(t, b, five)[tt.rule]; got.State != tt.state {
			t.Errorf("%s: %s is %s", name, tt.rule, got.State)
		}
		if got := byRule(t, b, Facts{Level: 3, Occurrences: new(int64(4))})["guide.immediate"]; name == "AND" && got.State != StateStruck {
			t.Errorf("AND: four times at level 3 is %s", got.State)
		}
	}
}

func TestFactsThatMakeNoSenseAreRefused(t *testing.T) {
	b := load(t)
	for field, f := range map[string]Facts{
		"level": {Level: 5}, "cac_grade": {CACGrade: "dreadful"}, "reporter": {Reporter: "me"},
		"categories[1]": {Categories: []string{"data.leak", "data.joy"}}, "occurrences": {Occurrences: new(int64(-1))}, "users": {Users: new(int64(-1))},
	} {
		var bad *InputError
		if _, err := b.Obligations(f); !errors.As(err, &bad) || bad.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestReportItemsAreNumberedAndTheFirstTwoGoAlone(t *testing.T) {
	b := load(t)
	set, ok := b.ItemSet("cac_report")
	if !ok || len(set.Items) != 8 {
		t.Fatalf("%+v", set)
	}
	for _, it := range set.Items {
		if it.SendFirst != (it.No <= 2) || it.Cite.Verified != (it.No <= 2) {
			t.Errorf("%+v", it)
		}
	}
	for _, r := range b.Rules() {
		if _, ok := b.ItemSet(r.Items); !ok {
			t.Errorf("%s has no items", r.ID)
		}
	}
	channels := b.Channels()
	i := slices.IndexFunc(channels, func(c Channel) bool { return c.ID == "cac_12387" })
	if len(channels[i].Addresses) != 6 {
		t.Errorf("%+v", channels[i])
	}
}
