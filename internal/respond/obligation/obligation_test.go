package obligation_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/respond/obligation"
	"github.com/fengsui/fengsui/internal/standard"
)

// Promise 10: an ungraded incident carries a pending obligation for every clock that could apply to its
// operator, each with a due row reckoned from awareness.
func TestClocksRunBeforeThereIsALevel(t *testing.T) {
	for operator, want := range map[string]map[string]int64{
		"other":         {"cac.other": 4 * hour, "scales.disagree": 4 * hour, "netdata.flaw": 24 * hour},
		"cii":           {"cac.cii.protection": hour, "cac.cii.police": hour, "scales.disagree": hour, "netdata.flaw": 24 * hour},
		"central_organ": {"cac.central_organ": 2 * hour, "scales.disagree": 2 * hour, "netdata.flaw": 24 * hour},
	} {
		t.Run(operator, func(t *testing.T) {
			b := newBench(t)
			i := b.declare(t, operator)
			rows := b.rows(t, i.ID)
			for _, prompt := range []string{"guide.immediate", "guide.five_in_24h", "guide.users_over_10000", "genai.illegal_content", "pipl.authority", "pipl.individuals", "cac.crime"} {
				want[prompt] = 0
			}
			if len(rows) != len(want) {
				t.Errorf("%d obligations, want %d: %v", len(rows), len(want), rows)
			}
			for rule, within := range want {
				o := rows[rule]
				if o.State != "pending" || o.ClockStartMs != i.DeclaredMs || o.Authority == "" || o.Edition == "" || o.Reason == "" {
					t.Errorf("%s: %+v", rule, o)
				}
				clock := b.clocks(t, o.ID)
				if len(clock) != 1 || clock[0].State != due.Pending || clock[0].IncidentKind != "real" {
					t.Fatalf("%s has the clocks %+v", rule, clock)
				}
				switch {
				case within > 0 && (o.DueMs != i.DeclaredMs+within || clock[0].DueMs != o.DueMs):
					t.Errorf("%s is due %d ms after awareness, its row %d; want %d", rule, o.DueMs-i.DeclaredMs, clock[0].DueMs-i.DeclaredMs, within)
				case within == 0 && (o.DueMs != 0 || clock[0].DueMs != i.DeclaredMs+obligation.RemindFirstMs):
					t.Errorf("%s without a number is due %d and reminds %d ms after awareness", rule, o.DueMs, clock[0].DueMs-i.DeclaredMs)
				}
			}
		})
	}
}

func TestGradingStrikesOffWithAReasonAndRaisingOwesAgain(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, "other")
	pending := b.want(t, i.ID, "guide.immediate", "pending")
	if _, err := b.grade(officer, i.ID, "一般"); err != nil {
		t.Fatal(err)
	}
	struck := b.want(t, i.ID, "guide.immediate", "struck_off")
	if struck.ID != pending.ID || struck.Reason != "obligation.struck.level" || struck.DecidedBy != "" {
		t.Errorf("%+v", struck)
	}
	if rows := b.clocks(t, struck.ID); len(rows) != 1 || rows[0].State != due.Cancelled {
		t.Errorf("its clock: %+v", rows)
	}
	b.want(t, i.ID, "genai.illegal_content", "pending") // graded, not classified
	b.want(t, i.ID, "cac.other", "pending")             // the second scale is kept apart
	for harm, state := range map[string]string{"较大": "owed", "重大": "owed"} {
		if _, err := b.grade(officer, i.ID, harm); err != nil {
			t.Fatal(err)
		}
		o := b.want(t, i.ID, "guide.immediate", state)
		if rows := b.clocks(t, o.ID); len(rows) != 1 || rows[0].State != due.Pending {
			t.Errorf("%s: its clock: %+v", harm, rows)
		}
	}
}

