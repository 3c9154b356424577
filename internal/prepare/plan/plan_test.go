package plan_test

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/prepare/plan"
	"github.com/fengsui/fengsui/internal/standard"
)

var (
	ctx      = context.Background()
	engineer = store.Actor{ID: "engineer", Roles: []string{"safety_engineer"}}
	boss     = store.Actor{ID: "boss", Roles: []string{"management"}}
)

type nothing struct{}

func (nothing) Append(context.Context, bun.Tx, int64, []store.Entry) error { return nil }

func rules(t testing.TB) plan.Rules {
	t.Helper()
	book, err := standard.Load()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, e := range book.Editions() {
		known[e.ID] = true
	}
	return plan.Rules{KnowsEdition: func(id string) bool { return known[id] }, KnowsCategory: func(id string) bool {
		for _, ty := range book.Types() {
			if ty.ID == id {
				return true
			}
		}
		_, ok := book.Subtype(id)
		return ok
	}}
}

func open(t testing.TB) (*store.Store, *clock.Fake) {
	t.Helper()
	c := clock.NewFake(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC))
	st, err := store.Open(ctx, storetest.With(t, store.Options{Dir: t.TempDir(), Clock: c, Recorder: nothing{}}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st, c
}

const good = `id: my-plan
scenario: s
title: {zh: 甲, en: a}
category: content.false
level: 2
edition: TC260-PG-202515A@V1.0-202509
steps:
  - id: one
    title: {zh: 甲, en: a}
    role: duty_officer
    within_min: 5
    output: {zh: 甲, en: a}
    automatic: {action: issue_order, rung: strict_filter}
escalation:
  - {after_min: 30, to: commander, channel: console}
`

func TestABadPlanIsRefusedWithFilePlanAndField(t *testing.T) {
	r := rules(t)
	if _, err := r.Parse("a.yaml", []byte(good)); err != nil {
		t.Fatalf("control: %v", err)
	}
	without := func(from, to string) string {
		a, b := strings.Index(good, from), strings.Index(good, to)
		return good[:a] + good[b:]
	}
	for name, c := range map[string]struct{ body, field, key string }{
		"empty":                 {"", "?", "plan.empty"},
		"unknown key":           {good + "colour: red\n", "", "plan.malformed"},
		"unknown key in a step": {strings.Replace(good, "    role:", "    rolle: x\n    role:", 1), "", "plan.malformed"},
		"doubled key":           {good + "level: 3\n", "", "plan.malformed"},
		"key in other case":     {strings.Replace(good, "level:", "Level:", 1), "", "plan.malformed"},
		"two documents":         {good + "---\n" + good, "", "plan.two_documents"},
		"no steps key":          {without("steps:", "escalation:"), "steps", "plan.no_steps"},
		"empty steps":           {strings.Replace(without("steps:", "escalation:"), "escalation:", "steps: []\nescalation:", 1), "steps", "plan.no_steps"},
		"bad id":                {strings.Replace(good, "my-plan", "My Plan", 1), "id", "plan.bad_id"},
		"level 5":               {strings.Replace(good, "level: 2", "level: 5", 1), "level", "plan.bad_level"},
		"no level":              {strings.Replace(good, "level: 2\n", "", 1), "level", "plan.bad_level"},
		"unknown category":      {strings.Replace(good, "content.false", "content.weather", 1), "category", "plan.unknown_category"},
		"unknown edition":       {strings.Replace(good, "V1.0", "V9.0", 1), "edition", "plan.unknown_edition"},
		"no english title":      {strings.Replace(good, "title: {zh: 甲, en: a}\nc", "title: {zh: 甲}\nc", 1), "title", "error.required"},
		"unknown role":          {strings.Replace(good, "role: duty_officer", "role: hero", 1), "steps[0].role", "error.unknown_value"},
		"no time":               {strings.Replace(good, "within_min: 5", "within_min: 0", 1), "steps[0].within_min", "plan.bad_minutes"},
		"no output":             {strings.Replace(good, "    output: {zh: 甲, en: a}\n", "", 1), "steps[0].output", "error.required"},
		"unknown action":        {strings.Replace(good, "issue_order", "reboot", 1), "steps[0].automatic.action", "error.unknown_value"},
		"unknown rung":          {strings.Replace(good, "strict_filter", "throttle", 1), "steps[0].automatic.rung", "error.unknown_value"},
		"topic block without":   {strings.Replace(good, "strict_filter", "topic_block", 1), "steps[0].automatic.topic_ids", "plan.rung_params"},
		"groups of a filter":    {strings.Replace(good, "strict_filter", "strict_filter, allowed_groups: [a]", 1), "steps[0].automatic.allowed_groups", "plan.rung_params"},
		"offline that lapses":   {strings.Replace(good, "strict_filter", "service_offline, expires_min: 5", 1), "steps[0].automatic.expires_min", "plan.bad_minutes"},
		"notify without":        {strings.Replace(good, "issue_order, rung: strict_filter", "notify", 1), "steps[0].automatic.channel", "error.required"},
		"pin with a rung":       {strings.Replace(good, "issue_order", "pin_evidence", 1), "steps[0].automatic.action", "plan.not_used"},
		"escalation to nobody":  {strings.Replace(good, "to: commander", "to: hero", 1), "escalation[0].to", "error.unknown_value"},
		"step twice":            {strings.Replace(good, "escalation:", good[strings.Index(good, "  - id: one"):strings.Index(good, "escalation:")]+"escalation:", 1), "steps[1].id", "plan.twice"},
	} {
		_, err := r.Parse("a.yaml", []byte(c.body))
		plan := "my-plan"
		if name == "bad id" {
			plan = "My Plan"
		} else if name == "empty" {
			plan = "?"
		}
		if !fault.Is(err, c.key) || !strings.Contains(err.Error(), "a.yaml: "+plan) || !strings.Contains(err.Error(), c.field) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := r.LoadFS(fstest.MapFS{"p/a.yaml": {Data: []byte(good)}, "p/b.yaml": {Data: []byte(good)}}, "p"); !fault.Is(err, "plan.id_twice") || !strings.Contains(err.Error(), "b.yaml") {
		t.Errorf("one id in two files: %v", err)
	}
}

func TestTheStarterHasAPlanForEveryLevelAndTheTwoCasesOfTheGuide(t *testing.T) {
	st, _ := open(t)
	r := rules(t)
	var n, again int
	if err := st.Write(ctx, store.System("boot"), func(tx *store.Tx) (err error) {
		if n, err = r.InstallStarter(ctx, tx); err != nil {
			return err
		}
		again, err = r.InstallStarter(ctx, tx)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if n != 6 || again != 0 {
		t.Fatalf("%d, then %d", n, again)
	}
	for _, c := range []struct {
		category string
		level    int
		want     string
	}{
		{"content.discrimination", 4, "discrimination-4"}, {"content.false", 2, "false-information-2"}, {"content.false", 1, "general-1"}, {"content.discrimination", 3, "general-3"},
		{"data.leak", 2, "general-2"}, {"attack.dos", 4, "general-4"}, {"", 1, "general-1"},
	} {
		v, err := plan.Select(ctx, st.Read(), c.category, c.level)
		if err != nil || v.ID != c.want || len(v.Plan.Steps) == 0 || v.ApprovedBy != plan.StarterSource {
			t.Errorf("%s %d: %s, %v", c.category, c.level, v.ID, err)
		}
	}
	if _, err := plan.Select(ctx, st.Read(), "content.false", 0); !fault.Is(err, "plan.none") {
		t.Errorf("no level: %v", err)
	}
	// 一级 and 二级 restrict at once or have a step that does; 四级 leaves the service on.
	for level, restricts := range map[int]bool{1: true, 2: true, 3: true, 4: false} {
		v, _ := plan.Select(ctx, st.Read(), "x", level)
		has := false
		for _, s := range v.Plan.Steps {
			has = has || strings.HasPrefix(s.ID, "restrict") || s.Automatic != nil && s.Automatic.Rung.Tag() == posture.Restrict
		}
		if has != restricts {
			t.Errorf("level %d: %v", level, has)
		}
	}
	if err := st.Write(ctx, boss, func(tx *store.Tx) error { _, err := r.InstallStarter(ctx, tx); return err }); fault.KindOf(err) != fault.KindForbidden {
		t.Errorf("a person installed plans: %v", err)
	}
}

func TestAVersionIsApprovedByManagementOtherThanItsDrafterAndNeverChanges(t *testing.T) {
	st, c := open(t)
	r := rules(t)
	p, err := r.Parse("a.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	file := func(a store.Actor) (v []plan.Version, err error) {
		err = st.Write(ctx, a, func(tx *store.Tx) error { v, err = r.Import(ctx, tx, []plan.Plan{p}); return err })
		return v, err
	}
	approve := func(a store.Actor, version int) error {
		return st.Write(ctx, a, func(tx *store.Tx) error { _, err := plan.Approve(ctx, tx, "my-plan", version); return err })
	}
	both := store.Actor{ID: "engineer", Roles: []string{"safety_engineer", "management"}}
	if _, err := file(boss); fault.KindOf(err) != fault.KindForbidden {
		t.Fatalf("management drafted: %v", err)
	}
	if _, err := file(store.Actor{ID: "x", Roles: []string{"commander"}, Drill: "d1"}); !fault.Is(err, "identity.other_drill") {
		t.Fatalf("a stand-in drafted: %v", err)
	}
	if _, err := file(engineer); err != nil {
		t.Fatal(err)
	}
	if _, err := plan.Select(ctx, st.Read(), "content.false", 2); !fault.Is(err, "plan.none") {
		t.Fatalf("a draft was selected: %v", err)
	}
	if err := approve(both, 1); !fault.Is(err, "identity.same_person") {
		t.Fatalf("the drafter approved: %v", err)
	}
	if err := approve(engineer, 1); !fault.Is(err, "identity.not_allowed") {
		t.Fatalf("an engineer approved: %v", err)
	}
	if err := approve(boss, 1); err != nil {
		t.Fatal(err)
	}
	if err := approve(boss, 1); !fault.Is(err, "error.transition") {
		t.Fatalf("approved twice: %v", err)
	}
	if v, err := file(engineer); err != nil || v[0].Version != 1 || v[0].State != plan.Approved {
		t.Fatalf("the same content made a version: %+v %v", v, err)
	}
	first, _ := plan.Get(ctx, st.Read(), "my-plan", 1)
	p.Steps[0].WithinMin = 9
	c.Advance(time.Second)
	if v, err := file(engineer); err != nil || v[0].Version != 2 || v[0].State != plan.Draft {
		t.Fatalf("%+v %v", v, err)
	}
	if v, _ := plan.Select(ctx, st.Read(), "content.false", 2); v.Version != 1 || v.Plan.Steps[0].WithinMin != 5 {
		t.Fatal("a draft took the place of what is in force")
	}
	if err := approve(boss, 2); err != nil {
		t.Fatal(err)
	}
	if v, _ := plan.Select(ctx, st.Read(), "content.false", 2); v.Version != 2 {
		t.Fatalf("%+v", v)
	}
	now, _ := plan.Get(ctx, st.Read(), "my-plan", 1)
	if now.State != plan.Retired || now.Body != first.Body || now.Digest != first.Digest {
		t.Fatalf("%+v", now)
	}
	if list, err := plan.List(ctx, st.Read(), boss, ""); err != nil || len(list) != 2 {
		t.Fatalf("%v %d", err, len(list))
	}
}

func TestAPlanForTheTypeFitsBetterThanOneForAny(t *testing.T) {
	st, _ := open(t)
	r := rules(t)
	base, _ := r.Parse("a.yaml", []byte(good))
	var all []plan.Plan
	for id, category := range map[string]string{"any": "*", "type": "content", "sub": "content.false"} {
		p := base
		p.ID, p.Category = id+"-plan", category
		all = append(all, p)
	}
	if err := st.Write(ctx, engineer, func(tx *store.Tx) error { _, err := r.Import(ctx, tx, all); return err }); err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if err := st.Write(ctx, boss, func(tx *store.Tx) error { _, err := plan.Approve(ctx, tx, p.ID, 1); return err }); err != nil {
			t.Fatal(err)
		}
	}
	for category, want := range map[string]string{"content.false": "sub-plan", "content.rights": "type-plan", "data.leak": "any-plan"} {
		if v, err := plan.Select(ctx, st.Read(), category, 2); err != nil || v.ID != want {
			t.Errorf("%s: %s %v", category, v.ID, err)
		}
	}
}

func TestEveryKeyOfPlansHasItsText(t *testing.T) {
	c, err := locale.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"too_large", "empty", "malformed", "two_documents", "bad_id", "unknown_category", "unknown_edition", "bad_level", "no_steps", "twice", "bad_minutes", "not_used", "rung_params", "id_twice", "none"} {
		if !c.Has("plan." + k) {
			t.Error(k)
		}
	}
}

func FuzzParseNeverPanicsAndAcceptsOnlyPlansWithSteps(f *testing.F) {
	r := rules(f)
	f.Add([]byte(good))
	f.Add([]byte("steps: [*a]"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if p, err := r.Parse("f.yaml", raw); err == nil && len(p.Steps) == 0 {
			t.Fatal("a plan without steps")
		}
	})
}
