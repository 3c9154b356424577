package app

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
)

// A client that reads a stream to its end and asks again on the same connection, while the server drains.
func TestADrainAnswersWhatIsAskedOnAConnectionWhoseStreamEndedMeanwhile(t *testing.T) {
	for name, c := range map[string]struct{ waits, answered bool }{
		"as it is":                   {waits: true, answered: true},
		"control: shut down at once": {},
	} {
		t.Run(name, func(t *testing.T) {
			var draining atomic.Bool
			ends, began := make(chan struct{}), make(chan struct{})
			open := newConnections(clock.System())
			srv := &http.Server{ConnState: open.note, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if draining.Load() {
					w.Header().Set("Connection", "close")
				}
				if r.URL.Path == "/stream" {
					_, _ = io.WriteString(w, "one ")
					_ = http.NewResponseController(w).Flush()
					close(began)
					<-ends
				}
				_, _ = io.WriteString(w, "end")
			})}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			go func() { _ = srv.Serve(l) }()
			defer srv.Close()
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			from := bufio.NewReader(conn)
			ask := func(path string) (*http.Response, error) {
				if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", path); err != nil {
					return nil, err
				}
				return http.ReadResponse(from, nil)
			}
			res, err := ask("/stream")
			if err != nil {
				t.Fatal(err)
			}
			<-began

			draining.Store(true)
			shut := make(chan struct{})
			go func() {
				defer close(shut)
				if c.waits {
					open.wait(300*time.Millisecond, t.Context().Done())
				}
				_ = srv.Shutdown(context.Background())
			}()
			if !c.waits {
				time.Sleep(100 * time.Millisecond) // until Shutdown is waiting
			}
			close(ends)
			if body, err := io.ReadAll(res.Body); err != nil || string(body) != "one end" {
				t.Fatalf("the stream was %q, %v", body, err)
			}
			res, err = ask("/more")
			if answered := err == nil; answered != c.answered {
				t.Fatalf("the next request was answered: %v (%v)", answered, err)
			}
			if c.answered && !res.Close {
				t.Error("the answer does not say that the connection ends")
			}
			<-shut
		})
	}
}

func TestADrainClosesConnectionsThatTheirClientsLeaveAlone(t *testing.T) {
	now := clock.NewFake(time.Unix(1_000_000, 0))
	open := newConnections(now)
	a, b := &net.TCPConn{}, &net.TCPConn{}
	step := func(want bool) {
		t.Helper()
		if got := open.left(6 * time.Second); got != want {
			t.Fatalf("left alone: %v", got)
		}
	}
	step(true) // nobody there
	open.note(a, http.StateNew)
	step(false)
	now.Advance(6 * time.Second)
	step(true) // nothing was ever asked on it
	open.note(b, http.StateNew)
	open.note(b, http.StateActive)
	now.Advance(time.Minute)
	step(false) // a stream goes on
	open.note(b, http.StateIdle)
	now.Advance(5 * time.Second)
	step(false) // its client may ask again
	now.Advance(time.Second)
	step(true)
	open.note(a, http.StateActive)
	open.note(a, http.StateClosed)
	step(true)
	open.note(b, http.StateActive)
	open.note(b, http.StateHijacked)
	step(true)
}
