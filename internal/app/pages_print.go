package app

import (
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
	who := func(id string) string {
		if n := x.Names[id]; n != "" {
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
		return []string{at(s.AtMs), word("stage", s.Stage), word("source", s.Source), word(standard.FactorImportance, s.Importance), word(standard.FactorBusinessLoss, s.BusinessLoss), word(standard.FactorSocialHarm, s.SocialHarm), level(s.WorkingLevel), strings.TrimSpace(word("reason", s.Reason) + " " + s.Edition), who(s.AssessedBy)}
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
	people := map[string]bool{i.DeclaredBy: true}
	for _, s := range x.Assessments {
		people[s.AssessedBy] = true
	}
	for _, s := range x.Tasks {
		people[s.DoneBy] = true
	}
	for _, o := range x.Orders {
		people[o.Order.IssuedBy] = true
	}
	var names [][]string
	for id := range people {
		if x.Names[id] != "" {
			names = append(names, []string{x.Names[id], id})
		}
	}
	slices.SortFunc(names, slices.Compare)
	add("people", "name id", names)
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
		return []string{fmt.Sprint(m.Seq - 1), at(m.AtMs), word("action", m.Action), strings.TrimSpace(word("object", m.ObjectKind) + " " + m.ObjectID), who(m.ActorID)}
	}))
	if c := x.Checkpoint; c != nil {
		add("checkpoint", "at size hash", [][]string{{at(c.AtMs), fmt.Sprint(c.Size), c.Root.String()}})
	}
	return out
}
