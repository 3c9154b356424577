package anomaly

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

//go:embed rules.yaml
var rulesYAML []byte

// Rule says which signals become an anomaly; see rules.yaml for the meaning of each field.
type Rule struct {
	ID          string   `yaml:"id"`
	Match       Match    `yaml:"match"`
	Window      Span     `yaml:"window"`
	Threshold   int      `yaml:"threshold"`
	MinSubjects int      `yaml:"min_subjects"`
	AnySubjects int      `yaml:"any_subjects"`
	Fingerprint []string `yaml:"fingerprint"`
	Category    string   `yaml:"category"`
	Severity    string   `yaml:"severity"`
}

// Match is which signals a rule takes; empty fields match all.
type Match struct {
	Source      string   `yaml:"source"`
	Risks       []string `yaml:"risks"`
	Rules       []string `yaml:"rules"` // what the id of the inspection rule begins with
	Actions     []string `yaml:"actions"`
	Side        string   `yaml:"side"`
	MinSeverity string   `yaml:"min_severity"`
}

// Span is a duration written as 10m or 1h.
type Span time.Duration

// UnmarshalYAML reads what time.ParseDuration reads.
func (s *Span) UnmarshalYAML(raw []byte) error {
	var text string
	if err := yaml.Unmarshal(raw, &text); err != nil {
		return err
	}
	d, err := time.ParseDuration(text)
	*s = Span(d)
	return err
}

// Rules is an ordered set of rules; the first that matches a signal takes it.
type Rules struct {
	Edition string `yaml:"edition"`
	Rules   []Rule `yaml:"rules"`
}

// LoadRules reads the rules that are part of the program.
func LoadRules() (Rules, error) { return ParseRules(rulesYAML) }

// ParseRules reads and checks rules. Unknown keys, values and contradictions are errors that name the rule.
func ParseRules(raw []byte) (Rules, error) {
	var r Rules
	if err := yaml.UnmarshalWithOptions(raw, &r, yaml.Strict()); err != nil {
		return Rules{}, fmt.Errorf("anomaly rules: %w", err)
	}
	if r.Edition == "" || len(r.Rules) == 0 {
		return Rules{}, fmt.Errorf("anomaly rules: an edition and at least one rule are needed")
	}
	seen := map[string]bool{}
	for i, rule := range r.Rules {
		if seen[rule.ID] {
			return Rules{}, fmt.Errorf("anomaly rule %q is there twice", rule.ID)
		}
		seen[rule.ID] = true
		if err := rule.check(); err != nil {
			return Rules{}, fmt.Errorf("anomaly rule %d (%q): %w", i+1, rule.ID, err)
		}
	}
	return r, nil
}

var (
	ruleID     = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)
	riskCode   = regexp.MustCompile(`^[A-Z]\.\d+(\.[a-z])?$`)
	sources    = []string{"gateway", "complaint", "person"}
	actions    = []string{"allow", "observe", "mask", "replace", "block"} // by severity
	sides      = []string{"", "input", "output"}
	severities = []string{"normal", "high", "critical"}
	// By what signals may be told apart. Nothing that a caller can vary at will, but for direct sources.
	fields = []string{"service", "risk", "rule", "side", "tenant", "group", "deployment"}
)

