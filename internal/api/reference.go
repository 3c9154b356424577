package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fengsui/fengsui/internal/flow"
	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/monitor/anomaly"
	"github.com/fengsui/fengsui/internal/monitor/behaviour"
	"github.com/fengsui/fengsui/internal/monitor/gateway"
	"github.com/fengsui/fengsui/internal/monitor/intake"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/node"
	"github.com/fengsui/fengsui/internal/platform/notify"
	"github.com/fengsui/fengsui/internal/platform/setting"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/prepare/drill"
	"github.com/fengsui/fengsui/internal/prepare/lexicon"
	"github.com/fengsui/fengsui/internal/prepare/plan"
	"github.com/fengsui/fengsui/internal/respond/containment"
	"github.com/fengsui/fengsui/internal/respond/dispatch"
	"github.com/fengsui/fengsui/internal/respond/gatereview"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/respond/obligation"
	"github.com/fengsui/fengsui/internal/standard"
)

// Reference is what a client needs to show the values that the API gives as codes. Lists has every value
// of an enumeration in the order in which to offer them; Words has "<list>.<value>" in both languages.
type Reference struct {
	Editions []standard.Edition       `json:"editions"`
	Words    map[string]standard.Name `json:"words"`
	Lists    map[string][]string      `json:"lists"`
	// Indicators are the rows of the CAC annex with their units and thresholds, for a form that asks for quantities.
	Indicators []standard.Indicator `json:"indicators"`
}

type referenceOutput struct {
	Status       int
	ETag         string `header:"ETag"`
	CacheControl string `header:"Cache-Control"`
	Body         *Reference
}

// reference registers the one call that needs no permission but somebody who is signed in: words are no secret.
func (a *API) reference() {
	type sealed struct {
		Reference
		tag string
	}
	build := sync.OnceValue(func() sealed { // not at registration: the document is also made without a house
		r := NewReference(a.Book, a.catalog)
		raw, err := json.Marshal(r)
		if err != nil {
			panic(err) // maps of strings: cannot fail
		}
		sum := sha256.Sum256(raw)
		return sealed{r, `W/"` + hex.EncodeToString(sum[:16]) + `"`} // weak: the same words, gzipped or not
	})
	o := operation{method: http.MethodGet, path: "/reference", id: "reference", room: "status", summary: "The words of every value, and the editions in force"}
	huma.Register(a.huma, o.huma(), func(_ context.Context, in *struct {
		IfNoneMatch string `header:"If-None-Match"`
	}) (*referenceOutput, error) {
		r := build()
		out := &referenceOutput{Status: http.StatusOK, ETag: r.tag, CacheControl: "private, no-cache"} // kept, and asked again each time
		if strings.Contains(in.IfNoneMatch, r.tag) {
			out.Status = http.StatusNotModified
			return out, nil
		}
		out.Body = &r.Reference
		return out, nil
	})
}

// NewReference puts together the words of all values, from the standards and the catalog.
func NewReference(book *standard.Book, catalog *locale.Catalog) Reference {
	r := Reference{Editions: book.Editions(), Words: map[string]standard.Name{}, Lists: enumerations(), Indicators: book.Indicators()}
	for _, key := range catalog.Keys() {
		if name, ok := strings.CutPrefix(key, "action."); ok && !isMessage(key) {
			r.Lists["action"] = append(r.Lists["action"], name)
		}
		if name, ok := strings.CutPrefix(key, "object."); ok {
			r.Lists["object"] = append(r.Lists["object"], name)
		}
		if name, ok := strings.CutSuffix(key, ".subject"); ok {
			r.Lists["template"] = append(r.Lists["template"], name)
			t, _ := catalog.Text(key)
			r.Words["template."+name] = standard.Name{ZH: withoutArgs(t.ZH), EN: withoutArgs(t.EN)}
		}
	}
	r.standards(book)
	// The settings of checks have the words of their kinds, so that a further kind is named once.
	for name := range containment.CheckSettings() {
		kind, _ := catalog.Text("check_kind." + strings.TrimPrefix(name, "check."))
		r.Words["setting."+name] = standard.Name(kind)
		for _, option := range r.Lists["setting."+name] {
			t, _ := catalog.Text("check_action." + option)
			r.Words["setting."+name+"."+option] = standard.Name(t)
		}
	}
	if own, err := containment.ServiceSettings(); err == nil {
		for name := range own {
			for _, option := range r.Lists["setting."+name] {
				t, _ := catalog.Text("judge_action." + option)
				r.Words["setting."+name+"."+option] = standard.Name(t)
			}
		}
	}
	for list, values := range r.Lists {
		for _, v := range values {
			key := list + "." + v
			if t, ok := catalog.Text(key); ok && r.Words[key] == (standard.Name{}) {
				r.Words[key] = standard.Name{ZH: t.ZH, EN: t.EN}
			}
		}
	}
	return r
}

