package app

import (
	"bytes"
	"context"
	"embed"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/fengsui/fengsui/internal/api"
	"github.com/fengsui/fengsui/internal/flow"
	"github.com/fengsui/fengsui/internal/monitor/intake"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/service"
)

//go:embed pages/*
var pageFS embed.FS

// pages serves what must work on any phone without scripts: the status page, the complaint form, its
// answer, and the probes and metrics for machines.
type pages struct {
	house   *flow.House
	catalog *locale.Catalog
	tmpl    *template.Template
	limit   *api.Limiter
}

func (a *App) pages(mux *http.ServeMux, catalog *locale.Catalog) {
	p := &pages{house: a.House, catalog: catalog, limit: api.NewLimiter(20, time.Minute)}
	p.tmpl = template.Must(template.New("").Funcs(template.FuncMap{
		"dict": func(p page, rows []flow.Count, area string) any {
			return struct {
				Page page
				Rows []flow.Count
				Area string
			}{p, rows, area}
		},
		"beijing": func(ms int64) string {
			return time.UnixMilli(ms).In(time.FixedZone("", 8*3600)).Format("2006-01-02 15:04:05")
		},
	}).ParseFS(pageFS, "pages/*.html"))
	mux.Handle("GET /healthz", a.checks.Live())
	mux.Handle("GET /readyz", a.checks.Ready())
	mux.Handle("GET /metrics", a.metrics.Handler())
	mux.HandleFunc("GET /status", p.status)
	a.console(mux, p)
	mux.HandleFunc("GET /complaint", p.form)
	mux.HandleFunc("POST /complaint", p.submit)
	mux.HandleFunc("GET /complaint/status", p.progress)
	mux.HandleFunc("POST /complaint/status", p.progress)
	mux.HandleFunc("GET /welcome/{token}", p.welcome)
	mux.HandleFunc("POST /welcome/{token}", p.welcome)
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		http.ServeFileFS(w, r, pageFS, "pages/style.css")
	})
}

// page is what every template is given.
type page struct {
	Lang    locale.Lang
	Other   locale.Lang
	Path    string
	Refresh int // seconds; 0 = never
	Error   string
	Data    any
	catalog *locale.Catalog
}

// T says the sentence of a key in the page's language.
func (p page) T(key string, args ...any) string { return p.catalog.Say(p.Lang, key, args...) }

func (p *pages) render(w http.ResponseWriter, r *http.Request, status int, name string, g page) {
	g.Lang = locale.Parse(r.Header.Get("Accept-Language"))
	if l := r.FormValue("lang"); l != "" {
		g.Lang = locale.Parse(l)
	}
	g.Other, g.Path, g.catalog = locale.EN, r.URL.Path, p.catalog
	if g.Lang == locale.EN {
		g.Other = locale.ZH
	}
	var out bytes.Buffer
	if err := p.tmpl.ExecuteTemplate(&out, name, g); err != nil {
		http.Error(w, "template", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // the reader is gone if this fails
}

func (p *pages) status(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	s, err := p.house.Status(ctx)
	g := page{Data: s, Refresh: 5}
	code := http.StatusOK
	if err != nil {
		g.Error, code = p.catalog.Say(locale.ZH, "page.unavailable"), http.StatusServiceUnavailable
	}
	p.render(w, r, code, "status.html", g)
}

type complaintForm struct {
	Services                                 []service.Service
	Receipt                                  *intake.Receipt
	ServiceID, Kind, ContentNo, Text, Answer string
	Progress                                 *intake.Progress
}

func (p *pages) form(w http.ResponseWriter, r *http.Request) {
	services, err := p.services(r.Context())
	g := page{Data: complaintForm{Services: services, ContentNo: r.FormValue("content")}}
	if err != nil {
		p.render(w, r, http.StatusServiceUnavailable, "complaint.html", page{Error: p.catalog.Say(locale.ZH, "page.unavailable"), Data: complaintForm{}})
		return
	}
	p.render(w, r, http.StatusOK, "complaint.html", g)
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

func (p *pages) submit(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	services, err := p.services(r.Context())
	f := complaintForm{Services: services, ServiceID: r.FormValue("service"), Kind: r.FormValue("kind"), ContentNo: r.FormValue("content"), Text: r.FormValue("text")}
	lang := locale.Parse(r.Header.Get("Accept-Language"))
	if err == nil && !p.allow(w, r) {
		err = fault.Unavailable("page.too_many")
	}
	if err == nil {
		err = p.house.Store.Write(r.Context(), store.System("intake"), func(tx *store.Tx) error {
			receipt, err := p.house.SubmitComplaint(r.Context(), tx, intake.Submission{Kind: f.Kind, ServiceID: f.ServiceID, ContentNo: strings.TrimSpace(f.ContentNo), Text: f.Text, Contact: r.FormValue("contact"), Language: string(lang)})
			f.Receipt = &receipt
			return err
		})
	}
	if err != nil {
		f.Receipt = nil
		code, say := p.say(lang, err)
		p.render(w, r, code, "complaint.html", page{Error: say, Data: f})
		return
	}
	p.render(w, r, http.StatusOK, "complaint.html", page{Data: f})
}

func (p *pages) progress(w http.ResponseWriter, r *http.Request) {
	f := complaintForm{}
	if r.Method == http.MethodGet {
		p.render(w, r, http.StatusOK, "progress.html", page{Data: f})
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	err := error(fault.Unavailable("page.too_many"))
	if p.allow(w, r) {
		var g intake.Progress
		g, err = p.house.Intake.Lookup(r.Context(), p.house.Store.Read(), r.FormValue("number"), r.FormValue("code"))
		f.Progress = &g
	}
	if err != nil {
		code, say := p.say(locale.Parse(r.Header.Get("Accept-Language")), err)
		p.render(w, r, code, "progress.html", page{Error: say, Data: complaintForm{}})
		return
	}
	p.render(w, r, http.StatusOK, "progress.html", page{Data: f})
}

// allow counts a submission; one too many is told when to come back.
func (p *pages) allow(w http.ResponseWriter, r *http.Request) bool {
	ok := p.limit.Allow(p.house.Store.Clock().Now(), r.RemoteAddr)
	if !ok {
		w.Header().Set("Retry-After", p.limit.RetryAfter())
	}
	return ok
}

func (p *pages) say(lang locale.Lang, err error) (int, string) {
	code := map[fault.Kind]int{fault.KindInvalid: 422, fault.KindNotFound: 404, fault.KindConflict: 409}[fault.KindOf(err)]
	if fault.Is(err, "page.too_many") {
		code = http.StatusTooManyRequests
	}
	if code == 0 {
		code = http.StatusServiceUnavailable
	}
	var f *fault.Error
	if e, ok := err.(*fault.Error); ok {
		f = e
	}
	if f == nil {
		return code, p.catalog.Say(lang, "page.unavailable")
	}
	return code, p.catalog.Say(lang, f.Key, f.Args...)
}
