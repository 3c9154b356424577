package containment

import (
	"context"
	"sync"
)

// runner is the life of a loop: Run until Stop, which may come first and more than once.
type runner struct {
	mu      sync.Mutex
	cancel  context.CancelFunc
	done    chan struct{}
	stopped bool
}

// begin gives the context of the loop; ok is false if Stop came before.
func (r *runner) begin(ctx context.Context) (_ context.Context, end func(), ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return ctx, nil, false
	}
	ctx, r.cancel = context.WithCancel(ctx)
	done := make(chan struct{})
	r.done = done
	cancel := r.cancel
	return ctx, func() { cancel(); close(done) }, true
}

// Stop ends Run and waits until it has returned. It may come before Run and more than once.
func (r *runner) Stop() {
	r.mu.Lock()
	r.stopped = true
	cancel, done := r.cancel, r.done
	r.mu.Unlock()
	if cancel != nil {
		cancel()
		<-done
	}
}