// isMessage tells a message about an improvement action from the words of an action of the record.
func isMessage(key string) bool {
	return strings.HasSuffix(key, ".subject") || strings.HasSuffix(key, ".body")
}

var placeholder = regexp.MustCompile(`\{[a-z_]+\}`)

func withoutArgs(s string) string { return placeholder.ReplaceAllString(s, "…") }

// standards adds what the standards name themselves.
func (r *Reference) standards(book *standard.Book) {
	add := func(list, value string, name standard.Name) {
		r.Lists[list] = append(r.Lists[list], value)
		r.Words[list+"."+value] = name
	}
	for _, t := range book.Types() {
		add("guide_group", t.ID, t.Name)
		for _, s := range t.Subtypes {
			add("guide_type", s.ID, s.Name)
		}
	}
	for _, c := range book.Categories() {
		add("gb_category", c.ID, c.Name)
		for _, s := range c.Subclasses {
			add("gb_subclass", s.ID, s.Name)
		}
	}
	for _, g := range book.RiskGroups() {
		add("risk_group", g.ID, g.Name)
		for _, k := range g.Risks {
			add("risk", k.ID, k.Name)
		}
	}
	for _, f := range book.Factors() {
		add("factor", f.ID, f.Name)
		for _, l := range f.Levels {
			add(f.ID, l.ID, l.Name)
			if f.ID == standard.FactorImportance { // an object's importance is kept by the name that people give it
				add("importance.level", l.Name.ZH, l.Name)
			}
		}
	}
	for _, l := range book.Levels() {
		add("level", strconv.Itoa(l.Level), l.Name)
		add("level.title", strconv.Itoa(l.Level), l.Title)
	}
	for _, g := range book.CACGrades() {
		add("cac_grade", string(g.ID), g.Name)
	}
	for _, i := range book.Indicators() {
		add("cac_indicator", i.ID, i.Name)
	}
	for _, s := range book.Scopes() {
		add("cac_scope", s.ID, s.Name)
	}
	for _, p := range book.Reporters() {
		add("reporter", p.ID, p.Name)
	}
	for _, o := range book.Rules() {
		add("obligation_rule", o.ID, o.Name)
	}
	for _, p := range book.Recipients() {
		add("recipient", p.ID, p.Name)
	}
	for _, c := range book.Channels() {
		add("obligation_channel", c.ID, c.Name)
	}
	for _, t := range book.Reasons() {
		add("reason", t.ID, t.Text)
	}
}

func strs[T ~string](values ...T) []string {
	out := make([]string, len(values))
	for k, v := range values {
		out[k] = string(v)
	}
	return out
}

// statesOf lists the states of a machine in the order of its arrows.
func statesOf[T any, S ~string](machine []T, ends func(T) (from, to S)) []string {
	var out []string
	for _, t := range machine {
		from, to := ends(t)
		for _, s := range []S{from, to} {
			if !slices.Contains(out, string(s)) {
				out = append(out, string(s))
			}
		}
	}
	return out
}