func TestIllegalContentOwesAReportAtAnyLevel(t *testing.T) {
	for _, harm := range []string{"", "一般", "重大"} {
		for _, rank := range []string{"primary", "secondary"} {
			b := newBench(t)
			i := b.declare(t, "other")
			if harm != "" {
				if _, err := b.grade(officer, i.ID, harm); err != nil {
					t.Fatal(err)
				}
			}
			b.must(t, b.classify(i.ID, "content.illegal", rank))
			o := b.want(t, i.ID, "genai.illegal_content", "owed")
			size := b.size(t)
			b.refused(t, b.strike(compliance, o.ID, "r"), fault.KindConflict, "obligation.owed", size)
		}
	}
	b := newBench(t)
	i := b.declare(t, "other")
	if _, err := b.grade(officer, i.ID, "一般"); err != nil {
		t.Fatal(err)
	}
	b.must(t, b.classify(i.ID, "content.discrimination", "primary"))
	b.want(t, i.ID, "genai.illegal_content", "struck_off")
}

func TestTheSecondScaleOwesByTheKindOfOperator(t *testing.T) {
	for operator, c := range map[string]struct {
		within int64
		rules  []string
	}{"cii": {hour, []string{"cac.cii.protection", "cac.cii.police"}}, "central_organ": {2 * hour, []string{"cac.central_organ"}}, "other": {4 * hour, []string{"cac.other"}}} {
		b := newBench(t)
		i := b.declare(t, operator)
		b.must(t, b.cac(officer, i.ID, standard.Quantity{Indicator: "reposts", Value: 10_000}))
		owed := 0
		for rule, o := range b.rows(t, i.ID) {
			if strings.HasPrefix(rule, "cac.") && o.State == "owed" {
				owed++
			}
		}
		for _, rule := range c.rules {
			if o := b.want(t, i.ID, rule, "owed"); o.DueMs != i.DeclaredMs+c.within {
				t.Errorf("%s: %s is due after %d ms", operator, rule, o.DueMs-i.DeclaredMs)
			}
		}
		if owed != len(c.rules) {
			t.Errorf("%s owes %d reports on the second scale, want %d", operator, owed, len(c.rules))
		}
		b.must(t, b.cac(officer, i.ID, standard.Quantity{Indicator: "reposts", Value: 1}))
		b.must(t, b.decide(second, i.ID, b.asked.ID))
		for _, rule := range c.rules {
			b.want(t, i.ID, rule, "struck_off")
		}
	}
	b := newBench(t)
	i := b.declare(t, "other")
	for _, q := range [][]standard.Quantity{nil, {{Indicator: "nope", Value: 1}}, {{Indicator: "reposts", Value: -1}}} {
		size := b.size(t)
		b.refused(t, b.cac(officer, i.ID, q...), fault.KindInvalid, "obligation.bad_quantity", size)
	}
	size := b.size(t)
	b.refused(t, b.cac(engineer, i.ID, standard.Quantity{Indicator: "reposts", Value: 1}), fault.KindForbidden, "identity.not_allowed", size)
	b.must(t, b.cac(officer, i.ID, standard.Quantity{Indicator: "reposts", Value: 10_000}))
	var edition string
	b.must(t, b.st.Read().NewRaw("SELECT edition FROM cac_assessment LIMIT 1").Scan(ctx, &edition))
	if edition != "CAC-2025-09-11" {
		t.Errorf("edition %q", edition)
	}
}

func TestEarlierAwarenessMovesEveryClockEarlier(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, "other")
	before := b.rows(t, i.ID)
	start := i.DeclaredMs - 30*60_000
	b.must(t, b.aware(i.ID, start))
	for rule, o := range b.rows(t, i.ID) {
		if o.ClockStartMs != start {
			t.Errorf("%s still runs from %d", rule, o.ClockStartMs)
		}
		rows := b.clocks(t, o.ID)
		if o.DueMs > 0 && (o.DueMs != before[rule].DueMs-30*60_000 || len(rows) != 1 || rows[0].DueMs != o.DueMs || rows[0].State != due.Pending) {
			t.Errorf("%s: %+v %+v", rule, o, rows)
		}
	}
	size := b.size(t)
	b.must(t, b.aware(i.ID, b.now())) // a later candidate moves nothing
	if after := b.rows(t, i.ID)["cac.other"]; after.ClockStartMs != start || b.size(t) != size+1 {
		t.Errorf("%+v, %d new entries", after, b.size(t)-size)
	}
}

