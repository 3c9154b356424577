package incident_test

import (
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/incident"
)

func TestADeclarationThatIsNotOneIsRefusedAndTakesNoNumber(t *testing.T) {
	b := newBench(t)
	for name, c := range map[string]struct {
		actor  store.Actor
		change func(*incident.Declaration)
		kind   fault.Kind
		key    string
	}{
		"without permission":              {auditor, func(d *incident.Declaration) {}, fault.KindForbidden, "identity.not_allowed"},
		"by nobody":                       {store.Actor{}, func(d *incident.Declaration) {}, fault.KindUnauthenticated, "identity.unknown"},
		"no title":                        {officer, func(d *incident.Declaration) { d.Title = " \t" }, fault.KindInvalid, "error.required"},
		"no such service":                 {officer, func(d *incident.Declaration) { d.ServiceID = "nope" }, fault.KindNotFound, "error.not_found"},
		"unknown kind":                    {officer, func(d *incident.Declaration) { d.Kind = "rehearsal" }, fault.KindInvalid, "error.unknown_value"},
		"no kind":                         {officer, func(d *incident.Declaration) { d.Kind = "" }, fault.KindInvalid, "error.unknown_value"},
		"a drill without its id":          {officer, func(d *incident.Declaration) { d.Kind = "drill" }, fault.KindInvalid, "incident.drill_kind"},
		"a real one with a drill's id":    {officer, func(d *incident.Declaration) { d.DrillID = "d1" }, fault.KindInvalid, "incident.drill_kind"},
		"a test with a drill's id":        {officer, func(d *incident.Declaration) { d.Kind, d.DrillID = "test", "d1" }, fault.KindInvalid, "incident.drill_kind"},
		"no awareness":                    {officer, func(d *incident.Declaration) { d.AwareMs = 0 }, fault.KindInvalid, "incident.aware_future"},
		"awareness before the epoch":      {officer, func(d *incident.Declaration) { d.AwareMs = -1 }, fault.KindInvalid, "incident.aware_future"},
		"awareness in the future":         {officer, func(d *incident.Declaration) { d.AwareMs++ }, fault.KindInvalid, "incident.aware_future"},
		"unknown source of awareness":     {officer, func(d *incident.Declaration) { d.AwareSource = "rumour" }, fault.KindInvalid, "error.unknown_value"},
		"no such object":                  {officer, func(d *incident.Declaration) { d.ObjectIDs = []string{"o1", "nope"} }, fault.KindNotFound, "error.not_found"},
		"an object of another operator":   {officer, func(d *incident.Declaration) { d.ObjectIDs = []string{"o1", "o4"} }, fault.KindInvalid, "incident.other_operator"},
		"restricted for nobody known":     {officer, func(d *incident.Declaration) { d.RestrictedFor = []string{"somebody"} }, fault.KindNotFound, "incident.unknown_person"},
		"restricted for who has left":     {officer, func(d *incident.Declaration) { d.RestrictedFor = []string{"gone"} }, fault.KindNotFound, "incident.unknown_person"},
		"a seat that declares a real one": {standIn, func(d *incident.Declaration) {}, fault.KindForbidden, "identity.other_drill"},
		"a seat on a real service":        {standIn, func(d *incident.Declaration) { d.Kind, d.DrillID = "drill", "d1" }, fault.KindForbidden, "identity.other_drill"},
		"a seat that takes a real object": {standIn, func(d *incident.Declaration) {
			d.Kind, d.DrillID, d.ServiceID, d.ObjectIDs = "drill", "d1", "s2", []string{"o1"}
		}, fault.KindForbidden, "identity.other_drill"},
		"a seat of another drill": {standIn, func(d *incident.Declaration) { d.Kind, d.DrillID, d.ServiceID = "drill", "d2", "s2" }, fault.KindForbidden, "identity.other_drill"},
	} {
		t.Run(name, func(t *testing.T) {
			before, d := b.snapshot(t), b.declaration()
			c.change(&d)
			err := b.try(c.actor, func(tx *store.Tx) error { _, err := incident.Declare(ctx, tx, d); return err })
			b.refused(t, before, err, c.kind, c.key)
		})
	}
	if got := b.declare(t, officer, nil).Number; got != "IN-2026-0001" {
		t.Errorf("the first incident after all refusals is %s", got)
	}
}

