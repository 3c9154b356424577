package node

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Options say who this node is. Zero values mean the default.
type Options struct {
	ID      string        // its name; required
	Version string        // of the program
	Modules []Module      // what it understands
	Every   time.Duration // how often it says that it lives; default 5 s
	Lease   time.Duration // how long after its last word others may take what it held; default 15 s
	Log     *slog.Logger  // default: discards
}

// Keeper says that this node lives, and holds and gives up what one node at a time does. Make it with New.
type Keeper struct {
	st    *store.Store
	o     Options
	have  map[string]int64
	clock clock.Clock
	cycle *due.Cycle
	begun int64 // when this node was entered; 0 before

	mu    sync.Mutex
	jobs  []*job
	needs map[string]int64
	busy  int           // jobs that run now
	wake  chan struct{} // closed and renewed when needs, leases or busy change
}

// job is what one node at a time does.
type job struct {
	name, module string
	epoch        int64 // held under this; 0 for not held
}

// New makes the keeper of a node that is not entered yet; it knows already what newer nodes need.
// Error: fault invalid node.name.
func New(ctx context.Context, st *store.Store, o Options) (*Keeper, error) {
	if err := Check(o.ID); err != nil {
		return nil, err
	}
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&o.Every, 5*time.Second)
	def(&o.Lease, 15*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	k := &Keeper{st: st, o: o, have: map[string]int64{}, clock: st.Clock(), cycle: due.NewCycle("node", clock.Ms(st.Clock())), wake: make(chan struct{})}
	for _, m := range o.Modules {
		k.have[m.Name] = m.Version
	}
	needs, err := readNeeds(ctx, st.Read())
	k.tell(needs, nil)
	return k, err
}

