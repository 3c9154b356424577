//go:build torture

package storm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// fault is something that goes wrong and is mended.
type fault struct {
	name  string
	hold  time.Duration // how long it lasts at least
	begin func(ctx context.Context, r *row) error
	end   func(ctx context.Context, r *row) error // nil: it mends itself
	row   *row
}

func (s *storm) faults() []*fault {
	kill := func(what string) func(context.Context, *row) error {
		return func(ctx context.Context, r *row) error { s.kill(ctx, r, what); return nil }
	}
	lines := func(do func(*line) error, all ...*line) func(context.Context, *row) error {
		return func(context.Context, *row) error {
			var errs []error
			for _, l := range all {
				errs = append(errs, do(l))
			}
			return errors.Join(errs...)
		}
	}
	toxic := func(kind, attributes string) func(*line) error {
		return func(l *line) error { return l.toxic(kind, attributes) }
	}
	off := func(l *line) error { l.off(); return nil }
	silence := toxic("timeout", `{"timeout":0}`) // connections stay and nothing arrives
	dbs := []*line{s.nodes[0].db, s.nodes[1].db}
	first, second := s.gates[0].links[:], s.gates[1].links[:]
	all := []*fault{
		{name: "kill -9 of a control node", hold: time.Second, begin: kill("control")},
		{name: "kill -9 of a gateway", hold: time.Second, begin: kill("gateway")},
		{name: "kill -9 of a drill", hold: time.Second, begin: kill("drill")},
		{name: "kill -9 of a backend of PostgreSQL", hold: time.Second, begin: kill("backend")},
		{name: "PostgreSQL stopped for 6 s", hold: 6 * time.Second, begin: s.stopped(syscall.SIGINT), end: s.started},
		{name: "PostgreSQL restarted, immediate", hold: time.Second, begin: s.stopped(syscall.SIGQUIT), end: s.started},
		{name: "PostgreSQL slow, 40 ms each way", hold: 8 * time.Second, begin: lines(toxic("latency", `{"latency":40,"jitter":20}`), dbs...), end: lines(off, dbs...)},
		{name: "connections to PostgreSQL cut, five times", hold: time.Second, begin: s.cutting(dbs)},
		{name: "failover to the standby", hold: 2 * time.Second, begin: s.failover, end: s.rebuilt},
		{name: "one control node silently cut off from PostgreSQL", hold: 10 * time.Second, begin: lines(silence, dbs[0]), end: lines(off, dbs[0])},
		{name: "one gateway silently cut off from control", hold: 10 * time.Second, begin: lines(silence, first...), end: lines(off, first...)},
		{name: "both gateways silently cut off from one control node", hold: 10 * time.Second, begin: lines(silence, first[0], second[0]), end: lines(off, first[0], second[0])},
		{name: "one gateway refused by control", hold: 6 * time.Second, begin: lines(func(l *line) error { l.cut(); return nil }, second...), end: lines((*line).mend, second...)},
		{name: "gateways far from control, 250 ms each way", hold: 8 * time.Second, begin: lines(toxic("latency", `{"latency":250,"jitter":100}`), append(first, second...)...), end: lines(off, append(first, second...)...)},
		{name: "clocks of all processes stepped, by up to an hour", hold: 8 * time.Second, begin: s.step(10*time.Minute, -time.Hour, -10*time.Minute, time.Hour), end: s.step(0, 0, 0, 0)},
		{name: "messages of gateways doubled, late and out of order", hold: 8 * time.Second, begin: s.muddled(true), end: s.unmuddled},
		{name: "an upstream that lies", hold: 6 * time.Second, begin: s.lied},
		{name: "an attack at ten times capacity", hold: 8 * time.Second, begin: s.attacked},
		{name: "two orders that contradict", hold: time.Second, begin: s.contradicted},
	}
	if s.small != nil {
		all = append(all, &fault{name: "no room on a gateway's disk", hold: 8 * time.Second, begin: s.forgetful, end: s.emptied(s.gates[0].dir)},
			&fault{name: "no room in a control node's data folder", hold: 8 * time.Second, begin: s.filled(s.small[1]), end: s.emptied(s.small[1])})
	}
	return all
}

func (s *storm) stopped(how syscall.Signal) func(context.Context, *row) error {
	return func(context.Context, *row) error { s.pgDown.Store(true); return s.pg.Stop(how) }
}

func (s *storm) started(context.Context, *row) error {
	defer s.pgDown.Store(false)
	return s.pg.Start()
}

func (s *storm) cutting(dbs []*line) func(context.Context, *row) error {
	return func(context.Context, *row) error {
		for range 5 {
			for _, l := range dbs {
				l.cut()
				if err := l.mend(); err != nil {
					return err
				}
			}
			time.Sleep(time.Duration(100+s.rng.IntN(500)) * time.Millisecond)
		}
		return nil
	}
}