func TestADeclarationTakesWhatIsRight(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, officer, func(d *incident.Declaration) { d.ObjectIDs, d.Editions = []string{"o2", "o1", "o2"}, []string{"e1"} })
	if i.State != incident.Declared || i.Version != 1 || i.OperatorID != "op" || i.Restricted || i.Editions != `["e1"]` || i.DeclaredBy != "officer" {
		t.Errorf("%+v", i)
	}
	objects, err := incident.Objects(ctx, b.st.Read(), i.ID)
	if err != nil || len(objects) != 2 {
		t.Errorf("an object named twice counts once: %v %v", objects, err)
	}
	own := b.declare(t, officer, nil)
	if objects, _ := incident.Objects(ctx, b.st.Read(), own.ID); len(objects) != 1 || objects[0].ID != "o1" {
		t.Errorf("without objects it is the service's own: %+v", objects)
	}
	drill := b.declare(t, standIn, func(d *incident.Declaration) { d.Kind, d.DrillID, d.ServiceID = "drill", "d1", "s2" })
	if drill.Number != "D-IN-2026-0001" || drill.DrillID != "d1" {
		t.Errorf("%+v", drill)
	}
	for kind, number := range map[string]string{"test": "T-IN-2026-0001", "backfill": "B-IN-2026-0001"} {
		if got := b.declare(t, officer, func(d *incident.Declaration) { d.Kind = kind }); got.Number != number {
			t.Errorf("%s: %s", kind, got.Number)
		}
	}
	for _, m := range []string{"aware", "declared"} {
		if s := b.milestone(t, i.ID, m); s.Times != 1 || s.FirstMs != i.DeclaredMs {
			t.Errorf("%s: %+v", m, s)
		}
	}
}

// Promise 12: what is restricted is not there for who is not on its list, and nobody is on it by office.
func TestARestrictedIncidentIsNotThereForWhoIsNotOnItsList(t *testing.T) {
	b := newBench(t)
	open := b.declare(t, officer, nil)
	born := b.declare(t, officer, func(d *incident.Declaration) { d.RestrictedFor = []string{"compliance"} })
	later := b.declare(t, officer, nil)
	b.do(t, commander, func(tx *store.Tx) error { return incident.Restrict(ctx, tx, later.ID, []string{"second"}) })

	superAdmin := store.Actor{ID: "root", Roles: []string{"audit_admin", "auditor", "management", "commander", "duty_officer"}}
	for name, c := range map[string]struct {
		actor       store.Actor
		born, later bool
	}{
		"who declared it":               {officer, true, false},
		"who is on the first list":      {compliance, true, false},
		"who restricted the other":      {commander, false, true},
		"who is on the other list":      {second, false, true},
		"management":                    {boss, false, false},
		"the auditor":                   {auditor, false, false},
		"who holds all offices at once": {superAdmin, false, false},
		"a person of the list's role":   {store.Actor{ID: "x", Roles: compliance.Roles}, false, false},
		"the system":                    {store.System("due"), true, true},
		"a list entry in another case":  {store.Actor{ID: "Compliance", Roles: compliance.Roles}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			want := map[string]bool{open.ID: true, born.ID: c.born, later.ID: c.later}
			list, err := incident.List(ctx, b.st.Read(), c.actor, incident.Filter{})
			if err != nil {
				t.Fatal(err)
			}
			seen := map[string]bool{}
			for _, i := range list {
				seen[i.ID] = true
			}
			for id, visible := range want {
				if seen[id] != visible {
					t.Errorf("in the list: %v, want %v", seen[id], visible)
				}
				i, err := incident.Get(ctx, b.st.Read(), c.actor, id)
				if visible != (err == nil) || !visible && (!fault.Is(err, "error.not_found") || i.Title != "" || i.ID != "") {
					t.Errorf("visible %v, got %+v %v", visible, i, err)
				}
				err = b.try(c.actor, func(tx *store.Tx) error { _, err := incident.ForChange(ctx, tx, id, "incident.read"); return err })
				if visible != (err == nil) {
					t.Errorf("for a change: %v", err)
				}
			}
			// A page of one must not be a page of none because something hidden comes first.
			one, err := incident.List(ctx, b.st.Read(), c.actor, incident.Filter{Limit: 1})
			if err != nil || len(one) != 1 {
				t.Errorf("a page of one has %d, %v", len(one), err)
			}
		})
	}
	if _, err := incident.List(ctx, b.st.Read(), admin, incident.Filter{}); !fault.Is(err, "identity.not_allowed") {
		t.Error("an administrator without a reader's role reads:", err)
	}
	if _, err := incident.Get(ctx, b.st.Read(), admin, open.ID); !fault.Is(err, "identity.not_allowed") {
		t.Error("an administrator without a reader's role reads:", err)
	}
}

