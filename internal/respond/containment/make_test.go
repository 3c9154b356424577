package containment_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/inspect/classify/shipped"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/setting"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/respond/containment"
)

var system = store.Actor{ID: "system-admin", Roles: []string{"system_admin"}}

func (b *bench) change(name, value string) error {
	return b.try(system, func(tx *store.Tx) error {
		_, err := setting.Change(ctx, tx, containment.CheckSettings(), name, value, "r")
		return err
	})
}

// set puts a setting as two persons would have.
func (b *bench) set(t *testing.T, name, value string) {
	t.Helper()
	b.do(t, system, func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO setting (name, value, changed_by, changed_ms) VALUES (?, ?, 'x', 1) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, value)
		return err
	})
}

func (b *bench) need(t *testing.T) (n int64) {
	t.Helper()
	if err := b.st.Read().NewRaw("SELECT COALESCE((SELECT version FROM module_need WHERE module = ?), 0)", containment.Module).Scan(ctx, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// The digest is that which v0.1.0 gives: a node of it beside this one changes nothing, and its gateways understand the posture.
func TestAsDeliveredAServiceCompilesToTheBytesOfTheFirstVersion(t *testing.T) {
	b := newBench(t)
	var c containment.Compiled
	b.do(t, rule, func(tx *store.Tx) (err error) { c, err = b.control.CompilePosture(ctx, tx, "s1", "r"); return err })
	if c.Digest != "sha256:f0d3fd21db731e42b5ae17ccce8672507ab362d1b618166b2bce52511c2eea73" {
		t.Errorf("it compiles to %s", c.Digest)
	}
}

func TestWhatIsNeededFollowsWhatIsCompiled(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		value string
		need  int64
	}{{"allow", 1}, {"mask", 2}, {"observe", 2}, {"allow", 1}} {
		b.set(t, "check.email", c.value)
		b.refresh(t)
		if got := b.need(t); got != c.need {
			t.Errorf("with e-mail on %s make %d is needed, not %d", c.value, got, c.need)
		}
	}
	// A node that is older than what is needed neither compiles nor lowers it.
	b.set(t, "check.email", "mask")
	b.refresh(t)
	b.set(t, "check.email", "allow")
	b.older = true
	b.refresh(t)
	if got := b.need(t); got != 2 {
		t.Errorf("an older node set what is needed to %d", got)
	}
}

func TestARuleThatAGatewayOrNodeDoesNotUnderstandIsNotSwitchedOn(t *testing.T) {
	refused := func(b *bench, name, value, who string) {
		t.Helper()
		switch err := b.change(name, value); {
		case who == "" && err != nil:
			t.Errorf("%s %s: %v", name, value, err)
		case who != "" && (!fault.Is(err, "containment.not_understood") || !strings.Contains(err.Error(), who)):
			t.Errorf("%s %s: %v, not because of %s", name, value, err, who)
		}
	}
	b := newBench(t)
	b.makes = 1
	if _, err := b.enrol(b.token(t, "edge-1"), credential("a")); err != nil {
		t.Fatal(err)
	}
	refused(b, "check.email", "mask", "edge-1")
	refused(b, "check.cn_id", "block", "") // it knows that
	b.do(t, engineer, func(tx *store.Tx) error { return b.control.RevokeGateway(ctx, tx, "edge-1") })
	refused(b, "check.email", "mask", "")
	b.refresh(t)
	if _, err := b.enrol(b.token(t, "edge-2"), credential("b")); !fault.Is(err, "containment.gateway_old") {
		t.Errorf("one that would not understand what is in force came in: %v", err)
	}
	b.makes = posture.Understands
	if _, err := b.enrol(b.token(t, "edge-3"), credential("c")); err != nil {
		t.Fatal(err)
	}
	refused(b, "check.ip", "mask", "")

	b = newBench(t)
	b.do(t, rule, func(tx *store.Tx) error {
		_, err := tx.Exec("INSERT INTO node (id, first_ms, started_ms, seen_ms, version, built_for, modules) VALUES ('node-b', 1, 1, ?, 'v0.1.0', 1, ?)", tx.NowMs, `{"posture":1}`)
		return err
	})
	refused(b, "check.email", "mask", "node-b v0.1.0")
	// What asks for a guard is the last of action and address, whichever that is.
	err := b.try(store.Actor{ID: "p", Roles: []string{"system_admin"}}, func(tx *store.Tx) error {
		if _, err := setting.Change(ctx, tx, containment.GuardSettings(), "guard.action", "block", "r"); err != nil {
			t.Error("nobody is asked yet:", err)
		}
		_, err := setting.Change(ctx, tx, containment.GuardSettings(), "guard.address", "https://guard.example.com/v1", "r")
		return err
	})
	if !fault.Is(err, "containment.not_understood") {
		t.Errorf("an address that a node would not understand: %v", err)
	}
	b.do(t, rule, func(tx *store.Tx) error { _, err := tx.Exec("UPDATE node SET left_ms = ?", tx.NowMs); return err })
	refused(b, "check.email", "mask", "")
}

func TestAGatewayThatWentBackIsNamed(t *testing.T) {
	b := newBench(t)
	b.makes = posture.Understands
	if _, err := b.enrol(b.token(t, "edge-1"), credential("a")); err != nil {
		t.Fatal(err)
	}
	b.set(t, "check.email", "mask")
	b.refresh(t)
	for _, c := range []struct {
		makes int64
		named bool
	}{{posture.Understands, false}, {1, true}} {
		b.do(t, rule, func(tx *store.Tx) error {
			_, err := tx.Exec("UPDATE gateway_member SET understands = ?, lease_until_ms = ?", c.makes, tx.NowMs+1000)
			return err
		})
		old, err := containment.TooOld(ctx, b.st)
		if named := slices.ContainsFunc(old, func(m containment.Member) bool { return m.ID == "edge-1" }); err != nil || named != c.named {
			t.Errorf("make %d: %v %v", c.makes, old, err)
		}
	}
}

func TestOrdersGoOnWithAPostureThatThisNodeDoesNotUnderstand(t *testing.T) {
	b := newBench(t)
	b.refresh(t)
	b.do(t, rule, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE posture SET body = REPLACE(body, '{"format":', '{"added_later":1,"format":')`)
		return err
	})
	b.older = true
	o := b.issue(t, officer, offline(containment.FromAnomaly, "a1"))
	m, err := b.control.Bundle(ctx, b.st.Read())
	if err != nil || !slices.Contains(m.OrderIDs, o.ID) {
		t.Errorf("%+v, %v", m.OrderIDs, err)
	}
}

func TestTheSettingsOfAServiceSayWhoJudgesItsTexts(t *testing.T) {
	b := newBench(t)
	judged := func(id string) posture.Rules {
		t.Helper()
		b.refresh(t)
		list, err := containment.Postures(ctx, b.st.Read(), id, 1)
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		p, err := posture.Parse([]byte(list[0].Body))
		if err != nil || p.Needs() != list[0].Needs {
			t.Fatal(p, err)
		}
		return p.Draft().Rules
	}
	if r := judged("s1"); r.Injection != "" || len(r.Classifiers) != 0 {
		t.Errorf("as delivered: %+v", r)
	}
	b.set(t, "injection@s1", "block")
	b.set(t, "classifier.gambling@s1", "observe")
	b.set(t, "classifier.injection@s1", "block")
	r := judged("s1")
	if r.Injection != posture.Block || len(r.Classifiers) != 2 {
		t.Fatalf("%+v", r)
	}
	g, i := r.Classifiers[0], r.Classifiers[1]
	if g.Head != "gambling" || g.Block != 0 || g.Asked || g.Observe <= 0 || g.Risk != "A.1.h" {
		t.Errorf("%+v", g)
	}
	if i.Head != "injection" || i.Block <= i.Observe || !i.Asked {
		t.Errorf("%+v", i)
	}
	if r := judged("s2"); r.Injection != "" || len(r.Classifiers) != 0 {
		t.Errorf("another service: %+v", r)
	}
}

// ofAnotherVersion puts the posture that stands as a version with another model would have compiled it, and gives its digest.
func (b *bench) ofAnotherVersion(t *testing.T, more ...posture.Classifier) string {
	t.Helper()
	list, err := containment.Postures(ctx, b.st.Read(), "s1", 1)
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	p, err := posture.Parse([]byte(list[0].Body))
	if err != nil {
		t.Fatal(err)
	}
	d := p.Draft()
	for i := range d.Rules.Classifiers {
		d.Rules.Classifiers[i].Model, d.Rules.Classifiers[i].Observe = otherModel, 0.75
	}
	d.Rules.Classifiers = append(d.Rules.Classifiers, more...)
	if p, err = posture.Compile(d); err != nil {
		t.Fatal(err)
	}
	b.do(t, rule, func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE posture SET digest = ?, body = ? WHERE digest = ?", p.Digest(), string(p.Bytes()), list[0].Digest)
		return err
	})
	return p.Digest()
}

var otherModel = "sha256:" + strings.Repeat("0", 64)

func TestTheModelThatStandsIsKeptWhileAnotherVersionServes(t *testing.T) {
	serves := map[string]func(b *bench, version string) (gone func()){
		"node": func(b *bench, version string) func() {
			b.do(t, rule, func(tx *store.Tx) error {
				_, err := tx.Exec("INSERT INTO node (id, first_ms, started_ms, seen_ms, version, built_for, modules) VALUES ('node-b', 1, 1, ?, ?, 1, ?)", tx.NowMs, version, `{"posture":2}`)
				return err
			})
			return func() {
				b.do(t, rule, func(tx *store.Tx) error { _, err := tx.Exec("UPDATE node SET left_ms = ?", tx.NowMs); return err })
			}
		},
		"gateway": func(b *bench, version string) func() {
			b.makes = posture.Understands
			if _, err := b.enrol(b.token(t, "edge-1"), credential("a")); err != nil {
				t.Fatal(err)
			}
			b.do(t, rule, func(tx *store.Tx) error {
				_, err := tx.Exec("UPDATE gateway_member SET version = ?, lease_until_ms = ?", version, tx.NowMs+1000)
				return err
			})
			return func() {
				b.do(t, engineer, func(tx *store.Tx) error { return b.control.RevokeGateway(ctx, tx, "edge-1") })
			}
		},
	}
	for name, serve := range serves {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			stands := func() (digest string, models []string) {
				t.Helper()
				b.refresh(t)
				list, err := containment.Postures(ctx, b.st.Read(), "s1", 1)
				if err != nil || len(list) != 1 {
					t.Fatal(list, err)
				}
				p, err := posture.Parse([]byte(list[0].Body))
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range p.Draft().Rules.Classifiers {
					models = append(models, c.ID+" "+c.Model)
				}
				return list[0].Digest, models
			}
			own := "classifier.gambling " + shipped.Digest()
			b.set(t, "classifier.gambling@s1", "observe")
			b.set(t, "classifier.later@s1", "block") // of a head that this version does not have
			if _, models := stands(); !slices.Equal(models, []string{own}) {
				t.Fatal(models)
			}

			// All are of this version: its own model, whoever compiled before.
			b.ofAnotherVersion(t)
			if _, models := stands(); !slices.Equal(models, []string{own}) {
				t.Errorf("control: the other model stays: %v", models)
			}

			gone := serve(b, "v9")
			later := posture.Classifier{ID: "classifier.later", Model: otherModel, Head: "later", Observe: 0.5, Block: 0.95}
			want := b.ofAnotherVersion(t, later)
			for range 2 {
				if got, models := stands(); got != want {
					t.Errorf("it was compiled again: %v", models)
				}
			}

			// Something else in the posture changes, and the model is kept still.
			b.set(t, "injection@s1", "observe")
			if got, models := stands(); got == want || !slices.Equal(models, []string{"classifier.gambling " + otherModel, "classifier.later " + otherModel}) {
				t.Errorf("with injection: %v", models)
			}

			// What the settings ask of the classifiers changes.
			b.set(t, "classifier.gambling@s1", "block")
			if _, models := stands(); !slices.Equal(models, []string{own}) {
				t.Errorf("after a setting: %v", models)
			}

			// The other version goes.
			want = b.ofAnotherVersion(t, later)
			if got, _ := stands(); got != want {
				t.Error("it was compiled again after the setting")
			}
			gone()
			if _, models := stands(); !slices.Equal(models, []string{own}) {
				t.Errorf("alone: %v", models)
			}
		})
	}
}

func TestAGatewayWhoseGuardModelGivesNoOpinionsIsNamed(t *testing.T) {
	b, leases := leased(t)
	silent := func() []string {
		ids, err := containment.WithSilentGuards(ctx, b.st.Read())
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	b.do(t, rule, func(tx *store.Tx) error {
		_, err := tx.Exec("UPDATE gateway SET effective = TRUE, revision = 1 WHERE id = 'edge-1'")
		return err
	})
	for _, n := range []int64{0, 2, 0} {
		leases.Seen("edge-1", 1, "v1", 0, containment.Report{GuardsSilent: n})
		until(t, "the report", func() bool {
			b.clock.Advance(10 * time.Millisecond)
			all, err := containment.Gateways(ctx, b.st.Read())
			return err == nil && all[0].GuardsSilent == n
		})
		if got := silent(); len(got) != min(int(n), 1) {
			t.Errorf("%d: %v", n, got)
		}
	}
	here := b.gate("here")
	here.guardsSilent = 1
	run(t, containment.NewDistributor(b.st, b.control, containment.DistributorOptions{}, here))
	until(t, "the word of a gateway in a control node", func() bool { return slices.Equal(silent(), []string{"here"}) })
}

func TestAGatewayThatLacksAModelIsNamed(t *testing.T) {
	b, leases := leased(t)
	for i, unjudged := range []int64{0, 2, 0} {
		leases.Seen("edge-1", 0, "v1", 0, containment.Report{Streams: int64(i + 1), Unjudged: unjudged})
		until(t, "the report", func() bool {
			b.clock.Advance(10 * time.Millisecond)
			all, err := containment.Members(ctx, b.st.Read(), officer)
			return err == nil && all[0].Streams == int64(i+1)
		})
		lacking, err := containment.Unjudged(ctx, b.st)
		if err != nil || len(lacking) != min(int(unjudged), 1) || len(lacking) == 1 && (lacking[0].ID != "edge-1" || lacking[0].Unjudged != 2) {
			t.Errorf("%d: %+v %v", unjudged, lacking, err)
		}
	}
}
