package app

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/flow"
	"github.com/fengsui/fengsui/internal/monitor/intake"
	"github.com/fengsui/fengsui/internal/platform/notify"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/incident"
)

// alarmed hands in a complaint, which opens an anomaly and so queues an alarm, and gives both.
func alarmed(t *testing.T, a *App) (it notify.Item, anomalyID string) {
	t.Helper()
	if err := a.House.Store.Write(t.Context(), store.System("intake"), func(tx *store.Tx) error {
		r, err := a.House.SubmitComplaint(t.Context(), tx, intake.Submission{Kind: "complaint", ServiceID: oneService(t, a), Text: "情况说明戊"})
		anomalyID = r.AnomalyID
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := a.House.Store.Read().NewSelect().Model(&it).Where("object_id = ? AND template = 'anomaly.opened'", anomalyID).Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	return it, anomalyID
}

func TestTheLinkOfAMessageAcknowledgesByItsButtonAndNotByBeingLookedAt(t *testing.T) {
	a := running(t)
	it, anomalyID := alarmed(t, a)
	link := a.House.Acks.Link(it.ID)
	if !strings.HasPrefix(link, a.PublicURL()+"/ack/") {
		t.Fatal(link)
	}
	seen := func() (at int64) {
		if err := a.House.Store.Read().NewRaw("SELECT acknowledged_ms FROM outbox WHERE id = ?", it.ID).Scan(t.Context(), &at); err != nil {
			t.Fatal(err)
		}
		return at
	}
	for lang, word := range map[string]string{"zh": "我已看到", "en": "I have seen it"} {
		body := page200(t, 200, func() (*http.Response, error) { return http.Get(link + "?lang=" + lang) })
		noMarkup(t, body)
		if !strings.Contains(body, word) || !strings.Contains(body, "AN-") || strings.Contains(body, "情况说明戊") {
			t.Errorf("%s: %s", lang, body)
		}
	}
	page200(t, 200, func() (*http.Response, error) { return http.Head(link) })
	if seen() != 0 {
		t.Fatal("a preview acknowledged")
	}
	post := func(link string) (*http.Response, error) {
		return http.Post(link, "application/x-www-form-urlencoded", nil)
	}
	if body := page200(t, 200, func() (*http.Response, error) { return post(link + "?lang=en") }); !strings.Contains(body, "Acknowledged at") || strings.Contains(body, "<button") {
		t.Error(body)
	}
	first := seen()
	if first == 0 {
		t.Fatal("the button did nothing")
	}
	page200(t, 200, func() (*http.Response, error) { return post(link) }) // again: harmless
	var entries int
	if err := a.House.Store.Read().NewRaw("SELECT COUNT(*) FROM record_entries WHERE action = 'message.acknowledge' AND actor = ?", "addressee:"+it.ID).Scan(t.Context(), &entries); err != nil || entries != 1 || seen() != first {
		t.Errorf("%d entries, %v", entries, err)
	}
	// The acknowledgement is the awareness of the incident that the anomaly becomes, though assessed later.
	officer := store.Actor{ID: "o", Roles: []string{"duty_officer"}}
	if err := a.House.Store.Write(t.Context(), store.System("test"), func(tx *store.Tx) error {
		_, err := tx.Exec("UPDATE anomaly SET state = 'assessing', assessed_by = 'o', assessed_ms = ? WHERE id = ?", first+1, anomalyID)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	var i incident.Incident
	if err := a.House.Store.Write(t.Context(), officer, func(tx *store.Tx) (err error) {
		i, err = a.House.Promote(t.Context(), tx, anomalyID, flow.Promotion{Title: "t"})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if ms, err := incident.AwareMs(t.Context(), a.House.Store.Read(), i.ID); err != nil || ms != first {
		t.Errorf("aware at %d, acknowledged at %d: %v", ms, first, err)
	}
}

func TestALinkThatWasMadeUpOrIsOldAcknowledgesNothing(t *testing.T) {
	a := running(t)
	it, _ := alarmed(t, a)
	link := a.House.Acks.Link(it.ID)
	post := func(link string) func() (*http.Response, error) {
		return func() (*http.Response, error) { return http.Post(link, "application/x-www-form-urlencoded", nil) }
	}
	for _, bad := range []string{a.URL() + "/ack/" + it.ID, a.URL() + "/ack/" + it.ID + ".", link + "x", link[:len(link)-1], a.URL() + "/ack/01NOTHING" + link[strings.LastIndex(link, "."):]} {
		page200(t, 404, post(bad))
	}
	a.run(t, "UPDATE outbox SET queued_ms = queued_ms - 8*24*3600*1000")
	if body := page200(t, 409, post(link)); !strings.Contains(body, "已过期") {
		t.Error(body)
	}
	var n int
	if err := a.House.Store.Read().NewRaw("SELECT COUNT(*) FROM outbox WHERE acknowledged_ms > 0").Scan(t.Context(), &n); err != nil || n != 0 {
		t.Errorf("%d acknowledged, %v", n, err)
	}
	for range 40 { // whoever guesses is held up
		if resp, err := post(link + "x")(); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusTooManyRequests && resp.Header.Get("Retry-After") != "" {
				return
			}
		}
	}
	t.Error("nobody was held up")
}

// The message that leaves carries the link that works; the inbox and the database hold none.
func TestAMessageToStaffLeavesWithItsLink(t *testing.T) {
	got := make(chan string, 10)
	hook := newHook(t, got)
	a, err := New(t.Context(), Options{DataDir: t.TempDir() + "/data", Listen: "127.0.0.1:0", GatewayListen: "127.0.0.1:0", AllowPrivateUpstreams: true, AllowPrivateWebhooks: true, Webhook: hook, WebhookSecret: "0123456789abcdef"})
	if err != nil {
		t.Fatal(err)
	}
	start(t, a)
	it, _ := alarmed(t, a)
	link := a.House.Acks.Link(it.ID)
	select {
	case body := <-got:
		if !strings.Contains(body, link) {
			t.Errorf("%s lacks %s", body, link)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("no message left")
	}
	var kept int
	if err := a.House.Store.Read().NewRaw("SELECT COUNT(*) FROM outbox WHERE args LIKE '%/ack/%' OR last_error LIKE '%/ack/%'").Scan(t.Context(), &kept); err != nil || kept != 0 {
		t.Errorf("%d links are kept, %v", kept, err)
	}
}

func newHook(t *testing.T, got chan<- string) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		got <- string(raw)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}
