//go:build torture

package storm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/e2e/examine"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// storm is one run.
type storm struct {
	*house
	crowd  *crowd
	ledger ledger
	cause  string // a real incident that orders come from
	orders int
	rng    *rand.Rand
	drills drills

	background sync.WaitGroup // what a fault does beside
	pgDown     atomic.Bool
	kills      atomic.Int64
	counted    map[string]*atomic.Int64
	starts     atomic.Int64 // of a process that could not come up while something was broken

	mu       sync.Mutex
	problems []string
}

func (s *storm) fail(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what := fmt.Sprintf(format, args...)
	s.problems = append(s.problems, what)
	s.t.Error(what)
}

func number(t *testing.T, name string, fallback int) int {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return fallback
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		t.Fatalf("%s=%q is no number", name, v)
	}
	return n
}

func TestTortureEveryFaultInTurnLosesNothingMissesNoClockAndLeavesEveryOrderObeyed(t *testing.T) {
	want, n := number(t, "FENGSUI_STORM_KILLS", 30), number(t, "FENGSUI_STORM_STREAMS", 1000)
	seed := uint64(number(t, "FENGSUI_STORM_SEED", int(time.Now().UnixNano()&0xffffffff)))
	limit := time.Duration(number(t, "FENGSUI_STORM_MINUTES", 38)) * time.Minute
	t.Logf("FENGSUI_STORM_KILLS=%d FENGSUI_STORM_STREAMS=%d FENGSUI_STORM_SEED=%d", want, n, seed)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	began := time.Now()
	s := &storm{rng: rand.New(rand.NewPCG(seed, 0)), counted: map[string]*atomic.Int64{}}
	t.Cleanup(func() { // after what the processes said
		for _, p := range s.problems {
			t.Log("failed:", p)
		}
	})
	s.house = open(t, n)
	calm := &row{name: "none"}
	s.ledger.under(calm)
	var real struct{ ID string }
	if _, err := s.insist(ctx, 0, "POST", "/incidents", "cause", map[string]any{"kind": "real", "service_id": s.service, "title": "cause of orders"}, &real); err != nil {
		t.Fatal(err)
	}
	s.cause = real.ID
	if err := s.pin(ctx); err != nil {
		t.Fatal(err)
	}
	var working sync.WaitGroup
	streaming, endStreams := context.WithCancel(ctx)
	defer working.Wait()
	defer endStreams()
	s.crowd = s.house.crowd(streaming, n, &working)
	if err := s.crowd.full(ctx, time.Minute); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d streams open over two gateways after %s", s.crowd.open(), time.Since(began).Round(time.Second))
	over := make(chan struct{})
	var deciding sync.WaitGroup
	deciding.Go(func() { s.clocks(ctx, over) })
	deciding.Go(func() { s.drills.play(ctx, s, over) })

	// First nothing is broken: what an order does then, and that streams go on that no order is meant for.
	s.ledger.under(calm)
	before := s.crowd.of(1)
	for range 3 {
		s.order(ctx, calm, 0, true)
	}
	calm.times = 1
	for g := range before {
		for _, x := range before[g] {
			select {
			case <-x.done:
				s.fail("a stream ended that no order was issued for")
			default:
			}
		}
	}
	rows := []*row{calm}
	faults := s.faults()
	chosen := os.Getenv("FENGSUI_STORM_FAULT")
	for _, f := range faults {
		f.row = &row{name: f.name}
		rows = append(rows, f.row)
	}
	for round := 0; ctx.Err() == nil; round++ {
		for i, f := range faults {
			if chosen != "" && !strings.Contains(f.name, chosen) || ctx.Err() != nil {
				continue
			}
			s.inflict(ctx, f, s.share(want, len(faults)-i, len(faults), round))
		}
		if s.kills.Load() >= int64(want) || t.Failed() && round > 0 {
			break
		}
	}
	close(over)
	deciding.Wait()
	if ctx.Err() != nil {
		s.fail("not done after %s", limit)
	}
	s.settle(t)
	s.conclude(t, rows)
	endStreams()
	working.Wait()
	t.Logf("%d kills in %s; %d of them %s; %d drills A.2 passed (%d interrupted and gone on with), %d streams opened, %d starts while something needed was away", s.kills.Load(), time.Since(began).Round(time.Second),
		s.kills.Load(), s.kinds(), s.drills.passed.Load(), s.drills.again.Load(), s.crowd.opened.Load(), s.starts.Load())
	if s.drills.passed.Load() == 0 {
		t.Error("no drill passed, so nothing was shown about them")
	}
	fmt.Print(table(rows))
	if path := os.Getenv("FENGSUI_STORM_TABLE"); path != "" {
		if err := os.WriteFile(path, []byte(table(rows)), 0o600); err != nil {
			t.Error(err)
		}
	}
}

