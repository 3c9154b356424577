package cli

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/inspect/fold"
	"github.com/fengsui/fengsui/internal/inspect/injection"
	"github.com/fengsui/fengsui/internal/inspect/match"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
)

// InspectCmd looks at text with the engine of the gateway, without a server or a data folder.
//
//	fengsui inspect --lexicon words.tsv "text to look at"
//	fengsui inspect --lexicon words.tsv --stream 3 --explain < answer.txt
//
// A lexicon file has one term a line, or columns separated by tabs under a heading with any of id, term, action, risk,
// topic, contexts (separated by |), window and matching (what is not as usual: strict, loose, gap=N, and word, sound, spell,
// parts, repeat, each also with =off; separated by |). Lines that begin with # are left out.
//
// A rules file holds sets of words and rules that ask for what stands around, see inspect.ReadRules; "injection" stands for
// the built-in rules about injection and jailbreak. A rule that names channels is in force in the one that --channel names.
//
// With --json it prints one object:
//
//	{
//	  "action":   "mask",               // allow, observe, mask, replace, block: the worst
//	  "released": "…",                  // what may go out
//	  "risks":    [{"risk": "A.2.e", "action": "mask", "score": 1, "hits": 2, "rules": ["t1"], "texts": ["input"]}],  // the worst first; 1: a rule says so
//	  "held":     2,                    // with --stream: most characters that were held back at once
//	  "why":      "term",               // ... and for what: term, word, context, number, token
//	  "cost_us":  12,                   // microseconds in the engine
//	  "matches":  [{"id": "t1", "kind": "term", "action": "mask", "risk": "A.2.e", "topic": "",
//	                "start": 3, "end": 9, "first_rune": 1, "end_rune": 3, "gap": 0, "via": "text",
//	                "encoding": "base64", "about": {"zh": "…", "en": "…"}}],            // with --decode; of rules that say it
//	  "steps":    [{"in": "…", "released": "…", "held": 2, "blocked": false}],       // with --stream
//	  "strict":   "…", "loose": "…",                                                 // with --explain: the folded text,
//	  "candidates": [{"id": "t1", "start": 3, "end": 9, "gap": 0, "via": "text", "fired": false, "why": "context"}],
//	  "conditions": [{"id": "r1", "start": 3, "end": 9, "outcome": "no",           // of rules, and of terms with contexts
//	                  "parts": [{"part": "prior within 20 after", "found": 0, "need": 1, "holds": "no"}]}],
//	  "scores": [{"head": "fraud", "risk": "A.1.h", "probability": 0.02, "threshold": 0.93, "reached": false}]
//	}
//
// start and end count bytes, first_rune and end_rune characters of the text; held counts characters. A match of kind
// classifier has the probability as its score.
type InspectCmd struct {
	tongue
	Text     []string `arg:"" optional:"" help:"Text to look at; without, --file or standard input."`
	File     string   `placeholder:"FILE" help:"File to look at. All of it is read and every hit is kept: cut a large one."`
	Lexicon  string   `placeholder:"FILE" help:"Terms to look for, one a line, or a table with headings."`
	Rules    []string `placeholder:"FILE" help:"Files of sets and rules, or injection for the built-in rules."`
	Channel  string   `default:"input" help:"Channel of the text: input, output, tool, document, or one that a rule names (default: ${default})."`
	Audience string   `help:"Audience of the text, for rules that name one."`
	Action   string   `enum:"observe,mask,replace,block" default:"mask" help:"What to do about terms without an action, and about numbers."`
	Plain    bool     `help:"Look for terms as they are written only, but for what their line says; without, as a gateway does, in the usual disguises too."`
	Numbers  []string `placeholder:"KIND" default:"cn_id,bank_card" help:"Kinds of personal data and secrets to look for, all of them, or none (default: ${default})."`
	Decode   bool     `help:"Also read what is written in base64, hex, percent signs and escapes."`
	Stream   int      `placeholder:"N" help:"Feed N characters at a time and show each step."`
	JSON     bool     `name:"json" help:"Print JSON."`
	Model    string   `placeholder:"FILE" help:"Let the classifiers of a model observe: a file of fengsui train, or shipped for the one that comes with it."`
	Explain  bool     `help:"Show the folded text, for each candidate why it did or did not fire, and what each classifier says (of the shipped model without --model)."`
}

