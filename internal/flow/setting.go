package flow

import (
	"context"
	"maps"
	"strings"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/setting"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
	"github.com/fengsui/fengsui/internal/respond/containment"
)

// SettingRules are the settings there are. How long traffic is kept is evidence on one side and people's data on
// the other, so no single person changes it; nor does one loosen a check on personal data.
func SettingRules() map[string]setting.Rule {
	rules := containment.CheckSettings()
	maps.Copy(rules, containment.GuardSettings())
	rules[telemetry.SettingRetention] = setting.AtLeast(telemetry.DefaultRetentionDays).ByTwo(setting.NetworkLogs)
	rules[telemetry.SettingCapture] = setting.OneOf("flagged", "all")
	return rules
}

// SettingRulesFor are the rules among which a setting of this name is: those of its service if it names one ("injection@ID"),
// otherwise those of all services. Error: not-found for a service that is none.
func SettingRulesFor(ctx context.Context, db bun.IDB, name string) (map[string]setting.Rule, error) {
	if _, serviceID, ok := strings.Cut(name, "@"); ok {
		return containment.SettingsOf(ctx, db, serviceID)
	}
	return SettingRules(), nil
}
