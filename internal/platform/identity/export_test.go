package identity

import (
	"github.com/cedar-policy/cedar-go"

	"github.com/fengsui/fengsui/internal/platform/store"
)

// LoadRules loads policies for a test.
func LoadRules(text []byte) (any, error) { return loadRules(text) }

// WholeRules asks the policies as they are written, not cut by action.
func WholeRules(text []byte) (func(store.Actor, string, Thing) Decision, error) {
	set, err := cedar.NewPolicySetFromBytes("policies.cedar", text)
	return func(a store.Actor, action string, thing Thing) Decision {
		q, request := rules.ask(a, action, thing)
		return answer(cedar.Authorize(set, q, request))
	}, err
}
