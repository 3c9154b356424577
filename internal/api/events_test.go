package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/api"
	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/flow"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/platform/watch"
)

// line is one event of a stream; a comment has the name ":".
type line struct {
	id, name string
	flow.Change
}

// ear is an open stream.
type ear struct {
	lines chan line // closed when the stream has ended
	stop  context.CancelFunc
}

// tune opens the stream at a server's address. The answer's status is not 200 where it was refused.
func (b *bench) tune(t testing.TB, base, role, query string, headers ...string) (*ear, int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, "GET", base+"/api/v1/events"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+b.tokens[role])
	for k := 0; k+1 < len(headers); k += 2 {
		req.Header.Set(headers[k], headers[k+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	e := &ear{lines: make(chan line, 10_000), stop: cancel}
	t.Cleanup(cancel)
	go func() {
		defer close(e.lines)
		defer res.Body.Close()
		var l line
		for s := bufio.NewScanner(res.Body); s.Scan(); {
			key, value, _ := strings.Cut(s.Text(), ": ")
			switch key {
			case "id":
				l.id = value
			case "event":
				l.name = value
			case "data":
				_ = json.Unmarshal([]byte(value), &l.Change)
			case ":":
				l.name = ":"
			case "":
				e.lines <- l
				l = line{}
			}
		}
	}()
	return e, res.StatusCode
}

// next is the next event that is no comment; ok is false when the stream has ended.
func (e *ear) next(t testing.TB) (l line, ok bool) {
	t.Helper()
	for {
		select {
		case l, ok = <-e.lines:
			if l.name != ":" {
				return l, ok
			}
		case <-time.After(20 * time.Second):
			t.Fatal("nothing came")
		}
	}
}

// noted is the action of the entries that these tests append. The instance appends its own beside them, such as
// an acknowledged order or a probe, whenever it gets to them.
const noted = "test.note"

// until reads changes up to and with the one of an object, and gives the noted ones.
func (e *ear) until(t testing.TB, id string) (out []flow.Change) {
	t.Helper()
	for seen := int64(0); ; {
		l, ok := e.next(t)
		if !ok {
			t.Fatalf("the stream ended before %s came: %+v", id, out)
		}
		if l.name != "change" {
			continue
		}
		if l.id != fmt.Sprint(l.Seq) || l.Seq <= seen {
			t.Errorf("id %s of seq %d, after %d", l.id, l.Seq, seen)
		}
		if seen = l.Seq; l.Action != noted {
			continue
		}
		if out = append(out, l.Change); l.ID == id {
			return out
		}
	}
}

// served mounts the API once more over the bench's house, behind a server of the test's making.
func (b *bench) served(t testing.TB, beat, write time.Duration, perPerson int, with func(*httptest.Server)) (*api.API, string) {
	t.Helper()
	return serving(t, b.app.House, beat, write, perPerson, with)
}

func serving(t testing.TB, h *flow.House, beat, write time.Duration, perPerson int, with func(*httptest.Server)) (*api.API, string) {
	t.Helper()
	catalog, err := locale.Load()
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	a := api.Mount(mux, h, catalog, slog.New(slog.DiscardHandler))
	a.HurryStreams(beat, write, perPerson)
	srv := httptest.NewUnstartedServer(mux)
	if with != nil {
		with(srv)
	}
	srv.Start()
	t.Cleanup(func() { a.EndStreams(); srv.CloseClientConnections(); srv.Close() })
	return a, srv.URL
}

// note appends entries about objects of a kind.
func (b *bench) note(t testing.TB, kind, scope string, ids ...string) {
	t.Helper()
	b.write(t, func(tx *store.Tx) error {
		for _, id := range ids {
			tx.Record(store.Entry{Action: noted, ObjectKind: kind, ObjectID: id, Scope: scope})
		}
		return nil
	})
}

func ids(changes []flow.Change) (out []string) {
	for _, c := range changes {
		out = append(out, c.ID)
	}
	return out
}

func TestAStreamTellsWhatChangesAndGoesOnAfterACutWithNothingTwiceAndNothingLost(t *testing.T) {
	b := newBench(t)
	b.world(t)
	e, _ := b.tune(t, b.app.URL(), "commander", "")
	hello, _ := e.next(t)
	if hello.name != "hello" || hello.Seq < 1 || hello.id != fmt.Sprint(hello.Seq) {
		t.Fatalf("%+v", hello)
	}
	b.note(t, "incident", "incident:RWinc", "RWinc")
	b.note(t, "order", "", "RWorder")
	got := e.until(t, "RWorder")
	if len(got) != 2 || got[0].Seq <= hello.Seq || got[0].IncidentID != "RWinc" || got[1].IncidentID != "RWinc" || got[1].Kind != "order" || got[1].AtMs == 0 {
		t.Errorf("%+v", got)
	}
	e.stop()
	b.note(t, "task", "incident:RWinc", "T-1", "T-2", "T-3") // while nobody listens
	e, _ = b.tune(t, b.app.URL(), "commander", "?after=1", "Last-Event-ID", fmt.Sprint(got[1].Seq))
	if hello, _ = e.next(t); hello.name != "hello" || hello.id != fmt.Sprint(got[1].Seq) || hello.Seq < got[1].Seq+3 {
		t.Errorf("%+v", hello)
	}
	b.note(t, "task", "incident:RWinc", "T-4")
	if got := strings.Join(ids(e.until(t, "T-4")), " "); got != "T-1 T-2 T-3 T-4" {
		t.Error(got)
	}
	// Too far behind, or ahead of what there is: the client is told to load everything.
	for _, after := range []string{"99999999"} {
		e, _ := b.tune(t, b.app.URL(), "commander", "?after="+after)
		hello, _ := e.next(t)
		reset, _ := e.next(t)
		if hello.name != "hello" || reset.name != "reset" || reset.Seq != hello.Seq || reset.id != fmt.Sprint(hello.Seq) {
			t.Errorf("%+v %+v", hello, reset)
		}
	}
	for _, bad := range []string{"x", "-1", "1.5", "99999999999999999999"} {
		if a := b.call(t, "commander", "GET", "/events?after="+bad, ""); a.status != 422 || a.Field != "after" {
			t.Errorf("%s: %d %s", bad, a.status, a.body)
		}
	}
	if a := b.call(t, "", "GET", "/events", ""); a.status != 401 {
		t.Errorf("nobody: %d", a.status)
	}
}

// heard is what Changes gives an actor from seq on, up to the end.
func (b *bench) heard(t testing.TB, role string, from int64) (out []string) {
	t.Helper()
	e, _ := b.tune(t, b.app.URL(), role, fmt.Sprintf("?after=%d", from))
	defer e.stop()
	return ids(e.until(t, "END-"+role))
}

func TestNobodyHearsOfWhatTheyMayNotRead(t *testing.T) {
	b := newBench(t)
	b.world(t)
	first, _ := b.tune(t, b.app.URL(), "commander", "")
	hello, _ := first.next(t)
	from := hello.Seq
	kinds := map[string]string{"incident": "RWinc", "order": "RWorder", "gate_review": "RWgate", "anomaly": "RWanomaly", "evidence": "RWevidence", "obligation": "RWobligation",
		"person": "P-1", "token": "K-1", "gateway_key": "G-1", "service": b.svc, "complaint": "C-1", "secret": "S-1", "invented": "X-1", "drill": "01DRILLX"}
	for kind, id := range kinds {
		scope := ""
		if kind == "obligation" { // always said under its incident
			scope = "incident:RWinc"
		}
		b.note(t, kind, scope, id)
	}
	b.note(t, "task", "incident:RWinc", "RWtask") // known by its scope alone
	marks := map[string]string{"commander": "task", "engineer": "task", "duty_officer": "task", "system_admin": "service", "security_admin": "person", "audit_admin": "signer", "auditor": "service"}
	for role, kind := range marks {
		b.note(t, kind, "", "END-"+role)
	}
	has := func(role string, want ...string) {
		t.Helper()
		got := map[string]bool{}
		for _, id := range b.heard(t, role, from) {
			got[id] = true
		}
		wanted := map[string]bool{}
		for _, k := range want {
			wanted[k] = true
			if id := kinds[k]; id != "" && !got[id] {
				t.Errorf("%s does not hear of %s", role, k)
			}
		}
		for k, id := range kinds {
			if got[id] && !wanted[k] {
				t.Errorf("%s hears of %s", role, k)
			}
		}
		if got["RWtask"] != wanted["incident"] {
			t.Errorf("%s hears of the incident's task: %v", role, got["RWtask"])
		}
	}
	has("commander", "incident", "order", "gate_review", "anomaly", "evidence", "obligation", "service", "complaint", "drill")
	has("engineer", "incident", "evidence", "service", "drill")
	has("security_admin", "person", "token")
	has("system_admin", "gateway_key", "service", "secret")
	has("auditor", "incident", "order", "gate_review", "anomaly", "evidence", "obligation", "service", "drill")

	// What holds now decides: restricted, nothing of it is told, not even what was said before.
	b.exec(t, "UPDATE incident SET restricted = TRUE", "UPDATE anomaly SET state = 'promoted', incident_id = 'RWinc' WHERE id = 'RWanomaly'")
	for role := range marks {
		for _, id := range b.heard(t, role, from) {
			if strings.HasPrefix(id, "RW") {
				t.Errorf("%s hears of %s of a restricted incident", role, id)
			}
		}
	}
	b.exec(t, `INSERT INTO incident_access (incident_id, person_id, granted_by, granted_ms) VALUES ('RWinc', '`+b.person["commander"]+`', 'x', 1)`)
	if got := b.heard(t, "commander", from); !strings.Contains(strings.Join(got, " "), "RWtask") {
		t.Errorf("who is on the list hears %q", got)
	}
	b.exec(t, "UPDATE incident SET restricted = FALSE")
	has("engineer", "incident", "evidence", "service", "drill")
}

func TestAStandInHearsOfItsDrillOnly(t *testing.T) {
	b := newBench(t)
	b.world(t)
	e, _ := b.tune(t, b.app.URL(), "seat", "")
	if hello, _ := e.next(t); hello.name != "hello" {
		t.Fatalf("%+v", hello)
	}
	b.exec(t, `INSERT INTO incident (id, number, kind, operator_id, service_id, title, state, editions, declared_by, declared_ms, drill_id) SELECT 'RWown', 'D-IN-X', 'drill', operator_id, id, 't', 'declared', '[]', 'x', 1, '01DRILLX' FROM service`)
	b.note(t, "drill", "", "RWdrill")
	b.note(t, "incident", "incident:RWinc", "RWinc")
	b.note(t, "order", "", "RWorder")
	b.note(t, "service", "", b.svc)
	b.note(t, "incident", "incident:RWown", "RWown")
	b.note(t, "task", "incident:RWown", "T-own")
	b.note(t, "drill", "", "01DRILLX")
	if got := strings.Join(ids(e.until(t, "01DRILLX")), " "); got != "RWown T-own 01DRILLX" {
		t.Error(got)
	}
}

// meanwhile does something once, just before a query whose text holds of.
type meanwhile struct {
	of   string
	once sync.Once
	do   func()
}

func (m *meanwhile) BeforeQuery(ctx context.Context, e *bun.QueryEvent) context.Context {
	if strings.Contains(e.Query, m.of) {
		m.once.Do(m.do)
	}
	return ctx
}
func (*meanwhile) AfterQuery(context.Context, *bun.QueryEvent) {}

func TestATokenThatEndsWhileAStreamReadsHearsNothingOfWhatCameWithItsEnd(t *testing.T) {
	b := newBench(t)
	from := b.count(t, "SELECT COUNT(*) FROM record_entries")
	// Another node's stream, whose reading can be waited for.
	st := storetest.Open(t, store.Options{Dir: b.app.House.Store.Dir(), Clock: clock.System(), Hub: watch.New()})
	reads := &meanwhile{of: "FROM record_entries AS e", do: func() {
		b.write(t, func(tx *store.Tx) error {
			_, err := tx.Exec("UPDATE token SET revoked_ms = 1 WHERE person_id = ?", b.person["auditor"])
			tx.Record(store.Entry{Action: noted, ObjectKind: "service", ObjectID: "after"})
			return err
		})
	}}
	//lint:ignore SA1019 a store does not show its pool otherwise
	st.Read().(*bun.DB).AddQueryHook(reads)
	_, url := serving(t, &flow.House{Store: st, Book: b.app.House.Book, Login: b.app.House.Login}, 20*time.Millisecond, time.Second, 3, nil)
	b.note(t, "service", "", "before")
	e, status := b.tune(t, url, "auditor", fmt.Sprintf("?after=%d", from))
	if status != 200 {
		t.Fatal(status)
	}
	for {
		l, ok := e.next(t)
		if !ok {
			break
		}
		if l.Action == noted {
			t.Errorf("%+v came nevertheless", l)
		}
	}
	if b.count(t, "SELECT COUNT(*) FROM record_entries WHERE object_id = 'after'") != 1 {
		t.Error("the stream ended without reading")
	}
}

func TestAStreamEndsWithTheTokenTheRoleAndTheServer(t *testing.T) {
	b := newBench(t)
	srv, url := b.served(t, 20*time.Millisecond, time.Second, 3, nil)
	ended := func(e *ear, why string) {
		t.Helper()
		for {
			l, ok := e.next(t)
			if !ok {
				return
			}
			if l.Action == noted {
				t.Errorf("%s: %+v came nevertheless", why, l)
			}
		}
	}
	open := func(role string) *ear {
		t.Helper()
		e, status := b.tune(t, url, role, "")
		if hello, _ := e.next(t); status != 200 || hello.name != "hello" {
			t.Fatalf("%d %+v", status, hello)
		}
		return e
	}
	token := open("auditor")
	b.write(t, func(tx *store.Tx) error {
		_, err := tx.Exec("UPDATE token SET revoked_ms = 1 WHERE person_id = ?", b.person["auditor"])
		tx.Record(store.Entry{Action: noted, ObjectKind: "service", ObjectID: "after"})
		return err
	})
	ended(token, "a revoked token")
	quiet := open("engineer") // found out without anything happening
	b.exec(t, "UPDATE token SET revoked_ms = 1 WHERE person_id = '"+b.person["engineer"]+"'")
	ended(quiet, "a revoked token, and silence")
	role := open("management")
	b.exec(t, `UPDATE person SET roles = '["expert"]' WHERE id = '`+b.person["management"]+`'`)
	ended(role, "another role")

	// Three streams a person; the fourth is refused in words, and a place is free again after one has gone.
	var three []*ear
	for range 3 {
		three = append(three, open("commander"))
	}
	open("compliance") // another person's
	e, status := b.tune(t, url, "commander", "")
	e.stop()
	if status != 429 {
		t.Errorf("the fourth: %d", status)
	}
	three[0].stop()
	for deadline := time.Now().Add(20 * time.Second); srv.OpenStreams() > 3 && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	still := open("commander")
	srv.EndStreams()
	ended(still, "a server that ends")
	for deadline := time.Now().Add(20 * time.Second); srv.OpenStreams() > 0 && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	if n := srv.OpenStreams(); n != 0 {
		t.Errorf("%d streams are still counted", n)
	}
}

func TestAStreamOutlivesTheLimitsOfTheServerAndBeatsWhenNothingHappens(t *testing.T) {
	b := newBench(t)
	_, url := b.served(t, 50*time.Millisecond, time.Second, 3, func(s *httptest.Server) {
		s.Config.ReadTimeout, s.Config.WriteTimeout = 200*time.Millisecond, 200*time.Millisecond
	})
	e, _ := b.tune(t, url, "commander", "")
	beats := 0
	for beats < 20 { // a second, five times the server's limits
		select {
		case l, ok := <-e.lines:
			if !ok {
				t.Fatalf("the stream ended after %d beats", beats)
			}
			if l.name == ":" {
				beats++
			}
		case <-time.After(20 * time.Second):
			t.Fatal("no beat")
		}
	}
	b.note(t, "service", "", "late")
	e.until(t, "late")
}

// lazy makes connections that hold little of what was not read.
type lazy struct{ net.Listener }

func (l lazy) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(4096)
	}
	return c, err
}

