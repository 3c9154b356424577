// Package health shows from outside whether the process lives, is ready to serve, and keeps its
// promises: a registry of checks, and figures for Prometheus on a registry of its own.
package health

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// CheckTimeout is how long one check may take before it counts as failed.
const CheckTimeout = 2 * time.Second

// Check says whether a part can do its work now. It must obey ctx; its error is shown to whoever asks
// for readiness, so it holds no address, path or personal data.
type Check func(ctx context.Context) error

// Note makes an error something to know that is no reason to be out of service: the check passes and says it. nil stays nil.
func Note(err error) error {
	if err == nil {
		return nil
	}
	return &note{err}
}

type note struct{ error }

func (n *note) Unwrap() error { return n.error }

// Checks is the registry of readiness checks. Safe for concurrent use; make it with NewChecks.
type Checks struct {
	mu     sync.Mutex
	byName map[string]*entry
	build  Build
}

type entry struct {
	check      Check
	unanswered atomic.Int32
}

// maxUnanswered is how many calls of one check may hang before it is not called any more; it bounds
// what a check that ignores its context can pile up.
const maxUnanswered = 16

// Build is what was built.
type Build struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
}

// Version is the release that this tree is, or leads to.
const Version = "v0.2.0-dev"

// ReadBuild reads what the compiler left in the binary; version is Version where it is empty.
func ReadBuild(version string) Build {
	b := Build{Version: cmp.Or(version, Version), Commit: "unknown"}
	if info, ok := debug.ReadBuildInfo(); ok {
		b.Go = info.GoVersion
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Commit = s.Value
			}
		}
	}
	return b
}

// NewChecks makes an empty registry, which is ready.
func NewChecks(b Build) *Checks { return &Checks{byName: map[string]*entry{}, build: b} }

// Add registers a check under a name; a name in use is replaced.
func (c *Checks) Add(name string, check Check) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byName[name] = &entry{check: check}
}

// Cycle is what tells how long ago a loop came round last; due.Cycle is one.
type Cycle interface {
	Name() string
	Age(nowMs int64) time.Duration
}

// AddCycle registers the check "cycle:<name>", which fails when the loop has not come round for longer than limit.
func (c *Checks) AddCycle(cycle Cycle, limit time.Duration, nowMs func() int64) {
	c.Add("cycle:"+cycle.Name(), func(context.Context) error {
		if age := cycle.Age(nowMs()); age > limit {
			return fmt.Errorf("last came round %s ago, limit %s", age.Round(time.Millisecond), limit)
		}
		return nil
	})
}

// Result is the outcome of one check.
type Result struct {
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
	Note  string `json:"note,omitempty"` // of a check that passes
	Ms    int64  `json:"ms"`
}

// Run makes all checks at once and gives their results by name. A check that outlives its time counts
// as failed; one that also ignores its context is left behind, a bounded number of times.
func (c *Checks) Run(ctx context.Context) []Result {
	c.mu.Lock()
	checks := maps.Clone(c.byName)
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, CheckTimeout)
	defer cancel()
	out := make(chan Result, len(checks))
	waiting := map[string]bool{}
	begun := time.Now() // how long it took, not when: no clock of the domain
	for name, check := range checks {
		waiting[name] = true
		go func() { out <- one(ctx, name, check) }()
	}
	results := []Result{}
	for len(waiting) > 0 {
		select {
		case r := <-out:
			r.Ms = time.Since(begun).Milliseconds()
			results = append(results, r)
			delete(waiting, r.Name)
		case <-ctx.Done():
			// Those that answer their context do so at once; the deaf are not waited for.
			select {
			case r := <-out:
				results = append(results, r)
				delete(waiting, r.Name)
			case <-time.After(100 * time.Millisecond):
				for name := range waiting {
					results = append(results, Result{Name: name, Error: "no answer in time", Ms: time.Since(begun).Milliseconds()})
				}
				waiting = nil
			}
		}
	}
	slices.SortFunc(results, func(a, b Result) int { return strings.Compare(a.Name, b.Name) })
	return results
}

func one(ctx context.Context, name string, e *entry) (r Result) {
	if e.unanswered.Add(1) > maxUnanswered {
		e.unanswered.Add(-1)
		return Result{Name: name, Error: "earlier calls never answered"}
	}
	defer e.unanswered.Add(-1)
	defer func() {
		if p := recover(); p != nil {
			r = Result{Name: name, Error: fmt.Sprintf("panic: %v", p)}
		}
	}()
	err := e.check(ctx)
	if n := (*note)(nil); errors.As(err, &n) {
		return Result{Name: name, OK: true, Note: n.Error()}
	}
	if err != nil {
		return Result{Name: name, Error: err.Error()}
	}
	return Result{Name: name, OK: true}
}

// Live answers 200 as long as the process can answer at all.
func (c *Checks) Live() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, struct {
			Status string `json:"status"`
			Build  Build  `json:"build"`
		}{"alive", c.build})
	})
}

// Ready answers 200 if every check passes, else 503, with the result of each.
func (c *Checks) Ready() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		results, status, word := c.Run(r.Context()), http.StatusOK, "ready"
		for _, res := range results {
			if !res.OK {
				status, word = http.StatusServiceUnavailable, "not ready"
			}
		}
		reply(w, status, struct {
			Status string   `json:"status"`
			Checks []Result `json:"checks"`
		}{word, results})
	})
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) //nolint:errcheck // the client has left; nobody is there to be told
}
