package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/fengsui/fengsui/internal/inspect/classify"
	"github.com/fengsui/fengsui/internal/inspect/classify/train"
)

// TrainCmd makes a classifier of an operator's own samples, without a server or a data folder.
//
//	fengsui train --out own.model complaints.jsonl forum.jsonl
//	fengsui train --report complaints.jsonl forum.jsonl
//	fengsui inspect --model own.model "text to look at"
//
// A file has one sample a line: {"text": "…", "label": 1, "risk": "A.2.e"}. Label is 1 or 0, true or false. A line with a
// risk answers for the head of that risk alone; without one, label 1 answers for the head --head, and label 0 says that
// the text is nothing of all.
//
// Seven tenths of the samples are learned from, one tenth chooses thresholds, two tenths are reported on; which is told by
// the text itself. With --report and several files, a model of all other files is tried on each first: that is what to
// expect of text from elsewhere. The same files and seed give the same model.
type TrainCmd struct {
	Samples     []string `arg:"" name:"file" help:"Files of samples, one JSON object a line: text, label and, if any, risk."`
	Out         string   `placeholder:"FILE" help:"Where to write the model."`
	Report      bool     `help:"Try each file on a model of the others as well."`
	Head        string   `default:"own" help:"What to call the head of samples without a risk."`
	FalseAlarms float64  `default:"0.005" help:"Share of the harmless texts that may reach the threshold (default: ${default})."`
	Seed        uint64   `default:"1" help:"For the order in which samples are learned (default: ${default})."`
}

// Run trains, prints the report to out and writes the model.
func (c *TrainCmd) Run(out io.Writer) error {
	switch {
	case c.Out == "" && !c.Report:
		return errors.New("--out: say where to write the model, or ask for a --report only")
	case !(c.FalseAlarms > 0 && c.FalseAlarms <= 0.5):
		return errors.New("--false-alarms: above 0, at most 0.5")
	case c.Head == "":
		return errors.New("--head: is empty")
	}
	files := make([][]train.Line, len(c.Samples))
	for i, name := range c.Samples {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		files[i], err = train.ReadLines(file)
		if err := errors.Join(err, file.Close()); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "tried on\tlearned from\thead\tthreshold\tfound\tfalse alarms\tAUC")
	if c.Report && len(files) > 1 {
		for i := range files {
			var others []train.Line
			for k, lines := range files {
				if k != i {
					others = append(others, lines...)
				}
			}
			name := filepath.Base(c.Samples[i])
			fit, choose, rest := c.parts(others)
			model, err := c.fit(others, append(fit, rest...), choose)
			if err != nil {
				fmt.Fprintf(w, "%s\tthe others\t%v\n", name, err)
				continue
			}
			c.try(w, model, files[i], name, "the others")
		}
	}
	var all []train.Line
	for _, lines := range files {
		all = append(all, lines...)
	}
	fit, choose, rest := c.parts(all)
	model, err := c.fit(all, fit, choose)
	if err != nil {
		return errors.Join(w.Flush(), err)
	}
	c.try(w, model, rest, "two tenths", "the rest of all")
	if err := w.Flush(); err != nil || c.Out == "" {
		return err
	}
	var file bytes.Buffer
	if err := model.Write(&file); err != nil {
		return err
	}
	if err := os.WriteFile(c.Out, file.Bytes(), 0o644); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "wrote %s, %d bytes\n", c.Out, file.Len())
	return err
}

func (c *TrainCmd) parts(lines []train.Line) (fit, choose, rest []train.Line) {
	for _, l := range lines {
		switch part := train.Part(l.Text); {
		case part < 7:
			fit = append(fit, l)
		case part == 7:
			choose = append(choose, l)
		default:
			rest = append(rest, l)
		}
	}
	return fit, choose, rest
}

// fit trains the heads that all lines together ask for.
func (c *TrainCmd) fit(all, fit, choose []train.Line) (*classify.Model, error) {
	heads := train.Heads(all, c.Head)
	for i := range heads {
		heads[i].FalseAlarms = c.FalseAlarms
	}
	return train.Fit(train.Answers(fit, heads, c.Head), train.Answers(choose, heads, c.Head), train.Options{Heads: heads, Seed: c.Seed, Note: "trained by an operator"})
}

func (c *TrainCmd) try(w io.Writer, m *classify.Model, lines []train.Line, on, from string) {
	list := m.Heads()
	var asked []train.Head
	for _, h := range list {
		asked = append(asked, train.Head{ID: h.ID, Risk: h.Risk})
	}
	for h, head := range list {
		var of []float64
		var yes []bool
		for _, s := range train.Answers(lines, asked, c.Head) {
			if s.Answer[h] != train.Unknown {
				of, yes = append(of, m.Scores(nil, s.Text)[h]), append(yes, s.Answer[h] == train.Yes)
			}
		}
		f := train.Measure(of, yes, head.Threshold)
		fmt.Fprintf(w, "%s\t%s\t%s\t%.3f\t%s\t%s\t%.3f\n", on, from, head.ID, head.Threshold, train.Share(f.Hits, f.Yes), train.Share(f.Alarms, f.No), f.AUC)
	}
}
