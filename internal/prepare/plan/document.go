// Package plan keeps the response plans (预案): approved, versioned steps for scenario × category ×
// level that say who does what by when, with what tool, template and wording, giving what, told to
// whom and how (guide 6.1.1 and case A.2.2 c). A plan is a strict YAML document.
package plan

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/posture"
)

//go:embed plans/*.yaml
var starterFS embed.FS

// Text is a sentence in both languages.
type Text struct {
	ZH string `yaml:"zh" json:"zh"`
	EN string `yaml:"en" json:"en"`
}

// AnyCategory is the category of a plan that fits every incident of its level.
const AnyCategory = "*"

// Plan 预案 as it is written. Category is a subtype of guide chapter 4 (content.discrimination), a
// type (content), or AnyCategory. Level is 1 … 4.
type Plan struct {
	ID         string       `yaml:"id" json:"id"`
	Scenario   string       `yaml:"scenario" json:"scenario"`
	Title      Text         `yaml:"title" json:"title"`
	Category   string       `yaml:"category" json:"category"`
	Level      int          `yaml:"level" json:"level"`
	Edition    string       `yaml:"edition" json:"edition"` // of the guide that it carries out
	Steps      []Step       `yaml:"steps" json:"steps"`
	Escalation []Escalation `yaml:"escalation" json:"escalation"`
}

// Step is one thing to do: a task when the plan is started.
type Step struct {
	ID        string     `yaml:"id" json:"id"`
	Title     Text       `yaml:"title" json:"title"`
	Role      string     `yaml:"role" json:"role"`             // role id of internal/platform/identity
	WithinMin int        `yaml:"within_min" json:"within_min"` // minutes from the start of the plan
	Tool      string     `yaml:"tool" json:"tool,omitempty"`
	Template  string     `yaml:"template" json:"template,omitempty"`
	Wording   string     `yaml:"wording" json:"wording,omitempty"`
	Output    Text       `yaml:"output" json:"output"` // what it gives
	Told      []Told     `yaml:"told" json:"told,omitempty"`
	Automatic *Automatic `yaml:"automatic" json:"automatic,omitempty"`
}

// Told says who hears of the outcome, and how.
type Told struct {
	Who string `yaml:"who" json:"who"`
	How string `yaml:"how" json:"how"`
}

// Action is what a step does by itself when a person starts the plan.
type Action string

// The automatic actions.
const (
	IssueOrder   Action = "issue_order"
	PinEvidence  Action = "pin_evidence"
	Notify       Action = "notify"
	ComputeReach Action = "compute_reach"
)

// Automatic is the automatic part of a step. Rung and what follows belong to issue_order, Channel and
// Template to notify. The order is about the incident's service; Group and Tenant narrow it.
type Automatic struct {
	Action        Action       `yaml:"action" json:"action"`
	Rung          posture.Rung `yaml:"rung" json:"rung,omitempty"`
	Group         string       `yaml:"group" json:"group,omitempty"`
	Tenant        string       `yaml:"tenant" json:"tenant,omitempty"`
	TopicIDs      []string     `yaml:"topic_ids" json:"topic_ids,omitempty"`
	AllowedGroups []string     `yaml:"allowed_groups" json:"allowed_groups,omitempty"`
	BackupID      string       `yaml:"backup_id" json:"backup_id,omitempty"`
	ExpiresMin    int          `yaml:"expires_min" json:"expires_min,omitempty"` // 0 = until lifted
	Channel       string       `yaml:"channel" json:"channel,omitempty"`
	Template      string       `yaml:"template" json:"template,omitempty"`
}

// Escalation pages a role if steps are overdue so many minutes after the start.
type Escalation struct {
	AfterMin int    `yaml:"after_min" json:"after_min"`
	To       string `yaml:"to" json:"to"`
	Channel  string `yaml:"channel" json:"channel"`
}

// Rules is what a plan document is checked against.
type Rules struct {
	KnowsCategory func(id string) bool // guide types and subtypes
	KnowsEdition  func(id string) bool
}