// Every door answers who is not on the list the same as for an incident that never was.
func TestEveryDoorToARestrictedIncidentLooksLikeAWall(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, officer, func(d *incident.Declaration) { d.RestrictedFor = []string{"second", "compliance"} })
	var aware []incident.Awareness
	b.do(t, officer, func(tx *store.Tx) (err error) {
		if _, err := incident.AddAwareness(ctx, tx, i.ID, "complaint_read", tx.NowMs, ""); err != nil {
			return err
		}
		aware, err = incident.AwarenessOf(ctx, tx, i.ID)
		return err
	})
	var statement incident.Statement
	b.do(t, compliance, func(tx *store.Tx) (err error) {
		statement, err = incident.DraftStatement(ctx, tx, i.ID, incident.Statement{Audience: "public", Text: "x"})
		return err
	})
	var asked string
	b.do(t, officer, func(tx *store.Tx) error {
		s, err := incident.AskWithdrawAwareness(ctx, tx, aware[0].ID, "slip")
		asked = s.ID
		return err
	})
	b.do(t, store.System("test"), func(tx *store.Tx) error {
		_, err := tx.Exec("INSERT INTO closing (id, incident_id, state, summary, applied_by, applied_ms) VALUES ('c1', ?, 'applied', 's', 'commander', 1)", i.ID)
		return err
	})
	doors := map[string]func(tx *store.Tx) error{
		"advance": func(tx *store.Tx) error {
			_, err := incident.Advance(ctx, tx, i.ID, incident.OnRespond, "incident.handle", "")
			return err
		},
		"apply":    func(tx *store.Tx) error { _, err := incident.ApplyClosing(ctx, tx, i.ID, "s"); return err },
		"verify":   func(tx *store.Tx) error { _, err := incident.VerifyClosing(ctx, tx, i.ID, true, "f"); return err },
		"no words": func(tx *store.Tx) error { _, err := incident.VerifyClosing(ctx, tx, i.ID, true, ""); return err },
		"awareness": func(tx *store.Tx) error {
			_, err := incident.AddAwareness(ctx, tx, i.ID, "declared", 1, "")
			return err
		},
		"withdraw": func(tx *store.Tx) error {
			_, err := incident.AskWithdrawAwareness(ctx, tx, aware[1].ID, "r")
			return err
		},
		"decide":   func(tx *store.Tx) error { _, err := incident.Decide(ctx, tx, asked, true); return err },
		"reject":   func(tx *store.Tx) error { _, err := incident.Decide(ctx, tx, asked, false); return err },
		"restrict": func(tx *store.Tx) error { return incident.Restrict(ctx, tx, i.ID, nil) },
		"approve":  func(tx *store.Tx) error { _, err := incident.ApproveStatement(ctx, tx, statement.ID); return err },
		"assess": func(tx *store.Tx) error {
			_, err := incident.Assess(ctx, tx, b.book, i.ID, incident.Assessing{Stage: "preliminary", Source: "self", SocialHarm: "一般"})
			return err
		},
		"categorise": func(tx *store.Tx) error {
			_, err := incident.Categorise(ctx, tx, b.book, i.ID, incident.Category{GuideType: "content.illegal", Rank: "primary", Part: "cause"})
			return err
		},
		"fact": func(tx *store.Tx) error {
			_, err := incident.CheckFact(ctx, tx, b.log, i.ID, incident.FactCheck{Claim: "c", Source: "s", Verdict: "true"})
			return err
		},
		"statement": func(tx *store.Tx) error {
			_, err := incident.DraftStatement(ctx, tx, i.ID, incident.Statement{Audience: "public", Text: "t"})
			return err
		},
		"impact": func(tx *store.Tx) error {
			_, err := incident.AssessImpact(ctx, tx, i.ID, incident.Impact{Party: "p", Economic: "e", Reputation: "r"})
			return err
		},
		"fix": func(tx *store.Tx) error {
			_, err := incident.AddFix(ctx, tx, i.ID, incident.Fix{Cause: "c", Measure: "m"})
			return err
		},
	}
	outsider := store.Actor{ID: "outsider", Roles: []string{"duty_officer", "commander", "compliance", "management", "engineer", "safety_engineer"}}
	for name, door := range doors {
		t.Run(name, func(t *testing.T) {
			before := b.snapshot(t)
			err := b.try(outsider, door)
			b.refused(t, before, err, fault.KindNotFound, "error.not_found")
			if err != nil && !strings.Contains(err.Error(), "incident_id") {
				t.Errorf("the wall has a window: %v", err)
			}
		})
	}
	if err := b.decide(second, asked, true); err != nil {
		t.Error("who is on the list cannot decide:", err)
	}
}

