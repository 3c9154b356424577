package containment_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/setting"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/respond/containment"
	"github.com/fengsui/fengsui/internal/service"
)

func TestTheSameContentIsOnePostureAndAnyChangeIsANewOne(t *testing.T) {
	b := newBench(t)
	compile := func() (c containment.Compiled) {
		b.do(t, rule, func(tx *store.Tx) (err error) { c, err = b.control.CompilePosture(ctx, tx, "s1", "r"); return err })
		return c
	}
	one, same := compile(), compile()
	if !one.Changed || same.Changed || one.Digest != same.Digest || one.Seq != 1 {
		t.Fatalf("%+v %+v", one, same)
	}
	exec := func(q string) {
		b.do(t, rule, func(tx *store.Tx) error { _, err := tx.Exec(q); return err })
	}
	exec("UPDATE lexicon_entry SET state = 'retired' WHERE id = 'l2'")
	two := compile()
	exec("UPDATE lexicon_entry SET state = 'live' WHERE id = 'l2'")
	three := compile()
	if !two.Changed || two.Seq != 2 || !three.Changed || three.Seq != 3 || three.Digest != one.Digest || two.Digest == one.Digest {
		t.Fatalf("%+v %+v %+v", one, two, three)
	}
	b.do(t, store.Actor{ID: "e", Roles: []string{"safety_engineer"}}, func(tx *store.Tx) error {
		_, _, err := service.IssueKey(ctx, tx, service.GatewayKey{ServiceID: "s1", Tenant: "t", UserGroup: "g", TrafficKind: "real"})
		return err
	})
	b.refresh(t)
	_, o := b.bundle(t)
	var p *posture.Posture
	for _, q := range o.Postures {
		if q.ServiceID() == "s1" {
			p = q
		}
	}
	d := p.Draft()
	if p.Digest() != one.Digest || len(o.Postures) != 1 { // s3 has no deployment, and nobody has a key of s2
		t.Fatalf("%s, %d postures", p.Digest(), len(o.Postures))
	}
	if len(d.Rules.Terms) != 2 || len(d.Strict.Terms) != 2 || len(d.Rules.Checks) != 2 || len(d.Topics) != 2 || len(d.Deployments) != 5 || d.Deployments[4].ID != "p1" || d.Deployments[4].BaseURL != "http://127.0.0.1:1/v1" {
		t.Fatalf("%s", asJSON(d))
	}
	for _, text := range []posture.Text{d.Notices.Blocked, d.Notices.Offline, d.Notices.Limited, d.Notices.Replaced} {
		if text.ZH == "" || text.EN == "" || strings.HasPrefix(text.ZH, "[") {
			t.Errorf("notice %+v", text)
		}
	}
	blocked := map[string]bool{}
	for _, r := range d.Topical("rumour") {
		blocked[r.ID] = r.Action == posture.Block
	}
	if !blocked["l1"] || !blocked["topic.l3"] || !blocked["probe.topic.rumour"] {
		t.Fatalf("%v", blocked)
	}
}

func TestASettingSaysWhatIsDoneAboutAKindInEveryPosture(t *testing.T) {
	b := newBench(t)
	checks := func() map[string]posture.Check {
		var list []posture.Check
		b.do(t, rule, func(tx *store.Tx) (err error) { list, err = containment.Checks(ctx, tx); return err })
		out := map[string]posture.Check{}
		for _, c := range list {
			out[c.Kind] = c
		}
		return out
	}
	if got := checks(); got["cn_id"].Action != posture.Mask || got["bank_card"].Action != posture.Mask || got["private_key"].ID != "" || got["cn_mobile"].ID != "" || got["cn_name"].ID != "" {
		t.Errorf("as delivered: %+v", got)
	}
	b.do(t, rule, func(tx *store.Tx) error {
		_, err := tx.Exec("INSERT INTO setting (name, value, changed_by, changed_ms) VALUES ('check.cn_mobile', 'mask_ends', 'p', 1), ('check.cn_id', 'allow', 'p', 1), ('check.email', 'block', 'p', 1), ('check.cn_plate', 'placeholder', 'p', 1)")
		return err
	})
	got := checks()
	if c := got["cn_plate"]; c.Action != posture.Mask || !c.Swap || c.Ends || got["cn_mobile"].Swap {
		t.Errorf("a placeholder: %+v", got)
	}
	if c := got["cn_mobile"]; c.Action != posture.Mask || !c.Ends || got["cn_id"].ID != "" || got["email"].Action != posture.Block || got["email"].Ends {
		t.Errorf("as set: %+v", got)
	}
}

