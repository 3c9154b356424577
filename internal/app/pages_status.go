package app

import (
	"context"
	"net/http"
	"time"

	"github.com/fengsui/fengsui/internal/flow"
)

// status says at a glance whether it is calm. To strangers it says only that; counts, services and gateways are shown to who is
// signed in, and in a demonstration to everybody. It renews itself only when asked to by
// ?follow=1: a page that moves by itself takes the reader's place away.
func (p *pages) status(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	s, err := p.house.Status(ctx)
	_, stranger := p.actor(r)
	g := page{Data: struct {
		flow.Status
		Open bool
	}{s, stranger == nil || p.house.Login.Demo() != ""}}
	if r.FormValue("follow") != "" {
		g.Refresh, g.Query = 5, "follow=1"
	}
	code := http.StatusOK
	if err != nil {
		g.Error, code = p.catalog.Say(p.lang(r), "page.unavailable"), http.StatusServiceUnavailable
	}
	p.render(w, r, code, "status.html", g)
}