func TestTheSummaryIsDueThirtyDaysAfterHandlingEnded(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, "other")
	if _, err := b.grade(officer, i.ID, "一般"); err != nil {
		t.Fatal(err)
	}
	b.must(t, b.cac(officer, i.ID, standard.Quantity{Indicator: "reposts", Value: 10_000}))
	if _, there := b.rows(t, i.ID)["cac.summary"]; there {
		t.Error("its clock cannot have begun")
	}
	b.must(t, b.advance(i.ID, incident.OnRespond))
	ended := b.now()
	b.must(t, b.advance(i.ID, incident.OnEndHandling))
	o := b.want(t, i.ID, "cac.summary", "owed")
	if o.ClockStartMs != ended || o.DueMs != ended+30*24*hour {
		t.Errorf("%+v, ended %d", o, ended)
	}
	if p := b.want(t, i.ID, "guide.periodic", "owed"); p.DueMs != 0 || p.ClockStartMs != ended || len(b.clocks(t, p.ID)) != 0 {
		t.Errorf("%+v", p)
	}
	b.clock.Advance(time.Hour)
	b.must(t, b.advance(i.ID, incident.OnReSpread))
	b.clock.Advance(time.Hour)
	again := b.now()
	b.must(t, b.advance(i.ID, incident.OnEndHandling))
	if o := b.want(t, i.ID, "cac.summary", "owed"); o.DueMs != again+30*24*hour {
		t.Errorf("after a second end it is due %d ms later", o.DueMs-again)
	}
	if p := b.want(t, i.ID, "guide.periodic", "owed"); p.ClockStartMs != again {
		t.Errorf("%+v", p)
	}
}

func TestASummaryThatWasHandedInIsOwedAnewWhenHandlingEndsAgain(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, "other")
	if _, err := b.grade(officer, i.ID, "一般"); err != nil {
		t.Fatal(err)
	}
	b.must(t, b.cac(officer, i.ID, standard.Quantity{Indicator: "reposts", Value: 10_000}))
	b.must(t, b.advance(i.ID, incident.OnRespond))
	b.must(t, b.advance(i.ID, incident.OnEndHandling))
	for _, rule := range []string{"cac.summary", "cac.other"} {
		b.clock.Advance(time.Hour)
		b.must(t, b.submit(compliance, b.want(t, i.ID, rule, "owed").ID, "回执一"))
	}
	b.clock.Advance(time.Hour)
	b.must(t, b.advance(i.ID, incident.OnReSpread))
	b.want(t, i.ID, "cac.summary", "met") // it is asked at the end, not before
	b.clock.Advance(time.Hour)
	again := b.now()
	b.must(t, b.advance(i.ID, incident.OnEndHandling))
	o := b.want(t, i.ID, "cac.summary", "owed")
	if o.DueMs != again+30*24*hour || o.ClockStartMs != again || o.Receipt != "" || o.SubmittedMs != 0 || len(b.clocks(t, o.ID)) != 1 {
		t.Errorf("%+v", o)
	}
	b.want(t, i.ID, "cac.other", "met") // the control: what runs from awareness was reported once and for all
	b.clock.Advance(time.Hour)
	b.must(t, b.submit(compliance, o.ID, "回执二"))
	b.must(t, b.aware(i.ID, b.now())) // a reckoning without another end asks for nothing
	b.want(t, i.ID, "cac.summary", "met")
}

