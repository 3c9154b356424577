package app

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/fengsui/fengsui/internal/api"
	"github.com/fengsui/fengsui/internal/flow"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/standard"
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
	acks    *api.Limiter
	logins  *api.Limiter // more of them, since a whole office may share an address
	log     *slog.Logger
	words   func() map[string]standard.Name // of values, by list.value
}

func (a *App) pages(mux *http.ServeMux, catalog *locale.Catalog) {
	p := &pages{house: a.House, catalog: catalog, limit: api.NewLimiter(20, time.Minute), acks: api.NewLimiter(30, time.Minute), logins: api.NewLimiter(60, time.Minute), log: a.log,
		words: sync.OnceValue(func() map[string]standard.Name { return api.NewReference(a.House.Book, catalog).Words })}
	p.tmpl = template.Must(template.New("").Funcs(template.FuncMap{
		"dict": func(p page, rows []flow.Count, area string) any {
			return struct {
				Page page
				Rows []flow.Count
				Area string
			}{p, rows, area}
		},
		"beijing":  beijing,
		"unbroken": unbroken,
	}).ParseFS(pageFS, "pages/*.html"))
	mux.Handle("GET /healthz", a.checks.Live())
	mux.Handle("GET /readyz", a.checks.Ready())
	mux.Handle("GET /metrics", a.metrics.Handler())
	mux.HandleFunc("GET /status", p.status)
	a.console(mux, p)
	mux.HandleFunc("GET /incidents/{id}/print", p.print)
	mux.HandleFunc("GET /ack/{token}", p.ack)
	mux.HandleFunc("POST /ack/{token}", p.ack)
	mux.HandleFunc("GET /notice/{service}", p.notice)
	mux.HandleFunc("GET /complaint", p.form)
	mux.HandleFunc("POST /complaint", p.submit)
	mux.HandleFunc("GET /complaint/status", p.progress)
	mux.HandleFunc("POST /complaint/status", p.progress)
	mux.HandleFunc("GET /welcome/{token}", p.welcome)
	mux.HandleFunc("POST /welcome/{token}", p.welcome)
	mux.HandleFunc("GET /login/oidc/{id}", p.leave)
	mux.HandleFunc("GET /login/oidc/{id}/callback", p.back)
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		http.ServeFileFS(w, r, pageFS, "pages/style.css")
	})
}

// beijing is an instant as the pages show it.
func beijing(ms int64) string {
	return time.UnixMilli(ms).In(clock.Beijing).Format("2006-01-02 15:04:05")
}

// page is what every template is given.
type page struct {
	Lang    locale.Lang
	Other   locale.Lang
	Path    string
	Refresh int    // seconds; 0 = never
	Onward  string // where the browser goes by itself; "" = nowhere
	Error   string
	Field   string // the input at fault
	Query   template.URL
	Data    any
	catalog *locale.Catalog
}

// T says the sentence of a key in the page's language.
func (p page) T(key string, args ...any) string { return p.catalog.Say(p.Lang, key, args...) }

// Bad marks the input at fault for those who cannot see where the error stands.
func (p page) Bad(field string) template.HTMLAttr {
	if field == p.Field {
		return `aria-invalid="true" aria-describedby="error"`
	}
	return ""
}

// lang is the language that was asked for by link or form, else the browser's.
func (p *pages) lang(r *http.Request) locale.Lang {
	if l := r.FormValue("lang"); l != "" {
		return locale.Parse(l)
	}
	return locale.Parse(r.Header.Get("Accept-Language"))
}

func (p *pages) render(w http.ResponseWriter, r *http.Request, status int, name string, g page) {
	g.Lang = p.lang(r)
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

// allow counts a submission; one too many is told when to come back.
func (p *pages) allow(w http.ResponseWriter, r *http.Request) bool {
	ok := p.limit.Allow(p.house.Store.Clock().Now(), r.RemoteAddr)
	if !ok {
		w.Header().Set("Retry-After", p.limit.RetryAfter())
	}
	return ok
}

// say gives an error's status, the field at fault and its sentence, in which the field has the form's name.
func (p *pages) say(lang locale.Lang, err error) (code int, field, text string) {
	var f *fault.Error
	if !errors.As(err, &f) {
		return http.StatusServiceUnavailable, "", p.catalog.Say(lang, "page.unavailable")
	}
	code = map[fault.Kind]int{fault.KindInvalid: http.StatusUnprocessableEntity, fault.KindNotFound: http.StatusNotFound, fault.KindConflict: http.StatusConflict,
		fault.KindUnauthenticated: http.StatusUnauthorized, fault.KindForbidden: http.StatusForbidden, fault.KindTooMany: http.StatusTooManyRequests}[f.Kind]
	switch {
	case f.Key == "page.too_many":
		code = http.StatusTooManyRequests
	case code == 0:
		code = http.StatusServiceUnavailable
	}
	args := slices.Clone(f.Args)
	for k := 0; k+1 < len(args); k += 2 {
		if label := "page.field." + f.Field; args[k] == "field" && p.catalog.Has(label) {
			args[k+1] = p.catalog.Say(lang, label)
		}
	}
	return code, f.Field, p.catalog.Say(lang, f.Key, args...)
}