func (s *storm) failover(ctx context.Context, r *row) error {
	s.pgDown.Store(true)
	defer s.pgDown.Store(false)
	if err := s.pg.Failover(ctx); err != nil {
		return err
	}
	s.killed(r, "PostgreSQL primary")
	return errors.Join(s.nodes[0].db.turnTo(s.pg.Address()), s.nodes[1].db.turnTo(s.pg.Address()))
}

// rebuilt gives the new primary a standby; it is tried again when a kill comes between.
func (s *storm) rebuilt(ctx context.Context, _ *row) (err error) {
	for range 5 {
		if err = s.pg.Rebuild(ctx); err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(time.Second)
	}
	return err
}

func (s *storm) step(by ...time.Duration) func(context.Context, *row) error {
	return func(context.Context, *row) error {
		var errs []error
		for i, c := range s.children() {
			errs = append(errs, c.step(by[i]))
		}
		return errors.Join(errs...)
	}
}

func (s *storm) muddled(on bool) func(context.Context, *row) error {
	return func(context.Context, *row) error {
		for _, g := range s.gates {
			for _, m := range g.muddles {
				m.on.Store(on)
			}
		}
		return nil
	}
}

// unmuddled waits until enough was muddled, for on a slow machine a gateway has little to say in eight seconds.
func (s *storm) unmuddled(ctx context.Context, r *row) error {
	var twice, late, old int64
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end) && ctx.Err() == nil && (twice == 0 || late == 0 || old == 0); time.Sleep(100 * time.Millisecond) {
		twice, late, old = 0, 0, 0
		for _, g := range s.gates {
			for _, m := range g.muddles {
				twice, late, old = twice+m.twice.Load(), late+m.late.Load(), old+m.old.Load()
			}
		}
	}
	if s.t.Logf("%d messages came twice, %d late, %d answers with a bundle were old ones", twice, late, old); twice == 0 || late == 0 || old == 0 {
		return errors.Join(errors.New("nothing was muddled"), s.muddled(false)(ctx, r))
	}
	return s.muddled(false)(ctx, r)
}

// lied has both gateways ask for every lie, streamed and not, from callers with little patience.
func (s *storm) lied(ctx context.Context, _ *row) error {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	var asking sync.WaitGroup
	var whole atomic.Int64
	for _, lie := range lies {
		for i := range 16 {
			asking.Go(func() {
				code, body, err := s.crowd.chat(ctx, i%2, 9, lie, i%4 < 2)
				if err == nil && code == 200 && (strings.Contains(body, "[DONE]") || strings.Contains(body, `"finish_reason":"stop"`)) {
					whole.Add(1)
				}
			})
		}
	}
	asking.Wait()
	if n := whole.Load(); n > 0 {
		return fmt.Errorf("%d lies were handed on as whole answers", n)
	}
	return s.slim()
}

// slim says when a gateway has grown too fat.
func (s *storm) slim() error {
	const most = 1 << 20 // KiB
	for _, g := range s.gates {
		g.mu.Lock()
		pid := g.p.Cmd.Process.Pid
		g.mu.Unlock()
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue // it was killed just now
		}
		_, rest, _ := strings.Cut(string(raw), "VmRSS:")
		kib, _ := strconv.Atoi(strings.Fields(rest + " 0")[0])
		if kib > most {
			return fmt.Errorf("%s holds %d MiB", g.name, kib>>10)
		}
	}
	return nil
}

// attacked finds out how many requests a second both gateways answer to eight askers, and sends ten times as many, as far as
// this process can: what would wait behind two thousand others is not sent.
func (s *storm) attacked(ctx context.Context, r *row) error {
	const measured, lasting, waiting = 2 * time.Second, 6 * time.Second, 2000
	var asking sync.WaitGroup
	var answered atomic.Int64
	end := time.Now().Add(measured)
	for i := range 8 {
		asking.Go(func() {
			for time.Now().Before(end) {
				if code, _, err := s.crowd.chat(ctx, i%2, 9, "hi", false); err == nil && code == 200 {
					answered.Add(1)
				}
			}
		})
	}
	asking.Wait()
	capacity := float64(answered.Load()) / measured.Seconds()
	ctx, cancel := context.WithTimeout(ctx, lasting+2*time.Second)
	var sent, got, unsent atomic.Int64
	room := make(chan struct{}, waiting)
	s.background.Go(func() {
		defer cancel()
		var asking sync.WaitGroup
		defer asking.Wait()
		const tick = 5 * time.Millisecond
		for n, begun := 0, time.Now(); time.Since(begun) < lasting; time.Sleep(tick) {
			for ; float64(n) < 10*capacity*time.Since(begun).Seconds(); n++ {
				select {
				case room <- struct{}{}:
				default:
					unsent.Add(1)
					continue
				}
				sent.Add(1)
				asking.Go(func() {
					defer func() { <-room }()
					if code, _, err := s.crowd.chat(ctx, n%2, 9, "hi", false); err == nil && code == 200 {
						got.Add(1)
					}
				})
			}
		}
	})
	r.after = func() error {
		s.t.Logf("capacity %.0f requests/s; of ten times that, in %s, %d were sent and %d answered, %d found no room to be sent", capacity, lasting, sent.Load(), got.Load(), unsent.Load())
		return s.slim()
	}
	return nil
}