func TestOnlyAnAttestedSubmissionStopsAClock(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, "other")
	o := b.rows(t, i.ID)["cac.other"]
	size := b.size(t)
	b.refused(t, b.submit(compliance, o.ID, " "), fault.KindInvalid, "error.required", size)
	b.refused(t, b.submit(officer, o.ID, "r"), fault.KindForbidden, "identity.not_allowed", size)
	b.refused(t, b.submit(standIn, o.ID, "r"), fault.KindNotFound, "error.not_found", size)
	b.refused(t, b.submit(compliance, "nope", "r"), fault.KindNotFound, "error.not_found", size)
	if rows := b.clocks(t, o.ID); rows[0].State != due.Pending {
		t.Error("a refusal stopped the clock")
	}
	b.must(t, b.submit(compliance, o.ID, "12387-0001"))
	met := b.want(t, i.ID, "cac.other", "met")
	if met.SubmittedBy != "compliance" || met.Receipt != "12387-0001" || met.SubmittedMs == 0 || b.clocks(t, o.ID)[0].State != due.Cancelled {
		t.Errorf("%+v", met)
	}
	size = b.size(t)
	b.refused(t, b.submit(compliance, o.ID, "again"), fault.KindConflict, "obligation.settled", size)
	b.refused(t, b.strike(compliance, o.ID, "r"), fault.KindConflict, "obligation.settled", size)
	b.must(t, b.cac(officer, i.ID, standard.Quantity{Indicator: "reposts", Value: 1_000_000}))
	if _, err := b.grade(officer, i.ID, "特别重大"); err != nil {
		t.Fatal(err)
	}
	b.want(t, i.ID, "cac.other", "met")
}

func TestADecisionNotToReportNeedsAReasonAndSomebodyWhoMay(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, "other")
	o := b.rows(t, i.ID)["cac.other"]
	size := b.size(t)
	b.refused(t, b.strike(compliance, o.ID, ""), fault.KindInvalid, "error.required", size)
	b.refused(t, b.strike(officer, o.ID, "r"), fault.KindForbidden, "identity.not_allowed", size)
	b.refused(t, b.strike(standIn, o.ID, "r"), fault.KindNotFound, "error.not_found", size)
	b.must(t, b.strike(compliance, o.ID, "a test page"))
	got := b.want(t, i.ID, "cac.other", "struck_off")
	if got.DecidedBy != "compliance" || got.Reason != "a test page" || got.DecidedFacts == "" || b.clocks(t, o.ID)[0].State != due.Cancelled {
		t.Errorf("%+v", got)
	}
	size = b.size(t)
	b.refused(t, b.strike(compliance, o.ID, "again"), fault.KindConflict, "obligation.settled", size)
}

