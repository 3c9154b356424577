package api_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/platform/notify"
)

// hook is the other end of a webhook.
type hook struct {
	*httptest.Server
	got chan map[string]any
}

func newHook(t *testing.T, status int) hook {
	h := hook{got: make(chan map[string]any, 20)}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		if !notify.VerifySignature([]byte("0123456789abcdef"), r.Header.Get(notify.HeaderSignature), raw, time.Now().UnixMilli(), time.Minute) {
			t.Error("a call that is not signed with the channel's secret")
		}
		var body map[string]any
		if err := json.Unmarshal(raw, &body); err != nil {
			t.Error(err)
		}
		h.got <- body
		w.WriteHeader(status)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h hook) next(t *testing.T) map[string]any {
	t.Helper()
	select {
	case m := <-h.got:
		return m
	case <-time.After(10 * time.Second):
		t.Fatal("nothing arrived")
		return nil
	}
}

func (h hook) quiet(t *testing.T, why string) {
	t.Helper()
	select {
	case m := <-h.got:
		t.Errorf("%s: %v", why, m["template"])
	case <-time.After(1500 * time.Millisecond): // longer than a poll of the loops
	}
}

type standing struct {
	ID, Name, State, Shown, Waits, Second string
	Fixed                                 bool
	Tested                                *struct{ State, Says string }
}

func (b *bench) channel(t *testing.T, name string) (out standing) {
	t.Helper()
	var all []standing
	b.must(t, b.call(t, "audit_admin", "GET", "/channels", ""), &all)
	for _, c := range all {
		if c.Name == name {
			out = c
		}
	}
	return out
}

func (b *bench) decide(t *testing.T, role, second string, approve bool) answer {
	return b.call(t, role, "POST", "/second-signatures/"+second+"/decide", fmt.Sprintf(`{"approve":%v}`, approve))
}

const aboutOps = `{"reason":"值班群","channel":{"name":"ops","kind":"webhook","class":"staff","carries":["duty"],"url":"%s/path-only-we-know","secret":"0123456789abcdef"}}`

func TestAChannelCarriesAlarmsOnceASecondPersonHasConfirmedItAndUntilTwoRemoveIt(t *testing.T) {
	b := newBenchWith(t, app.Options{AllowPrivateWebhooks: true})
	h := newHook(t, http.StatusOK)
	alarm := func() {
		b.must(t, b.call(t, "duty_officer", "POST", "/incidents", fmt.Sprintf(`{"service_id":%q,"title":"t","object_ids":[%q]}`, b.svc, b.obj)), nil)
	}
	b.must(t, b.call(t, "system_admin", "POST", "/channels", fmt.Sprintf(aboutOps, h.URL)), nil)
	c := b.channel(t, "ops")
	if c.State != "waiting" || c.Waits != "set" || c.Second == "" {
		t.Fatalf("%+v", c)
	}
	alarm()
	h.quiet(t, "carried what nobody confirmed")
	if a := b.call(t, "system_admin", "POST", "/channels/"+c.ID+"/test", ""); a.status != 404 {
		t.Errorf("a channel that waits was tested: %d", a.status)
	}
	if a := b.decide(t, "system_admin", c.Second, true); a.Key != "identity.same_person" {
		t.Errorf("the same person twice: %d %s", a.status, a.Key)
	}
	if a := b.call(t, "system_admin", "POST", "/channels", fmt.Sprintf(aboutOps, h.URL)); a.Key != "notify.channel_waits" {
		t.Errorf("two changes of one channel: %d %s", a.status, a.Key)
	}
	b.must(t, b.decide(t, "audit_admin", c.Second, true), nil)
	alarm()
	if m := h.next(t); m["recipient"] != "duty" || m["incident_kind"] != "real" {
		t.Errorf("%v", m)
	}
	if n := b.count(t, "SELECT COUNT(*) FROM outbox WHERE channel = 'inbox' AND idem_key || '@ops' IN (SELECT idem_key FROM outbox WHERE channel = 'ops')"); n == 0 {
		t.Error("the inbox did not get what the channel got")
	}
	for len(h.got) > 0 {
		<-h.got
	}

	// Whatever is said of it, nobody learns what only the two sides know.
	for _, a := range []answer{b.call(t, "system_admin", "GET", "/channels", ""), b.call(t, "audit_admin", "GET", "/record?limit=200", "")} {
		if strings.Contains(a.body, "path-only-we-know") || strings.Contains(a.body, "0123456789abcdef") {
			t.Error("a secret came back")
		}
	}

	// Removing it silences somebody, so it takes two persons as well.
	var second struct{ ID string }
	b.must(t, b.call(t, "system_admin", "POST", "/channels/"+c.ID+"/remove", `{"reason":"换群"}`), &second)
	alarm()
	h.next(t)
	for len(h.got) > 0 {
		<-h.got
	}
	b.must(t, b.decide(t, "management", second.ID, true), nil)
	alarm()
	h.quiet(t, "carried after it was removed")
	if b.count(t, "SELECT COUNT(*) FROM secrets WHERE name LIKE 'fengsui.channel.%'") != 0 {
		t.Error("its secret outlived it")
	}
}

