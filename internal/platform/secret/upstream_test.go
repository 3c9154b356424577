package secret_test

import (
	"context"
	"testing"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
)

func TestAnOriginIsSchemeHostAndPort(t *testing.T) {
	for address, want := range map[string]string{
		"https://API.example.com/v1": "https://api.example.com:443", "http://127.0.0.1/v1": "http://127.0.0.1:80", "HTTP://[::1]:8000": "http://[::1]:8000",
		"https://a@b.example.com/": "", "ftp://a.example.com": "", "a.example.com": "", "": "", "http://": "", "http://:80": "",
	} {
		if got := secret.Origin(address); got != want {
			t.Errorf("%q: %q instead of %q", address, got, want)
		}
	}
}

func TestAnUpstreamsKeyIsBoundToItsOrigin(t *testing.T) {
	ctx := context.Background()
	st, v, _ := open(t, newKeys(t))
	set := func(name, origin string) error {
		return st.Write(ctx, admin, func(tx *store.Tx) error { return v.PutUpstream(ctx, tx, name, origin, []byte("v")) })
	}
	for name, c := range map[string]struct{ name, origin, key string }{
		"one of the system's own": {"fengsui.control", "https://a.example.com", "secret.own"},
		"no origin":               {"up", "", "secret.bad_origin"},
		"a path":                  {"up", "https://a.example.com/v1", "secret.bad_origin"},
		"a user":                  {"up", "https://a@a.example.com", "secret.bad_origin"},
		"a bad name":              {"up up", "https://a.example.com", "secret.bad_name"},
	} {
		if err := set(c.name, c.origin); !fault.Is(err, c.key) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := set("up", "https://a.example.com"); err != nil {
		t.Fatal(err)
	}
	if err := set("up", "https://A.example.com:443/"); err != nil {
		t.Error("the same origin again:", err)
	}
	if err := set("up", "https://b.example.com"); !fault.Is(err, "secret.bound_elsewhere") {
		t.Error("a key is bound anew:", err)
	}
	put(t, st, v, "unbound", "v")
	put(t, st, v, "fengsui.control", "v")
	for _, c := range []struct {
		name, address string
		ok            bool
	}{
		{"up", "https://a.example.com/v1", true}, {"up", "https://a.example.com:8443/v1", false}, {"up", "http://a.example.com/v1", false}, {"up", "https://b.example.com/v1", false},
		{"none", "https://a.example.com/v1", false}, {"unbound", "https://a.example.com/v1", false}, {"unbound", "nothing", false}, {"fengsui.control", "https://a.example.com/v1", false},
	} {
		if err := secret.CheckUpstream(ctx, st.Read(), c.name, c.address); (err == nil) != c.ok || err != nil && !fault.Is(err, "secret.not_for_upstream") {
			t.Errorf("%s to %s: %v", c.name, c.address, err)
		}
	}
}
