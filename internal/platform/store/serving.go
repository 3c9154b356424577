package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fengsui/fengsui/internal/platform/fault"
)

// ServeAs takes a node's name on this database for this process, which goes on holding it while held runs. held ends with an
// error when another process has taken the name after a lost connection: under one name there is one gateway, and an
// order must not count as acknowledged when only one of two has heard of it. On SQLite the folder is held instead, and held only
// waits. Error: fault conflict store.name_in_use.
func (s *Store) ServeAs(ctx context.Context, name string) (held func(context.Context) error, err error) {
	if s.pg == nil {
		return func(ctx context.Context) error { <-ctx.Done(); return nil }, nil
	}
	p := s.pg
	if p.served, err = p.hold(ctx, name, 0); err != nil {
		return nil, err
	}
	return func(ctx context.Context) (err error) {
		var was uint32 // our own end of a line that broke, at the server
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(time.Second):
			}
			if p.served != nil {
				if there(ctx, p.served) == nil || ctx.Err() != nil {
					continue
				}
				was = p.served.PgConn().PID()
				p.served.Close(ctx) //nolint:errcheck // it is broken
			}
			if p.served, err = p.hold(ctx, name, was); fault.Is(err, "store.name_in_use") {
				return err
			}
		}
	}, nil
}

// lockName is the key of a name's advisory lock, in the space of one integer.
func lockName(name string) int64 {
	sum := sha256.Sum256([]byte("fengsui node " + name))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

// hold is a connection that has the name for itself; nil with an error. A line of ours that broke may not have ended at the server
// yet: was, the number of its process there, is ended, for we are not somebody else.
func (p *postgres) hold(ctx context.Context, name string, was uint32) (*pgx.Conn, error) {
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
	err = c.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", lockName(name)).Scan(&got)
	if err == nil && !got && was != 0 {
		_, err = c.Exec(ctx, `SELECT pg_terminate_backend(pid, 2000) FROM pg_locks
			WHERE locktype = 'advisory' AND granted AND pid = $1 AND objsubid = 1 AND classid = $2 AND objid = $3`,
			was, uint32(uint64(lockName(name))>>32), uint32(uint64(lockName(name)))) //nolint:gosec // the halves in which the server keeps the key
		if err == nil {
			err = c.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", lockName(name)).Scan(&got)
		}
	}
	if err != nil || !got {
		c.Close(ctx) //nolint:errcheck // it is given up
		if err == nil {
			err = fault.Conflict("node", "store.name_in_use", "name", name)
		}
		return nil, err
	}
	return c, nil
}
