package app

import (
	"net/http"

	"github.com/fengsui/fengsui/internal/platform/notify"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// ackPage is what the link in a message shows: what it is about, and whether it was acknowledged.
type ackPage struct {
	Subject, Token string
	QueuedMs, AtMs int64
}

// ack shows a message (GET, which changes nothing: previews of links do it) or acknowledges it (POST).
func (p *pages) ack(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	token, lang := r.PathValue("token"), p.lang(r)
	if !p.acks.Allow(p.house.Store.Clock().Now(), r.RemoteAddr) {
		w.Header().Set("Retry-After", p.acks.RetryAfter())
		p.render(w, r, http.StatusTooManyRequests, "ack.html", page{Error: p.catalog.Say(lang, "page.too_many"), Data: ackPage{}})
		return
	}
	var it notify.Item
	var err error
	if r.Method == http.MethodPost {
		err = p.house.Store.Write(r.Context(), store.System("acknowledge"), func(tx *store.Tx) (err error) {
			it, err = p.house.Acknowledge(r.Context(), tx, token)
			return err
		})
	} else {
		it, err = p.house.Acks.Find(r.Context(), p.house.Store.Read(), p.house.NowMs(), token)
	}
	a := ackPage{Token: token, QueuedMs: it.QueuedMs, AtMs: it.AcknowledgedMs}
	if err == nil {
		a.Subject, err = notify.SubjectOf(p.catalog, it, lang)
	}
	if err != nil {
		code, _, say := p.say(lang, err)
		p.render(w, r, code, "ack.html", page{Error: say, Data: ackPage{}})
		return
	}
	p.render(w, r, http.StatusOK, "ack.html", page{Data: a})
}
