package api

import (
	"net/http"

	"github.com/klauspost/compress/gzhttp"
)

// packed sends answers to reads gzipped to whoever takes that: a list is words repeated, and lines are slow.
//
// A length can tell what is inside when a secret stands beside text of a stranger's choice and the stranger can make
// the answer be asked for again and again (BREACH). Here he cannot: the session's cookie is SameSite=Strict, so a
// request from a foreign page is nobody's. And what shows a secret, which is each time once, answers a POST; those
// are left as they are. So is the stream of changes, which must leave event by event.
func packed(next http.Handler) http.Handler {
	wrap, err := gzhttp.NewWrapper(gzhttp.EnableZstd(false), gzhttp.ContentTypes([]string{"application/json", "text/csv"}))
	if err != nil {
		panic(err) // of constants
	}
	pack := wrap(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Path != "/api/v1/events" {
			pack(w, r)
		} else {
			next.ServeHTTP(w, r)
		}
	})
}
