package api

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fengsui/fengsui/internal/monitor/anomaly"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/standard"
)

// RuleRow is one rule in force, for people to read: what it is called, what it says in short, where it comes
// from and how sure we are of it. A rule of our own has no edition.
type RuleRow struct {
	List string        `json:"list" enum:"type,risk,factor,grading,level,cac,obligation,report_item,number,detection"`
	ID   string        `json:"id"`
	Name standard.Name `json:"name"`
	Says standard.Name `json:"says"`
	Cite standard.Cite `json:"cite"`
}

// Rules are the rules in force and the editions that they come from.
type Rules struct {
	Editions []standard.Edition `json:"editions"`
	Rules    []RuleRow          `json:"rules"`
}

func (a *API) rules() {
	get(a, operation{path: "/rules", id: "list-rules", room: "govern", summary: "The rules in force, where each comes from and whether it was checked against the text"}, func(context.Context, store.Actor, *none) (Rules, error) {
		detection, err := anomaly.LoadRules()
		if err != nil {
			return Rules{}, err
		}
		return Rules{Editions: a.Book.Editions(), Rules: append(standardRules(a.Book), a.detectionRules(detection.Edition, detection.Rules)...)}, nil
	})
}

// names finds what the standards call an id.
type names map[string]standard.Name

func (n names) of(id string) standard.Name {
	if name, ok := n[id]; ok {
		return name
	}
	return standard.Name{ZH: id, EN: id}
}

func joined(sep string, all ...standard.Name) standard.Name {
	var zh, en []string
	for _, n := range all {
		if n.ZH != "" || n.EN != "" {
			zh, en = append(zh, n.ZH), append(en, n.EN)
		}
	}
	return standard.Name{ZH: strings.Join(zh, sep), EN: strings.Join(en, sep)}
}

func plain(s string) standard.Name { return standard.Name{ZH: s, EN: s} }

func span(ms int64) string {
	return strings.TrimSuffix(strings.TrimSuffix((time.Duration(ms)*time.Millisecond).String(), "0s"), "0m")
}

func standardRules(book *standard.Book) []RuleRow {
	out, n := []RuleRow{}, names{}
	add := func(list, id string, name, says standard.Name, cite standard.Cite) {
		n[id] = name
		out = append(out, RuleRow{list, id, name, says, cite})
	}
	for _, t := range book.Types() {
		add("type", t.ID, t.Name, standard.Name{}, t.Cite)
		for _, s := range t.Subtypes {
			if s.ID == t.ID { // a type that is its own only subtype
				continue
			}
			add("type", s.ID, s.Name, t.Name, s.Cite)
		}
	}
	for _, g := range book.RiskGroups() {
		for _, k := range g.Risks {
			add("risk", k.ID, k.Name, g.Name, k.Cite)
		}
	}
	levels := map[string]standard.Name{} // ids of levels are those of one factor alone
	for _, f := range book.Factors() {
		add("factor", f.ID, f.Name, standard.Name{}, f.Cite)
		for _, l := range f.Levels {
			levels[f.ID+"."+l.ID] = l.Name
			add("factor", f.ID+"."+l.ID, l.Name, f.Name, l.Cite)
		}
	}
	for _, t := range book.Tables() {
		for _, r := range t.Rows {
			for _, c := range r.Cells {
				says, cite := book.LevelName(c.Level), c.Cite
				if c.Empty {
					says, cite = joined(" → ", plain("—"), book.LevelName(c.Working)), *c.WorkingCite // the table is silent; the working level is ours
				}
				add("grading", t.ID+"."+r.Importance+"."+c.Column, joined(" × ", levels[standard.FactorImportance+"."+r.Importance], levels[t.Factor+"."+c.Column]), says, cite)
			}
		}
	}
	measures := names{}
	for _, m := range book.Measures() {
		measures[m.ID] = m.Name
	}
	for _, l := range book.Levels() {
		says := measures.of(l.Must)
		for _, m := range l.May {
			says = joined(" / ", says, measures.of(m))
		}
		add("level", strconv.Itoa(l.Level), joined(" · ", l.Name, l.Title), says, l.Cite)
	}
	grades := names{}
	for _, g := range book.CACGrades() {
		grades[string(g.ID)] = g.Name
		add("cac", string(g.ID), g.Name, standard.Name{}, g.Cite)
	}
	for _, i := range book.Indicators() {
		for _, c := range i.Cells {
			says := grades.of(string(c.Grade))
			if i.Kind == standard.IndicatorMeasured {
				says = joined(" → ", plain("≥ "+amount(c.AtLeast, i.Unit)), says)
			}
			add("cac", i.ID+"."+string(c.Grade), i.Name, says, c.Cite)
		}
	}
	to := names{}
	for _, p := range book.Recipients() {
		to[p.ID] = p.Name
	}
	for _, r := range book.Rules() {
		due := standard.Name{}
		if r.Due.Kind == standard.DueWithin {
			due = plain("≤ " + span(r.Due.Ms))
		}
		add("obligation", r.ID, r.Name, joined(" · ", to.of(r.Recipient), due), r.Cite)
	}
	for _, s := range book.ItemSets() {
		for _, i := range s.Items {
			add("report_item", s.ID+"."+i.ID, i.Name, joined(" ", s.Name, plain(strconv.Itoa(i.No))), i.Cite)
		}
	}
	for _, x := range book.HotEvent().Numbers {
		add("number", x.ID, plain(x.ID), plain(amount(x.Value, x.Unit)), x.Cite)
	}
	return out
}

// amount says a number in its unit.
func amount(v int64, unit string) string {
	switch unit {
	case "ms":
		return span(v)
	case "basis_points":
		return strconv.FormatFloat(float64(v)/100, 'f', -1, 64) + "%"
	}
	return strconv.FormatInt(v, 10)
}

// detectionRules are ours: the standards give no numbers for them.
func (a *API) detectionRules(edition string, rules []anomaly.Rule) (out []RuleRow) {
	for _, r := range rules {
		name := plain(r.ID)
		if t, ok := a.catalog.Text("signal_rule." + r.ID); ok {
			name = standard.Name{ZH: t.ZH, EN: t.EN}
		}
		says := fmt.Sprintf("n ≥ %d", max(r.Threshold, 1))
		if w := time.Duration(r.Window); w > 0 {
			says += " / " + span(w.Milliseconds())
		}
		if len(r.Match.Risks) > 0 {
			says += " · " + strings.Join(r.Match.Risks, " ")
		}
		out = append(out, RuleRow{List: "detection", ID: r.ID, Name: name, Says: plain(says), Cite: standard.Cite{Clause: "rules.yaml " + edition, Source: "I"}})
	}
	return out
}