type inspectReport struct {
	Action     inspect.Action     `json:"action"`
	Released   string             `json:"released"`
	Risks      []inspect.Risk     `json:"risks"`
	Held       int                `json:"held,omitempty"`
	Why        inspect.Hold       `json:"why,omitzero"`
	CostUs     int64              `json:"cost_us"`
	Matches    []inspectMatch     `json:"matches"`
	Unread     int                `json:"unread,omitempty"` // bytes said in encodings that were too many or too deep to be read
	Steps      []inspectStep      `json:"steps,omitempty"`
	Strict     string             `json:"strict,omitempty"`
	Loose      string             `json:"loose,omitempty"`
	Candidates []inspectCandidate `json:"candidates,omitempty"`
	Conditions []inspectCondition `json:"conditions,omitempty"`
	Scores     []inspectScore     `json:"scores,omitempty"`
}

type inspectMatch struct {
	ID        string         `json:"id"`
	Kind      string         `json:"kind"`
	Action    inspect.Action `json:"action"`
	Risk      string         `json:"risk"`
	Topic     string         `json:"topic"`
	Start     int            `json:"start"`
	End       int            `json:"end"`
	FirstRune int            `json:"first_rune"`
	EndRune   int            `json:"end_rune"`
	Gap       int            `json:"gap"`
	Via       string         `json:"via"`
	Score     float64        `json:"score,omitempty"` // probability, of a classifier

	Encoding string            `json:"encoding,omitempty"`
	About    map[string]string `json:"about,omitempty"`
}

type inspectCondition struct {
	inspect.Account
	Start int `json:"start"`
	End   int `json:"end"`
}

type inspectStep struct {
	In       string `json:"in"`
	Released string `json:"released"`
	Held     int    `json:"held"`
	Blocked  bool   `json:"blocked"`
}

type inspectCandidate struct {
	ID    string `json:"id"`
	Start int    `json:"start"`
	End   int    `json:"end"`
	Gap   int    `json:"gap"`
	Via   string `json:"via"`
	Fired bool   `json:"fired"`
	Why   string `json:"why"` // fired, gap, word, context, behind_block
}

// Run inspects and prints to out. Text that is blocked or masked is no error: the command succeeds when it has looked.
func (c *InspectCmd) Run(out io.Writer) error { return c.explain(c.run(out)) }

func (c *InspectCmd) run(out io.Writer) error {
	rules, lines, err := c.rules()
	if err != nil {
		return err
	}
	model, err := c.model()
	if err != nil {
		return err
	}
	if c.Model != "" {
		rules.Classifiers = observing(model)
	}
	engine, err := inspect.Compile(rules)
	var wrong *inspect.RuleError
	if errors.As(err, &wrong) && lines[wrong.ID] > 0 {
		return fmt.Errorf("%s: line %d: %s: %s", c.Lexicon, lines[wrong.ID], wrong.Field, wrong.Reason)
	}
	if err != nil {
		return err
	}
	text, err := c.text(os.Stdin)
	if err != nil {
		return err
	}
	began := clock.Running()
	r, verdict := c.look(engine, text)
	if c.Decode {
		encoded, unread := engine.ScanEncoded(text)
		verdict.Add(inspect.Place{Channel: c.Channel}, encoded)
		r.take(encoded)
		r.Unread = unread
	}
	r.CostUs = (clock.Running() - began).Microseconds()
	r.Action, r.Held, r.Why = verdict.Action, verdict.Held, verdict.Why
	r.Risks = append([]inspect.Risk{}, verdict.Risks...)
	for i := range r.Matches {
		at := slices.IndexFunc(rules.Rules, func(rule inspect.Rule) bool { return rule.ID == r.Matches[i].ID })
		if r.Matches[i].Kind == inspect.KindRule && at >= 0 {
			r.Matches[i].About = rules.Rules[at].About
		}
	}
	if c.Explain {
		r.Strict, r.Loose = foldedText(fold.Strict(), text), foldedText(fold.Loose(), text)
		if r.Candidates, err = candidates(rules.Terms, r, text); err != nil {
			return err
		}
		for _, a := range engine.Explain(text) {
			r.Conditions = append(r.Conditions, inspectCondition{a, a.Start, a.End})
		}
		r.Scores = scores(model, text)
	}
	if c.JSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(r)
	}
	return r.print(out, text)
}

