package outgoing

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/fault"
)

func TestTheGuardJudgesAddresses(t *testing.T) {
	inner := Guard{Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}}
	for _, c := range []struct {
		addr                    string
		public, private, listed bool // permitted by Guard{}, by AllowPrivate, by an allow-everything list
	}{
		{"8.8.8.8", true, true, true},
		{"2606:4700::1111", true, true, true},
		{"127.0.0.1", false, true, true},
		{"::1", false, true, true},
		{"::ffff:127.0.0.1", false, true, true},
		{"10.1.2.3", false, true, true},
		{"172.16.0.1", false, true, true},
		{"192.168.1.1", false, true, true},
		{"100.64.0.1", false, true, true},
		{"fd12::1", false, true, true},
		{"0.0.0.0", false, false, false},
		{"0.1.2.3", false, false, true},
		{"::", false, false, false},
		{"169.254.169.254", false, false, false},
		{"::ffff:169.254.169.254", false, false, false},
		{"fe80::1", false, false, false},
		{"100.100.100.200", false, false, false},
		{"fd00:ec2::254", false, false, false},
		{"168.63.129.16", false, false, false},
		{"224.0.0.1", false, false, false},
		{"ff02::1", false, false, false},
		{"255.255.255.255", false, false, true},
		{"64:ff9b::7f00:1", false, false, true},
		{"2002:7f00:1::", false, false, true},
		{"198.18.0.1", false, false, true},
	} {
		a := netip.MustParseAddr(c.addr)
		for name, row := range map[string]struct {
			g    Guard
			want bool
		}{"public": {Guard{}, c.public}, "private": {Guard{AllowPrivate: true}, c.private}, "listed": {inner, c.listed}} {
			if got := row.g.Permits(a) == nil; got != row.want {
				t.Errorf("%s %s: permitted %v, want %v", name, c.addr, got, row.want)
			}
		}
	}
}

func TestTheGuardIsAskedAfterNamesAreResolved(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }))
	defer srv.Close()
	_, port, _ := cutPort(srv.URL)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	get := func(g Guard, host string) error {
		tr := g.Transport()
		defer tr.CloseIdleConnections()
		req, _ := http.NewRequestWithContext(ctx, "GET", "http://"+host+":"+port+"/", nil)
		res, err := tr.RoundTrip(req)
		if err == nil {
			_ = res.Body.Close()
		}
		return err
	}
	if err := get(Guard{}, "localhost"); !fault.Is(err, "outgoing.refused") {
		t.Errorf("a name for a loopback address: %v", err)
	}
	if err := get(Guard{}, "127.0.0.1"); !fault.Is(err, "outgoing.refused") {
		t.Errorf("a loopback address: %v", err)
	}
	if err := get(Guard{AllowPrivate: true}, "127.0.0.1"); err != nil {
		t.Errorf("control: %v", err)
	}
}

func TestTheClientDoesNotFollowRedirects(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
	}))
	defer srv.Close()
	c := Guard{AllowPrivate: true}.Client(5 * time.Second)
	defer c.CloseIdleConnections()
	res, err := c.Get(srv.URL)
	if err != nil || res.StatusCode != http.StatusFound {
		t.Fatalf("%v %v", res, err)
	}
	_ = res.Body.Close()
}

func cutPort(u string) (string, string, bool) {
	for i := len(u) - 1; i >= 0; i-- {
		if u[i] == ':' {
			return u[:i], u[i+1:], true
		}
	}
	return u, "", false
}
