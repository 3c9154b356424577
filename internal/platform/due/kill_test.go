package due_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/platform/watch"
)

const childDir, childMode = "FENGSUI_DUE_TEST_DIR", "FENGSUI_DUE_TEST_MODE"

// child is the process that the test below kills: a worker on the folder it is given.
func child() bool {
	dir := os.Getenv(childDir)
	if dir == "" {
		return false
	}
	st, err := store.Open(context.Background(), storetest.Inherit(store.Options{Dir: dir, Clock: clock.System(), Hub: watch.New()}))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ready")
	if os.Getenv(childMode) == "careless" {
		careless(st)
	}
	w := due.New(st, map[string]due.Handler{"note": func(ctx context.Context, tx *store.Tx, r due.Row) error {
		time.Sleep(200 * time.Microsecond) // room for a kill inside the transaction
		if err := noteEffect(ctx, tx, r); err != nil {
			return err
		}
		if r.Attempts == 1 && len(r.ObjectID)%2 == 0 && r.ObjectID[len(r.ObjectID)-1] == '7' {
			return errors.New("the first attempt fails")
		}
		return nil
	}}, due.Options{Owner: fmt.Sprint("node-", os.Getpid()), Batch: 32, RetryBase: 10 * time.Millisecond, HandlerTimeout: time.Second})
	w.Run(context.Background())
	return true
}

// careless is how it must not be done: the effect commits before the firing does, and the process dies
// in between, once. It shows that the test would see a row that fires twice.
func careless(st *store.Store) {
	ctx := context.Background()
	rows, err := due.List(ctx, st.Read(), due.Filter{States: []due.State{due.Pending}, Limit: 1})
	if err != nil || len(rows) == 0 {
		os.Exit(1)
	}
	if err := st.Write(ctx, store.System("careless"), func(tx *store.Tx) error { return noteEffect(ctx, tx, rows[0]) }); err != nil {
		os.Exit(1)
	}
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

// spawn runs the child until it dies, or kills it when lifetime has passed since it was ready.
func spawn(t *testing.T, dir, mode string, lifetime time.Duration) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childMode+"="+mode)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if s, err := bufio.NewReader(out).ReadString('\n'); err != nil || s != "ready\n" {
		t.Errorf("the child said %q, %v", s, err)
	}
	gone := make(chan struct{})
	go func() { defer close(gone); cmd.Wait() }() //nolint:errcheck // it dies by a signal, its own or ours
	select {
	case <-gone:
	case <-time.After(lifetime):
		cmd.Process.Kill()
		<-gone
	}
}

// tally counts rows by state and effects by how often a row had them.
func tally(t testing.TB, st *store.Store) (pending, lost, doubled int) {
	t.Helper()
	err := st.Read().NewRaw(`SELECT
		(SELECT COUNT(*) FROM due WHERE state <> 'fired'),
		(SELECT COUNT(*) FROM due WHERE state = 'fired' AND object_id NOT IN (SELECT object_id FROM effect)),
		(SELECT COUNT(*) FROM (SELECT object_id FROM effect GROUP BY object_id HAVING COUNT(*) > 1) AS d)`).Scan(context.Background(), &pending, &lost, &doubled)
	if err != nil {
		t.Fatal(err)
	}
	return pending, lost, doubled
}

func fill(t *testing.T, n int) *store.Store {
	t.Helper()
	st := open(t, clock.System())
	at := clock.Ms(clock.System())
	var rows []due.Row
	for i := range n {
		rows = append(rows, row(fmt.Sprint(i), at-int64(n-i)))
	}
	set(t, st, rows...)
	return st
}

func TestKilledAtRandomInstantsEveryRowFiresExactlyOnce(t *testing.T) {
	rows, enough := 2000, 10
	if testing.Short() {
		rows, enough = 300, 3
	}
	st := fill(t, rows)
	kills := 0
	for pending := rows; pending > 0; {
		if kills++; kills > 300 {
			t.Fatalf("%d rows still pending after %d kills", pending, kills)
		}
		// On a slow machine most of a short life passes before the first batch; lives grow with the kills.
		spawn(t, st.Dir(), "", time.Duration(1+rand.IntN(120+2*kills))*time.Millisecond)
		var doubled, lost int
		if pending, lost, doubled = tally(t, st); lost != 0 || doubled != 0 {
			t.Fatalf("after %d kills: %d rows lost their effect, %d had it twice", kills, lost, doubled)
		}
	}
	var effects, distinct int
	if err := st.Read().NewRaw("SELECT COUNT(*), COUNT(DISTINCT object_id) FROM effect").Scan(context.Background(), &effects, &distinct); err != nil {
		t.Fatal(err)
	}
	if effects != rows || distinct != rows {
		t.Fatalf("%d effects of %d rows, want %d of each", effects, distinct, rows)
	}
	if kills < enough {
		t.Fatalf("only %d kills: the test proves little", kills)
	}
	t.Logf("%d rows, %d kills, each effect exactly once", rows, kills)
}

func TestNodesThatRaceForTheSameRowsAndAreKilledFireEachOnceAndMissNone(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds; short runs have two workers that are not killed, and one that is")
	}
	const rows = 800
	st := fill(t, rows)
	lives := 0
	for pending := rows; pending > 0; {
		if lives++; lives > 150 {
			t.Fatalf("%d rows still pending after %d lives", pending, lives)
		}
		var both sync.WaitGroup
		for range 2 {
			lifetime := time.Duration(1+rand.IntN(200+8*lives)) * time.Millisecond
			both.Go(func() { spawn(t, st.Dir(), "", lifetime) })
		}
		both.Wait()
		var doubled, lost int
		if pending, lost, doubled = tally(t, st); lost != 0 || doubled != 0 {
			t.Fatalf("after %d lives: %d rows lost their effect, %d had it twice", lives, lost, doubled)
		}
	}
	var effects, distinct, nodes int
	if err := st.Read().NewRaw("SELECT (SELECT COUNT(*) FROM effect), (SELECT COUNT(DISTINCT object_id) FROM effect), (SELECT COUNT(DISTINCT owner) FROM due)").Scan(context.Background(), &effects, &distinct, &nodes); err != nil {
		t.Fatal(err)
	}
	if effects != rows || distinct != rows || nodes < 6 || lives < 4 {
		t.Fatalf("%d effects of %d rows by %d nodes in %d lives of two", effects, distinct, nodes, lives)
	}
	t.Logf("%d rows, %d lives of two nodes each, %d of them fired some, each effect exactly once", rows, lives, nodes)
}

func TestACarelessWorkerIsCaughtFiringTwice(t *testing.T) {
	st := fill(t, 3)
	spawn(t, st.Dir(), "careless", 10*time.Second) // dies by itself
	pending, _, doubled := tally(t, st)
	for tries := 0; pending > 0 && tries < 20; tries++ {
		spawn(t, st.Dir(), "", 500*time.Millisecond)
		pending, _, doubled = tally(t, st)
	}
	if pending != 0 || doubled != 1 {
		t.Fatalf("%d pending, %d doubled: the count does not see a row that fires twice", pending, doubled)
	}
}
