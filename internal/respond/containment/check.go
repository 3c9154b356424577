package containment

import (
	"context"
	"slices"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/platform/setting"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/posture"
)

// riskPersonalData is the risk of giving away what identifies a person or opens an account (A.4 f).
const riskPersonalData = "A.4.f"

// maskEnds is the mask that leaves both ends of a number, so that its owner knows it.
const maskEnds = "mask_ends"

// swapped is a mask that shows the model a placeholder and the client its own data again; not for keys, which nobody needs to see twice.
const swapped = "placeholder"

// checkSetting names the setting that says what is done about one kind of number.
func checkSetting(kind string) string { return "check." + kind }

// CheckSettings are the settings of every kind that the engine can look for: allow means that it is not looked for.
// What identifies a person or an account for sure is covered as delivered; what is not is left out of the posture, which an older gateway understands then.
func CheckSettings() map[string]setting.Rule {
	covered := map[string]bool{inspect.KindCNID: true, inspect.KindBankCard: true}
	out := map[string]setting.Rule{}
	for _, kind := range inspect.Kinds() {
		normal := posture.Allow
		if covered[kind] {
			normal = posture.Mask
		}
		options := []string{string(posture.Allow), string(posture.Observe)}
		if !inspect.IsKey(kind) {
			options = append(options, swapped) // before the masks: clients see again what they gave
		}
		if inspect.HasEnds(kind) {
			options = append(options, maskEnds)
		}
		options = append(options, string(posture.Mask), string(posture.Replace), string(posture.Block))
		rule := setting.Rising(string(normal), options...)
		if slices.Contains(options, swapped) && slices.Contains(options, maskEnds) {
			rule = rule.Beside(swapped, maskEnds) // one shows the client everything, the other shows the model a part
		}
		out[checkSetting(kind)] = rule.Telling(TopicPosture).If(func(ctx context.Context, tx *store.Tx, value string) error {
			return understood(ctx, tx, posture.Rules{Checks: checksOf(kind, value)})
		})
	}
	return out
}

// Checks are those in force in every service, in the order of their kinds.
func Checks(ctx context.Context, db bun.IDB) ([]posture.Check, error) {
	values, err := setting.Values(ctx, db, CheckSettings())
	if err != nil {
		return nil, err
	}
	out := []posture.Check{}
	for _, kind := range inspect.Kinds() {
		out = append(out, checksOf(kind, values[checkSetting(kind)])...)
	}
	return out, nil
}

// checksOf is what one setting asks for; none for allow.
func checksOf(kind, value string) []posture.Check {
	c := posture.Check{ID: checkSetting(kind), Kind: kind, Action: posture.Action(value), Risk: riskPersonalData}
	if c.Action == maskEnds {
		c.Action, c.Ends = posture.Mask, true
	}
	if c.Action == swapped {
		c.Action, c.Swap = posture.Mask, !inspect.IsKey(kind)
	}
	if c.Action == posture.Allow {
		return nil
	}
	return []posture.Check{c}
}