var (
	planID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,62}$`)
	stepID = regexp.MustCompile(`^[a-z0-9][a-z0-9_]{1,62}$`)
)

// maxPlan bounds one document.
const maxPlan = 1 << 20

// Parse reads one plan document. An unknown or doubled key, a missing part, a plan without steps or a
// second document is fault invalid; its field names file, plan and place: "a.yaml: my-plan: steps[0].role".
func (r Rules) Parse(file string, raw []byte) (Plan, error) {
	if len(raw) > maxPlan {
		return Plan{}, fault.Invalid(file, "plan.too_large", "max", maxPlan)
	}
	var p Plan
	dec := yaml.NewDecoder(strings.NewReader(string(raw)), yaml.Strict())
	err := dec.Decode(&p)
	where := file + ": " + named(p.ID, raw)
	if err != nil {
		if errors.Is(err, io.EOF) {
			return Plan{}, fault.Invalid(where, "plan.empty")
		}
		return Plan{}, fault.Invalid(where, "plan.malformed", "problem", oneLine(err))
	}
	var rest any
	if err := dec.Decode(&rest); !errors.Is(err, io.EOF) {
		return Plan{}, fault.Invalid(where, "plan.two_documents")
	}
	return p, r.check(where, p)
}

// named finds the plan's id for an error even where the document as a whole cannot be read.
func named(id string, raw []byte) string {
	if id == "" {
		if m := regexp.MustCompile(`(?m)^id:\s*["']?([a-z0-9-]+)`).FindSubmatch(raw); m != nil {
			id = string(m[1])
		}
	}
	if id == "" {
		return "?"
	}
	return id
}

func oneLine(err error) string {
	s, _, _ := strings.Cut(strings.TrimSpace(yaml.FormatError(err, false, false)), "\n")
	return s
}

func (r Rules) check(where string, p Plan) error {
	bad := func(field, key string, args ...any) error { return fault.Invalid(where+": "+field, key, args...) }
	required := func(field string, values ...string) error {
		for _, v := range values {
			if strings.TrimSpace(v) == "" {
				return bad(field, "error.required", "field", field)
			}
		}
		return nil
	}
	if !planID.MatchString(p.ID) {
		return bad("id", "plan.bad_id", "value", p.ID)
	}
	if err := errors.Join(required("scenario", p.Scenario), required("title", p.Title.ZH, p.Title.EN), required("category", p.Category), required("edition", p.Edition)); err != nil {
		return first(err)
	}
	switch {
	case p.Category != AnyCategory && !r.KnowsCategory(p.Category):
		return bad("category", "plan.unknown_category", "value", p.Category)
	case !r.KnowsEdition(p.Edition):
		return bad("edition", "plan.unknown_edition", "value", p.Edition)
	case p.Level < 1 || p.Level > 4:
		return bad("level", "plan.bad_level", "value", p.Level)
	case len(p.Steps) == 0:
		return bad("steps", "plan.no_steps", "plan", p.ID)
	}
	ids := map[string]bool{}
	for i, s := range p.Steps {
		at := fmt.Sprintf("steps[%d].", i)
		if !stepID.MatchString(s.ID) {
			return bad(at+"id", "plan.bad_id", "value", s.ID)
		}
		if ids[s.ID] {
			return bad(at+"id", "plan.twice", "value", s.ID)
		}
		ids[s.ID] = true
		if err := errors.Join(required(at+"title", s.Title.ZH, s.Title.EN), required(at+"output", s.Output.ZH, s.Output.EN)); err != nil {
			return first(err)
		}
		if !slices.Contains(identity.Roles(), s.Role) {
			return bad(at+"role", "error.unknown_value", "value", s.Role, "valid", strings.Join(identity.Roles(), ", "))
		}
		if s.WithinMin < 1 || s.WithinMin > 60*24*90 {
			return bad(at+"within_min", "plan.bad_minutes", "value", s.WithinMin)
		}
		for j, t := range s.Told {
			if err := required(fmt.Sprintf("%stold[%d]", at, j), t.Who, t.How); err != nil {
				return err
			}
		}
		if s.Automatic != nil {
			if err := s.Automatic.check(bad, required, at+"automatic."); err != nil {
				return err
			}
		}
	}
	for i, e := range p.Escalation {
		at := fmt.Sprintf("escalation[%d].", i)
		if e.AfterMin < 1 || e.AfterMin > 60*24*90 {
			return bad(at+"after_min", "plan.bad_minutes", "value", e.AfterMin)
		}
		if !slices.Contains(identity.Roles(), e.To) {
			return bad(at+"to", "error.unknown_value", "value", e.To, "valid", strings.Join(identity.Roles(), ", "))
		}
		if err := required(at+"channel", e.Channel); err != nil {
			return err
		}
	}
	return nil
}