// enumerations are the values that the code gives and takes. A test holds them to the enumerations of the
// OpenAPI document and to the state machines.
func enumerations() map[string][]string {
	lists := map[string][]string{
		"role":                  identity.Roles(),
		"permission":            identity.Actions(),
		"kind":                  strs(posture.Real, posture.Drill, posture.Test, posture.Backfill),
		"rung":                  strs(containment.Rungs()...),
		"measure":               strs(posture.Adjust, posture.Restrict, posture.Offline),
		"release_mode":          strs(containment.Auto, containment.Review, containment.OnlineReview),
		"cause":                 strs(containment.FromAnomaly, containment.FromIncident, containment.FromDirective, containment.FromDrill),
		"rule":                  {containment.RuleRestriction},
		"order.state":           statesOf(containment.Machine(), func(t containment.Transition) (_, _ containment.State) { return t.From, t.To }),
		"anomaly.state":         statesOf(anomaly.Machine(), func(t anomaly.Transition) (_, _ anomaly.State) { return t.From, t.To }),
		"incident.state":        statesOf(incident.Machine(), func(t incident.Transition) (_, _ incident.State) { return t.From, t.To }),
		"drill.state":           statesOf(drill.Machine(), func(t drill.Transition) (_, _ drill.State) { return t.From, t.To }),
		"gate_review.state":     statesOf(gatereview.Machine(), func(t gatereview.Transition) (_, _ gatereview.State) { return t.From, t.To }),
		"task.state":            statesOf(dispatch.Machine(), func(t dispatch.Transition) (_, _ dispatch.State) { return t.From, t.To }),
		"gate_review.direction": strs(gatereview.Offline, gatereview.Online),
		"plan.state":            strs(plan.Draft, plan.Approved, plan.Retired),
		"plan_action":           strs(plan.IssueOrder, plan.PinEvidence, plan.Notify, plan.ComputeReach),
		"lexicon.state":         {lexicon.StateLive, lexicon.StateRetired},
		"check_kind":            inspect.Kinds(),
		"lexicon.action":        strs(posture.Observe, posture.Mask, posture.Replace, posture.Block),
		"message.state":         strs(notify.Pending, notify.Sent, notify.Refused, notify.Failed, notify.Dismissed),
		"channel.class":         strs(notify.Staff, notify.Authority, notify.Platform, notify.Public),
		"setting_law":           {setting.NetworkLogs},
		"rule_list":             {"type", "risk", "factor", "grading", "level", "cac", "obligation", "report_item", "number", "detection"},
		"channel.kind":          {notify.KindWebhook, notify.KindMail},
		"channel.state":         {notify.ChannelWaiting, notify.ChannelActive, notify.ChannelRemoved},
		"channel.waits":         {"set", "remove"},
		"node.state":            {node.Serving, node.Left, node.Gone},
		"channel.tls":           {"starttls", "tls", "none"},
		"complaint.harm":        intake.Harms(),
		"complaint.kind":        {intake.KindComplaint, intake.KindReport, intake.KindRights},
		"complaint.state":       {intake.StateReceived, intake.StateRead, intake.StateAnswered},
		"failure_mode":          strs(posture.Closed, posture.Open),
		"isolation":             strs(gateway.IsolationContinue, gateway.IsolationStrict, gateway.IsolationClosed),
		"side":                  {gateway.Input, gateway.Output},
		"text_channel": {gateway.ChannelContent, gateway.ChannelReasoning, gateway.ChannelRefusal, gateway.ChannelToolName, gateway.ChannelToolArguments, gateway.ChannelToolID,
			gateway.ChannelName, gateway.ChannelDefinition},
		"hit_kind":           {inspect.KindTerm, inspect.KindRule, inspect.KindClassifier, gateway.KindGuard, "failure"},
		"held_for":           strs(inspect.HoldTerm.String(), inspect.HoldWord.String(), inspect.HoldContext.String(), inspect.HoldNumber.String(), inspect.HoldToken.String()),
		"matching.fold":      {inspect.FoldStrict, inspect.FoldLoose},
		"told":               {behaviour.ToldVerdict, behaviour.ToldHits, behaviour.ToldNothing},
		"verdict":            {gateway.VerdictAllow, gateway.VerdictObserve, gateway.VerdictMask, gateway.VerdictReplace, gateway.VerdictBlock, gateway.VerdictUninspected, gateway.VerdictNone},
		"awareness_source":   incident.AwarenessSources(),
		"milestone":          {"aware", "declared", "contained"},
		"fact":               obligation.FactNames(),
		"obligation.state":   {"pending", "owed", "decision", "struck_off", "met"},
		"second.state":       {"requested", "confirmed", "rejected", "withdrawn", "lapsed"},
		"closing.state":      {"applied", "verified", "rejected"},
		"directive.state":    {"open", "answered"},
		"improvement.state":  {"open", "done"},
		"service_test.state": {"running", "passed", "failed", "error"},
		"factcheck.verdict":  {"true", "false", "misleading", "unproven"},
		"audience":           {"public", "complainant", "authority", "platform", "partner", "staff"},
		"stage":              {"preliminary", "confirmed", "final"},
		"source":             {"self", "expert", "authority"},
		"rank":               {"primary", "secondary"},
		"part":               {"cause", "manifestation", "consequence"},
		"affected.kind":      {"service", "dataset", "model", "system"},
		"deployment.role":    {"primary", "backup"},
		"severity":           {"normal", "high", "critical"},
		"calm":               flow.CalmReasons(),
		"cycle":              {"due", "audit", "outbox", "node"},
		"signal_source":      {"gateway", "complaint", "person"},
		"probe": {containment.DetailOffline, containment.DetailLimited, containment.DetailBlocked, containment.DetailBackup,
			containment.DetailPassed, containment.DetailUnreachable, containment.DetailUnexpected, containment.DetailOutOfReach},
	}
	for _, t := range incident.Machine() {
		if t.Milestone != "" && !slices.Contains(lists["milestone"], t.Milestone) {
			lists["milestone"] = append(lists["milestone"], t.Milestone)
		}
	}
	for name, rule := range flow.SettingRules() {
		lists["setting"] = append(lists["setting"], name)
		if len(rule.Options) > 0 {
			lists["setting."+name] = rule.Options
		}
	}
	if own, err := containment.ServiceSettings(); err == nil { // compiling needs the model too, and fails
		for name, rule := range own {
			lists["setting"], lists["setting."+name] = append(lists["setting"], name), rule.Options
		}
	}
	slices.Sort(lists["setting"])
	if rules, err := anomaly.LoadRules(); err == nil { // the wiring loads them too, and fails
		for _, rule := range rules.Rules {
			lists["signal_rule"] = append(lists["signal_rule"], rule.ID)
		}
	}
	return lists
}
