package app

import (
	"crypto/rand"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/fengsui/fengsui/internal/api"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/web"
)

// console serves the single-page console under /console/: built files as they are, and index.html with a
// fresh nonce for every other path, which the console itself routes. files without an index.html means that
// it was not built.
type console struct {
	files   fs.FS
	index   string
	log     *slog.Logger
	clock   clock.Clock
	reports *api.Limiter
}

// noncePlace is what Vite writes where the request's nonce belongs.
const noncePlace = "__CSP_NONCE__"

func newConsole(files fs.FS, log *slog.Logger, c clock.Clock) *console {
	index, _ := fs.ReadFile(files, "index.html") // none: not built
	return &console{files: files, index: string(index), log: log, clock: c, reports: api.NewLimiter(60, time.Minute)}
}

func (a *App) console(mux *http.ServeMux, p *pages) {
	c := newConsole(web.Files(), a.log, a.o.Clock)
	mux.HandleFunc("GET /console/", func(w http.ResponseWriter, r *http.Request) {
		if c.index == "" {
			p.render(w, r, http.StatusOK, "unbuilt.html", page{})
			return
		}
		c.serve(w, r)
	})
	mux.HandleFunc("POST /csp-report", c.report)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		to := "/console/"
		if c.index == "" {
			to = "/status"
		}
		http.Redirect(w, r, to, http.StatusFound)
	})
}

// consolePolicy lets only scripts with the page's nonce run, and what these load; everything else comes from this server.
// Style attributes are set through the object model, which the policy does not concern.
func consolePolicy(nonce string) string {
	return "default-src 'none'; script-src 'nonce-" + nonce + "' 'strict-dynamic'; style-src 'self' 'nonce-" + nonce +
		"'; img-src 'self' data:; connect-src 'self'; font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; report-uri /csp-report"
}

func (c *console) serve(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/console/")
	if strings.HasPrefix(path, "assets/") || path == "beacon.svg" {
		if strings.HasPrefix(path, "assets/") { // the name holds a hash of the content
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		http.ServeFileFS(w, r, c.files, path)
		return
	}
	nonce := rand.Text()
	w.Header().Set("Content-Security-Policy", consolePolicy(nonce))
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, strings.ReplaceAll(c.index, noncePlace, nonce)) // the reader is gone if this fails
}

// report takes what a browser refused to load or run. Anybody can send one, so it is short, counted and only logged.
func (c *console) report(w http.ResponseWriter, r *http.Request) {
	if !c.reports.Allow(c.clock.Now(), r.RemoteAddr) {
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 8<<10))
	if err != nil {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	c.log.Warn("content security policy broken", "report", string(raw))
	w.WriteHeader(http.StatusNoContent)
}