// check refuses what the action would not use: it would be believed to do something.
func (a Automatic) check(bad func(field, key string, args ...any) error, required func(field string, values ...string) error, at string) error {
	order := a.Rung != "" || a.Group != "" || a.Tenant != "" || len(a.TopicIDs) > 0 || len(a.AllowedGroups) > 0 || a.BackupID != "" || a.ExpiresMin != 0
	message := a.Channel != "" || a.Template != ""
	switch a.Action {
	case IssueOrder:
		switch {
		case a.Rung.Tag() == "":
			return bad(at+"rung", "error.unknown_value", "value", a.Rung, "valid", "strict_filter, topic_block, audience_limit, backup_model, service_offline")
		case message:
			return bad(at+"channel", "plan.not_used", "action", a.Action)
		case (len(a.TopicIDs) > 0) != (a.Rung == posture.TopicBlock):
			return bad(at+"topic_ids", "plan.rung_params", "rung", a.Rung)
		case len(a.AllowedGroups) > 0 && a.Rung != posture.AudienceLimit:
			return bad(at+"allowed_groups", "plan.rung_params", "rung", a.Rung)
		case (a.BackupID != "") != (a.Rung == posture.BackupModel):
			return bad(at+"backup_id", "plan.rung_params", "rung", a.Rung)
		case a.ExpiresMin < 0 || a.ExpiresMin > 0 && a.Rung == posture.ServiceOffline:
			return bad(at+"expires_min", "plan.bad_minutes", "value", a.ExpiresMin)
		}
	case Notify:
		if order {
			return bad(at+"rung", "plan.not_used", "action", a.Action)
		}
		return first(errors.Join(required(at+"channel", a.Channel), required(at+"template", a.Template)))
	case PinEvidence, ComputeReach:
		if order || message {
			return bad(at+"action", "plan.not_used", "action", a.Action)
		}
	default:
		return bad(at+"action", "error.unknown_value", "value", a.Action, "valid", "issue_order, pin_evidence, notify, compute_reach")
	}
	return nil
}

// first gives the first of joined errors, so that it stays a fault.
func first(err error) error {
	if j, ok := err.(interface{ Unwrap() []error }); ok && len(j.Unwrap()) > 0 {
		return j.Unwrap()[0]
	}
	return err
}

// LoadFS reads every *.yaml of dir; two plans with one id are an error.
func (r Rules) LoadFS(fsys fs.FS, dir string) ([]Plan, error) {
	files, err := fs.Glob(fsys, path.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	var out []Plan
	seen := map[string]string{}
	for _, f := range files {
		raw, err := fs.ReadFile(fsys, f)
		if err != nil {
			return nil, err
		}
		p, err := r.Parse(path.Base(f), raw)
		if err != nil {
			return nil, err
		}
		if other, twice := seen[p.ID]; twice {
			return nil, fault.Invalid(path.Base(f)+": "+p.ID+": id", "plan.id_twice", "file", other)
		}
		seen[p.ID] = path.Base(f)
		out = append(out, p)
	}
	return out, nil
}

// Starter reads the plans that ship.
func (r Rules) Starter() ([]Plan, error) { return r.LoadFS(starterFS, "plans") }

// canonical is the body that is kept and its digest.
func (p Plan) canonical() (body, digest string, err error) {
	js, err := json.Marshal(p)
	if err != nil {
		return "", "", err
	}
	sum := sha256.Sum256(js)
	return string(js), "sha256:" + hex.EncodeToString(sum[:]), nil
}
