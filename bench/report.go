package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// report is everything that one call of bench found out.
type report struct {
	Command string   `json:"command"`
	Machine machine  `json:"machine"`
	Runs    int      `json:"runs"`
	TookS   float64  `json:"took_s"`
	Tables  []table  `json:"tables"`
	LeftOut []string `json:"left_out,omitempty"` // parts that could not be measured here, and why
}

// table holds figures of one kind. Keys are the headings of the columns that tell rows apart.
type table struct {
	Part  string   `json:"part"`
	Title string   `json:"title"`
	Keys  []string `json:"keys"`
	Rows  []row    `json:"rows"`
	Notes []string `json:"notes,omitempty"`
}

type row struct {
	Keys    []string `json:"keys"`
	Figures []figure `json:"figures"` // the same in every row of a table
}

// figure is one quantity with its value in every run, in order.
type figure struct {
	Name   string    `json:"name"`
	Unit   string    `json:"unit,omitzero"`
	Median float64   `json:"median"`
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
	Values []float64 `json:"values"`
}

func newFigure(name, unit string, values []float64) figure {
	f := figure{Name: name, Unit: unit, Values: values}
	if len(values) == 0 {
		return f
	}
	sorted := slices.Sorted(slices.Values(values))
	f.Min, f.Max = sorted[0], sorted[len(sorted)-1]
	if n := len(sorted); n%2 == 1 {
		f.Median = sorted[n/2]
	} else {
		f.Median = (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return f
}

// series collects figures run by run; their order is that of the first run.
type series struct {
	names, units []string
	values       map[string][]float64
}

func (s *series) add(name, unit string, v float64) {
	s.none(name, unit)
	s.values[name] = append(s.values[name], v)
}

// none keeps the place of a figure that this row does not have.
func (s *series) none(name, unit string) {
	if s.values == nil {
		s.values = map[string][]float64{}
	}
	if _, known := s.values[name]; !known {
		s.names, s.units = append(s.names, name), append(s.units, unit)
		s.values[name] = nil
	}
}

func (s *series) figures() []figure {
	var out []figure
	for i, name := range s.names {
		out = append(out, newFigure(name, s.units[i], s.values[name]))
	}
	return out
}

// percentile is the smallest value that at least p of all values (0 < p ≤ 1) do not exceed. It sorts in place.
func percentile(d []time.Duration, p float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[max(0, int(math.Ceil(p*float64(len(d))))-1)]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// number shows three significant digits, or all of a large whole number.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1000:
		s := fmt.Sprintf("%.0f", a)
		for i := len(s) - 3; i > 0; i -= 3 {
			s = s[:i] + "," + s[i:]
		}
		if v < 0 {
			s = "-" + s
		}
		return s
	case a >= 100 || v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 0.1:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.3f", v)
	}
}

func (f figure) cell() string {
	if len(f.Values) == 0 {
		return "–"
	}
	if f.Min == f.Max {
		return number(f.Median)
	}
	return fmt.Sprintf("%s (%s–%s)", number(f.Median), number(f.Min), number(f.Max))
}

func (f figure) heading() string {
	if f.Unit == "" {
		return f.Name
	}
	return f.Name + ", " + f.Unit
}

func (r report) writeJSON(w io.Writer) error {
	return json.MarshalWrite(w, r, jsontext.Multiline(true))
}

func (r report) writeMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "`%s` · %s\n\n", r.Command, r.Machine)
	fmt.Fprintf(&b, "Median of %d runs (smallest–largest). Ratios are taken inside each run. The whole took %.0f s.\n", r.Runs, r.TookS)
	for _, t := range r.Tables {
		t.section(&b)
	}
	for _, why := range r.LeftOut {
		fmt.Fprintf(&b, "\nLeft out: %s.\n", why)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// section is the table with its title and notes.
func (t table) section(b *strings.Builder) {
	fmt.Fprintf(b, "\n### %s\n\n", t.Title)
	t.write(b)
	for i, n := range t.Notes {
		if i == 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(b, "- %s\n", n)
	}
}

func (t table) write(b *strings.Builder) {
	line := func(cells []string) {
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	head := slices.Clone(t.Keys)
	rule := slices.Repeat([]string{"---"}, len(head))
	if len(t.Rows) > 0 {
		for _, f := range t.Rows[0].Figures {
			head, rule = append(head, f.heading()), append(rule, "---:")
		}
	}
	line(head)
	line(rule)
	for _, r := range t.Rows {
		cells := slices.Clone(r.Keys)
		for _, f := range r.Figures {
			cells = append(cells, f.cell())
		}
		line(cells)
	}
}
