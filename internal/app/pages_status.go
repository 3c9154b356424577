package app

import (
	"context"
	"net/http"
	"time"
)

// status says at a glance whether it is calm; it names nothing, so it is public.
func (p *pages) status(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	s, err := p.house.Status(ctx)
	g := page{Data: s, Refresh: 5}
	code := http.StatusOK
	if err != nil {
		g.Error, code = p.catalog.Say(p.lang(r), "page.unavailable"), http.StatusServiceUnavailable
	}
	p.render(w, r, code, "status.html", g)
}
