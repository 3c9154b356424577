package flow

import (
	"github.com/fengsui/fengsui/internal/platform/setting"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
	"github.com/fengsui/fengsui/internal/respond/containment"
)

// SettingRules are the settings there are. How long traffic is kept is evidence on one side and people's data on
// the other, so no single person changes it; nor does one loosen a check on personal data.
func SettingRules() map[string]setting.Rule {
	rules := containment.CheckSettings()
	rules[telemetry.SettingRetention] = setting.AtLeast(telemetry.DefaultRetentionDays).ByTwo(setting.NetworkLogs)
	rules[telemetry.SettingCapture] = setting.OneOf("flagged", "all")
	return rules
}
