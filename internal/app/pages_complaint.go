package app

import (
	"context"
	"html/template"
	"net/http"
	"net/url"
	"slices"

	"github.com/fengsui/fengsui/internal/monitor/intake"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/service"
)

// maxForm bounds a posted form, in bytes: every field full of Chinese, in percent signs, fits.
const maxForm = 256 << 10

// complaintForm is the form of one kind with what was typed into it, or the receipt.
type complaintForm struct {
	intake.Submission
	Kinds    []string
	Harms    []string
	Services []service.Service
	Receipt  *intake.Receipt
	Progress *intake.Progress
	Number   string // of a look-up; the code is not shown again
}

func newComplaintForm(r *http.Request) complaintForm {
	f := complaintForm{Kinds: []string{intake.KindComplaint, intake.KindReport, intake.KindRights}, Harms: intake.Harms()}
	f.Submission = intake.Submission{Kind: r.FormValue("kind"), ServiceID: r.FormValue("service"), ContentNo: r.FormValue("content"), Text: r.FormValue("text"), Contact: r.FormValue("contact"),
		Harm: r.FormValue("harm"), Work: r.FormValue("work"), Proof: r.FormValue("proof"), Links: r.FormValue("links"), GoodFaith: r.FormValue("good_faith") != ""}
	if r.Method == http.MethodGet && !slices.Contains(f.Kinds, f.Kind) {
		f.Kind = intake.KindComplaint
	}
	return f
}

func (p *pages) complaint(w http.ResponseWriter, r *http.Request, code int, g page, f complaintForm) {
	g.Data, g.Query = f, template.URL(url.Values{"kind": {f.Kind}, "content": {f.ContentNo}, "service": {f.ServiceID}}.Encode())
	p.render(w, r, code, "complaint.html", g)
}

func (p *pages) form(w http.ResponseWriter, r *http.Request) {
	f := newComplaintForm(r)
	var err error
	if f.Services, err = p.services(r.Context()); err != nil {
		p.complaint(w, r, http.StatusServiceUnavailable, page{Error: p.catalog.Say(p.lang(r), "page.unavailable")}, f)
		return
	}
	p.complaint(w, r, http.StatusOK, page{}, f)
}

// services are those that the public knows of: no drill's.
func (p *pages) services(ctx context.Context) ([]service.Service, error) {
	all, err := service.List[service.Service](ctx, p.house.Store.Read(), "")
	out := []service.Service{}
	for _, s := range all {
		if s.Kind == "real" {
			out = append(out, s)
		}
	}
	return out, err
}

// submit takes a form. Whatever goes wrong, the answer is the form with all that was typed.
func (p *pages) submit(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	tooLarge := r.ParseForm()
	f := newComplaintForm(r)
	f.Language = string(p.lang(r))
	var err error
	f.Services, err = p.services(r.Context())
	switch {
	case tooLarge != nil:
		err = fault.Invalid("", "page.form_unreadable").Because(tooLarge)
	case err == nil && !p.allow(w, r):
		err = fault.Unavailable("page.too_many")
	}
	if err == nil {
		err = p.house.Store.Write(r.Context(), store.System("intake"), func(tx *store.Tx) error {
			receipt, err := p.house.SubmitComplaint(r.Context(), tx, f.Submission)
			f.Receipt = &receipt
			return err
		})
	}
	if err != nil {
		f.Receipt = nil
		code, field, say := p.say(p.lang(r), err)
		p.complaint(w, r, code, page{Error: say, Field: field}, f)
		return
	}
	p.complaint(w, r, http.StatusOK, page{}, f)
}

// progress answers who has number and code.
func (p *pages) progress(w http.ResponseWriter, r *http.Request) {
	f := complaintForm{}
	if r.Method == http.MethodGet {
		p.render(w, r, http.StatusOK, "progress.html", page{Data: f})
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	f.Number = r.FormValue("number")
	err := error(fault.Unavailable("page.too_many"))
	if p.allow(w, r) {
		var g intake.Progress
		if g, err = p.house.Intake.Lookup(r.Context(), p.house.Store.Read(), f.Number, r.FormValue("code")); err == nil {
			f.Progress = &g
		}
	}
	if err != nil {
		code, field, say := p.say(p.lang(r), err)
		p.render(w, r, code, "progress.html", page{Error: say, Field: field, Data: f})
		return
	}
	p.render(w, r, http.StatusOK, "progress.html", page{Data: f})
}
