package app

import (
	"errors"
	"net/http"

	"github.com/fengsui/fengsui/internal/flow"
	"github.com/fengsui/fengsui/internal/platform/fault"
)

// notice tells end users that a service is offline, since when, and what was approved for them to know.
func (p *pages) notice(w http.ResponseWriter, r *http.Request) {
	n, err := p.house.Notice(r.Context(), r.PathValue("service"))
	if err != nil {
		code, key := http.StatusServiceUnavailable, "page.unavailable"
		var f *fault.Error
		if errors.As(err, &f) && f.Kind == fault.KindNotFound {
			code, key = http.StatusNotFound, "page.no_such_service"
		}
		p.render(w, r, code, "notice.html", page{Error: p.catalog.Say(p.lang(r), key), Data: flow.Notice{}})
		return
	}
	p.render(w, r, http.StatusOK, "notice.html", page{Data: n})
}