// share is how many random kills go with one fault, so that in one round, or in two where many are wanted, all of them come to
// what is wanted.
func (s *storm) share(want, left, all, round int) int {
	if want > 3*all && round == 0 {
		left += all
	}
	return min(12, max(1, (want-int(s.kills.Load())+left-1)/left))
}

func (s *storm) kinds() string {
	var out []string
	for k, n := range s.counted {
		out = append(out, fmt.Sprintf("%d %s", n.Load(), k))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// killed counts one.
func (s *storm) killed(r *row, what string) {
	s.kills.Add(1)
	r.kills++
	if s.counted[what] == nil {
		s.counted[what] = &atomic.Int64{}
	}
	s.counted[what].Add(1)
}

// kill kills -9 one thing and has it started again; what is chosen by chance if what is "".
func (s *storm) kill(ctx context.Context, r *row, what string) {
	if what == "" {
		switch n := s.rng.IntN(20); {
		case n < 7:
			what = "control"
		case n < 14:
			what = "gateway"
		case n < 18:
			what = "drill"
		default:
			what = "backend"
		}
	}
	switch what {
	case "control", "gateway":
		c := &s.nodes[s.rng.IntN(2)].child
		if what == "gateway" {
			c = &s.gates[s.rng.IntN(2)].child
		}
		if !s.serving(c) { // it is still on its way up, or waits for something that is broken
			return
		}
		if err := c.kill(); err != nil {
			s.fail("%s: %v", r.name, err)
		}
		s.killed(r, what)
		if err := c.start(); err != nil {
			s.fail("%s: %v", r.name, err)
		}
	case "drill":
		if s.drills.kill() {
			s.killed(r, what)
		}
	case "backend":
		if s.pgDown.Load() {
			return
		}
		if err := s.pg.KillBackend(ctx, s.rng.IntN); err == nil {
			s.killed(r, "PostgreSQL backend")
		}
	}
}

// serving says whether a process came up; one that gave up because what it needs is away is started again, as systemd would.
func (s *storm) serving(c *child) bool {
	c.mu.Lock()
	ended, up := c.p.Ended(), strings.Contains(c.p.Said(), "Fengsui")
	c.mu.Unlock()
	if ended && !up {
		s.starts.Add(1)
		if err := c.start(); err != nil {
			s.fail("%s: %v", c.name, err)
		}
		return false
	}
	return up
}

// inflict does one fault with random kills before, in and after it, and measures what is left of it.
func (s *storm) inflict(ctx context.Context, f *fault, kills int) {
	r := f.row
	s.ledger.under(r)
	r.times++
	began := time.Now()
	if err := f.begin(ctx, r); err != nil {
		s.fail("%s: %v", r.name, err)
	}
	var during sync.WaitGroup
	number := r.times
	during.Go(func() { s.order(ctx, r, 5+number%4, false) })
	until := time.Now().Add(f.hold)
	lasts := max(f.hold, time.Duration(kills)*1200*time.Millisecond)
	for range kills {
		time.Sleep(time.Duration(s.rng.Int64N(int64(lasts) / int64(kills))))
		s.look()
		s.kill(ctx, r, "")
	}
	time.Sleep(time.Until(until))
	if f.end != nil {
		if err := f.end(ctx, r); err != nil {
			s.fail("%s: mending: %v", r.name, err)
		}
	}
	mended := time.Now()
	if err := s.wellAgain(ctx, 90*time.Second); err != nil {
		s.fail("%s: %v", r.name, err)
	}
	r.heals = append(r.heals, time.Since(mended))
	during.Wait()
	s.background.Wait()
	if r.after != nil {
		if err := r.after(); err != nil {
			s.fail("%s: %v", r.name, err)
		}
		r.after = nil
	}
	if err := s.crowd.full(ctx, time.Minute); err != nil {
		s.fail("%s: %v", r.name, err)
	}
	for range 2 {
		s.order(ctx, r, s.rng.IntN(4), true)
	}
	r.record = s.verify(ctx)
	s.t.Logf("%-40s %5.1f s, %d kills, well after %v, orders p50 %v p99 %v, record %s", r.name, time.Since(began).Seconds(), r.kills, r.heals[len(r.heals)-1].Round(10*time.Millisecond), part(r.effects, 50), part(r.effects, 99), r.record)
}

// look starts what could not come up.
func (s *storm) look() {
	for _, c := range s.children() {
		s.serving(c)
	}
}

func (s *storm) wellAgain(ctx context.Context, within time.Duration) (err error) {
	for end := time.Now().Add(within); time.Now().Before(end) && ctx.Err() == nil; {
		s.look()
		if err = s.well(ctx, time.Second); err == nil {
			return nil
		}
	}
	return err
}

// pin notes the signer before anything happens.
func (s *storm) pin(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, s.bin, "record", "signer", "--config", s.nodes[0].config, "--json").Output()
	if err != nil {
		return err
	}
	var v struct{ Signer, Fingerprint string }
	if err := json.Unmarshal(out, &v); err != nil {
		return err
	}
	if s.signer = v.Signer + v.Fingerprint; s.signer == "" {
		return errors.New("no fingerprint")
	}
	return nil
}

// verify holds the record against the pinned signer and what each node sent outside.
func (s *storm) verify(ctx context.Context) string {
	for _, n := range s.nodes {
		if out, err := exec.CommandContext(ctx, s.bin, "record", "verify", "--config", n.config, "--signer", s.signer, "--lang", "en").CombinedOutput(); err != nil {
			if ctx.Err() == nil {
				s.fail("the record as %s knows it: %v\n%s", n.name, err, out)
			}
			return "no"
		}
	}
	return "verifies"
}

// settle waits until every clock has run out and what is due is done.
func (s *storm) settle(t *testing.T) {
	time.Sleep(time.Until(s.ledger.last) + 6*time.Second)
	db := s.open(t)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		var n int
		err := db.NewRaw(`SELECT (SELECT COUNT(*) FROM due WHERE state = 'pending' AND due_ms <= ?) + (SELECT COUNT(*) FROM outbox WHERE state = 'pending')`, time.Now().UnixMilli()).Scan(t.Context(), &n)
		if err == nil && n == 0 {
			return
		}
	}
}

