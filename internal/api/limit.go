package api

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fengsui/fengsui/internal/platform/login"
)

// Limiter allows each address a number of requests in a window, so that guessing codes and flooding the
// desk takes long. It forgets everything when it holds too many addresses.
type Limiter struct {
	n      int
	window time.Duration
	mu     sync.Mutex
	since  time.Time
	seen   map[string]int
}

// NewLimiter allows n requests in each window.
func NewLimiter(n int, window time.Duration) *Limiter {
	return &Limiter{n: n, window: window, seen: map[string]int{}}
}

// Allow counts a request from host:port at an instant and says whether it may go on.
func (l *Limiter) Allow(now time.Time, remote string) bool {
	from := login.Network(remote)
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.since) > l.window || len(l.seen) > 10_000 {
		l.since, l.seen = now, map[string]int{}
	}
	l.seen[from]++
	return l.seen[from] <= l.n
}

// RetryAfter is the value of that header, in seconds (RFC 9110, 10.2.3).
func (l *Limiter) RetryAfter() string { return strconv.Itoa(int(l.window.Seconds())) }

// unhurried limits what needs no token to 60 requests a minute and address. It goes for operations that
// are registered after it.
func (a *API) unhurried() {
	l := NewLimiter(60, time.Minute)
	a.huma.UseMiddleware(func(ctx huma.Context, next func(huma.Context)) {
		if len(ctx.Operation().Security) > 0 || l.Allow(a.Store.Clock().Now(), ctx.RemoteAddr()) {
			next(ctx)
			return
		}
		p := &Problem{Status: http.StatusTooManyRequests, Title: http.StatusText(http.StatusTooManyRequests), Key: "page.too_many"}
		p.Detail = a.catalog.Say(langOf(ctx.Context()), p.Key)
		ctx.SetHeader("Retry-After", l.RetryAfter())
		write(ctx, p)
	})
}
