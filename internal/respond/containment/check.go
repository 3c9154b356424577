package containment

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/platform/setting"
	"github.com/fengsui/fengsui/internal/posture"
)

// riskPersonalData is the risk of giving away what identifies a person or opens an account (A.4 f).
const riskPersonalData = "A.4.f"

// maskEnds is the mask that leaves both ends of a number, so that its owner knows it.
const maskEnds = "mask_ends"

// checkSetting names the setting that says what is done about one kind of number.
func checkSetting(kind string) string { return "check." + kind }

// CheckSettings are the settings of every kind that the engine can look for: allow means that it is not looked for.
// What identifies a person or an account for sure is covered as delivered; the same rules must compile to the same bytes in every
// version that serves beside another, see the module posture.
func CheckSettings() map[string]setting.Rule {
	covered := map[string]bool{inspect.KindCNID: true, inspect.KindBankCard: true}
	out := map[string]setting.Rule{}
	for _, kind := range inspect.Kinds() {
		normal := posture.Allow
		if covered[kind] {
			normal = posture.Mask
		}
		options := []string{string(posture.Allow), string(posture.Observe)}
		if inspect.HasEnds(kind) {
			options = append(options, maskEnds)
		}
		options = append(options, string(posture.Mask), string(posture.Replace), string(posture.Block))
		out[checkSetting(kind)] = setting.Rising(string(normal), options...).Telling(TopicPosture)
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
		c := posture.Check{ID: checkSetting(kind), Kind: kind, Action: posture.Action(values[checkSetting(kind)]), Risk: riskPersonalData}
		if c.Action == maskEnds {
			c.Action, c.Ends = posture.Mask, true
		}
		if c.Action != posture.Allow {
			out = append(out, c)
		}
	}
	return out, nil
}