// What reopens a decision not to report, and what does not.
func TestADecisionNotToReportReopensWhenItGetsWorseAndNotOtherwise(t *testing.T) {
	q := func(n int64) standard.Quantity { return standard.Quantity{Indicator: "reposts", Value: n} }
	level := func(harm string) func(*bench, *testing.T, string) {
		return func(b *bench, t *testing.T, id string) {
			out, err := b.grade(officer, id, harm)
			b.must(t, err)
			if out.Second != nil {
				b.must(t, b.decide(second, id, out.Second.ID))
			}
		}
	}
	fact := func(name string, n int64) func(*bench, *testing.T, string) {
		return func(b *bench, t *testing.T, id string) { t.Helper(); b.must(t, b.fact(officer, id, name, n)) }
	}
	grade := func(n int64) func(*bench, *testing.T, string) {
		return func(b *bench, t *testing.T, id string) { t.Helper(); b.must(t, b.cac(officer, id, q(n))) }
	}
	class := func(guideType string) func(*bench, *testing.T, string) {
		return func(b *bench, t *testing.T, id string) {
			t.Helper()
			b.must(t, b.classify(id, guideType, "secondary"))
		}
	}
	for name, c := range map[string]struct {
		rule          string
		before, after func(*bench, *testing.T, string)
		state         string
	}{
		"nothing happened": {"netdata.flaw", level("较大"), func(b *bench, t *testing.T, id string) {
			b.must(t, b.known(officer, id, func(*store.Tx) error { return nil }))
		}, "struck_off"},
		"the level rose":                     {"netdata.flaw", level("较大"), level("重大"), "pending"},
		"the level fell":                     {"netdata.flaw", level("重大"), level("较大"), "struck_off"},
		"the level was said again":           {"netdata.flaw", level("较大"), level("较大"), "struck_off"},
		"more users":                         {"guide.users_over_10000", fact("users", 10_001), fact("users", 10_002), "decision"},
		"as many users":                      {"guide.users_over_10000", fact("users", 10_001), fact("users", 10_001), "struck_off"},
		"fewer users":                        {"guide.users_over_10000", fact("users", 20_000), fact("users", 10_001), "struck_off"},
		"more occurrences":                   {"guide.five_in_24h", fact("occurrences", 5), fact("occurrences", 6), "decision"},
		"fewer occurrences":                  {"guide.five_in_24h", fact("occurrences", 9), fact("occurrences", 5), "struck_off"},
		"a later grade, graver":              {"netdata.flaw", grade(1000), grade(10_000), "pending"},
		"a later grade, lesser":              {"netdata.flaw", grade(10_000), grade(1000), "struck_off"},
		"it turns out to be owed":            {"netdata.flaw", level("较大"), fact("endangering_flaw", 1), "owed"},
		"illegal content turns up":           {"genai.illegal_content", level("一般"), class("content.illegal"), "owed"},
		"personal information turns up":      {"pipl.authority", level("一般"), fact("personal_information", 1), "owed"},
		"what was undecided is not owed":     {"netdata.flaw", level("较大"), fact("endangering_flaw", 0), "struck_off"},
		"another category of no consequence": {"netdata.flaw", level("较大"), class("content.discrimination"), "struck_off"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			i := b.declare(t, "other")
			c.before(b, t, i.ID)
			o := b.rows(t, i.ID)[c.rule]
			b.must(t, b.strike(compliance, o.ID, "our reason"))
			c.after(b, t, i.ID)
			got := b.want(t, i.ID, c.rule, c.state)
			if stays := c.state == "struck_off"; stays != (got.DecidedBy == "compliance") || stays != (got.Reason == "our reason") {
				t.Errorf("decided by %q: %s", got.DecidedBy, got.Reason)
			}
			if rows := b.clocks(t, o.ID); (rows[0].State == due.Pending) != (c.state != "struck_off") {
				t.Errorf("its clock: %+v", rows)
			}
		})
	}
}

func TestAnOverdueReportIsMarkedAndPagedAboutOnce(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, "cii")
	b.clock.Advance(59 * time.Minute)
	if n := b.fire(t); n != 0 {
		t.Fatalf("%d fired too early", n)
	}
	b.clock.Advance(time.Minute)
	b.fire(t)
	numbered := func() (n int) {
		for _, p := range b.pages {
			if p == "cac.cii.police" {
				n++
			}
		}
		return n
	}
	o := b.rows(t, i.ID)["cac.cii.police"]
	if o.OverdueMs == 0 || numbered() != 1 {
		t.Fatalf("%+v, paged %d times", o, numbered())
	}
	// The same row fired a second time, by whatever accident, says nothing new.
	b.do(t, store.System("test"), func(tx *store.Tx) error {
		_, err := tx.Exec("UPDATE due SET state = 'pending' WHERE object_id = ?", o.ID)
		return err
	})
	b.fire(t)
	b.clock.Advance(24 * time.Hour)
	b.fire(t)
	if numbered() != 1 {
		t.Errorf("paged %d times", numbered())
	}
	// Late is not never: it can still be met, and stays marked.
	b.must(t, b.submit(compliance, o.ID, "late"))
	if met := b.want(t, i.ID, "cac.cii.police", "met"); met.OverdueMs != o.OverdueMs {
		t.Errorf("%+v", met)
	}
}

