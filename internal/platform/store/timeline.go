package store

import (
	"context"
	"errors"
	"sync"
)

// A server that was promoted, or restored to a point in time, writes a timeline of its own, and may lack what this process has
// seen committed. Nothing is written to it until the record goes on in a new epoch: else the numbers of what is lost would be
// given to other things, and nobody could tell.

const timeline = "substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"

// errMoved keeps writes waiting, as for a server that is away.
var errMoved = errors.New("store: the server writes another timeline, and the record has not gone on there yet")

// course is the timeline that this process writes on.
type course struct {
	mu    sync.Mutex
	line  string        // "" before the first write
	moved chan struct{} // holds one
}

type onTimeline struct{}

// OnTimeline lets writes made with the context go to a timeline that is not settled yet.
func OnTimeline(ctx context.Context, line string) context.Context {
	return context.WithValue(ctx, onTimeline{}, line)
}

// keeps refuses a turn on another timeline.
func (c *course) keeps(ctx context.Context, line string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.line == "" {
		c.line = line
	}
	if line == c.line || line == ctx.Value(onTimeline{}) {
		return nil
	}
	select {
	case c.moved <- struct{}{}:
	default:
	}
	return errMoved
}

// Timeline is the one that the server writes now, "" on SQLite.
func (s *Store) Timeline(ctx context.Context) (line string, err error) {
	if s.pg == nil {
		return "", nil
	}
	return line, s.r.QueryRowContext(ctx, "SELECT "+timeline).Scan(&line)
}

// Settle lets all writes go to a timeline, because the record does.
func (s *Store) Settle(line string) {
	if s.pg == nil {
		return
	}
	s.pg.course.mu.Lock()
	defer s.pg.course.mu.Unlock()
	s.pg.course.line = line
}

// Moved gives something when a write waits because the server's timeline is another one; nil on SQLite.
func (s *Store) Moved() <-chan struct{} {
	if s.pg == nil {
		return nil
	}
	return s.pg.course.moved
}
