package app

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

func TestTheClientIsWhomTheNearestUntrustedHopIsAndNotWhatItSays(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for name, c := range map[string]struct {
		trusted   []netip.Prefix
		peer      string
		forwarded []string
		want      string
	}{
		"no proxy is trusted":                  {nil, "10.0.0.1:5", []string{"192.0.2.7"}, "10.0.0.1:5"},
		"a peer that is none forges":           {trusted, "192.0.2.9:5", []string{"192.0.2.7"}, "192.0.2.9:5"},
		"one proxy":                            {trusted, "10.0.0.1:5", []string{"192.0.2.7"}, "192.0.2.7:0"},
		"the client forges behind a proxy":     {trusted, "10.0.0.1:5", []string{"198.51.100.1, 192.0.2.7"}, "192.0.2.7:0"},
		"the client claims to be a proxy":      {trusted, "10.0.0.1:5", []string{"198.51.100.1, 10.9.9.9, 192.0.2.7"}, "192.0.2.7:0"},
		"two proxies":                          {trusted, "10.0.0.1:5", []string{"192.0.2.7, 10.0.0.2"}, "192.0.2.7:0"},
		"two headers":                          {trusted, "10.0.0.1:5", []string{"192.0.2.7", "10.0.0.2"}, "192.0.2.7:0"},
		"IPv6 and a port":                      {trusted, "[fd00::1]:5", []string{"[2001:db8::7]:443"}, "[2001:db8::7]:0"},
		"IPv4 in IPv6":                         {trusted, "[::ffff:10.0.0.1]:5", []string{"::ffff:192.0.2.7"}, "192.0.2.7:0"},
		"a proxy that says nothing":            {trusted, "10.0.0.1:5", nil, "10.0.0.1:5"},
		"a proxy that says what is no address": {trusted, "10.0.0.1:5", []string{"unknown"}, "10.0.0.1:5"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			h := behind(c.trusted, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr }))
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = c.peer
			for _, f := range c.forwarded {
				r.Header.Add("X-Forwarded-For", f)
			}
			h.ServeHTTP(httptest.NewRecorder(), r)
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