func TestPlaceholdersAreMilderThanMasksAndNotForKeys(t *testing.T) {
	for name, r := range containment.CheckSettings() {
		at, key := slices.Index(r.Options, "placeholder"), name == "check.api_key" || name == "check.private_key"
		if key != (at < 0) {
			t.Errorf("%s: %q", name, r.Options)
		}
		for _, mask := range []string{"mask_ends", "mask"} {
			if m := slices.Index(r.Options, mask); !key && m >= 0 && m < at {
				t.Errorf("%s: one person may go from %s to a placeholder", name, mask)
			}
		}
	}
}

func TestTheSettingsOfTheGuardModelMakeItPartOfEveryPostureOnceSomebodySaysWhomToAsk(t *testing.T) {
	b := newBench(t)
	guard := func(settings ...string) (g *posture.Guard) {
		t.Helper()
		b.do(t, rule, func(tx *store.Tx) (err error) {
			for i := 0; i < len(settings); i += 2 {
				if _, err := tx.Exec("INSERT INTO setting (name, value, changed_by, changed_ms) VALUES (?, ?, 'p', 1) ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value", settings[i], settings[i+1]); err != nil {
					return err
				}
			}
			g, err = containment.Guard(ctx, tx)
			return err
		})
		return g
	}
	if g := guard(); g != nil {
		t.Errorf("as delivered: %+v", g)
	}
	if g := guard("guard.action", "block"); g != nil {
		t.Errorf("nobody to ask: %+v", g)
	}
	want := posture.Guard{BaseURL: "https://guard.example.com/v1", Model: "default", Action: posture.Block, Failure: posture.Closed, WaitMs: 2000, PerMinute: 60, AtOnce: 16}
	if g := guard("guard.address", want.BaseURL, "guard.secret", "guard-key"); g == nil || *g != want {
		t.Errorf("%+v, want %+v: a key that is not bound to the address is shown to nobody", g, want)
	}
	for name, value := range map[string]string{"guard.address": "ftp://x", "guard.model": "a b", "guard.format": "other", "guard.secret": "a\nb", "guard.action": "mask"} {
		err := b.try(store.Actor{ID: "p", Roles: []string{"system_admin"}}, func(tx *store.Tx) error {
			_, err := setting.Change(ctx, tx, containment.GuardSettings(), name, value, "r")
			return err
		})
		if !fault.Is(err, "setting.bad_value") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, bad := range map[string][]string{"guard.wait_ms": {"99", "15001", "1e3"}, "guard.per_minute": {"0", "1000001", ""}, "guard.at_once": {"0", "-1", "1025", "16.5"}} {
		for _, value := range bad {
			err := b.try(store.Actor{ID: "p", Roles: []string{"system_admin"}}, func(tx *store.Tx) error {
				_, err := setting.Change(ctx, tx, containment.GuardSettings(), name, value, "r")
				return err
			})
			if !fault.Is(err, "setting.not_between") {
				t.Errorf("%s %q: %v", name, value, err)
			}
		}
	}
	b.do(t, rule, func(tx *store.Tx) error {
		_, err := tx.Exec("INSERT INTO secrets (name, origin, sealed, updated_ms) VALUES ('guard-key', 'https://guard.example.com:443', 'x', 1)")
		return err
	})
	want.Format = posture.LlamaGuard
	want.Secret, want.Model, want.Action, want.Failure, want.WaitMs, want.PerMinute, want.AtOnce = "guard-key", "g", posture.Observe, posture.Open, 15_000, 5, 40
	if g := guard("guard.action", "observe", "guard.format", "llama_guard", "guard.model", "g", "guard.failure", "open", "guard.wait_ms", "99999", "guard.per_minute", "5", "guard.at_once", "40"); g == nil || *g != want {
		t.Errorf("%+v, want %+v", g, want)
	}
	if g := guard("guard.address", "https://elsewhere.example.com/v1"); g == nil || g.Secret != "" {
		t.Errorf("the key went along to another address: %+v", g)
	}
	if g := guard("guard.address", want.BaseURL, "guard.wait_ms", "2000", "guard.per_minute", "60", "guard.at_once", "16"); g == nil {
		t.Fatal("no guard")
	}
	change := func(name, value string) (r setting.Ruled, err error) {
		err = b.try(store.Actor{ID: "p", Roles: []string{"system_admin"}}, func(tx *store.Tx) error {
			r, err = setting.Change(ctx, tx, containment.GuardSettings(), name, value, "r")
			return err
		})
		return r, err
	}
	for _, name := range []string{"no-such-key", "sk-pasted"} {
		if _, err := change("guard.secret", name); !fault.Is(err, "secret.not_for_upstream") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, values := range map[string][2]string{"guard.wait_ms": {"3000", "2999"}, "guard.per_minute": {"100", "9"}, "guard.at_once": {"32", "31"}} {
		if r, err := change(name, values[0]); err != nil || r.Value != values[0] || r.Asked != nil {
			t.Errorf("%s raised by one: %+v %v", name, r, err)
		}
		b.do(t, rule, func(tx *store.Tx) error { _, err := tx.Exec("UPDATE setting SET agreed = ''"); return err })
		if r, err := change(name, values[1]); err != nil || r.Value != values[0] || r.Asked == nil {
			t.Errorf("%s lowered by one: %+v %v", name, r, err)
		}
	}
	compiled := func() *posture.Guard {
		t.Helper()
		b.do(t, rule, func(tx *store.Tx) error { _, err := b.control.CompilePosture(ctx, tx, "s1", "r"); return err })
		list, err := containment.Postures(ctx, b.st.Read(), "s1", 1)
		if err != nil || len(list) != 1 {
			t.Fatal(err, list)
		}
		p, err := posture.Parse([]byte(list[0].Body))
		if err != nil {
			t.Fatal(err)
		}
		return p.Draft().Guard
	}
	if compiled() == nil {
		t.Error("the posture knows nothing of it")
	}
	guard("guard.action", "off")
	if compiled() != nil {
		t.Error("it is still asked")
	}
}

func TestABundleHoldsWhatIsInForceAndItsRevisionGrowsWithEveryChange(t *testing.T) {
	b := newBench(t)
	if _, err := b.control.Bundle(ctx, b.st.Read()); !errors.Is(err, containment.ErrStale) {
		t.Fatalf("a bundle before anything was compiled: %v", err)
	}
	b.refresh(t)
	m1, _ := b.bundle(t)
	b.refresh(t)
	if m, _ := b.bundle(t); m.Revision != m1.Revision {
		t.Fatal("a refresh without a change made a revision")
	}
	real, drill := b.issue(t, officer, strict(containment.FromIncident, "i1")), b.issue(t, standIn, offline(containment.FromDrill, "d1"))
	m2, o := b.bundle(t)
	if m2.Revision <= m1.Revision || len(o.Orders) != 2 || len(o.Postures) != 2 || o.OrderSeq != 2 || o.Orders[0].ID != real.ID {
		t.Fatalf("%+v", o)
	}
	kinds := map[string]posture.Kind{}
	for _, k := range o.Keys {
		kinds[k.ID] = k.Kind
	}
	if len(o.Keys) != 2 || kinds["probe:"+real.ID] != posture.Test || kinds["probe:"+drill.ID] != posture.Drill {
		t.Fatalf("%+v", o.Keys)
	}
	var key service.GatewayKey
	b.do(t, store.Actor{ID: "e", Roles: []string{"safety_engineer"}}, func(tx *store.Tx) (err error) {
		key, _, err = service.IssueKey(ctx, tx, service.GatewayKey{ServiceID: "s1", Tenant: "t", UserGroup: "g", TrafficKind: "real"})
		return err
	})
	if _, err := b.control.Bundle(ctx, b.st.Read()); !errors.Is(err, containment.ErrStale) {
		t.Fatalf("a new key went out under an old revision: %v", err)
	}
	b.refresh(t)
	m3, o := b.bundle(t)
	if m3.Revision <= m2.Revision || len(o.Keys) != 3 || len(o.Postures) != 2 {
		t.Fatalf("%+v", o.Keys)
	}
	b.do(t, rule, func(tx *store.Tx) error {
		_, err := tx.Exec("UPDATE gateway_key SET revoked_ms = 1 WHERE id = ?", key.ID)
		return err
	})
	b.refresh(t)
	b.clock.Advance(time.Second)
	b.do(t, standIn, func(tx *store.Tx) error { _, err := b.control.UndoOffline(ctx, tx, drill.ID, "r"); return err })
	m4, o := b.bundle(t)
	// A drill that is over has neither key nor order, and leaves nothing that later orders would carry along.
	if m4.Revision <= m3.Revision || len(o.Orders) != 1 || len(o.Keys) != 1 || len(o.Postures) != 1 || o.OrderSeq != 2 {
		t.Fatalf("%+v", o)
	}
}

func TestAfterARestartTheSameRevisionIsTheSameBytes(t *testing.T) {
	b := newBench(t)
	b.refresh(t)
	b.issue(t, officer, strict(containment.FromIncident, "i1"))
	before, _ := b.bundle(t)
	if err := b.st.Close(); err != nil {
		t.Fatal(err)
	}
	b.clock.Advance(time.Hour)
	b.open(t)
	b.refresh(t)
	after, _ := b.bundle(t)
	if before.Revision != after.Revision || !bytes.Equal(before.Signed.Payload, after.Signed.Payload) || !bytes.Equal(before.Signed.Signature, after.Signed.Signature) {
		t.Fatalf("revision %d became %d", before.Revision, after.Revision)
	}
	b.issue(t, officer, offline(containment.FromIncident, "i1"))
	next, o := b.bundle(t)
	if next.Revision <= after.Revision || o.OrderSeq != 2 {
		t.Fatalf("%d %d", next.Revision, o.OrderSeq)
	}
}

func TestContradictoryOrdersTightenForEverybody(t *testing.T) {
	b := newBench(t)
	b.refresh(t)
	limit := func(groups ...string) containment.Request {
		r := strict(containment.FromIncident, "i1")
		r.Rung, r.Params.AllowedGroups = posture.AudienceLimit, groups
		return r
	}
	backup := func(id string) containment.Request {
		r := strict(containment.FromIncident, "i1")
		r.Rung, r.Params.BackupID = posture.BackupModel, id
		return r
	}
	b.issue(t, officer, limit("staff", "partners"))
	b.issue(t, officer, limit("partners", "press"))
	b.issue(t, officer, backup("b1"))
	b.issue(t, officer, backup("b4"))
	drill := offline(containment.FromDrill, "d1")
	b.issue(t, standIn, drill)
	drill.Scope.ServiceID = "s1"
	if _, err := b.tryIssue(officer, drill); !fault.Is(err, "identity.other_drill") {
		t.Error("a drill touches a real service:", err)
	}
	beyond := strict(containment.FromIncident, "i1")
	beyond.Scope.ServiceID = "s2"
	if _, err := b.tryIssue(officer, beyond); !fault.Is(err, "identity.other_drill") {
		t.Error("a real incident touches a drill's service:", err)
	}
	_, o := b.bundle(t)
	served := func(group string, kind posture.Kind) posture.Decision {
		return posture.Effective(o.Orders, posture.Request{ServiceID: "s1", DeploymentID: "p1", Group: group, Kind: kind})
	}
	for group, limited := range map[string]bool{"staff": true, "press": true, "partners": false, "public": true} {
		if d := served(group, posture.Real); d.Limited != limited || d.Offline || !limited && d.DeploymentID != "b4" {
			t.Errorf("%s: %+v", group, d)
		}
	}
	if d := posture.Effective(o.Orders, posture.Request{ServiceID: "s2", DeploymentID: "p2", Group: "partners", Kind: posture.Drill}); !d.Offline {
		t.Error("the drill's offline does not bind drill traffic")
	}
}

func TestWhateverPeopleDoLooseningNeverHappensByOnePersonAndGatewaysNeverRollBack(t *testing.T) {
	b := newBench(t)
	b.refresh(t)
	_, have := b.bundle(t)
	people := []store.Actor{officer, commander, {ID: "both", Roles: []string{"duty_officer", "management", "commander"}}}
	rapid.Check(t, func(rt *rapid.T) {
		asked := []string{}
		for range rapid.IntRange(1, 10).Draw(rt, "acts") {
			who := rapid.SampledFrom(people).Draw(rt, "who")
			var open []string
			if err := b.st.Read().NewRaw("SELECT id FROM disposal_order WHERE state = 'in_force' ORDER BY seq").Scan(ctx, &open); err != nil {
				rt.Fatal(err)
			}
			act := rapid.IntRange(0, 6).Draw(rt, "act")
			_ = b.try(who, func(tx *store.Tx) (err error) {
				pick := func(list []string) string {
					if len(list) == 0 {
						return ""
					}
					return list[rapid.IntRange(0, len(list)-1).Draw(rt, "pick")]
				}
				switch act {
				case 0, 1:
					r := strict(containment.FromIncident, "i1")
					r.Rung = rapid.SampledFrom([]posture.Rung{posture.StrictFilter, posture.ServiceOffline}).Draw(rt, "rung")
					r.Scope.Group = rapid.SampledFrom([]string{"", "g", "h"}).Draw(rt, "group")
					_, err = b.control.Issue(ctx, tx, r)
				case 2:
					s, err := b.control.RequestLift(ctx, tx, pick(open), "r")
					if err != nil {
						return err
					}
					asked = append(asked, s.ID)
				case 3:
					_, err = b.control.DecideLift(ctx, tx, pick(asked), rapid.Bool().Draw(rt, "yes"))
				case 4:
					_, err = b.control.GoOnline(ctx, tx, pick(open))
				case 5:
					_, err = b.control.UndoOffline(ctx, tx, pick(open), "r")
				case 6:
					var reviews []string
					if err := tx.NewRaw("SELECT id FROM gate_review WHERE state = 'requested'").Scan(ctx, &reviews); err != nil {
						return err
					}
					_, err = b.desk.Ratify(ctx, tx, pick(reviews), rapid.Bool().Draw(rt, "yes"), "r")
				}
				return err
			})
			b.clock.Advance(time.Duration(rapid.IntRange(0, 50).Draw(rt, "s")) * time.Second)
		}
		var ended []containment.Order
		if err := b.st.Read().NewSelect().Model(&ended).Where("state <> 'in_force'").Scan(ctx); err != nil {
			rt.Fatal(err)
		}
		for _, o := range ended {
			slip := o.Rung == posture.ServiceOffline && o.EndedBy == o.IssuedBy && o.EndedMs-o.IssuedMs <= containment.UndoWithinMs
			two := o.Rung != posture.ServiceOffline && o.EndedSecond != "" && o.EndedSecond != o.EndedBy
			if !slip && !two {
				rt.Fatalf("loosened: %s", asJSON(o))
			}
		}
		var alone int
		if err := b.st.Read().NewRaw("SELECT COUNT(*) FROM gate_review WHERE decided_by = requested_by").Scan(ctx, &alone); err != nil || alone != 0 {
			rt.Fatalf("%d reviews decided by who asked, %v", alone, err)
		}
		m, err := b.control.Bundle(ctx, b.st.Read())
		if err != nil {
			rt.Fatal(err)
		}
		now, err := posture.OpenBundle(m.Signed, nil, b.key.Public().(ed25519.PublicKey))
		if err != nil {
			rt.Fatal(err)
		}
		if err := now.Succeeds(have); err != nil {
			rt.Fatal(fmt.Errorf("a gateway would refuse: %w", err))
		}
		have = now
	})
}

func TestAnOlderNodeLeavesCompilingToNewerOnesAndStillHandsOutOrders(t *testing.T) {
	b := newBench(t)
	b.refresh(t)
	before, _ := b.bundle(t)
	b.older = true
	b.do(t, store.System("test"), func(tx *store.Tx) error {
		for _, q := range []string{
			"UPDATE lexicon_entry SET term = '测试违禁词丁' WHERE id = 'l1'",
			"UPDATE bundle_state SET keys_digest = 'as a newer program writes it' WHERE id = 1",
		} {
			if _, err := tx.Exec(q); err != nil {
				return err
			}
		}
		return nil
	})
	b.refresh(t)
	if now, _ := b.bundle(t); now.Revision != before.Revision {
		t.Errorf("it compiled: revision %d became %d", before.Revision, now.Revision)
	}
	o := b.issue(t, officer, strict(containment.FromIncident, "i1"))
	if now, _ := b.bundle(t); now.Revision != before.Revision+1 || !slices.Contains(now.OrderIDs, o.ID) {
		t.Errorf("an order does not go out: %+v", now.OrderIDs)
	}
	b.older = false
	if _, err := b.control.Bundle(ctx, b.st.Read()); !errors.Is(err, containment.ErrStale) {
		t.Errorf("one that compiles does not see that keys have changed: %v", err)
	}
	b.refresh(t)
	if now, _ := b.bundle(t); now.Revision < before.Revision+3 {
		t.Errorf("it does not compile: %d", now.Revision)
	}
}