func TestAClockThatTwoPeopleMoveLaterPagesAgainWhenItComes(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, "cii")
	wrong := i.DeclaredMs - 2*hour
	b.must(t, b.aware(i.ID, wrong))
	b.fire(t)
	if o := b.rows(t, i.ID)["cac.cii.police"]; o.OverdueMs == 0 || o.DueMs != wrong+hour {
		t.Fatalf("%+v", o)
	}
	all, err := incident.AwarenessOf(ctx, b.st.Read(), i.ID)
	b.must(t, err)
	var asked string
	b.do(t, officer, func(tx *store.Tx) error {
		s, err := incident.AskWithdrawAwareness(ctx, tx, all[0].ID, "another complaint")
		asked = s.ID
		return err
	})
	b.must(t, b.decide(second, i.ID, asked))
	o := b.rows(t, i.ID)["cac.cii.police"]
	if o.OverdueMs != 0 || o.DueMs != i.DeclaredMs+hour || o.ClockStartMs != i.DeclaredMs {
		t.Fatalf("%+v", o)
	}
	b.pages = nil
	b.clock.Advance(time.Hour)
	b.fire(t)
	if o := b.rows(t, i.ID)["cac.cii.police"]; o.OverdueMs == 0 || !strings.Contains(strings.Join(b.pages, " "), "cac.cii.police") {
		t.Errorf("%+v, paged about %v", o, b.pages)
	}
}

func TestADutyWithoutANumberRemindsWheneverItStoodTwiceAsLongAndEveryShiftAndIsNeverOverdue(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, "other")
	b.must(t, b.classify(i.ID, "content.illegal", "primary"))
	var reminded []int // hours after awareness; each wait is a few minutes longer, because nobody looks in between
	for m := range 48 * 12 {
		b.pages = nil
		b.clock.Advance(5 * time.Minute)
		b.fire(t)
		switch n := strings.Count(strings.Join(b.pages, " "), "genai.illegal_content"); n {
		case 0:
		case 1:
			reminded = append(reminded, (m+1)/12)
		default:
			t.Errorf("reminded %d times at once", n)
		}
	}
	if want := []int{1, 2, 4, 8, 17, 29, 41}; !slices.Equal(reminded, want) {
		t.Errorf("reminded after %v hours, want %v", reminded, want)
	}
	o := b.want(t, i.ID, "genai.illegal_content", "owed")
	if o.OverdueMs != 0 {
		t.Error("marked overdue")
	}
	b.must(t, b.submit(compliance, o.ID, "told by telephone"))
	b.pages = nil
	b.clock.Advance(24 * time.Hour)
	b.fire(t)
	if strings.Contains(strings.Join(b.pages, " "), "genai.illegal_content") {
		t.Error("reminded of what is met")
	}
}

func TestAFactThatCannotBeIsRefused(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, "other")
	for _, c := range []struct {
		actor store.Actor
		name  string
		value int64
		kind  fault.Kind
		key   string
	}{
		{officer, "mood", 1, fault.KindInvalid, "error.unknown_value"},
		{officer, "users", -1, fault.KindInvalid, "obligation.fact_value"},
		{officer, "crime_suspected", 2, fault.KindInvalid, "obligation.fact_value"},
		{officer, "harm_avoided", -1, fault.KindInvalid, "obligation.fact_value"},
		{engineer, "users", 1, fault.KindForbidden, "identity.not_allowed"},
		{standIn, "users", 1, fault.KindNotFound, "error.not_found"},
	} {
		size := b.size(t)
		b.refused(t, b.fact(c.actor, i.ID, c.name, c.value), c.kind, c.key, size)
	}
	for _, name := range []string{"personal_information", "endangering_flaw", "crime_suspected", "harm_avoided", "occurrences", "users"} {
		b.must(t, b.fact(officer, i.ID, name, 1))
		if b.asked != nil { // harm avoided takes away what personal information brought
			b.must(t, b.decide(second, i.ID, b.asked.ID))
		}
	}
	b.want(t, i.ID, "pipl.authority", "owed")
	b.want(t, i.ID, "pipl.individuals", "struck_off")
	b.want(t, i.ID, "cac.crime", "owed")
}

