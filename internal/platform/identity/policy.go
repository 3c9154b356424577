package identity

import (
	_ "embed"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	xast "github.com/cedar-policy/cedar-go/x/exp/ast"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
)

//go:embed policies.cedar
var policiesCedar []byte

// Thing is what a question is about, as far as the asker knows it. The zero Thing is none in particular.
type Thing struct {
	Kind, ID    string
	Restricted  bool
	Allowed     []string // person ids of a restricted thing's allow-list
	InDrill     bool     // whether Drill is known
	Drill       string   // "" for what is real
	RequestedBy string   // the first signature, when the question is whether the actor may give the second
}

// Decision is an answer and the policy that gave it: the forbid that refused, NoOffice if none of the
// actor's roles has the action, or a permit.
type Decision struct {
	Allowed bool
	Policy  string
}

// Policies that refuse, by their ids in policies.cedar.
const (
	NoOffice   = "no_office" // no permit applies
	NeedToKnow = "need_to_know"
	OtherDrill = "other_drill"
	SamePerson = "same_person"
)

const (
	touch       = "thing.touch"
	countersign = "thing.countersign"
)

// Decide asks Cedar whether a may do action on thing.
func Decide(a store.Actor, action string, thing Thing) Decision {
	if d := rules.decide(a, action, thing); d.Allowed || d.Policy == NoOffice || thing.none() {
		return d
	} else if whole := rules.decide(a, action, Thing{}); !whole.Allowed {
		return whole // who lacks the right is told that, not what is the matter with the thing
	} else {
		return d
	}
}

// May reports whether one of the actor's roles allows action. Parts of the system may do anything
// that their code does.
func May(a store.Actor, action string) bool { return rules.decide(a, action, Thing{}).Allowed }

// Require is May as an error. Errors: unauthenticated for nobody; forbidden identity.not_allowed.
func Require(a store.Actor, action string) error { return RequireOn(a, action, Thing{}) }

// RequireOn is Require about a thing. Errors: unauthenticated identity.unknown for nobody; forbidden
// identity.not_allowed, identity.other_drill or identity.same_person; not found for what the actor may not
// know of. The policy that refused is the argument "policy" of the fault.
func RequireOn(a store.Actor, action string, thing Thing) error {
	if a.ID == "" {
		return fault.Unauthenticated("identity.unknown")
	}
	d := Decide(a, action, thing)
	switch {
	case d.Allowed:
		return nil
	case d.Policy == NeedToKnow:
		field := thing.Kind + "_id"
		return fault.NotFound(field, "error.not_found", "field", field)
	case d.Policy == OtherDrill:
		return fault.Forbidden("identity.other_drill", "policy", d.Policy)
	case d.Policy == SamePerson:
		return fault.Forbidden("identity.same_person", "policy", d.Policy)
	default:
		return fault.Forbidden("identity.not_allowed", "action", action, "policy", d.Policy)
	}
}

// RequireDrill holds a drill's stand-in to its own drill: drillID is the drill of the object, "" for
// a real one. A real person may act on both.
func RequireDrill(a store.Actor, drillID string) error {
	if a.Drill == "" {
		return nil
	}
	if d := rules.decide(a, touch, Thing{InDrill: true, Drill: drillID}); !d.Allowed {
		return fault.Forbidden("identity.other_drill", "policy", d.Policy)
	}
	return nil
}

// TwoPersons checks that second is a real second person: it is known and not the first.
func TwoPersons(first, second string) error {
	if second == "" {
		return fault.Invalid("second", "identity.second_missing")
	}
	if d := rules.decide(store.Actor{ID: second}, countersign, Thing{RequestedBy: first}); !d.Allowed {
		return fault.Forbidden("identity.same_person", "policy", d.Policy)
	}
	return nil
}

// Roles lists the role ids, sorted.
func Roles() []string { return slices.Clone(rules.roles) }

// Actions lists every action that an office may have, sorted.
func Actions() []string { return slices.Clone(rules.actions) }

// ActionsOf lists what an actor may do where nothing about a thing forbids it, sorted.
func ActionsOf(a store.Actor) []string {
	out := []string{}
	for _, action := range rules.actions {
		if May(a, action) {
			out = append(out, action)
		}
	}
	return out
}

func (t Thing) none() bool { return !t.Restricted && !t.InDrill && t.RequestedBy == "" }

// ruleSet is the policies, cut by action: a policy over twenty actions becomes twenty over one, so that a
// question evaluates those few that name its action or none, and builds no set on the way.
type ruleSet struct {
	any     slice            // policies that name no action
	of      map[string]slice // by action, with those of any
	parents map[string]types.EntityUIDSet
	roles   []string
	actions []string
}

// slice is a few policies with their ids, in the order of the file.
type slice []named

type named struct {
	id     cedar.PolicyID
	policy *cedar.Policy
}

// All makes slice a cedar.PolicyIterator.
func (s slice) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		for _, p := range s {
			if !yield(p.id, p.policy) {
				return
			}
		}
	}
}