func TestATestMessageShowsWhetherAChannelDelivers(t *testing.T) {
	b := newBenchWith(t, app.Options{AllowPrivateWebhooks: true})
	for _, c := range []struct {
		status      int
		state, says string
	}{{200, "sent", "http 200"}, {503, "pending", "503"}} {
		h := newHook(t, c.status)
		b.must(t, b.call(t, "system_admin", "POST", "/channels", fmt.Sprintf(aboutOps, h.URL)), nil) // the second time it takes the place of the first
		var all []standing
		b.must(t, b.call(t, "system_admin", "GET", "/channels", ""), &all)
		var id string
		for _, s := range all {
			if s.Waits == "set" {
				id = s.ID
				b.must(t, b.decide(t, "security_admin", s.Second, true), nil)
			}
		}
		b.must(t, b.call(t, "system_admin", "POST", "/channels/"+id+"/test", ""), nil)
		if m := h.next(t); m["template"] != "channel.test" || !strings.Contains(fmt.Sprint(m["subject"]), "测试") || m["incident_kind"] != "test" {
			t.Errorf("%v", m)
		}
		deadline := time.Now().Add(5 * time.Second)
		got := b.channel(t, "ops")
		for ; time.Now().Before(deadline) && (got.Tested == nil || got.Tested.State != c.state || !strings.Contains(got.Tested.Says, c.says)); got = b.channel(t, "ops") {
			time.Sleep(20 * time.Millisecond)
		}
		if got.ID != id || got.Tested == nil || got.Tested.State != c.state || !strings.Contains(got.Tested.Says, c.says) {
			t.Errorf("%d: %+v %+v", c.status, got, got.Tested)
		}
	}
}

func TestAChannelThatWasRejectedOrWithdrawnIsGoneWithItsSecret(t *testing.T) {
	b := newBench(t)
	for _, end := range []func(second string) answer{
		func(second string) answer { return b.decide(t, "audit_admin", second, false) },
		func(second string) answer {
			return b.call(t, "system_admin", "POST", "/second-signatures/"+second+"/withdraw", "")
		},
	} {
		b.must(t, b.call(t, "system_admin", "POST", "/channels", fmt.Sprintf(aboutOps, "https://hooks.example.com")), nil)
		c := b.channel(t, "ops")
		if c.Shown != "https://hooks.example.com:443" {
			t.Errorf("shown as %q", c.Shown)
		}
		b.must(t, end(c.Second), nil)
		if c := b.channel(t, "ops"); c.Name != "" {
			t.Errorf("%+v", c)
		}
		if b.count(t, "SELECT COUNT(*) FROM secrets WHERE name LIKE 'fengsui.channel.%'") != 0 {
			t.Error("its secret is still there")
		}
	}
}

func TestAChannelIsRefusedWithTheFieldThatIsWrong(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct{ channel, field string }{
		{`{"name":"Ops","kind":"webhook","class":"staff","carries":["duty"],"url":"https://x.example","secret":"0123456789abcdef"}`, "name"},
		{`{"name":"inbox","kind":"webhook","class":"staff","carries":["duty"],"url":"https://x.example","secret":"0123456789abcdef"}`, "name"},
		{`{"name":"ops","kind":"webhook","class":"staff","url":"https://x.example","secret":"0123456789abcdef"}`, "carries"},
		{`{"name":"ops","kind":"webhook","class":"staff","carries":["everybody"],"url":"https://x.example","secret":"0123456789abcdef"}`, "carries"},
		{`{"name":"ops","kind":"webhook","class":"authority","carries":["duty"],"url":"https://x.example","secret":"0123456789abcdef"}`, "carries"},
		{`{"name":"ops","kind":"webhook","class":"staff","carries":["duty"],"url":"https://x.example","secret":"short"}`, "webhook"},
		{`{"name":"ops","kind":"mail","class":"staff","carries":["duty"],"host":"mail.example","from":"a@example.com"}`, "to"},
		{`{"name":"ops","kind":"mail","class":"staff","carries":["duty"],"host":"mail.example","from":"a@example.com","to":["nobody"]}`, "to"},
		{`{"name":"ops","kind":"mail","class":"staff","carries":["duty"],"host":"mail.example","from":"nobody","to":["b@example.com"]}`, "mail.from"},
	} {
		if a := b.call(t, "system_admin", "POST", "/channels", `{"reason":"r","channel":`+c.channel+`}`); a.status < 400 || a.status >= 500 || a.Field != c.field {
			t.Errorf("%s: %d %s", c.channel, a.status, a.body)
		}
	}
	if n := b.count(t, "SELECT COUNT(*) FROM channel"); n != 0 {
		t.Errorf("%d rows", n)
	}
}