func (r Rule) check() error {
	direct := r.Match.Source != "gateway"
	switch {
	case !ruleID.MatchString(r.ID):
		return fmt.Errorf("id must be lower-case words joined by hyphens")
	case !slices.Contains(sources, r.Match.Source):
		return fmt.Errorf("match.source %q: use one of %s", r.Match.Source, strings.Join(sources, ", "))
	case !slices.Contains(sides, r.Match.Side):
		return fmt.Errorf("match.side %q: use input or output", r.Match.Side)
	case r.Match.MinSeverity != "" && !slices.Contains(actions, r.Match.MinSeverity):
		return fmt.Errorf("match.min_severity %q: use one of %s", r.Match.MinSeverity, strings.Join(actions, ", "))
	case !slices.Contains(severities, r.Severity):
		return fmt.Errorf("severity %q: use one of %s", r.Severity, strings.Join(severities, ", "))
	case r.Threshold < 1:
		return fmt.Errorf("threshold must be at least 1")
	case direct && (r.Threshold != 1 || r.MinSubjects > 0 || r.AnySubjects > 0):
		return fmt.Errorf("a signal from a %s opens an anomaly at once: threshold 1, no subjects", r.Match.Source)
	case (r.Threshold > 1 || r.MinSubjects > 1) && r.Window <= 0:
		return fmt.Errorf("window is needed with a threshold above 1")
	case r.Window < 0 || time.Duration(r.Window) > maxWindow:
		return fmt.Errorf("window must lie between 0 and %s", maxWindow)
	case r.MinSubjects < 0 || r.MinSubjects > r.Threshold:
		return fmt.Errorf("min_subjects must lie between 0 and threshold")
	case r.AnySubjects != 0 && r.AnySubjects < r.Threshold:
		return fmt.Errorf("any_subjects must be 0 or at least threshold")
	case r.Threshold > maxThreshold || r.AnySubjects > maxThreshold:
		return fmt.Errorf("no more than %d signals can be asked for", maxThreshold)
	case len(r.Fingerprint) == 0 || !slices.Contains(r.Fingerprint, "service"):
		return fmt.Errorf("fingerprint must name service")
	}
	if slices.Contains(r.Match.Rules, "") {
		return fmt.Errorf("match.rules: an empty beginning fits every rule")
	}
	for _, risk := range r.Match.Risks {
		if !riskCode.MatchString(risk) {
			return fmt.Errorf("match.risks: %q is no risk code such as A.2 or A.2.e", risk)
		}
	}
	for _, a := range r.Match.Actions {
		if !slices.Contains(actions, a) {
			return fmt.Errorf("match.actions %q: use some of %s", a, strings.Join(actions, ", "))
		}
	}
	for i, f := range r.Fingerprint {
		if !slices.Contains(fields, f) && !(direct && f == "content") {
			return fmt.Errorf("fingerprint %q: use some of %s", f, strings.Join(fields, ", "))
		}
		if slices.Contains(r.Fingerprint[:i], f) {
			return fmt.Errorf("fingerprint names %q twice", f)
		}
	}
	return nil
}

// Bounds of what a rule may ask the memory to hold.
const (
	maxWindow    = 24 * time.Hour
	maxThreshold = 100_000
)

// For finds the rule that takes a signal; nil if none does.
func (r Rules) For(o Observation) *Rule {
	for i := range r.Rules {
		if r.Rules[i].takes(o) {
			return &r.Rules[i]
		}
	}
	return nil
}

func (r *Rule) takes(o Observation) bool {
	m := r.Match
	return m.Source == o.Source &&
		(m.Side == "" || m.Side == o.Side) &&
		(len(m.Rules) == 0 || slices.ContainsFunc(m.Rules, func(begin string) bool { return strings.HasPrefix(o.Rule, begin) })) &&
		(len(m.Actions) == 0 || slices.Contains(m.Actions, o.Action)) &&
		(m.MinSeverity == "" || slices.Index(actions, o.Action) >= slices.Index(actions, m.MinSeverity)) &&
		(len(m.Risks) == 0 || slices.ContainsFunc(m.Risks, func(code string) bool { return o.Risk == code || strings.HasPrefix(o.Risk, code+".") }))
}

// fingerprint names what a signal joins under this rule. The kind is always part of it, so that a drill
// and the real thing never share an anomaly.
func (r *Rule) fingerprint(o Observation) string {
	var b strings.Builder
	b.WriteString(r.ID + "|" + o.Kind)
	for _, f := range r.Fingerprint {
		value := map[string]string{"service": o.ServiceID, "risk": o.Risk, "rule": o.Rule, "side": o.Side, "tenant": o.Tenant,
			"group": o.Group, "deployment": o.Deployment, "content": o.ContentNo}[f]
		fmt.Fprintf(&b, "|%s=%q", f, value)
	}
	return b.String()
}

// longest is the longest window of all rules.
func (r Rules) longest() time.Duration {
	var d time.Duration
	for _, rule := range r.Rules {
		d = max(d, time.Duration(rule.Window))
	}
	return d
}
