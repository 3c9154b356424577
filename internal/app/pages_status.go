package app

import (
	"context"
	"net/http"
	"time"
)

// status says at a glance whether it is calm; it names nothing, so it is public. It renews itself only when asked to by
// ?follow=1: a page that moves by itself takes the reader's place away.
func (p *pages) status(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	s, err := p.house.Status(ctx)
	g := page{Data: s}
	if r.FormValue("follow") != "" {
		g.Refresh, g.Query = 5, "follow=1"
	}
	code := http.StatusOK
	if err != nil {
		g.Error, code = p.catalog.Say(p.lang(r), "page.unavailable"), http.StatusServiceUnavailable
	}
	p.render(w, r, code, "status.html", g)
}
