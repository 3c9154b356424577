// Package behaviour is where gateways hand in what they saw: it decides what content is captured, puts
// traffic and signals into telemetry, from where the anomaly engine follows, and shows people what was decided about a request.
package behaviour

import (
	"encoding/json"
	"strings"

	"github.com/fengsui/fengsui/internal/monitor/gateway"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
)

// Log is what the sink needs of telemetry. Its Put methods do not block.
type Log interface {
	PutTraffic(telemetry.Traffic)
	PutSignal(telemetry.Signal)
	CaptureAll() bool
}

// Sink implements gateway.Sink. It holds nothing itself: the bounded queue is telemetry's.
type Sink struct{ log Log }

// ruleProbe begins the ids of the rules that only the probes of containment meet.
const ruleProbe = "probe."

var _ gateway.Sink = (*Sink)(nil)

// NewSink makes a sink.
func NewSink(log Log) *Sink { return &Sink{log: log} }

// Traffic takes the row of a request that ended. Its content is captured if a verdict is other than
// allow, if an order cut it, or always if the setting says so.
func (s *Sink) Traffic(t gateway.Traffic) {
	row := telemetry.Traffic{RequestID: t.RequestID, ContentNo: t.ContentNumber, GatewayID: t.GatewayID, OperatorID: t.OperatorID, ServiceID: t.ServiceID,
		DeploymentID: t.DeploymentID, PostureDigest: t.PostureDigest, Tenant: t.TenantID, Group: t.Group, KeyID: t.KeyID, Subject: t.Subject, Kind: t.Kind,
		Simulated: t.Simulated, Modality: t.Modality, Language: t.Language, Route: t.Route, Stream: t.Stream, InputVerdict: t.InputVerdict,
		OutputVerdict: t.OutputVerdict, Verdict: writeVerdict(t.Verdict), OrderIDs: array(t.OrderIDs), ReleasedRunes: t.ReleasedRunes, Finish: t.Finish,
		Status: t.Status, ErrorCode: t.ErrorCode, UpstreamStatus: t.UpstreamStatus, CutByOrder: t.CutByOrder, Uninspected: t.Uninspected,
		TokensIn: t.TokensIn, TokensOut: t.TokensOut, StartedMs: t.StartedMs, FirstByteMs: t.FirstByteMs, EndedMs: t.EndedMs, LastByteUs: t.LastByteUs, InspectUs: t.Verdict.Cost.Us}
	if flagged(t.InputVerdict) || flagged(t.OutputVerdict) || t.CutByOrder || s.log.CaptureAll() {
		row.Content = &telemetry.Content{Messages: t.Messages, Prompt: t.Prompt, Answer: t.Answer}
	}
	s.log.PutTraffic(row)
}

// Signal takes a rule that hit. Its content is always captured: it is the first sight.
func (s *Sink) Signal(g gateway.Signal) {
	if strings.HasPrefix(g.Match.RuleID, ruleProbe) {
		return // our own probe proving an order, nobody's harm
	}
	m := g.Match
	s.log.PutSignal(telemetry.Signal{ID: g.ID, AtMs: g.AtMs, RequestID: g.RequestID, ContentNo: g.ContentNumber, GatewayID: g.GatewayID, OperatorID: g.OperatorID,
		ServiceID: g.ServiceID, DeploymentID: g.DeploymentID, PostureDigest: g.PostureDigest, Tenant: g.TenantID, Group: g.Group, Subject: g.Subject,
		Kind: g.Kind, Simulated: g.Simulated, Modality: g.Modality, Language: g.Language, Rule: m.RuleID, RuleKind: m.Kind, Risk: m.Risk, Topic: m.Topic,
		Action: m.Action, Side: m.Side, Channel: m.Channel, Choice: m.Choice, StartByte: m.Start, EndByte: m.End, Runes: m.Runes,
		Fingerprint: g.Fingerprint, ReleasedRunes: g.Released, Content: &telemetry.Content{Messages: g.Messages, Prompt: g.Prompt, Answer: g.Answer}})
}

// flagged verdicts are those that a person may want to look into; a text that went out uninspected is one.
func flagged(verdict string) bool {
	return verdict != gateway.VerdictAllow && verdict != gateway.VerdictNone && verdict != ""
}

func array[T any](v []T) string {
	if len(v) == 0 {
		return "[]"
	}
	js, err := json.Marshal(v) // strings and numbers always marshal
	if err != nil {
		return "[]"
	}
	return string(js)
}
