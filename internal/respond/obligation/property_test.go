package obligation_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/respond/obligation"
	"github.com/fengsui/fengsui/internal/standard"
)

// Whatever happens in whatever order: what the rules owe stands or is met; each standing clock has its one
// row at its time; what no longer stands has none; and overdue means that the time has come.
func TestClocksAndRowsAgreeWhateverHappens(t *testing.T) {
	b := newBench(t)
	rules := map[string]standard.Rule{}
	for _, r := range b.book.Rules() {
		rules[r.ID] = r
	}
	rapid.Check(t, func(r *rapid.T) {
		i := b.declare(t, rapid.SampledFrom([]string{"other", "cii", "central_organ"}).Draw(r, "operator"))
		for range rapid.IntRange(1, 15).Draw(r, "steps") {
			step := rapid.SampledFrom([]string{"grade", "classify", "fact", "cac", "aware", "withdraw", "decide", "submit", "strike", "event", "time", "fire", "nothing"}).Draw(r, "step")
			b.step(t, r, i.ID, step)
			b.agree(t, r, i.ID, rules)
		}
	})
}

func (b *bench) step(t *testing.T, r *rapid.T, id, step string) {
	one := func() string {
		list, err := obligation.List(ctx, b.st.Read(), b.book, compliance, id)
		if err != nil {
			r.Fatal(err)
		}
		return rapid.SampledFrom(list).Draw(r, "obligation").ID
	}
	// Each step may be refused; a refusal must leave everything in line as well.
	switch step {
	case "grade":
		_, _ = b.grade(rapid.SampledFrom([]store.Actor{officer, second}).Draw(r, "who"), id, rapid.SampledFrom([]string{"特别重大", "重大", "较大", "一般"}).Draw(r, "harm"))
	case "classify":
		_ = b.classify(id, rapid.SampledFrom([]string{"content.illegal", "content.discrimination", "data.leak"}).Draw(r, "type"), rapid.SampledFrom([]string{"primary", "secondary"}).Draw(r, "rank"))
	case "fact":
		_ = b.fact(officer, id, rapid.SampledFrom([]string{"personal_information", "endangering_flaw", "crime_suspected", "harm_avoided", "occurrences", "users"}).Draw(r, "fact"),
			rapid.SampledFrom([]int64{0, 1, 5, 10_001}).Draw(r, "value"))
	case "cac":
		_ = b.cac(officer, id, standard.Quantity{Indicator: "reposts", Value: rapid.SampledFrom([]int64{1, 1000, 10_000, 100_000}).Draw(r, "reposts")})
	case "aware":
		_ = b.aware(id, b.now()-rapid.Int64Range(-1000, 5*hour).Draw(r, "ago"))
	case "withdraw":
		all, err := incident.AwarenessOf(ctx, b.st.Read(), id)
		if err != nil {
			r.Fatal(err)
		}
		_ = b.try(officer, func(tx *store.Tx) error {
			_, err := incident.AskWithdrawAwareness(ctx, tx, rapid.SampledFrom(all).Draw(r, "awareness").ID, "r")
			return err
		})
	case "decide":
		var open []string
		if err := b.st.Read().NewRaw("SELECT id FROM second_signature WHERE incident_id = ? AND state = 'requested' ORDER BY id", id).Scan(ctx, &open); err != nil {
			r.Fatal(err)
		}
		if len(open) > 0 {
			_ = b.decide(rapid.SampledFrom([]store.Actor{officer, second}).Draw(r, "who"), id, open[0])
		}
	case "submit":
		_ = b.submit(compliance, one(), "receipt")
	case "strike":
		_ = b.strike(compliance, one(), "r")
	case "event":
		_ = b.advance(id, rapid.SampledFrom([]incident.Event{incident.OnRespond, incident.OnRecover, incident.OnReSpread, incident.OnEndHandling}).Draw(r, "event"))
	case "time":
		b.clock.Advance(time.Duration(rapid.Int64Range(1, 6*hour).Draw(r, "later")) * time.Millisecond)
	case "fire":
		b.fire(t)
	case "nothing":
		size := b.size(t)
		if err := b.known(officer, id, func(*store.Tx) error { return nil }); err != nil {
			r.Fatal(err)
		}
		if n := b.size(t); n != size {
			r.Fatalf("reckoning twice from the same facts recorded %d entries", n-size)
		}
	}
}

func (b *bench) agree(t *testing.T, r *rapid.T, id string, rules map[string]standard.Rule) {
	aware, err := incident.AwareMs(ctx, b.st.Read(), id)
	if err != nil {
		r.Fatal(err)
	}
	have := b.rows(t, id)
	for rule, o := range have {
		clocks := b.clocks(t, o.ID)
		var live []due.Row
		for _, c := range clocks {
			if c.State == due.Pending || c.State == due.Fired {
				live = append(live, c)
			}
		}
		switch {
		case !o.Standing():
			if len(live) > 0 && live[0].State == due.Pending {
				r.Fatalf("%s is %s and its clock runs: %+v", rule, o.State, live)
			}
			continue
		case o.DueMs > 0:
			if len(clocks) != 1 || len(live) != 1 || live[0].DueMs != o.DueMs {
				r.Fatalf("%s stands, due %d, with the rows %+v", rule, o.DueMs, clocks)
			}
			if (live[0].State == due.Fired) != (o.OverdueMs != 0) {
				r.Fatalf("%s overdue since %d with its row %s", rule, o.OverdueMs, live[0].State)
			}
		case rules[rule].Due.Kind != standard.DuePeriodic:
			if len(live) != 1 || live[0].State != due.Pending || live[0].DueMs > b.now()+obligation.RemindLastMs {
				r.Fatalf("%s is to be met promptly and reminds by %+v", rule, live)
			}
		}
		if o.OverdueMs != 0 && o.DueMs > b.now() {
			r.Fatalf("%s is overdue before its time: %+v", rule, o)
		}
		if rules[rule].Clock == standard.ClockAwareness && o.ClockStartMs != aware {
			r.Fatalf("%s runs from %d, awareness is %d", rule, o.ClockStartMs, aware)
		}
	}
	var want []standard.Obligation
	if err := b.st.Write(ctx, store.System("test"), func(tx *store.Tx) error {
		i, err := incident.Get(ctx, tx, tx.Actor, id)
		if err != nil {
			return err
		}
		f, err := obligation.FactsOf(ctx, tx, b.book, i)
		if err != nil {
			return err
		}
		want, err = b.book.Obligations(f)
		return err
	}); err != nil {
		r.Fatal(err)
	}
	for _, w := range want {
		if o := have[w.Rule.ID]; w.State == standard.StateOwed && o.State != "owed" && o.State != "met" {
			r.Fatalf("%s is owed and stands as %q (%s)", w.Rule.ID, o.State, o.Reason)
		}
	}
}