func TestWhoDoesNotReadIsDroppedAndMayGoOnLater(t *testing.T) {
	b := newBench(t)
	srv, url := b.served(t, time.Second, 100*time.Millisecond, 3, func(s *httptest.Server) { s.Listener = lazy{s.Listener} })
	first, _ := b.tune(t, url, "commander", "")
	hello, _ := first.next(t)
	first.stop()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetReadBuffer(4096)
	fmt.Fprintf(conn, "GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", b.tokens["commander"])
	if _, err := io.ReadAtLeast(conn, make([]byte, 64), 64); err != nil {
		t.Fatal(err)
	}
	const many = 4000
	for n := range many / 200 {
		var list []string
		for k := range 200 {
			list = append(list, fmt.Sprintf("S-%04d", n*200+k))
		}
		b.note(t, "service", "", list...)
	}
	for deadline := time.Now().Add(30 * time.Second); srv.OpenStreams() > 0; {
		if time.Now().After(deadline) {
			t.Fatal("who does not read keeps a stream open")
		}
		time.Sleep(10 * time.Millisecond)
	}
	e, _ := b.tune(t, url, "commander", "", "Last-Event-ID", fmt.Sprint(hello.Seq))
	got := e.until(t, fmt.Sprintf("S-%04d", many-1))
	if len(got) != many {
		t.Fatalf("%d of %d", len(got), many)
	}
	for n, c := range got {
		if c.ID != fmt.Sprintf("S-%04d", n) {
			t.Fatalf("in the place of S-%04d is %s", n, c.ID)
		}
	}
}