// enter writes this node's row, anew or again.
func (k *Keeper) enter(ctx context.Context, tx *store.Tx, begun int64) error {
	modules, err := json.Marshal(k.have)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO node (id, first_ms, started_ms, seen_ms, left_ms, version, built_for, modules) VALUES (?, ?, ?, ?, 0, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET started_ms = excluded.started_ms, seen_ms = excluded.seen_ms, left_ms = 0,
			version = excluded.version, built_for = excluded.built_for, modules = excluded.modules`,
		k.o.ID, tx.NowMs, begun, tx.NowMs, k.o.Version, store.Schema(), string(modules))
	return err
}

// ID is this node's name.
func (k *Keeper) ID() string { return k.o.ID }

// Cycle is the heartbeat.
func (k *Keeper) Cycle() *due.Cycle { return k.cycle }

// May reports whether this node understands a module as new as it is needed.
func (k *Keeper) May(module string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(behind(map[string]int64{module: k.needs[module]}, k.have)) == 0
}

// Behind is nil, or says which modules this node leaves to newer ones.
func (k *Keeper) Behind() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if late := behind(k.needs, k.have); len(late) > 0 {
		return fmt.Errorf("a newer node has raised what is needed; left to newer nodes: %s", strings.Join(late, ", "))
	}
	return nil
}

// raise writes down what this node's modules need of others.
func (k *Keeper) raise(ctx context.Context, tx *store.Tx) error {
	for _, m := range k.o.Modules {
		if _, err := tx.ExecContext(ctx, `INSERT INTO module_need (module, version, node, since_ms) VALUES (?, ?, ?, ?)
			ON CONFLICT (module) DO UPDATE SET version = excluded.version, node = excluded.node, since_ms = excluded.since_ms WHERE module_need.version < excluded.version`,
			m.Name, m.Beside, k.o.ID, tx.NowMs); err != nil {
			return err
		}
	}
	tx.Touch(Topic)
	return nil
}

// Run enters this node and says that it lives until ctx ends; then it gives back what it holds and says that it leaves.
func (k *Keeper) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		var changed <-chan struct{}
		if hub := k.st.Hub(); hub != nil {
			_, changed = hub.Watch(Topic)
		}
		err := k.Beat(ctx)
		if err != nil && ctx.Err() == nil {
			k.cycle.Fail()
			k.o.Log.Error("this node could not say that it lives", "error", err)
			changed = nil // the cause is the database, so a wake-up by a write must not make this spin
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-k.clock.After(k.o.Every):
		}
	}
	// What it held is given back when those who worked under it are done: their last writes count.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), k.o.Lease)
	defer cancel()
	k.idle(last)
	err := k.st.Write(last, store.System("node"), func(tx *store.Tx) error {
		if _, err := tx.ExecContext(last, "UPDATE node SET seen_ms = ?, left_ms = ? WHERE id = ?", tx.NowMs, tx.NowMs, k.o.ID); err != nil {
			return err
		}
		_, err := tx.ExecContext(last, "UPDATE lease SET owner = '', until_ms = 0 WHERE owner = ?", k.o.ID)
		tx.Touch(Topic)
		return err
	})
	if err != nil {
		k.o.Log.Warn("this node could not say that it leaves", "error", err)
	}
	return nil
}

// idle waits until no job runs.
func (k *Keeper) idle(ctx context.Context) {
	for ctx.Err() == nil {
		k.mu.Lock()
		busy, changed := k.busy, k.wake
		k.mu.Unlock()
		if busy == 0 {
			return
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
}

// Beat is one round: enter this node if it is not yet, say that this node lives, take and renew leases, learn what is needed. Run calls it.
func (k *Keeper) Beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, k.o.Lease)
	defer cancel()
	k.mu.Lock()
	jobs := slices.Clone(k.jobs)
	k.mu.Unlock()
	epochs := map[*job]int64{}
	var needs map[string]int64
	begun := int64(0)
	err := k.st.Write(ctx, store.System("node"), func(tx *store.Tx) (err error) {
		if begun = k.begun; begun == 0 {
			begun = tx.NowMs
			if err := k.raise(ctx, tx); err != nil {
				return err
			}
		}
		if err := k.enter(ctx, tx, begun); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM node WHERE seen_ms < ?", tx.NowMs-forgetMs); err != nil {
			return err
		}
		if needs, err = readNeeds(ctx, tx); err != nil {
			return err
		}
		clear(epochs)
		for _, j := range jobs {
			if epochs[j], err = k.lease(ctx, tx, j, needs[j.module] <= k.have[j.module]); err != nil {
				return err
			}
			if epochs[j] != j.epoch {
				tx.Touch(Topic) // whoever held it hears of it now
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	k.begun = begun
	k.tell(needs, epochs)
	k.cycle.Beat(clock.Ms(k.clock))
	return nil
}

// lease renews or takes the lease of a job and gives its epoch, 0 if another node has it. What an earlier process of
// this name held is taken at once, and so is a lease that ends later than any node ever grants: the trace of a clock that was ahead.
func (k *Keeper) lease(ctx context.Context, tx *store.Tx, j *job, may bool) (epoch int64, err error) {
	until := tx.NowMs + k.o.Lease.Milliseconds()
	if !may {
		_, err := tx.ExecContext(ctx, "UPDATE lease SET owner = '', until_ms = 0 WHERE name = ? AND owner = ?", j.name, k.o.ID)
		return 0, err
	}
	if j.epoch > 0 {
		res, err := tx.ExecContext(ctx, "UPDATE lease SET until_ms = ? WHERE name = ? AND owner = ? AND epoch = ?", until, j.name, k.o.ID, j.epoch)
		if err != nil {
			return 0, err
		}
		if n, err := res.RowsAffected(); err != nil || n == 1 {
			return j.epoch, err
		}
	}
	var taken []int64
	err = tx.NewRaw(`INSERT INTO lease (name, owner, epoch, until_ms) VALUES (?, ?, 1, ?)
		ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, epoch = lease.epoch + 1, until_ms = excluded.until_ms
		WHERE lease.owner = '' OR lease.owner = excluded.owner OR lease.until_ms < ? OR lease.until_ms > excluded.until_ms + ? RETURNING epoch`,
		j.name, k.o.ID, until, tx.NowMs, k.o.Lease.Milliseconds()).Scan(ctx, &taken)
	if err != nil || len(taken) == 0 {
		return 0, err
	}
	return taken[0], nil
}

// tell takes over what a round found out and wakes those whom it concerns.
func (k *Keeper) tell(needs map[string]int64, epochs map[*job]int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	before := behind(k.needs, k.have)
	changed := !maps.Equal(k.needs, needs)
	k.needs = needs
	if late := behind(needs, k.have); !slices.Equal(before, late) {
		k.o.Log.Warn("what newer nodes need has changed", "left to them", strings.Join(late, ", "))
	}
	for j, epoch := range epochs {
		if j.epoch != epoch {
			if epoch > 0 {
				k.o.Log.Debug("a lease was taken", "lease", j.name, "epoch", epoch)
			} else {
				k.o.Log.Info("a lease was lost", "lease", j.name)
			}
			j.epoch, changed = epoch, true
		}
	}
	if changed {
		k.rouse()
	}
}

// rouse wakes who waits for a change. The lock is held.
func (k *Keeper) rouse() {
	close(k.wake)
	k.wake = make(chan struct{})
}
