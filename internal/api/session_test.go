package api_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/platform/clock"
)

func TestASessionThatIsOnlyLookedAtEndsWhenNobodyUsesIt(t *testing.T) {
	now := clock.NewFake(time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC))
	b := newBenchWith(t, app.Options{Clock: now})
	b.account(t, "duty_officer", "li.si")
	w := b.browser(t)
	w.want(t, 200, "in", "POST", "/login/password", `{"account":"li.si","password":"`+goodPassword+`"}`)
	// An open stream, and a page that reads anew by itself, are no signs of a person.
	look := func() int {
		code, _, _ := w.do(t, "GET", "/me", "", "Fengsui-Unattended", "1")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, "GET", b.app.URL()+"/api/v1/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := w.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if (code == 200) != (res.StatusCode == 200) {
			t.Errorf("a read answers %d, a stream %d", code, res.StatusCode)
		}
		return code
	}
	for range 7 {
		now.Advance(time.Hour)
		if code := look(); code != 200 {
			t.Fatalf("ended before its time: %d", code)
		}
	}
	now.Advance(time.Hour + time.Second)
	if code := look(); code != 401 {
		t.Errorf("looked at for eight hours, it is still good: %d", code)
	}
	// Used, it goes on.
	w.want(t, 200, "in", "POST", "/login/password", `{"account":"li.si","password":"`+goodPassword+`"}`)
	for range 3 {
		now.Advance(7 * time.Hour)
		w.want(t, 200, "li.si", "GET", "/me", "")
	}
}