func TestEveryKindOfObjectHasSomebodyWhoHearsOfIt(t *testing.T) {
	b := newBench(t)
	var r api.Reference
	b.must(t, b.call(t, "engineer", "GET", "/reference", ""), &r)
	somebody := func(kind string) bool {
		return slices.ContainsFunc(r.Lists["role"], func(role string) bool {
			return flow.Hears(store.Actor{ID: "x", Roles: []string{role}}, kind)
		})
	}
	for _, kind := range r.Lists["object"] {
		if !somebody(kind) {
			t.Errorf("nobody hears of changes of %s: say in internal/flow/changes.go who may", kind)
		}
		if flow.Hears(store.Actor{ID: "x"}, kind) {
			t.Errorf("somebody without a role hears of %s", kind)
		}
	}
	if somebody("invented") {
		t.Error("a kind that nobody thought of is told")
	}
}

func TestAStreamGoesOnAfterTheServerWasStartedAgain(t *testing.T) {
	dir := t.TempDir()
	start := func() (*bench, func()) {
		o := app.Options{DataDir: dir + "/data", Listen: "127.0.0.1:0", GatewayListen: "127.0.0.1:0"}
		o.Database = storetest.Prepare(t, o.DataDir)
		a, err := app.New(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- a.Run(context.Background()) }()
		return &bench{app: a, tokens: map[string]string{}}, func() {
			began := time.Now()
			a.Stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > 2500*time.Millisecond {
				t.Errorf("stopping took %v: it waited for the stream", took)
			}
		}
	}
	b, stop := start()
	_, token, err := b.app.AddPerson(t.Context(), "x", "safety_engineer")
	if err != nil {
		t.Fatal(err)
	}
	b.tokens["x"] = token
	e, _ := b.tune(t, b.app.URL(), "x", "")
	e.next(t)
	b.note(t, "service", "", "before")
	seen := e.until(t, "before")
	stop()
	if l, ok := e.next(t); ok {
		t.Errorf("after the end: %+v", l)
	}
	b, stop = start()
	defer stop()
	b.tokens["x"] = token
	b.note(t, "service", "", "between")
	e, _ = b.tune(t, b.app.URL(), "x", "", "Last-Event-ID", fmt.Sprint(seen[0].Seq))
	if hello, _ := e.next(t); hello.name != "hello" {
		t.Errorf("%+v", hello)
	}
	b.note(t, "service", "", "after")
	if got := ids(e.until(t, "after")); !slices.Contains(got, "between") || slices.Contains(got, "before") {
		t.Errorf("%q", got)
	}
}
