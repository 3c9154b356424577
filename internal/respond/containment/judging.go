package containment

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/inspect/classify/shipped"
	"github.com/fengsui/fengsui/internal/platform/setting"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/service"
)

// The settings of one service. Their names end with "@" and the id of the service.
const (
	SettingInjection  = "injection"
	settingClassifier = "classifier." // and the head
)

// headInjection is the head that judges what users and tools write only.
const headInjection = "injection"

// certain is the probability from which a classifier that is to block does so; between the threshold of its head and this it
// observes. A linear model is often sure and wrong, see docs/models/shipped.md.
const certain = 0.95

// ServiceSettings are the settings of one service by their names without it: what is done about attempts on the model, and which heads of
// the classifiers that ship judge its texts. Nothing of it is on as delivered, because each has false alarms.
func ServiceSettings() (map[string]setting.Rule, error) {
	model, err := shipped.Model()
	if err != nil {
		return nil, fmt.Errorf("containment: the model that ships: %w", err)
	}
	names := []string{SettingInjection}
	for _, h := range model.Heads() {
		names = append(names, settingClassifier+h.ID)
	}
	out := map[string]setting.Rule{}
	for _, name := range names {
		out[name] = setting.Rising(string(posture.Allow), string(posture.Allow), string(posture.Observe), string(posture.Block)).Telling(TopicPosture).
			If(func(ctx context.Context, tx *store.Tx, value string) error {
				rules, err := judging(map[string]string{name: value})
				if err != nil {
					return err
				}
				return understood(ctx, tx, rules)
			})
	}
	return out, nil
}

// SettingsOf are the settings of a service by their full names. Error: not-found for a service that is none.
func SettingsOf(ctx context.Context, db bun.IDB, serviceID string) (map[string]setting.Rule, error) {
	if _, err := service.Get[service.Service](ctx, db, "service_id", serviceID); err != nil {
		return nil, err
	}
	rules, err := ServiceSettings()
	out := make(map[string]setting.Rule, len(rules))
	for name, r := range rules {
		out[name+"@"+serviceID] = r
	}
	return out, err
}

// judging is what settings of a service, by their names without it, ask for.
func judging(values map[string]string) (r posture.Rules, err error) {
	model, err := shipped.Model()
	if err != nil {
		return r, err
	}
	if does := posture.Action(values[SettingInjection]); does == posture.Observe || does == posture.Block {
		r.Injection = does
	}
	for _, h := range model.Heads() {
		c := posture.Classifier{ID: settingClassifier + h.ID, Model: shipped.Digest(), Head: h.ID, Risk: h.Risk, Observe: h.Threshold, Asked: h.ID == headInjection}
		switch posture.Action(values[settingClassifier+h.ID]) {
		case posture.Observe:
		case posture.Block:
			c.Block = max(certain, h.Threshold)
		default:
			continue
		}
		r.Classifiers = append(r.Classifiers, c)
	}
	return r, nil
}

// Judging is what the settings of a service ask for beside its terms and checks.
func Judging(ctx context.Context, db bun.IDB, serviceID string) (posture.Rules, error) {
	rules, err := SettingsOf(ctx, db, serviceID)
	if err != nil {
		return posture.Rules{}, err
	}
	values, err := setting.Values(ctx, db, rules)
	if err != nil {
		return posture.Rules{}, err
	}
	own := make(map[string]string, len(values))
	for name, v := range values {
		own[strings.TrimSuffix(name, "@"+serviceID)] = v
	}
	return judging(own)
}

// standing are the classifiers of the posture that stands, if the settings ask for the same as when it was compiled and another
// version serves still; else those given. Two versions that each put their own model would undo each other's for ever, and a
// gateway of the other could not judge by it.
func (c *Control) standing(ctx context.Context, tx *store.Tx, last PostureRow, now []posture.Classifier) ([]posture.Classifier, error) {
	if last.Needs <= 1 {
		return now, nil // it has none
	}
	if mixed, err := c.mixed(ctx, tx, tx.NowMs); err != nil || !mixed {
		return now, err
	}
	p, err := posture.Parse([]byte(last.Body))
	if err != nil {
		return now, nil //nolint:nilerr // nothing can be kept of what cannot be read
	}
	stood := map[string]string{}
	rules := map[string]setting.Rule{}
	for _, k := range now {
		rules[k.ID+"@"+last.ServiceID] = setting.OneOf(string(posture.Allow))
	}
	stands := p.Draft().Rules.Classifiers
	for _, k := range stands { // also heads that this program does not have
		name := k.ID + "@" + last.ServiceID
		rules[name] = setting.OneOf(string(posture.Allow))
		if stood[name] = string(posture.Observe); k.Block > 0 {
			stood[name] = string(posture.Block)
		}
	}
	if len(rules) == 0 {
		return now, nil
	}
	asked, err := setting.Values(ctx, tx, rules)
	if err != nil {
		return nil, err
	}
	for name, value := range asked {
		if value != cmp.Or(stood[name], string(posture.Allow)) {
			return now, nil
		}
	}
	return stands, nil
}
