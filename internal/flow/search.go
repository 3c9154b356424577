package flow

import (
	"context"
	"net/url"
	"strconv"
	"strings"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/listing"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Found is something to jump to.
type Found struct {
	Kind   string `json:"kind"` // incident, anomaly, order, complaint
	ID     string `json:"id"`
	Number string `json:"number"`
	Title  string `json:"title"` // of an incident; a rule, a rung; "" of a complaint
	State  string `json:"state"`
	AtMs   int64  `json:"at_ms"`
}

// foundEach is how many of a kind are found, the newest.
const foundEach = 10

// Search finds what holds all words of q among the lists that the actor may read. Complaints are found by
// their number alone.
func (h *House) Search(ctx context.Context, a store.Actor, q string) ([]Found, error) {
	out := []Found{}
	if strings.TrimSpace(q) == "" {
		return out, fault.Invalid("q", "error.required", "field", "q")
	}
	complaints := h.ComplaintList()
	complaints.Search = []string{listing.Has("c.number")}
	for _, find := range []func() error{
		func() error {
			return find(ctx, h, a, h.IncidentList(), q, func(x IncidentItem) {
				out = append(out, Found{"incident", x.ID, x.Number, x.Title, string(x.State), x.DeclaredMs})
			})
		},
		func() error {
			return find(ctx, h, a, h.AnomalyList(), q, func(x AnomalyItem) {
				out = append(out, Found{"anomaly", x.ID, x.Number, x.RuleID, string(x.State), x.OpenedMs})
			})
		},
		func() error {
			return find(ctx, h, a, h.OrderList(), q, func(x OrderItem) {
				out = append(out, Found{"order", x.ID, x.ID, string(x.Rung), string(x.State), x.IssuedMs})
			})
		},
		func() error {
			return find(ctx, h, a, complaints, q, func(x ComplaintItem) {
				out = append(out, Found{"complaint", x.ID, x.Number, "", x.State, x.ReceivedMs})
			})
		},
	} {
		if err := find(); err != nil && fault.KindOf(err) != fault.KindForbidden {
			return out, err
		}
	}
	return out, nil
}

func find[T any](ctx context.Context, h *House, a store.Actor, l listing.List[T], q string, add func(T)) error {
	asked, err := l.Parse(url.Values{"q": {q}, "limit": {strconv.Itoa(foundEach)}})
	if err != nil {
		return err
	}
	items, err := l.First(ctx, h.Store.Read(), a, asked)
	for _, x := range items {
		add(x)
	}
	return err
}
