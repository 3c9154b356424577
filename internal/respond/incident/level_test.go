package incident_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/incident"
)

func first(object, harm string) incident.Assessing {
	return incident.Assessing{ObjectID: object, Stage: "preliminary", SocialHarm: harm}
}

func (b *bench) mustAssess(t testing.TB, a store.Actor, id string, in incident.Assessing) incident.Outcome {
	t.Helper()
	out, err := b.assess(a, id, in)
	if err != nil || out.Assessment == nil {
		t.Fatalf("%+v, %v", out, err)
	}
	return out
}

func say(l incident.Level) string {
	final := "-"
	if l.Final != nil {
		final = fmt.Sprint(*l.Final)
	}
	return fmt.Sprintf("%d/%s %s %s", l.Working, final, l.Stage, l.Source)
}

func (b *bench) wantLevel(t testing.TB, id, want string) {
	t.Helper()
	if got := say(b.level(t, id)); got != want {
		t.Errorf("level %s, want %s", got, want)
	}
}

func TestAnAssessmentThatCannotStandIsRefused(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, officer, func(d *incident.Declaration) { d.ObjectIDs = []string{"o1", "o2"} })
	for name, c := range map[string]struct {
		actor store.Actor
		in    incident.Assessing
		kind  fault.Kind
		key   string
	}{
		"without permission":          {engineer, first("o1", "一般"), fault.KindForbidden, "identity.not_allowed"},
		"by a drill's seat":           {standIn, first("o1", "一般"), fault.KindNotFound, "error.not_found"},
		"unknown stage":               {officer, incident.Assessing{ObjectID: "o1", Stage: "guess", SocialHarm: "一般"}, fault.KindInvalid, "incident.assess_stage"},
		"unknown source":              {officer, incident.Assessing{ObjectID: "o1", Stage: "preliminary", Source: "rumour", SocialHarm: "一般"}, fault.KindInvalid, "incident.assess_source"},
		"a level below 1":             {officer, incident.Assessing{ObjectID: "o1", Stage: "preliminary", SocialHarm: "一般", Decided: -1}, fault.KindInvalid, "incident.assess_decided"},
		"a level above 4":             {officer, incident.Assessing{ObjectID: "o1", Stage: "preliminary", SocialHarm: "一般", Decided: 5}, fault.KindInvalid, "incident.assess_decided"},
		"no object of several":        {officer, first("", "一般"), fault.KindNotFound, "error.not_found"},
		"an object of somebody else":  {officer, first("o4", "一般"), fault.KindNotFound, "error.not_found"},
		"no factor but importance":    {officer, first("o1", ""), fault.KindInvalid, "incident.bad_factor"},
		"an unknown harm":             {officer, first("o1", "很大"), fault.KindInvalid, "incident.bad_factor"},
		"an unknown loss":             {officer, incident.Assessing{ObjectID: "o1", Stage: "preliminary", BusinessLoss: "重大"}, fault.KindInvalid, "incident.bad_factor"},
		"an unknown importance":       {officer, incident.Assessing{ObjectID: "o1", Stage: "preliminary", Importance: "vital", SocialHarm: "一般"}, fault.KindInvalid, "incident.bad_factor"},
		"confirmed before any":        {second, incident.Assessing{ObjectID: "o1", Stage: "confirmed", SocialHarm: "一般"}, fault.KindConflict, "incident.no_preliminary"},
		"final before any":            {second, incident.Assessing{ObjectID: "o1", Stage: "final", SocialHarm: "一般"}, fault.KindConflict, "incident.no_preliminary"},
		"a person against the tables": {officer, incident.Assessing{ObjectID: "o1", Stage: "preliminary", SocialHarm: "一般", Decided: 1, Reason: "r"}, fault.KindConflict, "incident.tables_decide"},
		"an expert against the same":  {officer, incident.Assessing{ObjectID: "o1", Stage: "preliminary", Source: "expert", SocialHarm: "一般", Decided: 1, Reason: "r"}, fault.KindConflict, "incident.tables_decide"},
		"decided without a reason":    {officer, incident.Assessing{ObjectID: "o1", Stage: "preliminary", Importance: "一般", SocialHarm: "重大", Decided: 2, Reason: " "}, fault.KindInvalid, "error.required"},
		"authority without a reason":  {officer, incident.Assessing{ObjectID: "o1", Stage: "final", Source: "authority", SocialHarm: "一般", Decided: 2}, fault.KindInvalid, "error.required"},
	} {
		t.Run(name, func(t *testing.T) {
			before := b.snapshot(t)
			_, err := b.assess(c.actor, i.ID, c.in)
			b.refused(t, before, err, c.kind, c.key)
		})
	}
	b.wantLevel(t, i.ID, "0/-  ")
	b.do(t, store.System("test"), func(tx *store.Tx) error {
		_, err := tx.Exec("DELETE FROM importance WHERE object_id = 'o1'")
		return err
	})
	before := b.snapshot(t)
	_, err := b.assess(officer, i.ID, first("o1", "一般"))
	b.refused(t, before, err, fault.KindInvalid, "incident.no_importance")
}

