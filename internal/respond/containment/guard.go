package containment

import (
	"cmp"
	"context"
	"regexp"
	"strconv"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/setting"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/posture"
)

// The settings of the guard model, which is one for all services.
const (
	guardAction    = "guard.action"
	guardAddress   = "guard.address"
	guardModel     = "guard.model"
	guardSecret    = "guard.secret"
	guardFormat    = "guard.format"
	guardFailure   = "guard.failure"
	guardWaitMs    = "guard.wait_ms"
	guardPerMinute = "guard.per_minute"
	guardAtOnce    = "guard.at_once"
)

// guardOff asks nobody.
const guardOff = "off"

// guardWord asks any model for one word.
const guardWord = "word"

var shortName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,99}$`)

// GuardSettings say whether and how a guard model is asked. As delivered there is none. Where prompts and answers are
// shown takes two persons, and so does what makes it answer less often; the key goes only to the address that it is bound to.
func GuardSettings() map[string]setting.Rule {
	rules := map[string]setting.Rule{
		guardAction:    setting.Rising(guardOff, guardOff, string(posture.Observe), string(posture.Block)),
		guardAddress:   setting.Written(posture.UsableURL).ByTwo(""),
		guardModel:     setting.Written(shortName.MatchString).ByTwo(""),
		guardSecret:    setting.Written(shortName.MatchString).ByTwo(""),
		guardFormat:    setting.OneOf(guardWord, posture.LlamaGuard, posture.Qwen3Guard).ByTwo(""),
		guardFailure:   setting.Rising(string(posture.Closed), string(posture.Open), string(posture.Closed)),
		guardWaitMs:    setting.Lowered(2000, 100).UpTo(posture.GuardWaitMsMost),
		guardPerMinute: setting.Lowered(60, 1).UpTo(posture.GuardPerMinuteMost),
		guardAtOnce:    setting.Lowered(16, 1).UpTo(posture.GuardAtOnceMost),
	}
	for name, r := range rules {
		rules[name] = r.Telling(TopicPosture).If(func(ctx context.Context, tx *store.Tx, value string) error {
			then, err := setting.Values(ctx, tx, rules)
			if err != nil {
				return err
			}
			then[name] = value
			if name == guardSecret && value != "" {
				if err := secret.CheckUpstream(ctx, tx, value, then[guardAddress]); fault.KindOf(err) == fault.KindInvalid {
					return fault.Invalid("value", "secret.not_for_upstream")
				} else if err != nil {
					return err
				}
			}
			if then[guardAction] == guardOff || then[guardAddress] == "" {
				return nil
			}
			return Understood(ctx, tx, posture.Draft{Guard: &posture.Guard{}}.Needs(), tx.NowMs)
		})
	}
	return rules
}

// Guard is what the settings ask for; nil while it is off, or nobody said whom to ask. A key that is not bound to the
// address is left out, so that it is shown to nobody else.
func Guard(ctx context.Context, db bun.IDB) (*posture.Guard, error) {
	rules := GuardSettings()
	v, err := setting.Values(ctx, db, rules)
	if err != nil || v[guardAction] == guardOff || v[guardAddress] == "" {
		return nil, err
	}
	g := &posture.Guard{BaseURL: v[guardAddress], Model: cmp.Or(v[guardModel], "default"), Secret: v[guardSecret],
		Action: posture.Action(v[guardAction]), Failure: posture.FailureMode(v[guardFailure])}
	if v[guardFormat] != guardWord {
		g.Format = v[guardFormat]
	}
	if g.Secret != "" {
		if err := secret.CheckUpstream(ctx, db, g.Secret, g.BaseURL); fault.KindOf(err) == fault.KindInvalid {
			g.Secret = ""
		} else if err != nil {
			return nil, err
		}
	}
	number := func(name string) int {
		n, _ := strconv.Atoi(v[name])  // its rule keeps it a number
		return min(n, rules[name].Max) // and kept no largest one formerly
	}
	g.WaitMs, g.PerMinute, g.AtOnce = int64(number(guardWaitMs)), number(guardPerMinute), number(guardAtOnce)
	return g, nil
}

// GuardSecret is the reference of the guard's key, which gateways that are processes of their own are given; "" if there is none.
func GuardSecret(ctx context.Context, db bun.IDB) (string, error) {
	g, err := Guard(ctx, db)
	if err != nil || g == nil {
		return "", err
	}
	return g.Secret, nil
}
