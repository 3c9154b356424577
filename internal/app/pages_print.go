package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/fengsui/fengsui/internal/api"
	"github.com/fengsui/fengsui/internal/flow"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/standard"
)

// sheet is an incident on paper: tables of plain text under a head and a foot that come again on each page.
type sheet struct {
	Number, Title, Mark, By string
	AtMs                    int64
	Parts                   []part
}

// part is one table; Title and Head are translation keys.
type part struct {
	Title  string
	Head   []string
	Rows   [][]string
	Unseen bool // not the reader's to see: that it is empty says nothing
}

// actor is who holds the token of a request, or else its session.
func (p *pages) actor(r *http.Request) (store.Actor, error) {
	if c, err := r.Cookie(api.SessionCookie); err == nil && r.Header.Get("Authorization") == "" {
		a, _, err := p.house.Login.Authenticate(r.Context(), c.Value)
		return a, err
	}
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return store.Actor{}, fault.Unauthenticated("identity.unknown")
	}
	return identity.Authenticate(r.Context(), p.house.Store.Read(), p.house.NowMs(), strings.TrimSpace(token))
}

// print gives an incident whole, for paper, to who may read it; everybody else learns nothing of it.
func (p *pages) print(w http.ResponseWriter, r *http.Request) {
	lang := p.lang(r)
	a, err := p.actor(r)
	var got flow.Printout
	if err == nil {
		got, err = p.house.Print(r.Context(), a, r.PathValue("id"))
	}
	if err != nil {
		code, _, say := p.say(lang, err)
		p.render(w, r, code, "sheet.html", page{Error: say, Data: sheet{}})
		return
	}
	p.render(w, r, http.StatusOK, "sheet.html", page{Data: p.sheet(lang, got)})
}

