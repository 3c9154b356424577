package api

import (
	"context"

	"github.com/fengsui/fengsui/internal/flow"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/setting"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/directive"
)

type directiveBody struct {
	Body struct {
		OperatorID string `json:"operator_id"`
		IncidentID string `json:"incident_id,omitempty"`
		Authority  string `json:"authority" maxLength:"200"`
		Text       string `json:"text" maxLength:"20000"`
		ReceivedMs int64  `json:"received_ms,omitempty" minimum:"0"`
		DueMs      int64  `json:"due_ms,omitempty" minimum:"0"`
	}
}

// DirectiveRead is a directive with its text.
type DirectiveRead struct {
	Directive directive.Directive `json:"directive"`
	Text      string              `json:"text"`
}

type settingBody struct {
	Body struct {
		Name   string `json:"name" maxLength:"100"`
		Value  string `json:"value" maxLength:"200"`
		Reason string `json:"reason,omitempty" maxLength:"500" doc:"required where a second person confirms"`
	}
}

func (a *API) directives() {
	get(a, operation{path: "/directives", id: "list-directives", room: "incident", summary: "List directives, without their text"}, func(ctx context.Context, actor store.Actor, _ *none) ([]directive.Directive, error) {
		return directive.List(ctx, a.Store.Read(), actor)
	})
	get(a, operation{path: "/directives/{id}", id: "get-directive", room: "incident", summary: "A directive with its text"}, func(ctx context.Context, actor store.Actor, in *ByID) (DirectiveRead, error) {
		d, text, err := directive.Read(ctx, a.Store.Read(), a.Record, actor, in.ID)
		return DirectiveRead{d, text}, err
	})
	post(a, operation{path: "/directives", id: "receive-directive", room: "incident", summary: "File a directive of an authority"}, func(ctx context.Context, tx *store.Tx, in *directiveBody) (directive.Directive, error) {
		b := in.Body
		return directive.Receive(ctx, tx, a.Record, directive.Directive{OperatorID: b.OperatorID, IncidentID: b.IncidentID, Authority: b.Authority, ReceivedMs: b.ReceivedMs, DueMs: b.DueMs}, b.Text)
	})
	post(a, operation{path: "/directives/{id}/answer", id: "answer-directive", room: "incident", summary: "Close a directive with the answer handed in"}, func(ctx context.Context, tx *store.Tx, in *struct {
		ByID
		Body struct {
			Answer string `json:"answer" maxLength:"20000"`
		}
	}) (directive.Directive, error) {
		return directive.Answer(ctx, tx, in.ID, in.Body.Answer)
	})
	get(a, operation{path: "/settings", id: "list-settings", room: "status", summary: "Every setting with its value, its default and what it may be"}, func(ctx context.Context, actor store.Actor, in *settingsOf) ([]setting.Ruled, error) {
		rules, err := flow.SettingRulesFor(ctx, a.Store.Read(), in.name())
		if err != nil {
			return nil, err
		}
		return setting.List(ctx, a.Store.Read(), actor, a.NowMs(), rules)
	})
	post(a, operation{path: "/settings", id: "change-setting", room: "status", summary: "Change a setting, or ask for it where a second person is needed"}, func(ctx context.Context, tx *store.Tx, in *settingBody) (setting.Ruled, error) {
		rules, err := flow.SettingRulesFor(ctx, tx, in.Body.Name)
		if err != nil {
			return setting.Ruled{}, err
		}
		return setting.Change(ctx, tx, rules, in.Body.Name, in.Body.Value, in.Body.Reason)
	})
	post(a, operation{path: "/incidents/{id}/hold", id: "hold-incident", room: "incident", summary: "Put an incident under legal hold: nothing of it can be erased"}, func(ctx context.Context, tx *store.Tx, in *reasonBody) (done, error) {
		return done{true}, a.Hold(ctx, tx, in.ID, in.Body.Reason)
	})
	post(a, operation{path: "/incidents/{id}/release-hold", id: "ask-release-hold", room: "incident", summary: "Ask to end the legal hold; needs a second person"}, func(ctx context.Context, tx *store.Tx, in *reasonBody) (identity.SecondSignature, error) {
		return a.AskReleaseHold(ctx, tx, in.ID, in.Body.Reason)
	})
}

type settingsOf struct {
	ServiceID string `query:"service_id" doc:"the settings of this service; none: those of all services"`
}

// name is what the names of these settings end with.
func (s *settingsOf) name() string {
	if s.ServiceID == "" {
		return ""
	}
	return "@" + s.ServiceID
}
