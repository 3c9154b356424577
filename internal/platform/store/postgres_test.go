package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/platform/watch"
)

// These tests are about what only PostgreSQL can do to us, so they run on it whatever the engine of the run is.

func onPostgres(t *testing.T, address string) *store.Store {
	t.Helper()
	st, err := store.Open(ctx, store.Options{Dir: t.TempDir(), Database: address, Clock: clock.System(), Recorder: &ledger{}, Hub: watch.New()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

func TestATransactionWhoseConnectionIsCutIsMadeAgainAndTakesEffectOnce(t *testing.T) {
	st := onPostgres(t, storetest.Database(t, t.TempDir()))
	tries := 0
	err := st.Write(ctx, actor, func(tx *store.Tx) error {
		if err := put(ctx, tx, "state", actor.ID); err != nil {
			return err
		}
		if tries++; tries > 1 {
			return nil
		}
		var pid int
		if err := tx.QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&pid); err != nil {
			return err
		}
		// A superuser may end it from a reader's connection.
		_, err := st.Read().ExecContext(ctx, "SELECT pg_terminate_backend(?)", pid)
		return err
	})
	if err != nil || tries != 2 || count(t, st) != 1 {
		t.Errorf("%v after %d tries, %d rows", err, tries, count(t, st))
	}
}

func TestANumberOfATransactionProvesNothingOnAServerThatWasPromotedMeanwhile(t *testing.T) {
	st := onPostgres(t, storetest.Database(t, t.TempDir()))
	var id string
	if err := st.Write(ctx, actor, func(tx *store.Tx) error {
		return tx.QueryRowContext(ctx, "SELECT pg_current_xact_id()::text").Scan(&id)
	}); err != nil {
		t.Fatal(err)
	}
	lost := io.ErrUnexpectedEOF
	for _, c := range []struct {
		what, id, line string
		want           func(error) bool
	}{
		{"committed here", id, "", func(err error) bool { return err == nil }},
		{"committed here by somebody, after a failover", id, "0000002A", func(err error) bool { return fault.Is(err, "store.unknown") }},
		{"not known to who was promoted", "4000000000", "0000002A", func(err error) bool { return errors.Is(err, store.ErrAborted) }},
	} {
		if err := st.Fate(ctx, c.id, c.line, lost); !c.want(err) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

func TestAReaderWhoseServerWentAwayCanTryAgainAndOneThatAskedNonsenseCannot(t *testing.T) {
	st := onPostgres(t, storetest.Database(t, t.TempDir()))
	_, err := st.Read().ExecContext(ctx, "SELECT pg_terminate_backend(pg_backend_pid())")
	if err == nil || !fault.Is(store.Away(err), "store.busy") {
		t.Errorf("away: %v", err)
	}
	_, err = st.Read().ExecContext(ctx, "SELECT nonsense")
	if err == nil || store.Away(err) != err || store.Away(nil) != nil {
		t.Errorf("nonsense: %v", err)
	}
	refused := fault.Unavailable("store.full").Because(io.EOF)
	if store.Away(refused) != error(refused) {
		t.Error("what was said already is said otherwise")
	}
}

func TestAServerThatTakesAConnectionAndSaysNothingIsAwayAndOneThatRefusesIsNot(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	connect := func(database string) error {
		config, err := pgx.ParseConfig(database)
		if err != nil {
			t.Fatal(err)
		}
		_, err = pgx.ConnectConfig(ctx, config)
		return fmt.Errorf("look up: %w", err)
	}
	if err := connect("postgres://fengsui@" + silent.Addr().String() + "/fengsui?sslmode=disable&connect_timeout=1"); !fault.Is(store.Away(err), "store.busy") {
		t.Errorf("silence: %v", err)
	}
	address, err := url.Parse(storetest.Database(t, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	address.Path = "/no_such_database"
	if err := connect(address.String()); err == nil || store.Away(err) != err {
		t.Errorf("refused: %v", err)
	}
}

// wire stands between a store and its server. While cut is set it lets the next commit through and loses the answer.
type wire struct {
	net.Listener
	server string
	cut    atomic.Bool
	age    atomic.Int32 // lines of an earlier age stay open and carry nothing
	lost   atomic.Int32
}

func between(t *testing.T, s storetest.Server) (w *wire, folder string) {
	t.Helper()
	folder = t.TempDir()
	l, err := net.Listen("unix", filepath.Join(folder, ".s.PGSQL.5432"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	w = &wire{Listener: l, server: filepath.Join(s.Socket(), ".s.PGSQL.5432")}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go w.carry(c)
		}
	}()
	return w, folder
}

func (w *wire) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("unix", w.server)
	if err != nil {
		return
	}
	defer server.Close()
	age := w.age.Load()
	var losing atomic.Bool
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, err := client.Read(buf)
			if err != nil {
				server.Close()
				return
			}
			if bytes.Contains(bytes.ToLower(buf[:n]), []byte("commit")) && w.cut.CompareAndSwap(true, false) {
				losing.Store(true)
			}
			if w.age.Load() != age {
				continue
			}
			if _, err := server.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 1<<16)
	for {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		if losing.Load() {
			w.lost.Add(1)
			return // the commit took place, and nobody hears of it
		}
		if w.age.Load() != age {
			continue
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

func TestACommitWhoseAnswerIsLostIsFoundOutAndNotMadeTwice(t *testing.T) {
	address := storetest.Database(t, t.TempDir())
	server := storetest.Cluster(t)
	w, folder := between(t, server)
	st := onPostgres(t, strings.Replace(address, server.Socket(), folder, 1))
	for n := range 5 {
		tries := 0
		w.cut.Store(true)
		if err := st.Write(ctx, actor, func(tx *store.Tx) error {
			tries++
			return put(ctx, tx, fmt.Sprint("state", n), actor.ID)
		}); err != nil || tries != 1 {
			t.Fatalf("%v after %d tries", err, tries)
		}
	}
	if w.lost.Load() != 5 || count(t, st) != 5 {
		t.Errorf("%d answers were lost, %d rows", w.lost.Load(), count(t, st))
	}
}

func TestANodeThatStopsInsideATransactionDoesNotKeepTheOthersFromWriting(t *testing.T) {
	t.Parallel()
	address := storetest.Database(t, t.TempDir())
	stuck, other := onPostgres(t, address), onPostgres(t, address)
	inside, release, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	var once sync.Once
	go func() {
		done <- stuck.Write(ctx, actor, func(tx *store.Tx) error {
			err := put(ctx, tx, "stuck", actor.ID)
			once.Do(func() { close(inside); <-release })
			return err
		})
	}()
	<-inside
	if err := other.Write(ctx, actor, func(tx *store.Tx) error { return put(ctx, tx, "other", actor.ID) }); err != nil {
		t.Errorf("the other node: %v", err)
	}
	if n := count(t, other); n != 1 {
		t.Errorf("%d rows while the one is stuck", n)
	}
	close(release)
	if err := <-done; err != nil || count(t, other) != 2 {
		t.Errorf("the node that was stuck goes on with %v, %d rows", err, count(t, other))
	}
}

func TestAChangeAtOneNodeWakesTheWatchersAtAnother(t *testing.T) {
	address := storetest.Database(t, t.TempDir())
	here, there := onPostgres(t, address), onPostgres(t, address)
	for _, topics := range [][]string{{"orders"}, {"orders", strings.Repeat("x", 9000)}} { // the second is longer than a notice
		_, changed := there.Hub().Watch("orders")
		_, calm := there.Hub().Watch("calm")
		if err := here.Write(ctx, actor, func(tx *store.Tx) error {
			for _, topic := range topics {
				tx.Touch(topic)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-changed:
		case <-time.After(10 * time.Second):
			t.Fatalf("%d topics: nobody was woken", len(topics))
		}
		select {
		case <-calm:
			if len(topics) == 1 {
				t.Error("a topic that was not touched was woken")
			}
		default:
		}
	}
}

func TestAClockThatIsVisiblyApartFromTheDatabasesIsPutRight(t *testing.T) {
	for name, c := range map[string]struct{ database, asked, answered, want int64 }{
		"the same":               {1_000_000, 999_999, 1_000_001, 0},
		"a little off":           {1_000_060, 1_000_000, 1_000_002, 0},
		"behind":                 {1_005_000, 1_000_000, 1_000_002, 4_999},
		"ahead":                  {995_000, 1_000_000, 1_000_002, -5_001},
		"an answer that took":    {1_005_000, 1_000_000, 1_000_900, 0},
		"stepped back meanwhile": {1_005_000, 1_000_000, 999_000, 0},
	} {
		base := clock.NewFake(time.UnixMilli(1_000_000))
		fixed, correct := store.CorrectedClock(base, func() time.Duration { return 0 })
		correct(c.database, c.asked, c.answered)
		if got := fixed.Now().UnixMilli() - 1_000_000; got != c.want {
			t.Errorf("%s: put right by %d ms, want %d", name, got, c.want)
		}
	}
}

func TestAStepOfTheMachinesClockMovesNoDeadlineNotEvenUntilTheDatabaseIsAskedAgain(t *testing.T) {
	machine, running := clock.NewFake(time.UnixMilli(1_000_000)), time.Duration(0)
	fixed, correct := store.CorrectedClock(machine, func() time.Duration { return running })
	correct(1_005_000, 1_000_000, 1_000_000) // five seconds behind
	pass := func(d, step time.Duration) {
		running += d
		machine.Advance(d + step)
	}
	for _, c := range []struct {
		what    string
		d, step time.Duration
		want    int64
	}{
		{"an hour ahead", 2 * time.Second, time.Hour, 1_007_000},
		{"and back", time.Second, -time.Hour, 1_008_000},
		{"two hours back", time.Second, -2 * time.Hour, 1_009_000},
		{"noise is no step", time.Second, 50 * time.Millisecond, 1_010_000},
	} {
		if pass(c.d, c.step); fixed.Now().UnixMilli()/1000 != c.want/1000 {
			t.Errorf("%s: %d, want %d", c.what, fixed.Now().UnixMilli(), c.want)
		}
	}
	now := clock.Ms(machine)
	correct(1_010_000, now, now) // asked again, the machine's clock wrong as it is
	if pass(time.Second, 0); fixed.Now().UnixMilli()/1000 != 1_011 {
		t.Errorf("asked again: %d", fixed.Now().UnixMilli())
	}
}

func TestADatabaseThatDoesNotFitIsRefusedWithoutSayingItsPassword(t *testing.T) {
	s := storetest.Cluster(t)
	s.Exec(t, "postgres", `CREATE DATABASE latin TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'`)
	t.Cleanup(func() { s.Exec(t, "postgres", "DROP DATABASE latin WITH (FORCE)") })
	user := "postgres://u:" + "geheim" + "@"
	for address, key := range map[string]string{
		user + "[::1/x":          "store.bad_database",
		user + "h/x?sslmode=huh": "store.bad_database",
		s.URL("latin"):           "store.collation",
	} {
		_, err := store.Open(ctx, store.Options{Dir: t.TempDir(), Database: address, Clock: clock.System()})
		if !fault.Is(err, key) || strings.Contains(fmt.Sprint(err, errors.Unwrap(err)), "geheim") {
			t.Errorf("%s: %v", key, err)
		}
	}
	_, err := store.Open(ctx, store.Options{Dir: t.TempDir(), Database: user + "/x?host=/nowhere", Clock: clock.System()})
	if err == nil || strings.Contains(err.Error(), "geheim") {
		t.Errorf("a server that is not there: %v", err)
	}
}

func TestOneProcessServesUnderANameAtATime(t *testing.T) {
	address := storetest.Database(t, t.TempDir())
	first, second := onPostgres(t, address), onPostgres(t, address)
	if _, err := first.ServeAs(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := second.ServeAs(ctx, "a"); !fault.Is(err, "store.name_in_use") {
		t.Errorf("beside the first: %v", err)
	}
	other := onPostgres(t, address)
	if _, err := other.ServeAs(ctx, "b"); err != nil {
		t.Errorf("under another name: %v", err)
	}
	other.Close()
	first.Close()
	held, err := second.ServeAs(ctx, "a")
	for range 100 { // the server notices a moment later
		if err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
		held, err = second.ServeAs(ctx, "a")
	}
	if err != nil {
		t.Fatalf("after the first: %v", err)
	}
	// Its connection is cut, and another takes its place before it is back.
	third := onPostgres(t, address)
	for took := false; !took; time.Sleep(time.Millisecond) {
		if _, err := third.Read().ExecContext(ctx, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1"); err != nil {
			t.Fatal(err)
		}
		_, err := third.ServeAs(ctx, "a")
		took = err == nil
	}
	if err := held(ctx); !fault.Is(err, "store.name_in_use") {
		t.Errorf("whose place was taken goes on with %v", err)
	}
}

// A host that vanished closes nothing: its lines stand and carry nothing.
func TestANodeWhoseLineFellSilentHearsTheOthersAgainAndKeepsItsName(t *testing.T) {
	defer store.Quiet(300*time.Millisecond, time.Second)()
	address := storetest.Database(t, t.TempDir())
	server := storetest.Cluster(t)
	w, folder := between(t, server)
	near, far := onPostgres(t, address), onPostgres(t, strings.Replace(address, server.Socket(), folder, 1))
	held, err := far.ServeAs(ctx, "far")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	holding, stop := context.WithCancel(ctx)
	go func() { ended <- held(holding) }()
	w.age.Add(1)
	told := func() bool {
		t.Helper()
		_, heard := far.Hub().Watch("x")
		if err := near.Write(ctx, actor, func(tx *store.Tx) error { tx.Touch("x"); return put(ctx, tx, "state", tx.NewID()) }); err != nil {
			t.Fatal(err)
		}
		select {
		case <-heard:
			return true
		case <-time.After(300 * time.Millisecond):
			return false
		}
	}
	if told() {
		t.Fatal("the line carries still")
	}
	for end := time.Now().Add(20 * time.Second); !told(); {
		if time.Now().After(end) {
			t.Fatal("it never hears the others again")
		}
	}
	time.Sleep(3 * time.Second) // its name's line is looked at each second and given up after one
	select {
	case err := <-ended:
		t.Fatalf("it lost its name to itself: %v", err)
	default:
	}
	if _, err := near.ServeAs(ctx, "far"); !fault.Is(err, "store.name_in_use") {
		t.Errorf("its name is free: %v", err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestALineToTheDatabaseEndsByItselfWhenNobodyIsAtItsOtherEnd(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := store.Dial(ctx, "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		for what, opt := range map[string][3]int{"unreceived, ms": {syscall.IPPROTO_TCP, 0x12, 10_000}, "keepalive": {syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1}, "idle, s": {syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, 5}} {
			if v, err := syscall.GetsockoptInt(int(fd), opt[0], opt[1]); err != nil || v != opt[2] {
				t.Errorf("%s: %d, %v", what, v, err)
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
}