func (p *pages) sheet(lang locale.Lang, x flow.Printout) sheet {
	known := p.words()
	word := func(list, value string) string {
		switch n, ok := known[list+"."+value]; {
		case !ok:
			return value // a code without words is better shown than lost
		case lang == locale.EN:
			return n.EN
		default:
			return n.ZH
		}
	}
	at := func(ms int64) string {
		if ms == 0 {
			return "—"
		}
		return beijing(ms)
	}
	acted := map[string]bool{} // whoever is named below, and in any part of the dossier; only being let in is no act
	for id := range x.Dossier.Names {
		acted[id] = !slices.Contains(x.Access, id)
	}
	who := func(id string) string {
		if n := x.Names[id]; n != "" {
			acted[id] = true
			return n
		}
		if strings.HasPrefix(id, "system:") {
			return p.catalog.Say(lang, "page.system")
		}
		return id
	}
	yes := func(b bool) string {
		if b {
			return "✓ " + p.catalog.Say(lang, "page.yes")
		}
		return "✗ " + p.catalog.Say(lang, "page.no")
	}
	level := func(n int) string {
		if n == 0 {
			return "—"
		}
		return word("level", fmt.Sprint(n))
	}
	i := x.Incident
	out := sheet{Number: i.Number, Title: i.Title, By: who(x.By), AtMs: x.AtMs}
	if i.Kind != "real" {
		out.Mark = "【" + word("kind", i.Kind) + "】"
	}
	add := func(title, head string, rows [][]string) {
		out.Parts = append(out.Parts, part{Title: "page.print." + title, Head: strings.Fields(head), Rows: rows})
	}
	unless := func(hidden string) {
		out.Parts[len(out.Parts)-1].Unseen = slices.Contains(x.Unseen, hidden)
	}
	rows := func(n int, row func(k int) []string) (all [][]string) {
		for k := range n {
			all = append(all, row(k))
		}
		return all
	}
	dash := func(s string) string {
		if s == "" {
			return "—"
		}
		return s
	}
	two := func(first, second string) string { // whoever did it, and the second person
		if second == "" {
			return who(first)
		}
		return who(first) + " · " + who(second)
	}
	deployment := func(id string) string {
		if n := x.Deployments[id]; n != "" {
			return n
		}
		return dash(id)
	}
	final := "—"
	if x.Level.Final != nil {
		final = level(*x.Level.Final)
	}
	add("facts", "state kind working final stage declared by", [][]string{{word("incident.state", string(i.State)), word("kind", i.Kind), level(x.Level.Working), final, word("stage", x.Level.Stage), at(i.DeclaredMs), who(i.DeclaredBy)}})
	add("categories", "category risk rank part", rows(len(x.Categories), func(k int) []string {
		c := x.Categories[k]
		return []string{word("guide_type", c.GuideType), word("risk", c.Risk), word("rank", c.Rank), word("part", c.Part)}
	}))
	add("assessments", "at stage source importance loss harm working why by", rows(len(x.Assessments), func(k int) []string {
		s := x.Assessments[k]
		return []string{at(s.AtMs), word("stage", s.Stage), word("source", s.Source), word(standard.FactorImportance, s.Importance), word(standard.FactorBusinessLoss, s.BusinessLoss), word(standard.FactorSocialHarm, s.SocialHarm), level(s.WorkingLevel), strings.TrimSpace(word("reason", s.Reason) + " " + ground(s.Grading, s.Edition)), two(s.AssessedBy, s.SecondBy)}
	}))
	add("awareness", "at source by withdrawn", rows(len(x.Awareness), func(k int) []string {
		s := x.Awareness[k]
		return []string{at(s.AtMs), word("awareness_source", s.Source), who(s.EnteredBy), s.WithdrawnReason}
	}))
	add("clocks", "rule authority state due submitted receipt", rows(len(x.Obligations), func(k int) []string {
		o, due := x.Obligations[k], at(x.Obligations[k].DueMs)
		if o.AtOnce {
			due = p.catalog.Say(lang, "page.print.at_once")
		}
		return []string{word("obligation_rule", o.RuleID), word("recipient", o.Authority), word("obligation.state", o.State), due, at(o.SubmittedMs), o.Receipt}
	}))
	unless("obligations")
	add("orders", "rung state issued by ended acknowledged proven", rows(len(x.Orders), func(k int) []string {
		o := x.Orders[k]
		return []string{word("rung", string(o.Order.Rung)), word("order.state", string(o.Order.State)), at(o.Order.IssuedMs), who(o.Order.IssuedBy), at(o.Order.EndedMs), yes(o.Acknowledged), yes(o.Proven)}
	}))
	unless("orders")
	add("steps", "step role state due done by", rows(len(x.Tasks), func(k int) []string {
		s := x.Tasks[k]
		title := s.Title.ZH
		if lang == locale.EN {
			title = s.Title.EN
		}
		return []string{title, word("role", s.Role), word("task.state", string(s.State)), at(s.DueMs), at(s.DoneMs), who(s.DoneBy)}
	}))
	add("gates", "direction state ground requested by decided reason decided_by", rows(len(x.GateReviews), func(k int) []string {
		g := x.GateReviews[k]
		return []string{word("gate_review.direction", string(g.Direction)), word("gate_review.state", string(g.State)), dash(g.Ground), at(g.RequestedMs), who(g.RequestedBy), at(g.DecidedMs), dash(g.DecisionReason), dash(who(g.DecidedBy))}
	}))
	unless("orders") // gate reviews go with them
	add("seconds", "what object reason state requested by decided decided_by", rows(len(x.Seconds), func(k int) []string {
		s := x.Seconds[k]
		return []string{word("permission", s.Action), word("object", s.ObjectKind), dash(s.Reason), word("second.state", s.State), at(s.RequestedMs), who(s.RequestedBy), at(s.DecidedMs), dash(who(s.DecidedBy))}
	}))
	add("fact_checks", "at source verdict by", rows(len(x.FactChecks), func(k int) []string {
		f := x.FactChecks[k]
		return []string{at(f.AtMs), dash(f.Source), word("factcheck.verdict", f.Verdict), who(f.Checker)}
	}))
	add("fixes", "at cause fix deployment by", rows(len(x.Fixes), func(k int) []string {
		f := x.Fixes[k]
		return []string{at(f.FixedMs), f.Cause, f.Measure, deployment(f.DeploymentID), who(f.FixedBy)}
	}))
	add("tests", "at deployment state prompts samples harmful errors by", rows(len(x.ServiceTests), func(k int) []string {
		s := x.ServiceTests[k]
		return []string{at(s.StartedMs), deployment(s.DeploymentID), word("service_test.state", s.State), fmt.Sprint(s.Prompts), fmt.Sprint(s.Runs), fmt.Sprint(s.Harmful), fmt.Sprint(s.Errors), who(s.RunBy)}
	}))
	add("statements", "audience text drafted by approved approved_by", rows(len(x.Statements), func(k int) []string {
		s := x.Statements[k]
		return []string{word("audience", s.Audience), s.Text, at(s.DraftedMs), who(s.DraftedBy), at(s.ApprovedMs), dash(who(s.ApprovedBy))}
	}))
	add("closings", "state summary applied by verification verified verified_by", rows(len(x.Closings), func(k int) []string {
		c := x.Closings[k]
		return []string{word("closing.state", c.State), c.Summary, at(c.AppliedMs), who(c.AppliedBy), dash(c.Verification), at(c.VerifiedMs), dash(who(c.VerifiedBy))}
	}))
	add("evidence", "content side hash at by", rows(len(x.Evidence), func(k int) []string {
		e := x.Evidence[k]
		return []string{e.ContentNo, word("side", e.Side), e.SHA256, at(e.PinnedMs), who(e.PinnedBy)}
	}))
	add("reach", "answers subjects unknown first last", [][]string{{fmt.Sprint(x.Reach.Answers), fmt.Sprint(x.Reach.Subjects), fmt.Sprint(x.Reach.UnknownAnswers), at(x.Reach.FirstMs), at(x.Reach.LastMs)}})
	add("milestones", "step first last times", rows(len(x.Milestones), func(k int) []string {
		m := x.Milestones[k]
		return []string{word("milestone", m.Name), at(m.FirstMs), at(m.LastMs), fmt.Sprint(m.Times)}
	}))
	add("timeline", "index at action object by", rows(len(x.Moments), func(k int) []string {
		m := x.Moments[k]
		return []string{fmt.Sprint(m.Seq), at(m.AtMs), word("action", m.Action), strings.TrimSpace(word("object", m.ObjectKind) + " " + m.ObjectID), who(m.ActorID)}
	}))
	var names [][]string
	for id, did := range acted {
		if did {
			names = append(names, []string{dash(x.Names[id]), id})
		}
	}
	slices.SortFunc(names, slices.Compare)
	add("people", "name id", names)
	if c := x.Checkpoint; c != nil {
		add("checkpoint", "at size hash", [][]string{{at(c.AtMs), fmt.Sprint(c.Size), c.Root.String()}})
	}
	return out
}

// ground says where a level comes from: the edition, the clause and the cell that decided.
func ground(grading, edition string) string {
	var g standard.Grading
	if err := json.Unmarshal([]byte(grading), &g); err != nil { // a level of an authority has no grading of ours
		return edition
	}
	out := []string{edition}
	for _, s := range []string{g.Clause, g.Cell} {
		if s != "" {
			out = append(out, s)
		}
	}
	return strings.Join(out, " · ")
}

// unbroken reports whether a cell has something longer than a word, such as a hash, which may break anywhere.
func unbroken(s string) bool {
	return slices.ContainsFunc(strings.Fields(s), func(w string) bool {
		return len(w) > 20 && !strings.ContainsFunc(w, func(r rune) bool { return r > 0x2e80 })
	})
}