// contradicted has one order let everybody of a group in and another keep everybody out, at once at two nodes.
func (s *storm) contradicted(ctx context.Context, r *row) error {
	const tenant = 4
	s.crowd.held[tenant].Store(true)
	defer s.crowd.held[tenant].Store(false)
	var ids [2]struct{ ID string }
	var errs [2]error
	var both sync.WaitGroup
	s.orders++
	key := fmt.Sprint("contrary-", s.orders, "-")
	for i, group := range []string{"default", "nobody"} {
		both.Go(func() {
			_, errs[i] = s.insist(ctx, 0, "POST", "/orders", key+group, map[string]any{"cause": "incident", "cause_id": s.cause, "rung": "audience_limit", "service_id": s.service,
				"tenant": name(tenant), "params": map[string]any{"allowed_groups": []string{group}}, "reason": "storm"}, &ids[i])
		})
	}
	both.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	for _, o := range ids {
		s.ledger.add("order", o.ID, time.Time{})
		if _, err := s.acknowledged(ctx, o.ID); err != nil {
			return err
		}
	}
	time.Sleep(mostLate)
	for g, open := range s.crowd.of(tenant) {
		if code, _, err := s.crowd.chat(ctx, g, tenant, "hi", false); err == nil && code == 200 || len(open) > 0 {
			return fmt.Errorf("%s lets in whom one of two orders keeps out (%d streams)", s.gates[g].name, len(open))
		}
	}
	for i, o := range ids {
		s.lift(ctx, r, o.ID, key+fmt.Sprint(i))
	}
	return nil
}

// filler is what takes up the room.
const filler = "filler"

func (s *storm) filled(dir string) func(context.Context, *row) error {
	return func(context.Context, *row) error {
		f, err := os.Create(filepath.Join(dir, filler))
		if err != nil {
			return err
		}
		defer f.Close()
		for _, size := range []int{1 << 20, 4 << 10, 1} {
			for piece := make([]byte, size); err == nil; {
				_, err = f.Write(piece)
			}
			if !errors.Is(err, syscall.ENOSPC) {
				return err
			}
			err = nil
		}
		return nil
	}
}

// forgetful fills a gateway's disk, gives an order, and kills the gateway when it has acknowledged.
func (s *storm) forgetful(ctx context.Context, r *row) error {
	const tenant = 4
	if err := s.filled(s.gates[0].dir)(ctx, r); err != nil {
		return err
	}
	s.crowd.held[tenant].Store(true)
	defer s.crowd.held[tenant].Store(false)
	s.orders++
	key := fmt.Sprint("full-", s.orders)
	var o struct{ ID string }
	if _, err := s.insist(ctx, 0, "POST", "/orders", key, map[string]any{"cause": "incident", "cause_id": s.cause, "rung": "audience_limit", "service_id": s.service,
		"tenant": name(tenant), "params": map[string]any{"allowed_groups": []string{"nobody"}}, "reason": "storm"}, &o); err != nil {
		return err
	}
	s.ledger.add("order", o.ID, time.Time{})
	if _, err := s.acknowledged(ctx, o.ID); err != nil {
		return err
	}
	if err := s.gates[0].kill(); err != nil {
		return err
	}
	s.killed(r, "gateway")
	if err := s.gates[0].start(); err != nil {
		return err
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		code, body, err := s.crowd.chat(ctx, 0, tenant, "hi", false)
		if err == nil && code == 200 {
			return errors.New("killed while its disk was full, the gateway has forgotten an order that it had acknowledged")
		}
		if err == nil && code == 403 && strings.Contains(body, "audience_limited") {
			s.lift(ctx, r, o.ID, key)
			return nil
		}
	}
	return errors.New("the gateway does not come up")
}

func (s *storm) emptied(dir string) func(context.Context, *row) error {
	return func(context.Context, *row) error { return os.Remove(filepath.Join(dir, filler)) }
}

// smallDisks mounts a file system of few megabytes where a gateway and a control node keep their files; nil if this
// process may not.
func smallDisks(h *house) []string {
	dirs := []string{filepath.Join(h.dir, "edge-1"), filepath.Join(h.dir, "a")}
	for _, d := range dirs {
		if err := os.MkdirAll(d, 0o700); err != nil {
			h.t.Fatal(err)
		}
		if err := syscall.Mount("storm", d, "tmpfs", 0, "size=24m,mode=0700"); err != nil {
			h.t.Logf("no small disk can be mounted, so that none is filled up: %v", err)
			return nil
		}
		h.t.Cleanup(func() { _ = syscall.Unmount(d, syscall.MNT_DETACH) })
	}
	return dirs
}