// open reads the database past everything.
func (s *storm) open(t *testing.T) *bun.DB {
	t.Helper()
	db, err := store.Bare(t.Context(), store.Options{Dir: filepath.Join(s.dir, "look"), Database: s.pg.URL(database)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// conclude looks for everything that was acknowledged, and for whether it would have found what is missing.
func (s *storm) conclude(t *testing.T, rows []*row) {
	t.Helper()
	ctx := t.Context()
	db := s.open(t)
	problems, err := s.ledger.audit(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	found, err := examine.Database(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	left := s.leftBySpoiled(t, db)
	for _, p := range append(problems, found.Problems...) {
		if _, id, _ := strings.Cut(p, ": "); strings.HasPrefix(p, "wrong: ") && left[id[strings.LastIndex(id, " ")+1:]] {
			continue
		}
		s.fail("%s", p)
	}
	t.Logf("%d decisions were acknowledged; examined: %s", len(s.ledger.all), found)
	var twice, seen int
	for _, schema := range s.days(ctx, db) {
		var n, unique int
		if err := db.NewRaw("SELECT COUNT(*), COUNT(DISTINCT request_id) FROM "+schema+".traffic").Scan(ctx, &n, &unique); err != nil {
			t.Fatal(err)
		}
		twice, seen = twice+n-unique, seen+n
	}
	t.Logf("%d requests seen, %d of them counted twice", seen, twice)
	if twice > 0 {
		s.fail("%d requests were counted twice", twice)
	}
	for _, r := range rows {
		if r.harmful > 0 {
			s.fail("%s: %d words came after their order was acknowledged", r.name, r.harmful)
		}
	}
	s.controls(t, db)
}

func (s *storm) days(ctx context.Context, db bun.IDB) (out []string) {
	if err := db.NewRaw(`SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'telemetry\_%'`).Scan(ctx, &out); err != nil {
		s.fail("%v", err)
	}
	return out
}

// controls tampers with the outcome and looks whether that is found; each is taken back.
func (s *storm) controls(t *testing.T, db *bun.DB) {
	t.Helper()
	ctx := t.Context()
	first := func(kind string) string {
		for _, d := range s.ledger.all {
			if d.kind == kind {
				return d.id
			}
		}
		return ""
	}
	clock, lapsing, order := first("clock"), first("lapsing"), first("order")
	audit := func(tx bun.IDB) []string {
		out, err := s.ledger.audit(ctx, tx)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	examined := func(tx bun.IDB) []string {
		f, err := examine.Database(ctx, tx)
		if err != nil {
			t.Fatal(err)
		}
		return f.Problems
	}
	made := 0
	for _, c := range []struct {
		what, sql, id string
		look          func(bun.IDB) []string
	}{
		{"an incident is gone", "UPDATE incident SET id = 'gone' WHERE id = ?", clock, audit},
		{"an entry of the record is gone", "DELETE FROM record_entries WHERE object_id = ? AND action = 'incident.declare'", clock, audit},
		{"a clock was missed", "UPDATE obligation SET overdue_ms = 0 WHERE incident_id = ?", clock, audit},
		{"a clock was missed, by the examination", "UPDATE obligation SET overdue_ms = 0 WHERE incident_id = ? AND state = 'pending'", clock, examined},
		{"an order is gone", "DELETE FROM record_entries WHERE object_id = ? AND action = 'order.issue'", order, audit},
		{"an order never lapsed", "UPDATE disposal_order SET state = 'in_force' WHERE id = ?", lapsing, audit},
		{"a due row is gone", "DELETE FROM due WHERE object_id = (SELECT id FROM obligation WHERE incident_id = ? AND state = 'pending' AND due_ms > 0 LIMIT 1)", clock, examined},
	} {
		if c.id == "" {
			continue
		}
		had := len(c.look(db))
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.ExecContext(ctx, "SET LOCAL session_replication_role = replica"); err != nil { // no foreign keys
			t.Fatal(err)
		}
		if _, err := tx.ExecContext(ctx, c.sql, c.id); err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		if len(c.look(tx)) <= had {
			t.Errorf("%s, and nobody sees it", c.what)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		made++
	}
	// The audit counts into the rows; the last one is of the real outcome.
	audit(db)
	flip := "UPDATE record_entries SET leaf = REPLACE(leaf, ?, ?) WHERE idx = (SELECT MIN(idx) FROM record_entries WHERE action = 'order.issue')"
	if _, err := db.ExecContext(ctx, flip, "order.issue", "order.iffue"); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(ctx, s.bin, "record", "verify", "--config", s.nodes[0].config, "--signer", s.signer).CombinedOutput(); err == nil {
		t.Errorf("an entry of the record is changed, and verify passes:\n%s", out)
	}
	if _, err := db.ExecContext(ctx, flip, "order.iffue", "order.issue"); err != nil {
		t.Fatal(err)
	}
	if said := s.verify(ctx); said != "verifies" {
		t.Errorf("put right again it %s", said)
	}
	t.Logf("%d ways of tampering with the outcome were tried and looked for", made+1)
}

// part is a percentile.
func part(all []time.Duration, percent int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[(len(sorted)-1)*percent/100].Round(time.Millisecond)
}

// table is what docs/reliability.md shows.
func table(rows []*row) string {
	var b strings.Builder
	b.WriteString("| fault | times | kills meanwhile | decided | lost | clocks missed | well again after, at most | order effect after, p50 / p99 | during, p99 | streams ended | words after acknowledgement | record |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|\n")
	all := &row{name: "**all**", record: "verifies"}
	line := func(r *row) {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %s | %s / %s | %s | %d | %d | %s |\n", r.name, r.times, r.kills, r.decided, r.lost, r.missed, seconds(part(r.heals, 100)), seconds(part(r.effects, 50)), seconds(part(r.effects, 99)), seconds(part(r.during, 99)), r.streams, r.harmful, r.record)
	}
	for _, r := range rows {
		if r.times == 0 {
			continue
		}
		line(r)
		all.times, all.kills, all.decided, all.lost, all.missed, all.streams, all.harmful = all.times+r.times, all.kills+r.kills, all.decided+r.decided, all.lost+r.lost, all.missed+r.missed, all.streams+r.streams, all.harmful+r.harmful
		all.effects, all.during, all.heals = append(all.effects, r.effects...), append(all.during, r.during...), append(all.heals, r.heals...)
		if r.record != "verifies" && r.record != "" {
			all.record = r.record
		}
	}
	line(all)
	return b.String()
}

func seconds(d time.Duration) string {
	if d == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

// leftBySpoiled are the drills that were spoiled, with their incidents and orders. As many as passed would say more than chance.
func (s *storm) leftBySpoiled(t *testing.T, db bun.IDB) map[string]bool {
	t.Helper()
	left := map[string]bool{}
	if len(s.drills.spoiled) == 0 {
		return left
	}
	if int64(len(s.drills.spoiled)) > s.drills.passed.Load() {
		s.fail("%d drills lost the proof of what was cut, and %d passed", len(s.drills.spoiled), s.drills.passed.Load())
	}
	var ids []string
	if err := db.NewRaw("SELECT id FROM drill WHERE id IN (?) UNION SELECT id FROM incident WHERE drill_id IN (?) UNION SELECT id FROM disposal_order WHERE drill_id IN (?)",
		bun.List(s.drills.spoiled), bun.List(s.drills.spoiled), bun.List(s.drills.spoiled)).Scan(t.Context(), &ids); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		left[id] = true
	}
	return left
}

// drills plays case A.2 again and again.
type drills struct {
	mu            sync.Mutex
	proc          *os.Process
	hit           bool
	passed, again atomic.Int64

	// Drills that ended as failed because no gateway said that it cut their answer, as when one is killed between cutting and
	// saying so. A failed drill is not gone on with; what it left stays as it is.
	spoiled []string
}

const spoils = "no gateway says that it cut one"

func (d *drills) kill() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.proc == nil || d.hit {
		return false
	}
	d.hit = d.proc.Kill() == nil
	return d.hit
}

func (d *drills) play(ctx context.Context, s *storm, over <-chan struct{}) {
	for ctx.Err() == nil {
		select {
		case <-over:
			return
		default:
		}
		id := store.NewID(clock.Ms(clock.System()))
		for trial := 0; ctx.Err() == nil; trial++ {
			passed, hit, said := d.once(ctx, s, id)
			if passed {
				d.passed.Add(1)
				break
			}
			d.again.Add(1)
			if !hit && ctx.Err() == nil {
				if strings.Contains(said, spoils) {
					s.t.Logf("drill %s has no proof that its answer was cut, and failed as it should", id)
					d.mu.Lock()
					d.spoiled = append(d.spoiled, id)
					d.mu.Unlock()
					break
				}
				if strings.Contains(said, "ended before") || trial > 20 {
					s.fail("drill %s does not pass: %s", id, said)
					return
				}
				s.t.Logf("drill %s did not pass at once: %s", id, said[:min(len(said), 300)])
			}
		}
	}
}

func (d *drills) once(ctx context.Context, s *storm, id string) (passed, hit bool, said string) {
	cmd := exec.CommandContext(ctx, s.bin, "drill", "run", "A.2", "--json", "--server", "http://"+s.nodes[turn.Add(1)%2].api, "--upstream", s.drillAt, "--resume", id, "--settle", "90s")
	cmd.Env = append(os.Environ(), "FENGSUI_TOKEN="+s.persons[0])
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		return false, false, err.Error()
	}
	d.mu.Lock()
	d.proc, d.hit = cmd.Process, false
	d.mu.Unlock()
	err := cmd.Wait()
	d.mu.Lock()
	d.proc, hit = nil, d.hit
	d.mu.Unlock()
	var res struct{ Passed bool }
	_ = json.Unmarshal([]byte(out.String()), &res)
	return res.Passed, hit, fmt.Sprint(err, errs.String(), out.String())
}
