package node

import (
	"context"
	"sync"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Alone makes a loop of what one node at a time does: work runs while this node holds the lease of that name and
// understands the module. It is given a view of the store in which each write first makes sure, in its own transaction,
// that the lease is still the one that it began with; who was taken for dead and comes back changes nothing. ctx ends
// when the lease is lost; work begins anew when it is held again. Call it before Run.
func (k *Keeper) Alone(name, module string, work func(ctx context.Context, st *store.Store) error) func(context.Context) error {
	j := &job{name: name, module: module}
	k.jobs = append(k.jobs, j)
	return func(ctx context.Context) error {
		for ctx.Err() == nil {
			epoch, changed := k.holds(j)
			if epoch == 0 {
				select {
				case <-ctx.Done():
				case <-changed:
				}
				continue
			}
			if err := k.under(ctx, j, epoch, work); err != nil && ctx.Err() == nil {
				return err
			}
		}
		return nil
	}
}

func (k *Keeper) holds(j *job) (epoch int64, changed <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return j.epoch, k.wake
}

// under works while the lease has this epoch.
func (k *Keeper) under(ctx context.Context, j *job, epoch int64, work func(ctx context.Context, st *store.Store) error) error {
	k.count(1)
	defer k.count(-1)
	holding, lost := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		for holding.Err() == nil {
			now, changed := k.holds(j)
			if now != epoch {
				lost()
				return
			}
			select {
			case <-holding.Done():
			case <-changed:
			}
		}
	})
	err := work(holding, k.st.Guarded(k.fence(j.name, epoch)))
	taken := holding.Err() != nil
	lost()
	watching.Wait()
	if taken {
		return nil // what it says now is that it was ended
	}
	return err
}

func (k *Keeper) count(n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.busy += n
	k.rouse()
}

// fence refuses a write under a lease that has passed on. Error: fault conflict node.lease_lost.
func (k *Keeper) fence(name string, epoch int64) func(context.Context, *store.Tx) error {
	return func(ctx context.Context, tx *store.Tx) error {
		var n int
		if err := tx.NewRaw("SELECT COUNT(*) FROM lease WHERE name = ? AND owner = ? AND epoch = ?", name, k.o.ID, epoch).Scan(ctx, &n); err != nil {
			return err
		}
		if n == 0 {
			return fault.Conflict("lease", "node.lease_lost", "name", name)
		}
		return nil
	}
}