func TestObligationsAreReadByWhoMay(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, "other")
	for _, c := range []struct {
		actor store.Actor
		key   string
	}{{engineer, "identity.not_allowed"}, {standIn, "error.not_found"}, {store.Actor{}, "identity.unknown"}} {
		if list, err := obligation.List(ctx, b.st.Read(), b.book, c.actor, i.ID); !fault.Is(err, c.key) || len(list) != 0 {
			t.Errorf("%s: %d, %v", c.actor.ID, len(list), err)
		}
	}
	list, err := obligation.List(ctx, b.st.Read(), b.book, compliance, i.ID)
	if err != nil || list[0].DueMs == 0 || list[len(list)-1].DueMs != 0 {
		t.Errorf("the nearest due comes first: %v", err)
	}
}

// What is owed is nobody's alone to make go away, neither by a fact nor by a view on the second scale.
func TestAFactThatLoosensWhatIsOwedTakesAReasonAndAnotherPerson(t *testing.T) {
	q := func(n int64) standard.Quantity { return standard.Quantity{Indicator: "reposts", Value: n} }
	for name, c := range map[string]struct {
		rule        string
		first, then func(b *bench, id string) error
		silent      func(b *bench, tx *store.Tx, id string) error
		end         string
	}{
		"no crime after all": {"cac.crime",
			func(b *bench, id string) error { return b.fact(officer, id, "crime_suspected", 1) },
			func(b *bench, id string) error { return b.fact(officer, id, "crime_suspected", 0) },
			func(b *bench, tx *store.Tx, id string) error {
				_, err := obligation.State(ctx, tx, b.book, id, obligation.Fact{Name: "crime_suspected"}, " ")
				return err
			}, "struck_off"},
		"harm was avoided": {"pipl.individuals",
			func(b *bench, id string) error { return b.fact(officer, id, "personal_information", 1) },
			func(b *bench, id string) error { return b.fact(officer, id, "harm_avoided", 1) },
			func(b *bench, tx *store.Tx, id string) error {
				_, err := obligation.State(ctx, tx, b.book, id, obligation.Fact{Name: "harm_avoided", Value: 1}, " ")
				return err
			}, "struck_off"},
		"a lower grade": {"cac.other",
			func(b *bench, id string) error { return b.cac(officer, id, q(10_000)) },
			func(b *bench, id string) error { return b.cac(officer, id, q(1)) },
			func(b *bench, tx *store.Tx, id string) error {
				_, err := obligation.GradeCAC(ctx, tx, b.book, id, []standard.Quantity{q(1)}, " ")
				return err
			}, "struck_off"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			i := b.declare(t, "other")
			b.must(t, c.first(b, i.ID))
			if b.asked != nil {
				t.Fatal("what tightens waits for nobody")
			}
			before := b.want(t, i.ID, c.rule, "owed")
			size := b.size(t)
			b.refused(t, b.known(officer, i.ID, func(tx *store.Tx) error { return c.silent(b, tx, i.ID) }), fault.KindInvalid, "obligation.loosening_reason", size)
			b.must(t, c.then(b, i.ID))
			if b.asked == nil || b.want(t, i.ID, c.rule, "owed") != before {
				t.Fatal("one person made it go away")
			}
			old := b.asked.ID
			size = b.size(t)
			b.refused(t, b.decide(officer, i.ID, old), fault.KindForbidden, "identity.same_person", size)
			b.clock.Advance(time.Second)
			b.must(t, c.first(b, i.ID))
			if name != "harm was avoided" { // there the other fact was stated again
				size = b.size(t)
				b.refused(t, b.decide(second, i.ID, old), fault.KindConflict, "obligation.stated_since", size)
			}
			b.must(t, c.then(b, i.ID))
			b.must(t, b.decide(second, i.ID, b.asked.ID))
			b.want(t, i.ID, c.rule, c.end)
		})
	}
}