// Promise 9: the four empty cells of Table 2 have no final level, a working level all the same, and only
// there a person decides.
func TestAnEmptyCellHasAWorkingLevelAndAPersonDecides(t *testing.T) {
	for _, c := range []struct {
		importance, harm string
		working          int
	}{{"特别重要", "一般", 3}, {"重要", "特别重大", 1}, {"一般", "特别重大", 1}, {"一般", "重大", 2}} {
		t.Run(c.importance+" "+c.harm, func(t *testing.T) {
			b := newBench(t)
			i := b.declare(t, officer, nil)
			in := incident.Assessing{Stage: "preliminary", Importance: c.importance, SocialHarm: c.harm}
			b.mustAssess(t, officer, i.ID, in)
			b.wantLevel(t, i.ID, fmt.Sprintf("%d/- preliminary self", c.working))
			in.Stage = "confirmed"
			b.mustAssess(t, second, i.ID, in)
			b.wantLevel(t, i.ID, fmt.Sprintf("%d/- confirmed self", c.working))
			in.Decided, in.Reason = c.working, "the working level is right"
			b.mustAssess(t, second, i.ID, in)
			b.wantLevel(t, i.ID, fmt.Sprintf("%d/%d confirmed self", c.working, c.working))
		})
	}
	b := newBench(t)
	i := b.declare(t, officer, nil)
	b.mustAssess(t, officer, i.ID, incident.Assessing{Stage: "preliminary", Importance: "一般", SocialHarm: "重大", BusinessLoss: "较小"})
	b.wantLevel(t, i.ID, "2/- preliminary self") // the loss gives 四级, but an empty cell stays open
}

func TestTheGravestObjectWinsAndEachMustBeGraded(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, officer, func(d *incident.Declaration) { d.ObjectIDs = []string{"o1", "o2"} })
	b.mustAssess(t, officer, i.ID, first("o1", "一般"))
	b.wantLevel(t, i.ID, "4/- preliminary self") // o2 has no level yet
	b.mustAssess(t, officer, i.ID, first("o2", "重大"))
	b.wantLevel(t, i.ID, "2/2 preliminary self")
	b.mustAssess(t, second, i.ID, incident.Assessing{ObjectID: "o2", Stage: "confirmed", SocialHarm: "重大"})
	b.wantLevel(t, i.ID, "2/2 confirmed self")
	// Where two objects are equally grave, the level is as firm as the less firm of them, every time.
	b.mustAssess(t, officer, i.ID, incident.Assessing{ObjectID: "o1", Stage: "preliminary", Importance: "重要", SocialHarm: "重大"})
	for range 30 {
		b.wantLevel(t, i.ID, "2/2 preliminary self")
	}
	b.mustAssess(t, officer, i.ID, incident.Assessing{ObjectID: "o1", Stage: "preliminary", Importance: "一般", SocialHarm: "特别重大"})
	b.wantLevel(t, i.ID, "1/- preliminary self")
}