func (c *InspectCmd) text(in io.Reader) (string, error) {
	switch {
	case c.Stream < 0:
		return "", fault.Invalid("stream", "cli.bad_stream")
	case len(c.Text) > 0 && c.File != "":
		return "", fault.Invalid("file", "cli.text_twice")
	case len(c.Text) > 0:
		return strings.Join(c.Text, " "), nil
	case c.File != "":
		b, err := os.ReadFile(c.File)
		return string(b), err
	}
	b, err := io.ReadAll(in)
	return string(b), err
}

// rules also gives the line of each term, by its id.
func (c *InspectCmd) rules() (inspect.Rules, map[string]int, error) {
	action, err := inspect.ParseAction(c.Action)
	if err != nil {
		return inspect.Rules{}, nil, err
	}
	rules := inspect.Rules{MaxHold: inspect.WidestHold}
	kinds := c.Numbers
	if slices.Contains(kinds, "all") {
		kinds = inspect.Kinds()
	}
	for _, kind := range kinds {
		if kind != "none" {
			rules.Checks = append(rules.Checks, inspect.Check{ID: kind, Kind: kind, Action: action})
		}
	}
	for _, name := range c.Rules {
		more := injection.Rules(action)
		if name != "injection" {
			file, err := os.ReadFile(name)
			if err != nil {
				return rules, nil, err
			}
			if more.Sets, more.Rules, err = inspect.ReadRules(file); err != nil {
				return rules, nil, fault.Invalid("rules", "cli.bad_rules", "file", name).Because(err)
			}
		}
		for i := range more.Rules {
			if more.Rules[i].Action == inspect.Allow {
				more.Rules[i].Action = action
			}
		}
		rules.Sets, rules.Rules = append(rules.Sets, more.Sets...), append(rules.Rules, more.Rules...)
	}
	if err := known(c.Channel, rules.Rules); err != nil {
		return rules, nil, err
	}
	rules = rules.In(c.Channel, c.Audience)
	if c.Lexicon == "" {
		return rules, nil, nil
	}
	file, err := os.ReadFile(c.Lexicon)
	if err != nil {
		return rules, nil, err
	}
	terms, lines, err := readTerms(string(file), action, c.Plain)
	if err != nil {
		return rules, nil, fmt.Errorf("%s: %w", c.Lexicon, err)
	}
	rules.Terms = terms
	return rules, lines, nil
}

// known refuses a channel that is none of the usual ones and that no rule names: no rule would be in force in it.
func known(channel string, rules []inspect.Rule) error {
	valid := []string{injection.Input, "output", injection.Tool, injection.Document}
	for _, rule := range rules {
		for _, c := range rule.Channels {
			if !slices.Contains(valid, c) {
				valid = append(valid, c)
			}
		}
	}
	if slices.Contains(valid, channel) {
		return nil
	}
	return fault.Invalid("channel", "cli.bad_channel", "channel", channel, "valid", strings.Join(valid, ", "))
}

