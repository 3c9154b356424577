package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// streams are the open event streams. A stream lives in its request and starts nothing of its own.
type streams struct {
	mu    sync.Mutex
	open  map[string]int // by person
	ended chan struct{}
	once  sync.Once

	perPerson int
	beat      time.Duration // between comments, and at most between two looks at who asks
	pace      time.Duration // least time between two readings of the store
	write     time.Duration // for one event to leave
	behind    int64         // further behind, a client had better load everything anew
}

func newStreams() *streams {
	return &streams{open: map[string]int{}, ended: make(chan struct{}), perPerson: 8, beat: 15 * time.Second, pace: 100 * time.Millisecond, write: 10 * time.Second, behind: 5000}
}

// EndStreams ends all event streams and every later one at once; a server calls it before it shuts down.
func (a *API) EndStreams() { a.streams.once.Do(func() { close(a.streams.ended) }) }

func (s *streams) enter(person string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[person] >= s.perPerson {
		return false
	}
	s.open[person]++
	return true
}

func (s *streams) leave(person string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[person]--; s.open[person] == 0 {
		delete(s.open, person)
	}
}

// events registers the stream of changes (text/event-stream). It is not in the OpenAPI document, which
// speaks of answers that end.
func (a *API) events() {
	o := operation{method: http.MethodGet, path: "/events", id: "events", room: "status", summary: "What changes, as it changes"}.huma()
	o.Hidden = true
	huma.Register(a.huma, o, func(_ context.Context, in *struct {
		After       string `query:"after"`
		LastEventID string `header:"Last-Event-ID"`
	}) (*huma.StreamResponse, error) {
		at := in.LastEventID // a client that reconnects sends it with the address of its first request
		if at == "" {
			at = in.After
		}
		return &huma.StreamResponse{Body: func(ctx huma.Context) { a.stream(ctx, at) }}, nil
	})
}

// stream serves one client until it goes, is too slow, may not read any more, or the server ends.
func (a *API) stream(hctx huma.Context, at string) {
	ctx, actor := hctx.Context(), actorOf(hctx.Context())
	after := int64(-1)
	if at != "" {
		n, err := strconv.ParseInt(at, 10, 64)
		if err != nil || n < 0 {
			a.refuse(hctx, fault.Invalid("after", "error.unknown_value", "value", at, "valid", "0, 1, 2 …"))
			return
		}
		after = n
	}
	if !a.streams.enter(actor.ID) {
		p := &Problem{Status: http.StatusTooManyRequests, Title: http.StatusText(http.StatusTooManyRequests), Key: "events.too_many"}
		p.Detail = a.catalog.Say(langOf(ctx), "events.too_many", "n", a.streams.perPerson)
		hctx.SetHeader("Retry-After", "15")
		write(hctx, p)
		return
	}
	defer a.streams.leave(actor.ID)
	size, err := record.Size(ctx, a.Store.Read())
	if err != nil {
		a.refuse(hctx, err)
		return
	}
	_, w := humago.Unwrap(hctx)
	s := stream{rc: http.NewResponseController(w), w: w, limit: a.streams.write}
	// The server's limits are for requests that end. A reader that went away is noticed by the next write.
	_ = s.rc.SetReadDeadline(time.Time{})
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	first := after
	if after < 0 || after > size || size-after > a.streams.behind {
		first = size
	}
	err = s.event("hello", first, map[string]int64{"seq": size})
	if err == nil && after >= 0 && first != after {
		err = s.event("reset", size, map[string]int64{"seq": size})
	}
	if err == nil {
		err = a.follow(ctx, actor, first, s)
	}
	a.log.DebugContext(ctx, "event stream ended", "person", actor.ID, "err", err)
}

// follow sends what changes from seq after on.
func (a *API) follow(ctx context.Context, actor store.Actor, after int64, s stream) error {
	beat := time.NewTicker(a.streams.beat)
	defer beat.Stop()
	again, _ := ctx.Value(againKey).(func() (store.Actor, error))
	for {
		_, woken := a.Store.Hub().Watch(store.TopicRecord)
		list, next, more, err := a.Changes(ctx, actor, after)
		if err != nil {
			return err
		}
		// Who asks is looked at after each reading: nobody hears of anything that came with the end of their token or later.
		now, err := again()
		if err != nil {
			return err
		}
		if now.ID != actor.ID || now.Drill != actor.Drill || !slices.Equal(now.Roles, actor.Roles) {
			return fmt.Errorf("the rights of %s have changed", actor.ID)
		}
		for _, c := range list {
			if err := s.event("change", c.Seq, c); err != nil {
				return err
			}
		}
		after = next
		if more && ctx.Err() == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-a.streams.ended:
			return nil
		case <-beat.C: // also finds what another process wrote, which wakes nobody here
			if err := s.comment(); err != nil {
				return err
			}
		case <-woken:
			select { // a burst of commits is read at once
			case <-ctx.Done():
				return nil
			case <-a.streams.ended:
				return nil
			case <-time.After(a.streams.pace):
			}
		}
	}
}

// stream writes events; each has a time by which it must have left.
type stream struct {
	w     http.ResponseWriter
	rc    *http.ResponseController
	limit time.Duration
}

func (s stream) event(name string, id int64, data any) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return err
	}
	return s.send(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", id, name, raw))
}

func (s stream) comment() error { return s.send(":\n\n") }

func (s stream) send(text string) error {
	if err := s.rc.SetWriteDeadline(time.Now().Add(s.limit)); err != nil {
		return err
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.rc.Flush()
}
