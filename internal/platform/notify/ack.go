package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// AckWithin is how long after it was queued a message can be acknowledged by its link.
const AckWithin = 7 * 24 * time.Hour

// AckLinks makes and checks the links by which whoever gets a message says that they have seen it. A token
// is the message's id and a MAC of it: the database holds nothing from which one could be made.
type AckLinks struct {
	Key  []byte                   // of the instance, from the secret store
	Page func(path string) string // the address of one of our pages
}

func (l AckLinks) mac(id string) string {
	h := hmac.New(sha256.New, l.Key)
	h.Write([]byte("fengsui ack:" + id))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}

// Link is the address that the message's recipient is given.
func (l AckLinks) Link(id string) string { return l.Page("/ack/" + id + "." + l.mac(id)) }

// Find gives the message of a token. Errors: fault not found notify.bad_ack, whatever is wrong with it;
// fault conflict notify.ack_over when its time is over and nobody acknowledged.
func (l AckLinks) Find(ctx context.Context, db bun.IDB, nowMs int64, token string) (Item, error) {
	id, mac, _ := strings.Cut(token, ".")
	var it Item
	if len(token) > 100 || !hmac.Equal([]byte(mac), []byte(l.mac(id))) {
		return it, fault.NotFound("token", "notify.bad_ack")
	}
	if err := db.NewSelect().Model(&it).Where("id = ?", id).Scan(ctx); err != nil {
		if fault.KindOf(store.Missing(err, "token")) == fault.KindNotFound {
			return it, fault.NotFound("token", "notify.bad_ack")
		}
		return it, err
	}
	if it.AcknowledgedMs == 0 && nowMs-it.QueuedMs > AckWithin.Milliseconds() {
		return it, fault.Conflict("token", "notify.ack_over")
	}
	return it, nil
}

// SubjectOf says what a message is about, as its subject did: ids, terms and names of ours, no text of anybody.
func SubjectOf(c *locale.Catalog, it Item, lang locale.Lang) (string, error) {
	it.Lang = lang
	r, err := render(c, it, "")
	return r.subject, err
}
