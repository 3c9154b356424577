package drill

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

//go:embed scenarios.yaml
var scenariosYAML []byte

// Scenario is one case to rehearse, as data; see scenarios.yaml for the meaning of the fields.
type Scenario struct {
	ID         string   `yaml:"id"`
	Title      Words    `yaml:"title"`
	Importance string   `yaml:"importance"`
	Ground     string   `yaml:"ground"`
	Harm       string   `yaml:"harm"`
	Level      int      `yaml:"level"`
	Category   string   `yaml:"category"`
	Risk       string   `yaml:"risk"`
	Topic      string   `yaml:"topic"`
	Rule       string   `yaml:"rule"`
	Fault      string   `yaml:"fault"`
	Trigger    string   `yaml:"trigger"`
	Approver   string   `yaml:"approver"`
	Prompts    []string `yaml:"prompts"`
	Benign     string   `yaml:"benign"`
	Complaint  string   `yaml:"complaint"`
	Answer     string   `yaml:"answer"`
	Lexicon    []Entry  `yaml:"lexicon"`
	Claim      string   `yaml:"claim"`
	Source     string   `yaml:"source"`
	Statement  string   `yaml:"statement"`
	Spread     []Place  `yaml:"spread"`
	Stages     []Name   `yaml:"stages"`
}

// Words is a short text in both languages.
type Words struct {
	ZH string `yaml:"zh"`
	EN string `yaml:"en"`
}

// Name is a stage: its stable id and its titles.
type Name struct {
	ID string `yaml:"id"`
	ZH string `yaml:"zh"`
	EN string `yaml:"en"`
}

// Entry is a term by which the drill extends the lexicon of its own service.
type Entry struct {
	Term     string   `yaml:"term"`
	Contexts []string `yaml:"contexts"`
}

// Place is where the drill pretends that the answer spread to.
type Place struct {
	Platform string `yaml:"platform"`
	Location string `yaml:"location"`
}

// Scenarios reads the scenarios that are part of the program, by id. An unknown key is an error.
func Scenarios() (map[string]Scenario, error) {
	var list []Scenario
	if err := yaml.UnmarshalWithOptions(scenariosYAML, &list, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("scenarios.yaml: %w", err)
	}
	out := map[string]Scenario{}
	for _, s := range list {
		if len(s.Prompts) < 2 || len(s.Stages) == 0 || !slices.Contains(importances, s.Importance) {
			return nil, fmt.Errorf("scenarios.yaml: %s lacks prompts, stages or an importance", s.ID)
		}
		if !slices.ContainsFunc(s.Stages, func(n Name) bool { return n.ID == s.Approver }) {
			return nil, fmt.Errorf("scenarios.yaml: %s has no stage %q", s.ID, s.Approver)
		}
		out[s.ID] = s
	}
	return out, nil
}

// ScenarioIDs are the scenarios there are.
func ScenarioIDs() []string { return []string{"A.1", "A.2"} }

// mark ties a prompt to one drill.
func mark(drillID string) string { return "（演练 " + drillID + "）" }

// said is a prompt of the scenario as it is asked in one drill.
func said(prompt, drillID string) string { return strings.ReplaceAll(prompt, "{mark}", mark(drillID)) }
