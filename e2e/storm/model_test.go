//go:build torture

package storm

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// model streams a word now and then until nobody listens, answers at once, or lies.
type model struct{ url string }

// wordEvery is how often a stream says something: gentle, because there are a thousand of them.
const wordEvery = 1500 * time.Millisecond

// Ways to lie, asked for by the prompt.
var lies = []string{"lie-length", "lie-events", "lie-endless", "lie-garbage", "lie-stall", "lie-die"}

func openModel(t *testing.T) *model {
	s := httptest.NewServer(http.HandlerFunc(serveModel))
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return &model{s.URL + "/v1"}
}

const chunk = `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"word %d. "},"finish_reason":null}]}` + "\n\n"

func serveModel(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	for _, lie := range lies {
		if bytes.Contains(body, []byte(lie)) {
			tell(w, r, lie)
			return
		}
	}
	if !bytes.Contains(body, []byte(`"stream":true`)) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}`)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for i, wait := 0, time.Duration(rand.Int64N(int64(wordEvery))); ; i, wait = i+1, wordEvery {
		if _, err := fmt.Fprintf(w, chunk, i); err != nil || http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-time.After(wait):
		}
	}
}

func tell(w http.ResponseWriter, r *http.Request, lie string) {
	flush := http.NewResponseController(w).Flush
	switch lie {
	case "lie-length":
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "5000")
		_, _ = io.WriteString(w, `{"id":"x","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hel`)
	case "lie-events":
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: {\"id\":\n\nevent: nonsense\nda")
		_ = flush()
	case "lie-endless":
		w.Header().Set("Content-Type", "text/event-stream")
		piece := bytes.Repeat([]byte("x"), 64<<10)
		_, err := io.WriteString(w, "data: ")
		for err == nil && r.Context().Err() == nil {
			_, err = w.Write(piece)
		}
	case "lie-garbage":
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(bytes.Repeat([]byte{0xff, 0x00, '{', '"'}, 4096))
	case "lie-stall":
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprintf(w, chunk, 0)
		_ = flush()
		<-r.Context().Done()
	case "lie-die":
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprintf(w, chunk, 0)
		_ = flush()
		panic(http.ErrAbortHandler)
	}
}
