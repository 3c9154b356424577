package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/api"
)

func TestComplaintsOfOneAddressAreLimitedAndNothingElseIs(t *testing.T) {
	b := newBench(t)
	body := fmt.Sprintf(`{"service_id":%q,"text":"回答不对"}`, b.svc)
	for i := range 59 {
		if a := b.call(t, "", "GET", "/complaint-status?number=x&code=wrong", ""); a.status != 404 {
			t.Fatalf("guess %d: %d %s", i, a.status, a.body)
		}
	}
	b.must(t, b.call(t, "", "POST", "/complaints", body), nil)
	for lang, says := range map[string]string{"zh": "请一分钟后再试", "en": "try again in a minute"} {
		for _, a := range []answer{
			b.call(t, "", "POST", "/complaints", body, "Accept-Language", lang),
			b.call(t, "", "GET", "/complaint-status?number=x&code=wrong", "", "Accept-Language", lang),
			b.call(t, "auditor", "POST", "/complaints", body, "Accept-Language", lang), // a token buys no more of them
		} {
			if a.status != 429 || a.header.Get("Retry-After") != "60" || !strings.Contains(a.Detail, says) {
				t.Errorf("%s: %d %q %s", lang, a.status, a.header.Get("Retry-After"), a.body)
			}
		}
	}
	if n := b.count(t, "SELECT COUNT(*) FROM complaint"); n != 1 {
		t.Errorf("%d complaints", n)
	}
	for range 70 {
		b.must(t, b.call(t, "auditor", "GET", "/incidents", ""), nil)
	}
}

func TestAnAddressMayComeAgainAfterTheWindowAndOthersAtAnyTime(t *testing.T) {
	l, now := api.NewLimiter(2, time.Minute), time.Unix(1_000_000, 0)
	for i, c := range []struct {
		after  time.Duration
		remote string
		want   bool
	}{
		{0, "10.0.0.1:1", true}, {0, "10.0.0.1:2", true}, {0, "10.0.0.1:3", false}, {0, "10.0.0.2:1", true},
		{59 * time.Second, "10.0.0.1:4", false}, {2 * time.Second, "10.0.0.1:5", true},
		{0, "[2001:db8::1]:1", true}, {0, "[2001:db8::2]:1", true}, {0, "[2001:db8::ffff:3]:1", false}, {0, "[2001:db8:0:1::1]:1", true}, // one person can hold a /64
	} {
		now = now.Add(c.after)
		if got := l.Allow(now, c.remote); got != c.want {
			t.Errorf("%d: %v", i, got)
		}
	}
}