var rules = func() *ruleSet {
	r, err := loadRules(policiesCedar)
	if err != nil {
		panic(err) // the policies are part of the binary and tested
	}
	return r
}()

const (
	personType = types.EntityType("Person")
	systemType = types.EntityType("System")
	roleType   = types.EntityType("Role")
	actionType = types.EntityType("Action")
	thingType  = types.EntityType("Thing")
)

func loadRules(text []byte) (*ruleSet, error) {
	list, err := cedar.NewPolicyListFromBytes("policies.cedar", text)
	if err != nil {
		return nil, fmt.Errorf("policies.cedar: %w", err)
	}
	r := &ruleSet{of: map[string]slice{}, parents: map[string]types.EntityUIDSet{}}
	everyone, seen := map[string]bool{}, map[cedar.PolicyID]bool{}
	for _, p := range list {
		id := cedar.PolicyID(p.Annotations()["id"])
		if id == "" || seen[id] {
			return nil, fmt.Errorf("policies.cedar line %d: a policy needs an @id of its own", p.Position().Line)
		}
		seen[id] = true
		if in, ok := (*xast.Policy)(p.AST()).Principal.(xast.ScopeTypeIn); ok && in.Entity.Type == roleType {
			r.parents[string(in.Entity.ID)] = types.NewEntityUIDSet(in.Entity)
		}
		switch scope := (*xast.Policy)(p.AST()).Action.(type) {
		case xast.ScopeTypeAll:
			r.any = append(r.any, named{id, p})
		case xast.ScopeTypeInSet:
			for _, action := range scope.Entities {
				one := *p.AST()
				name := string(action.ID)
				r.of[name] = append(r.of[name], named{id, cedar.NewPolicyFromAST((&one).ActionEq(action))})
				everyone[name] = everyone[name] || id == "anyone"
			}
		default:
			return nil, fmt.Errorf("policies.cedar line %d: name actions in a list, or none", p.Position().Line)
		}
	}
	for action := range r.of {
		r.of[action] = slices.Concat(r.any, r.of[action])
		if !everyone[action] {
			r.actions = append(r.actions, action)
		}
	}
	slices.Sort(r.actions)
	r.roles = slices.Sorted(maps.Keys(r.parents))
	return r, nil
}

// question is a request with the two entities that policies look into.
type question struct{ who, what types.Entity }

// Get makes question an EntityGetter.
func (q *question) Get(uid types.EntityUID) (types.Entity, bool) {
	switch uid {
	case q.who.UID:
		return q.who, true
	case q.what.UID:
		return q.what, true
	}
	return types.Entity{}, false
}

func (r *ruleSet) ask(a store.Actor, action string, thing Thing) (*question, cedar.Request) {
	q := &question{}
	q.who.UID = types.NewEntityUID(personType, types.String(a.ID))
	switch {
	case a.IsSystem():
		q.who.UID.Type = systemType
	case len(a.Roles) == 1:
		q.who.Parents = r.parents[a.Roles[0]]
	default:
		uids := make([]types.EntityUID, len(a.Roles))
		for k, role := range a.Roles {
			uids[k] = types.NewEntityUID(roleType, types.String(role))
		}
		q.who.Parents = types.NewEntityUIDSet(uids...)
	}
	if a.Drill != "" {
		q.who.Attributes = types.NewRecord(types.RecordMap{"drill": types.String(a.Drill)})
	}
	id := thing.ID
	if thing.Kind != "" {
		id = thing.Kind + ":" + id
	}
	q.what.UID = types.NewEntityUID(thingType, types.String(id))
	if !thing.none() {
		attributes := types.RecordMap{}
		if thing.Restricted {
			people := make([]types.Value, len(thing.Allowed))
			for k, p := range thing.Allowed {
				people[k] = types.NewEntityUID(personType, types.String(p))
			}
			attributes["allowed"] = types.NewSet(people...)
		}
		if thing.InDrill {
			attributes["drill"] = types.String(thing.Drill)
		}
		if thing.RequestedBy != "" {
			attributes["requested_by"] = types.NewEntityUID(personType, types.String(thing.RequestedBy))
		}
		q.what.Attributes = types.NewRecord(attributes)
	}
	return q, cedar.Request{Principal: q.who.UID, Action: types.NewEntityUID(actionType, types.String(action)), Resource: q.what.UID}
}

// decide asks the policies that can say anything about the action. A policy that fails is a refusal: Cedar
// would skip a forbid that it cannot evaluate, and we do not let it.
func (r *ruleSet) decide(a store.Actor, action string, thing Thing) Decision {
	policies, known := r.of[action]
	if !known {
		policies = r.any
	}
	q, request := r.ask(a, action, thing)
	return answer(cedar.Authorize(policies, q, request))
}

func answer(d cedar.Decision, why cedar.Diagnostic) Decision {
	if len(why.Errors) > 0 {
		return Decision{Policy: string(why.Errors[0].PolicyID)}
	}
	if len(why.Reasons) == 0 {
		return Decision{Policy: NoOffice}
	}
	return Decision{Allowed: d == cedar.Allow, Policy: string(why.Reasons[0].PolicyID)}
}
