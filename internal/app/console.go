package app

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"sync"
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
	packed  sync.Map // path → the file gzipped, made when it is first asked for
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
		if packed := c.pack(path); packed != nil {
			w.Header().Set("Vary", "Accept-Encoding")
			if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
				w.Header().Set("Content-Encoding", "gzip")
				http.ServeContent(w, r, path, time.Time{}, bytes.NewReader(packed))
				return
			}
		}
		http.ServeFileFS(w, r, c.files, path)
		return
	}
	nonce := rand.Text()
	w.Header().Set("Content-Security-Policy", consolePolicy(nonce))
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, strings.ReplaceAll(c.index, noncePlace, nonce)) // the reader is gone if this fails
}

// pack gives a built file gzipped, or nil if there is none: a telephone on a bad line must not wait for what need not be sent.
func (c *console) pack(path string) []byte {
	if packed, ok := c.packed.Load(path); ok {
		return packed.([]byte)
	}
	raw, err := fs.ReadFile(c.files, path)
	if err != nil {
		return nil
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(raw); err != nil || z.Close() != nil {
		return nil
	}
	c.packed.Store(path, b.Bytes())
	return b.Bytes()
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