func TestTheAuthoritysLevelBindsOverWhatWeThinkLater(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, officer, nil)
	b.mustAssess(t, officer, i.ID, first("", "一般"))
	b.wantLevel(t, i.ID, "4/4 preliminary self")
	// The same officer may write down what the authority said, and it takes effect at once.
	call := incident.Assessing{Stage: "final", Source: "authority", SocialHarm: "一般", Decided: 2, Reason: "called 20:10"}
	b.mustAssess(t, officer, i.ID, call)
	b.wantLevel(t, i.ID, "2/2 final authority")
	for _, in := range []incident.Assessing{
		first("", "一般"),
		{Stage: "confirmed", SocialHarm: "较大"},
		{Stage: "preliminary", Importance: "特别重要", SocialHarm: "特别重大"},
		{Stage: "final", Source: "expert", SocialHarm: "一般"},
	} {
		actor := officer
		if in.Stage != "preliminary" {
			actor = second
		}
		b.mustAssess(t, actor, i.ID, in)
		b.wantLevel(t, i.ID, "2/2 final authority")
	}
	call.Decided = 1
	b.mustAssess(t, second, i.ID, call)
	b.wantLevel(t, i.ID, "1/1 final authority")
	// That the authority lowered it is one person's word until another confirms.
	call.Decided, call.Reason = 3, "called 22:00"
	out, err := b.assess(second, i.ID, call)
	if err != nil || out.Second == nil || out.Assessment != nil {
		t.Fatalf("%+v %v", out, err)
	}
	b.wantLevel(t, i.ID, "1/1 final authority")
	if err := b.decide(officer, out.Second.ID, true); err != nil {
		t.Fatal(err)
	}
	b.wantLevel(t, i.ID, "3/3 final authority")
}

// Promise 9: lowering takes two different people, and until then nothing is lower.
func TestLoweringALevelTakesTwoPeople(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, officer, nil)
	b.mustAssess(t, officer, i.ID, incident.Assessing{Stage: "preliminary", Importance: "重要", SocialHarm: "重大"})
	lower := incident.Assessing{Stage: "preliminary", Importance: "重要", SocialHarm: "一般", Reason: "misread"}

	before, silent := b.snapshot(t), lower
	silent.Reason = " "
	_, err := b.assess(officer, i.ID, silent)
	b.refused(t, before, err, fault.KindInvalid, "incident.lowering_reason")

	ask := func(a store.Actor, in incident.Assessing) string {
		t.Helper()
		rows := b.count(t, "SELECT COUNT(*) FROM assessment")
		out, err := b.assess(a, i.ID, in)
		if err != nil || out.Second == nil || out.Assessment != nil || out.Level.Working != 2 {
			t.Fatalf("%+v %v", out, err)
		}
		b.wantLevel(t, i.ID, "2/2 preliminary self")
		if n := b.count(t, "SELECT COUNT(*) FROM assessment"); n != rows {
			t.Fatal("a request is already a row")
		}
		return out.Second.ID
	}
	id := ask(officer, lower)
	for name, c := range map[string]struct {
		actor store.Actor
		kind  fault.Kind
		key   string
	}{
		"the same person":            {officer, fault.KindForbidden, "identity.same_person"},
		"somebody who may not grade": {engineer, fault.KindForbidden, "identity.not_allowed"},
		"a drill's seat":             {standIn, fault.KindNotFound, "error.not_found"},
		"the same person, more able": {store.Actor{ID: "officer", Roles: []string{"commander"}}, fault.KindForbidden, "identity.same_person"},
	} {
		t.Run(name, func(t *testing.T) {
			before := b.snapshot(t)
			b.refused(t, before, b.decide(c.actor, id, true), c.kind, c.key)
		})
	}
	b.refused(t, b.snapshot(t), b.decide(second, "no such", true), fault.KindNotFound, "error.not_found")
	if err := b.decide(second, id, false); err != nil {
		t.Fatal(err)
	}
	b.wantLevel(t, i.ID, "2/2 preliminary self")
	before = b.snapshot(t)
	b.refused(t, before, b.decide(commander, id, true), fault.KindConflict, "identity.second_decided")

	id = ask(officer, lower)
	if err := b.decide(second, id, true); err != nil {
		t.Fatal(err)
	}
	b.wantLevel(t, i.ID, "4/4 preliminary self")
	rows, err := incident.Assessments(ctx, b.st.Read(), i.ID)
	if err != nil {
		t.Fatal(err)
	}
	if last := rows[len(rows)-1]; last.AssessedBy != "officer" || last.SecondBy != "second" || last.Reason != "misread" {
		t.Errorf("the row does not name both: %+v", last)
	}
}

