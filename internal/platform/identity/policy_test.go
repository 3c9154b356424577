package identity_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"
	"pgregory.net/rapid"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
)

var update = flag.Bool("update", false, "write testdata/permissions.txt anew")

// matrix draws role × action as the policies answer it.
func matrix() string {
	roles, actions := identity.Roles(), identity.Actions()
	width := 0
	for _, a := range actions {
		width = max(width, len(a))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-*s  %s\n", width, "", strings.Join(roles, "  "))
	for _, a := range actions {
		line := fmt.Sprintf("%-*s", width, a)
		for _, r := range roles {
			says := "-"
			if identity.May(store.Actor{ID: "x", Roles: []string{r}}, a) {
				says = "yes"
			}
			line += fmt.Sprintf("  %-*s", len(r), says)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// Who gains or loses a right shows in a diff of this table and is read there.
func TestEachOfficeHasTheRightsOfTheTable(t *testing.T) {
	const file = "testdata/permissions.txt"
	got := matrix()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the policies say\n%s", got)
	}
}

// shape is what the policies may say about whom and what; the actions are those that they name.
const shape = `
entity Role;
entity System;
entity Person in [Role] = { drill?: String };
entity Thing = { allowed?: Set<Person>, drill?: String, requested_by?: Person };
action %s appliesTo { principal: [Person, System], resource: [Thing] };
`

func checkPolicies(t *testing.T, text string) error {
	t.Helper()
	quoted := []string{`"thing.touch"`, `"thing.countersign"`}
	for _, a := range identity.Actions() {
		quoted = append(quoted, fmt.Sprintf("%q", a))
	}
	var s schema.Schema
	if err := s.UnmarshalCedar(fmt.Appendf(nil, shape, strings.Join(quoted, ", "))); err != nil {
		t.Fatal(err)
	}
	resolved, err := s.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	list, err := cedar.NewPolicyListFromBytes("policies.cedar", []byte(text))
	if err != nil {
		return err
	}
	for _, p := range list {
		if err := validate.New(resolved).Policy(string(p.Annotations()["id"]), (*ast.Policy)(p.AST())); err != nil {
			return fmt.Errorf("line %d: %w", p.Position().Line, err)
		}
	}
	return nil
}

func TestThePoliciesSayOnlyWhatTheirSchemaKnows(t *testing.T) {
	text, err := os.ReadFile("policies.cedar")
	if err != nil {
		t.Fatal(err)
	}
	if err := checkPolicies(t, string(text)); err != nil {
		t.Error(err)
	}
	for name, change := range map[string][2]string{
		"an attribute that no thing has":   {"resource.requested_by", "resource.asked_by"},
		"an attribute that may be missing": {"principal has drill && ", ""},
		"a kind of principal that is none": {"principal is System", "principal is Robot"},
		"a role of another kind":           {`Role::"auditor"`, `Office::"auditor"`},
		"a text where a person belongs":    {"principal == resource.requested_by", `principal == "x"`},
	} {
		changed := strings.Replace(string(text), change[0], change[1], 1)
		if changed == string(text) {
			t.Errorf("%s: nothing was changed", name)
		}
		if checkPolicies(t, changed) == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestAPolicyWithoutAnIdOfItsOwnIsNotLoaded(t *testing.T) {
	for name, text := range map[string]string{
		"no id":         `permit (principal, action, resource);`,
		"one id twice":  `@id("a") permit (principal, action, resource); @id("a") forbid (principal, action, resource);`,
		"a lone action": `@id("a") permit (principal, action == Action::"a.b", resource);`,
		"no Cedar":      `allow everybody`,
	} {
		if _, err := identity.LoadRules([]byte(text)); err == nil {
			t.Errorf("%s was loaded", name)
		}
	}
}

func TestAThingIsRefusedForItsOwnReason(t *testing.T) {
	seat := store.Actor{ID: "seat", Roles: []string{"duty_officer"}, Drill: "d1"}
	hidden := identity.Thing{Kind: "incident", ID: "i", Restricted: true, Allowed: []string{"officer", "auditor"}}
	for name, c := range map[string]struct {
		actor       store.Actor
		action      string
		thing       identity.Thing
		key, policy string
	}{
		"a thing without walls":                       {officer, "incident.read", identity.Thing{Kind: "incident", ID: "i"}, "", "duty_officer"},
		"a restricted one, on the list":               {officer, "incident.read", hidden, "", "duty_officer"},
		"a restricted one, not on the list":           {second, "incident.read", hidden, "error.not_found", "need_to_know"},
		"a restricted one with an empty list":         {officer, "incident.read", identity.Thing{Restricted: true}, "error.not_found", "need_to_know"},
		"a restricted one, by no office":              {security, "incident.read", hidden, "identity.not_allowed", "no_office"},
		"on the list, without the right":              {auditor, "incident.handle", hidden, "identity.not_allowed", "no_office"},
		"a part of the system":                        {store.System("due"), "incident.read", hidden, "", "system"},
		"who is called like one":                      {store.Actor{ID: "system:due", Roles: []string{"commander"}}, "incident.read", hidden, "error.not_found", "need_to_know"},
		"a stand-in in its drill":                     {seat, "order.issue", identity.Thing{InDrill: true, Drill: "d1"}, "", "duty_officer"},
		"a stand-in in another drill":                 {seat, "order.issue", identity.Thing{InDrill: true, Drill: "d2"}, "identity.other_drill", "other_drill"},
		"a stand-in with what is real":                {seat, "order.issue", identity.Thing{InDrill: true}, "identity.other_drill", "other_drill"},
		"a real person in a drill":                    {officer, "order.issue", identity.Thing{InDrill: true, Drill: "d1"}, "", "duty_officer"},
		"the first signer again":                      {officer, "order.lift", identity.Thing{RequestedBy: "officer"}, "identity.same_person", "same_person"},
		"another person":                              {second, "order.lift", identity.Thing{RequestedBy: "officer"}, "", "duty_officer"},
		"the first signer, who has lost the right":    {auditor, "order.lift", identity.Thing{RequestedBy: "auditor"}, "identity.not_allowed", "no_office"},
		"the first signer of what is hidden from him": {second, "order.lift", identity.Thing{Kind: "order", Restricted: true, RequestedBy: "second"}, "error.not_found", "need_to_know"},
		"two administrators in one":                   {store.Actor{ID: "x", Roles: []string{"system_admin", "security_admin"}}, "person.manage", identity.Thing{}, "identity.not_allowed", "administrators_apart"},
		"two others in one":                           {store.Actor{ID: "x", Roles: []string{"audit_admin", "security_admin"}}, "status.read", identity.Thing{}, "identity.not_allowed", "administrators_apart"},
		"an administrator with another office":        {store.Actor{ID: "x", Roles: []string{"duty_officer", "system_admin"}}, "setting.manage", identity.Thing{}, "", "system_admin"},
		"nobody":                                      {store.Actor{Roles: []string{"commander"}}, "incident.read", identity.Thing{}, "identity.unknown", ""},
	} {
		err := identity.RequireOn(c.actor, c.action, c.thing)
		if (err == nil) != (c.key == "") || err != nil && !fault.Is(err, c.key) {
			t.Errorf("%s: %v", name, err)
		}
		if d := identity.Decide(c.actor, c.action, c.thing); c.policy != "" && (d.Policy != c.policy || d.Allowed != (c.key == "")) {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// The policies are cut by action before they are asked. This asks them whole, and in Go's own words.
func TestTheCutPoliciesAnswerLikeTheWholeOnesAndLikeTheLaw(t *testing.T) {
	text, err := os.ReadFile("policies.cedar")
	if err != nil {
		t.Fatal(err)
	}
	whole, err := identity.WholeRules(text)
	if err != nil {
		t.Fatal(err)
	}
	actions := append(identity.Actions(), "thing.touch", "thing.countersign", "no.such", "")
	table := map[string]bool{}
	for line := range strings.Lines(matrix()) {
		if f := strings.Fields(line); len(f) == len(identity.Roles())+1 {
			for k, r := range identity.Roles() {
				table[r+" "+f[0]] = f[k+1] == "yes"
			}
		}
	}
	yes, no := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		people, drills := rapid.SampledFrom([]string{"p1", "p2", "p3"}), rapid.SampledFrom([]string{"", "d1", "d2"})
		a := store.Actor{ID: people.Draw(t, "who"), Roles: rapid.SliceOfDistinct(rapid.SampledFrom(append(identity.Roles(), "root")), rapid.ID).Draw(t, "roles"), Drill: drills.Draw(t, "in")}
		if rapid.IntRange(0, 9).Draw(t, "system") == 0 {
			a = store.System("due")
		}
		thing := identity.Thing{Kind: "incident", ID: "i", Restricted: rapid.Bool().Draw(t, "restricted"), Allowed: rapid.SliceOf(people).Draw(t, "allowed"),
			InDrill: rapid.Bool().Draw(t, "in drill"), Drill: drills.Draw(t, "drill")}
		if rapid.Bool().Draw(t, "second") {
			thing.RequestedBy = people.Draw(t, "first")
		}
		action := rapid.SampledFrom(actions).Draw(t, "action")
		got := identity.Decide(a, action, thing)
		if want := whole(a, action, thing); got.Allowed != want.Allowed {
			t.Fatalf("cut %+v, whole %+v", got, want)
		}
		law := a.IsSystem()
		if !law {
			law = strings.HasPrefix(action, "thing.") || slices.ContainsFunc(a.Roles, func(r string) bool { return table[r+" "+action] })
			admins := slices.DeleteFunc(slices.Clone(a.Roles), func(r string) bool { return !strings.HasSuffix(r, "_admin") })
			law = law && len(admins) < 2
			law = law && (!thing.Restricted || slices.Contains(thing.Allowed, a.ID))
			law = law && (a.Drill == "" || !thing.InDrill || a.Drill == thing.Drill)
			law = law && thing.RequestedBy != a.ID
		}
		if got.Allowed != law {
			t.Fatalf("%+v, the law says %v", got, law)
		}
		if law {
			yes++
		} else {
			no++
		}
	})
	if !testing.Short() && (yes < 3 || no < 3) { // a short run draws too few to be sure of both
		t.Errorf("%d were allowed and %d refused: the cases are too much alike", yes, no)
	}
}

func BenchmarkMay(b *testing.B) {
	two := store.Actor{ID: "x", Roles: []string{"duty_officer", "commander"}}
	hidden := identity.Thing{Kind: "incident", ID: "i", Restricted: true, Allowed: []string{"a", "b", "officer"}, InDrill: true}
	b.Run("allowed", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			identity.May(officer, "order.issue")
		}
	})
	b.Run("refused", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			identity.May(officer, "plan.approve")
		}
	})
	b.Run("two roles", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			identity.May(two, "order.issue")
		}
	})
	b.Run("restricted incident", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			identity.Decide(officer, "incident.read", hidden)
		}
	})
}
