package simulate

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// stopGrace is how long answers under way may take to end once asked to stop.
const stopGrace = 2 * time.Second

// Serve answers on l until ctx is done, then lets go of stalled answers, waits
// up to two seconds for the others, cuts what is left and closes l. It returns
// nil after a stop that was asked for.
func (m *Model) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{Handler: m, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	m.Stop()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	err := srv.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = srv.Close()
	}
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		return e
	}
	return err
}