// What the tables give is no one's to lower, not even before there is any level.
func TestALevelDecidedBelowTheTablesTakesTwoPeopleFromTheFirstAssessmentOn(t *testing.T) {
	for name, c := range map[string]struct {
		in        incident.Assessing
		mean, end string
	}{
		"an empty cell": {incident.Assessing{Stage: "preliminary", Importance: "重要", SocialHarm: "特别重大", Decided: 4, Reason: "r"},
			"1/- preliminary self", "4/4 preliminary self"},
		"an authority against the tables": {incident.Assessing{Stage: "final", Source: "authority", Importance: "重要", BusinessLoss: "较大", Decided: 4, Reason: "r"},
			"3/3 preliminary self", "4/4 final authority"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			i := b.declare(t, officer, nil)
			out, err := b.assess(officer, i.ID, c.in)
			if err != nil || out.Second == nil || out.Assessment == nil || say(out.Level) != c.mean {
				t.Fatalf("%+v %v", out, err)
			}
			b.wantLevel(t, i.ID, c.mean)
			again, err := b.assess(officer, i.ID, c.in) // insisting changes nothing
			if err != nil || again.Second == nil || again.Assessment != nil {
				t.Fatalf("%+v %v", again, err)
			}
			b.wantLevel(t, i.ID, c.mean)
			if err := b.decide(officer, out.Second.ID, true); !fault.Is(err, "identity.same_person") {
				t.Fatal(err)
			}
			if err := b.decide(second, out.Second.ID, true); err != nil {
				t.Fatal(err)
			}
			b.wantLevel(t, i.ID, c.end)
			b.mustAssess(t, commander, i.ID, c.in) // two have agreed on just this
			b.wantLevel(t, i.ID, c.end)
		})
	}
}

// That two agreed on a level for some factors says nothing about other factors.
func TestWhatTwoAgreedBelowTheTablesHoldsForThoseFactorsOnly(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, officer, nil)
	in := incident.Assessing{Stage: "preliminary", Importance: "重要", SocialHarm: "特别重大", Decided: 4, Reason: "r"}
	out, err := b.assess(officer, i.ID, in)
	if err != nil || out.Second == nil {
		t.Fatalf("%+v %v", out, err)
	}
	if err := b.decide(second, out.Second.ID, true); err != nil {
		t.Fatal(err)
	}
	b.wantLevel(t, i.ID, "4/4 preliminary self")
	in.Importance, in.SocialHarm = "一般", "重大" // empty too
	if out, err = b.assess(officer, i.ID, in); err != nil || out.Second == nil {
		t.Fatalf("%+v %v", out, err)
	}
	b.wantLevel(t, i.ID, "2/- preliminary self")
}

func TestALoweringDoesNotWipeOutWhatWasFoundSince(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, officer, nil)
	b.mustAssess(t, officer, i.ID, incident.Assessing{Stage: "preliminary", Importance: "重要", SocialHarm: "较大"})
	out, err := b.assess(officer, i.ID, incident.Assessing{Stage: "preliminary", Importance: "重要", SocialHarm: "一般", Reason: "r"})
	if err != nil || out.Second == nil {
		t.Fatal(err)
	}
	b.mustAssess(t, commander, i.ID, incident.Assessing{Stage: "preliminary", Importance: "特别重要", SocialHarm: "特别重大"})
	before := b.snapshot(t)
	b.refused(t, before, b.decide(second, out.Second.ID, true), fault.KindConflict, "incident.assessed_since")
	b.wantLevel(t, i.ID, "1/1 preliminary self")
	if err := b.decide(second, out.Second.ID, false); err != nil {
		t.Error("and it cannot be rejected either:", err)
	}
}

