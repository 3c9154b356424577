// Package simulate holds what stands in for the outside world when Fengsui is
// tried out, drilled and tested: an OpenAI-compatible model with faults that
// can be switched on and off, and a gentle generator of labelled traffic.
//
// Nothing in it is meant for production traffic; everything it says is
// harmless or plainly fictitious.
package simulate

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultModelID is the model name that GET /v1/models lists unless told otherwise.
const DefaultModelID = "fengsui-sim-1"

// maxRequestBytes bounds a request body; a chat request of a person is far below.
const maxRequestBytes = 4 << 20

// Clock tells the time that goes into `created`.
type Clock interface{ Now() time.Time }

// Options shape a simulated model. The zero value is a model that needs no
// key, has no faults and answers as fast as it can.
type Options struct {
	// APIKey, when set, is the only bearer token that /v1 accepts.
	APIKey string
	// ModelID is the name listed by GET /v1/models; DefaultModelID when empty.
	ModelID string
	// Clock stamps `created`; without one it is 0, which keeps answers reproducible.
	Clock Clock
	// ChunkRunes fixes how many runes a streamed event carries: ChunkAsTokens
	// (the default) cuts like a tokeniser, ChunkWhole sends the answer at once.
	ChunkRunes int
	// ChunkDelay is the pause before each streamed event.
	ChunkDelay time.Duration
	// Record keeps the last calls with header and body for Calls. For tests.
	Record bool
	// Faults are on from the start.
	Faults []Fault
}

// Model is a simulated OpenAI-compatible service:
//
//	POST /v1/chat/completions   streamed or not, n choices, tools, usage, logprobs
//	GET  /v1/models
//	GET  /faults                what is on, and what there is   (loopback callers only)
//	PUT  /faults                replaces the whole set          (loopback callers only)
//
// The same prompt under the same faults always gets the same answer.
type Model struct {
	opts    Options
	keyHash [sha256.Size]byte
	mux     *http.ServeMux
	faults  faultBoard
	calls   callLog
	serial  atomic.Uint64 // keeps the ids of equal requests apart

	stopOnce sync.Once
	stopped  chan struct{}
}

// NewModel makes a model. It panics if Options.Faults holds a fault that
// Fault.Validate refuses, since those are written by the programmer.
func NewModel(opts Options) *Model {
	if opts.ModelID == "" {
		opts.ModelID = DefaultModelID
	}
	m := &Model{
		opts:    opts,
		keyHash: sha256.Sum256([]byte(opts.APIKey)),
		mux:     http.NewServeMux(),
		stopped: make(chan struct{}),
	}
	m.faults.chunkRunes = opts.ChunkRunes
	if err := m.SetFaults(opts.Faults); err != nil {
		panic(err)
	}
	m.mux.HandleFunc("POST /v1/chat/completions", m.guarded(m.chat))
	m.mux.HandleFunc("GET /v1/models", m.guarded(m.models))
	m.mux.HandleFunc("GET /faults", loopbackOnly(m.getFaults))
	m.mux.HandleFunc("PUT /faults", loopbackOnly(m.putFaults))
	m.mux.HandleFunc("/", m.guarded(func(w http.ResponseWriter, r *http.Request, _ *call) {
		writeError(w, http.StatusNotFound, "invalid_request_error", "unknown_url",
			"Unknown request URL: "+r.Method+" "+r.URL.Path)
	}))
	return m
}

// ServeHTTP implements http.Handler.
func (m *Model) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.mux.ServeHTTP(w, r) }

// Stop releases every answer that stalls or waits, so that a server around the
// model can shut down. It may be called more than once.
func (m *Model) Stop() { m.stopOnce.Do(func() { close(m.stopped) }) }

// guarded checks the key and keeps the call for Calls.
func (m *Model) guarded(h func(http.ResponseWriter, *http.Request, *call)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := &call{}
		if m.opts.Record {
			c = m.calls.open(r)
			defer m.calls.close(c, r.Context())
		}
		if m.opts.APIKey != "" && !m.keyFits(r.Header.Get("Authorization")) {
			writeError(w, http.StatusUnauthorized, "invalid_request_error", "invalid_api_key", "Incorrect API key provided.")
			return
		}
		h(w, r, c)
	}
}

func (m *Model) keyFits(header string) bool {
	const scheme = "Bearer "
	if len(header) <= len(scheme) || header[:len(scheme)] != scheme {
		return false
	}
	got := sha256.Sum256([]byte(header[len(scheme):]))
	return subtle.ConstantTimeCompare(got[:], m.keyHash[:]) == 1
}

// loopbackOnly keeps the fault switches from anyone but the machine itself:
// they have no key of their own.
func loopbackOnly(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
			writeError(w, http.StatusForbidden, "invalid_request_error", "loopback_only", "Faults can be switched from this machine only.")
			return
		}
		h(w, r)
	}
}

func (m *Model) models(w http.ResponseWriter, _ *http.Request, _ *call) {
	writeJSON(w, http.StatusOK, map[string]any{
		"object": "list",
		"data": []map[string]any{{
			"id": m.opts.ModelID, "object": "model", "created": m.now(), "owned_by": "fengsui-simulation",
		}},
	})
}

// now is the value of `created`: seconds since the epoch, as OpenAI has it.
func (m *Model) now() int64 {
	if m.opts.Clock == nil {
		return 0
	}
	return m.opts.Clock.Now().Unix()
}
