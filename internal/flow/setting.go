package flow

import (
	"github.com/fengsui/fengsui/internal/platform/setting"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
)

// SettingRules are the settings there are. How long traffic is kept is evidence on one side and people's data on
// the other, so no single person changes it.
func SettingRules() map[string]setting.Rule {
	return map[string]setting.Rule{
		telemetry.SettingRetention: setting.AtLeast(telemetry.DefaultRetentionDays).ByTwo(setting.NetworkLogs),
		telemetry.SettingCapture:   setting.OneOf("flagged", "all"),
	}
}