func TestConfirmingTakesAnotherPersonThanTheFirstAssessment(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, officer, nil)
	b.mustAssess(t, officer, i.ID, first("", "一般"))
	for _, stage := range []string{"confirmed", "final"} {
		before := b.snapshot(t)
		_, err := b.assess(officer, i.ID, incident.Assessing{Stage: stage, SocialHarm: "一般"})
		b.refused(t, before, err, fault.KindForbidden, "identity.same_person")
	}
	b.mustAssess(t, second, i.ID, incident.Assessing{Stage: "confirmed", SocialHarm: "一般"})
	b.wantLevel(t, i.ID, "4/4 confirmed self")
	// A new first assessment asks for a new confirmation.
	b.mustAssess(t, second, i.ID, incident.Assessing{Stage: "preliminary", SocialHarm: "较大"})
	b.wantLevel(t, i.ID, "3/3 preliminary self")
	before := b.snapshot(t)
	_, err := b.assess(second, i.ID, incident.Assessing{Stage: "confirmed", SocialHarm: "较大"})
	b.refused(t, before, err, fault.KindForbidden, "identity.same_person")
}

// However a group of people grades, no one of them alone ever makes the working level fall.
func TestNoOnePersonEverLowersALevel(t *testing.T) {
	b := newBench(t)
	harms, losses := []string{"", "特别重大", "重大", "较大", "一般"}, []string{"", "特别严重", "严重", "较大", "较小"}
	rapid.Check(t, func(r *rapid.T) {
		i := b.declare(t, officer, func(d *incident.Declaration) { d.ObjectIDs = []string{"o1", "o2"} })
		var open []string
		by := map[string]string{}
		for range rapid.IntRange(1, 12).Draw(r, "steps") {
			actor := rapid.SampledFrom([]store.Actor{officer, second, commander}).Draw(r, "who")
			before := b.level(t, i.ID)
			if len(open) > 0 && rapid.Bool().Draw(r, "decide") {
				err := b.decide(actor, open[0], rapid.Bool().Draw(r, "confirm"))
				if after := b.level(t, i.ID); after.Working > before.Working && (err != nil || by[open[0]] == actor.ID) {
					r.Fatalf("%s lowered %d to %d: %v", actor.ID, before.Working, after.Working, err)
				}
				if err == nil {
					open = open[1:]
				}
				continue
			}
			out, _ := b.assess(actor, i.ID, incident.Assessing{
				ObjectID:     rapid.SampledFrom([]string{"o1", "o2"}).Draw(r, "object"),
				Stage:        rapid.SampledFrom([]string{"preliminary", "confirmed", "final"}).Draw(r, "stage"),
				Source:       rapid.SampledFrom([]string{"self", "expert", "authority"}).Draw(r, "source"),
				Importance:   rapid.SampledFrom([]string{"特别重要", "重要", "一般"}).Draw(r, "importance"),
				SocialHarm:   rapid.SampledFrom(harms).Draw(r, "harm"),
				BusinessLoss: rapid.SampledFrom(losses).Draw(r, "loss"),
				Decided:      rapid.IntRange(0, 4).Draw(r, "decided"),
				Reason:       "r",
			})
			if out.Second != nil {
				open = append(open, out.Second.ID)
				by[out.Second.ID] = actor.ID
			}
			after := b.level(t, i.ID)
			if before.Working != 0 && after.Working > before.Working {
				r.Fatalf("%s alone lowered %d to %d", actor.ID, before.Working, after.Working)
			}
			if after.Final != nil && *after.Final != after.Working {
				r.Fatalf("final %d beside working %d", *after.Final, after.Working)
			}
		}
	})
}

func TestFactsOfAnAssessmentAreBoundInDepthAndSize(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, officer, func(d *incident.Declaration) { d.ObjectIDs = []string{"o1"} })
	nested := func(depth int) map[string]any {
		var v any = "x"
		for range depth - 1 {
			v = []any{v}
		}
		return map[string]any{"a": v}
	}
	for name, c := range map[string]struct {
		facts map[string]any
		ok    bool
	}{
		"four deep":    {nested(4), true},
		"five deep":    {nested(5), false},
		"a long text":  {map[string]any{"a": strings.Repeat("x", 16<<10)}, false},
		"a fair text":  {map[string]any{"a": strings.Repeat("x", 8<<10)}, true},
		"nothing":      {nil, true},
		"a wide table": {map[string]any{"a": make([]any, 5000)}, false},
	} {
		in := first("o1", "一般")
		in.Facts = c.facts
		if _, err := b.assess(officer, i.ID, in); c.ok != (err == nil) || !c.ok && !fault.Is(err, "incident.facts_large") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