// readTerms reads a list of terms or a table of them, and the line of each id. Errors name the line, never the term.
func readTerms(file string, action inspect.Action, plain bool) ([]inspect.Term, map[string]int, error) {
	var columns []string
	var terms []inspect.Term
	lines := map[string]int{}
	number := 0
	for line := range strings.Lines(file) {
		number++
		line = strings.TrimRight(strings.TrimPrefix(line, "\ufeff"), "\r\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		row := strings.Split(line, "\t")
		if columns == nil && terms == nil && slices.Contains(row, "term") {
			columns = row
			continue
		}
		t := inspect.Term{ID: strconv.Itoa(number), Action: action}
		if columns == nil {
			t.Text = row[0] // a plain list; what stands behind a tab is a remark
		}
		var matching inspect.Matching
		for i, name := range columns {
			if i == len(row) {
				break
			}
			if err := setColumn(&t, &matching, name, row[i]); err != nil {
				return nil, nil, fmt.Errorf("line %d: %s: %w", number, name, err)
			}
		}
		var err error
		if t.Disguise, err = matching.Of(t.Text, t.Contexts...); plain {
			t.Disguise, err = matching.Over(inspect.Disguise{}, t.Text)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("line %d: matching: %w", number, err)
		}
		if len(t.Contexts) > 0 && t.Window == 0 {
			t.Window = 24
		}
		if first := lines[t.ID]; first > 0 {
			return nil, nil, fmt.Errorf("line %d: id: used on line %d", number, first)
		}
		lines[t.ID] = number
		terms = append(terms, t)
	}
	return terms, lines, nil
}

func setColumn(t *inspect.Term, m *inspect.Matching, name, value string) (err error) {
	switch name {
	case "id":
		t.ID = value
	case "term":
		t.Text = value
	case "action":
		if value != "" {
			t.Action, err = inspect.ParseAction(value)
		}
	case "risk":
		t.Risk = value
	case "topic":
		t.Topic = value
	case "replacement":
		t.Replacement = value
	case "contexts":
		if value != "" {
			t.Contexts = strings.Split(value, "|")
		}
	case "window":
		t.Window, err = strconv.Atoi(value)
	case "matching":
		if *m, err = inspect.ParseMatching(value); err != nil {
			return fault.Invalid("matching", "cli.bad_matching", "value", value).Because(err)
		}
	}
	return err
}

func (r *inspectReport) take(matches []inspect.Match) {
	for _, m := range matches {
		r.Matches = append(r.Matches, inspectMatch{ID: m.RuleID, Kind: m.Kind, Action: m.Action, Risk: m.Risk, Topic: m.Topic,
			Start: m.Start, End: m.End, FirstRune: m.FirstRune, EndRune: m.EndRune, Gap: m.Gap, Via: m.Via.String(), Score: m.Score, Encoding: m.Encoding})
	}
}

func (c *InspectCmd) look(engine *inspect.Engine, text string) (r inspectReport, verdict inspect.Verdict) {
	r.Matches = []inspectMatch{}
	if c.Stream == 0 {
		res := engine.Scan(text)
		r.Released = res.Released
		r.take(res.Matches)
		verdict.Add(inspect.Place{Channel: c.Channel}, res.Matches)
		return r, verdict
	}
	s := engine.NewStream()
	var released strings.Builder
	step := func(in string, st inspect.Step) {
		r.take(st.Matches)
		verdict.AddStep(inspect.Place{Channel: c.Channel}, st)
		released.WriteString(st.Released)
		r.Steps = append(r.Steps, inspectStep{in, st.Released, st.Held, st.Blocked})
	}
	for rest := text; rest != ""; {
		end := 0
		for n := 0; n < c.Stream && end < len(rest); n++ {
			_, w := utf8.DecodeRuneInString(rest[end:])
			end += w
		}
		step(rest[:end], s.Write(rest[:end]))
		rest = rest[end:]
	}
	step("", s.Close())
	r.Released = released.String()
	return r, verdict
}

func foldedText(t *fold.Table, text string) string {
	var out strings.Builder
	for _, r := range text {
		switch f := t.Rune(r); f {
		case fold.Skip:
		case fold.Break:
			out.WriteRune(utf8.RuneError)
		default:
			out.WriteRune(f)
		}
	}
	return out.String()
}

// candidates looks for the terms as if they asked for less, and says what kept each from being a hit.
func candidates(terms []inspect.Term, r inspectReport, text string) ([]inspectCandidate, error) {
	if len(terms) == 0 {
		return nil, nil
	}
	entries := make([]match.Entry, len(terms))
	for i, t := range terms {
		entries[i] = match.Entry{Text: t.Text, Loose: t.Loose, Sound: t.Sound, Spell: t.Spell, Parts: t.Parts, Repeat: t.Repeat}
		if entries[i].Loosely() {
			entries[i].Gap = match.MaxGap
		}
	}
	wide, err := match.Build(entries)
	if err != nil {
		return nil, err
	}
	for i, t := range terms {
		entries[i].Gap = 0
		if entries[i].Loosely() {
			entries[i].Gap = t.Gap
		}
	}
	near, err := match.Build(entries)
	if err != nil {
		return nil, err
	}
	for i, t := range terms {
		entries[i].Word = t.Word
	}
	whole, err := match.Build(entries)
	if err != nil {
		return nil, err
	}
	within, words := near.Scan(nil, text), whole.Scan(nil, text)
	out := []inspectCandidate{}
	for _, h := range wide.Scan(nil, text) {
		c := inspectCandidate{ID: terms[h.Entry].ID, Start: h.Start, End: h.End, Gap: h.Gap, Via: h.Via.String(), Why: "fired"}
		c.Fired = slices.ContainsFunc(r.Matches, func(m inspectMatch) bool {
			return m.Kind == inspect.KindTerm && m.ID == c.ID && m.Start == c.Start && m.End == c.End
		})
		switch {
		case c.Fired:
		case !slices.Contains(within, h):
			c.Why = "gap"
		case !slices.Contains(words, h):
			c.Why = "word"
		case r.Action == inspect.Block && len(terms[h.Entry].Contexts) == 0:
			c.Why = "behind_block"
		default:
			c.Why = "context"
		}
		out = append(out, c)
	}
	return out, nil
}

func (r inspectReport) print(out io.Writer, text string) error {
	w := bufio.NewWriter(out)
	for _, s := range r.Steps {
		fmt.Fprintf(w, "in %q\tout %q\theld %d\n", s.In, s.Released, s.Held)
	}
	if r.Strict != "" || r.Loose != "" {
		fmt.Fprintf(w, "strict\t%q\nloose\t%q\n", r.Strict, r.Loose)
	}
	for _, c := range r.Candidates {
		fmt.Fprintf(w, "candidate\t%s\t%q\tgap %d\tvia %s\t%s\n", c.ID, text[c.Start:c.End], c.Gap, c.Via, c.Why)
	}
	for _, c := range r.Conditions {
		fmt.Fprintf(w, "condition\t%s\t%q\t%s\n", c.RuleID, text[c.Start:c.End], c.Outcome)
		for _, p := range c.Parts {
			fmt.Fprintf(w, "\t%s\t%d of %d\t%s\n", p.Part, p.Found, p.Need, p.Holds)
		}
	}
	for _, s := range r.Scores {
		reached := ""
		if s.Reached {
			reached = "\treached"
		}
		fmt.Fprintf(w, "score\t%s\t%.3f\tthreshold %.3f%s\n", s.Head, s.Probability, s.Threshold, reached)
	}
	for _, k := range r.Risks {
		fmt.Fprintf(w, "risk\t%s\t%s\tscore %.3f\thits %d\t%s\n", cmp.Or(k.Risk, "-"), k.Action, k.Score, k.Hits, strings.Join(k.Rules, ", "))
	}
	for _, m := range r.Matches {
		via := m.Via
		if m.Encoding != "" {
			via += " in " + m.Encoding
		}
		fmt.Fprintf(w, "%s\t%s\t%q\tcharacters %d–%d\tgap %d\tvia %s\n", m.Action, m.ID, text[m.Start:m.End], m.FirstRune, m.EndRune, m.Gap, via)
	}
	if r.Unread > 0 {
		fmt.Fprintf(w, "unread\t%d bytes said in encodings\n", r.Unread)
	}
	fmt.Fprintf(w, "%s\t%q\n", r.Action, r.Released)
	return w.Flush()
}
