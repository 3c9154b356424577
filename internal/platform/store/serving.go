package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fengsui/fengsui/internal/platform/fault"
)

// ServeAlone takes the database for this process, which goes on holding it while held runs. held ends with an error when
// another process has taken it after a lost connection: two servers on one database would each have a gateway that goes by
// the same name, and an order would count as acknowledged when one of them has heard of it. On SQLite the folder is held instead,
// and held only waits. Error: fault conflict store.served_elsewhere.
func (s *Store) ServeAlone(ctx context.Context) (held func(context.Context) error, err error) {
	if s.pg == nil {
		return func(ctx context.Context) error { <-ctx.Done(); return nil }, nil
	}
	p := s.pg
	if p.served, err = p.hold(ctx); err != nil {
		return nil, err
	}
	return func(ctx context.Context) (err error) {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(time.Second):
			}
			if p.served != nil {
				if p.served.Ping(ctx) == nil || ctx.Err() != nil {
					continue
				}
				p.served.Close(ctx) //nolint:errcheck // it is broken
			}
			if p.served, err = p.hold(ctx); fault.Is(err, "store.served_elsewhere") {
				return err
			}
		}
	}, nil
}

// hold is a connection that has the database for itself; nil with an error.
func (p *postgres) hold(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	config := p.config.Copy()
	for k, v := range session {
		config.RuntimeParams[k] = v
	}
	c, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	// Whoever was cut off is let go of by the server when it notices; until then it is held.
	var got bool
	if err := c.QueryRow(ctx, "SELECT pg_try_advisory_lock($1, $2)", lockSpace, lockServing).Scan(&got); err != nil || !got {
		c.Close(ctx) //nolint:errcheck // it is given up
		if err == nil {
			err = fault.Conflict("database", "store.served_elsewhere")
		}
		return nil, err
	}
	return c, nil
}