func TestAListIsNarrowedAndBounded(t *testing.T) {
	b := newBench(t)
	genuine := b.declare(t, officer, nil)
	drill := b.declare(t, officer, func(d *incident.Declaration) { d.Kind, d.DrillID, d.ServiceID = "drill", "d1", "s2" })
	for name, c := range map[string]struct {
		actor  store.Actor
		filter incident.Filter
		want   []string
	}{
		"all, newest first":      {officer, incident.Filter{}, []string{drill.ID, genuine.ID}},
		"by kind":                {officer, incident.Filter{Kind: "drill"}, []string{drill.ID}},
		"by service":             {officer, incident.Filter{ServiceID: "s1"}, []string{genuine.ID}},
		"by drill":               {officer, incident.Filter{DrillID: "d1"}, []string{drill.ID}},
		"by state":               {officer, incident.Filter{State: "closed"}, nil},
		"by what is no state":    {officer, incident.Filter{State: "' OR 1=1 --"}, nil},
		"a seat sees its drill":  {standIn, incident.Filter{}, []string{drill.ID}},
		"a seat asks for others": {standIn, incident.Filter{ServiceID: "s1"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := incident.List(ctx, b.st.Read(), c.actor, c.filter)
			if err != nil || len(list) != len(c.want) {
				t.Fatalf("%d, %v", len(list), err)
			}
			for k := range list {
				if list[k].ID != c.want[k] {
					t.Errorf("%d is %s", k, list[k].Number)
				}
			}
		})
	}
	b.do(t, store.System("test"), func(tx *store.Tx) error {
		_, err := tx.Exec(`WITH RECURSIVE n(k) AS (SELECT 1 UNION ALL SELECT k+1 FROM n WHERE k < 600)
			INSERT INTO incident (id, number, kind, operator_id, service_id, title, state, editions, declared_by, declared_ms) SELECT 'x'||k, 'X-'||k, 'test', 'op', 's1', 't', 'declared', '[]', 'x', k FROM n`)
		return err
	})
	for limit, want := range map[int]int{0: 100, -5: 100, 7: 7, 500: 500, 501: 500, 1 << 40: 500} {
		if list, err := incident.List(ctx, b.st.Read(), officer, incident.Filter{Limit: limit}); err != nil || len(list) != want {
			t.Errorf("limit %d gives %d, %v", limit, len(list), err)
		}
	}
}
