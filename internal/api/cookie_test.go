package api_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/api"
)

func TestASessionsCookieIsSecureWhereTheDeskIsReachedByTLS(t *testing.T) {
	for name, c := range map[string]struct {
		public string
		tls    bool
		want   bool
	}{
		"by http":                        {"http://127.0.0.1:8080", false, false},
		"served by TLS":                  {"http://127.0.0.1:8080", true, true},
		"behind what ends TLS before it": {"https://fengsui.example.com", false, true},
	} {
		for _, token := range []string{"t", ""} { // also when it is taken out: a browser keeps one of each
			r := httptest.NewRequest(http.MethodPost, "/", nil)
			if c.tls {
				r.TLS = &tls.ConnectionState{}
			}
			w := httptest.NewRecorder()
			api.SetSession(w, r, c.public, token)
			if got := w.Header().Get("Set-Cookie"); strings.Contains(got, "; Secure") != c.want || !strings.Contains(got, "HttpOnly") || !strings.Contains(got, "SameSite=Strict") {
				t.Errorf("%s: %s", name, got)
			}
		}
	}
}
