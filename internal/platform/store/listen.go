package store

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/watch"
)

// channel carries what a commit touched to the other nodes.
const channel = "fengsui"

// quietFor is how long nothing is heard before it is asked whether anybody is there to be heard.
var quietFor = 5 * time.Second

// maxNotice is how long a notice may be; the server takes a little less than 8,000 bytes.
const maxNotice = 7000

// tell lets other nodes know what tx touched, when it commits. More than fits is told as "anything".
func (p *postgres) tell(ctx context.Context, tx bun.Tx, topics []string) error {
	if len(topics) == 0 {
		return nil
	}
	notice := p.node + "\n" + strings.Join(topics, "\n")
	if len(notice) > maxNotice {
		notice = p.node
	}
	_, err := tx.ExecContext(ctx, "SELECT pg_notify(?, ?)", channel, notice)
	return err
}

// listen wakes the watchers of what other nodes touched, until ctx ends. While there is no connection nothing
// is heard, so each new one wakes everybody. A line that fell silent is given up after quietFor and answerWithin.
func (p *postgres) listen(ctx context.Context, hub *watch.Hub, c *pgx.Conn) {
	for p.hear(ctx, hub, c); ctx.Err() == nil; {
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
		if c, err := p.ear(ctx); err == nil {
			hub.BumpAll()
			p.hear(ctx, hub, c)
		}
	}
}

// ear is a connection on which the other nodes can be heard from now on.
func (p *postgres) ear(ctx context.Context) (*pgx.Conn, error) {
	c, err := pgx.ConnectConfig(ctx, p.config)
	if err != nil {
		return nil, err
	}
	if _, err := c.Exec(ctx, "LISTEN "+channel); err != nil {
		c.Close(ctx) //nolint:errcheck // it is given up
		return nil, err
	}
	return c, nil
}

func (p *postgres) hear(ctx context.Context, hub *watch.Hub, c *pgx.Conn) {
	defer c.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it is given up
	for {
		quiet, cancel := context.WithTimeout(ctx, quietFor)
		n, err := c.WaitForNotification(quiet)
		cancel()
		switch {
		case err == nil:
		case ctx.Err() != nil || quiet.Err() == nil || there(ctx, c) != nil:
			return
		default:
			continue // nothing happened, and somebody is there
		}
		switch node, topics := topicsOf(n.Payload); {
		case node == p.node:
		case topics == nil:
			hub.BumpAll()
		default:
			hub.Bump(topics...)
		}
	}
}

func topicsOf(payload string) (node string, topics []string) {
	node, rest, _ := strings.Cut(payload, "\n")
	if rest == "" {
		return node, nil
	}
	return node, strings.Split(rest, "\n")
}

func (p *postgres) close() {
	if p.served != nil {
		p.served.Close(context.Background()) //nolint:errcheck // the server lets go when it is gone
	}
	if p.stop != nil {
		p.stop()
		<-p.done
	}
}
