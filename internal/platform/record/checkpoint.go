package record

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/fengsui/fengsui/internal/platform/store"
)

// Checkpoint is a signed head. Its note (golang.org/x/mod/sumdb/note) has these lines: origin, size,
// root in base64, "epoch N", "time T" (RFC 3339, UTC, milliseconds); then the signature.
type Checkpoint struct {
	Origin string    `json:"origin"`
	Epoch  int64     `json:"epoch"`
	Size   int64     `json:"size"`
	Root   tlog.Hash `json:"root"`
	AtMs   int64     `json:"at_ms"`
	Note   string    `json:"note"`
}

const noteTime = "2006-01-02T15:04:05.000Z"

func (c *Checkpoint) text() string {
	return fmt.Sprintf("%s\n%d\n%s\nepoch %d\ntime %s\n", c.Origin, c.Size, c.Root, c.Epoch, time.UnixMilli(c.AtMs).UTC().Format(noteTime))
}

// ParseCheckpoint reads a signed note. It checks the form only, not the signature.
func ParseCheckpoint(signed string) (*Checkpoint, error) {
	bad := errors.New("record: not a checkpoint")
	text, _, ok := strings.Cut(signed, "\n\n")
	lines := strings.Split(text, "\n")
	if !ok || len(lines) != 5 || !strings.HasPrefix(lines[3], "epoch ") || !strings.HasPrefix(lines[4], "time ") {
		return nil, bad
	}
	c := &Checkpoint{Origin: lines[0], Note: signed}
	var err1, err2, err3 error
	c.Size, err1 = strconv.ParseInt(lines[1], 10, 64)
	c.Root, err2 = tlog.ParseHash(lines[2])
	c.Epoch, err3 = strconv.ParseInt(lines[3][len("epoch "):], 10, 64)
	at, err4 := time.Parse(noteTime, lines[4][len("time "):])
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, errors.Join(bad, err)
	}
	c.AtMs = at.UnixMilli()
	if c.text() != text+"\n" || c.Size < 1 || c.Epoch < 1 {
		return nil, bad
	}
	return c, nil
}

// Checkpoint signs the head as it is now, keeps the note and hands it to every exporter. A head that was
// signed before is not signed again, but handed out again. It gives nil if the record is empty. An
// exporter that fails does not keep the others from being tried; the errors come back joined.
func (l *Log) Checkpoint(ctx context.Context) (*Checkpoint, error) {
	c, err := l.sign(ctx)
	if err != nil || c == nil {
		return c, err
	}
	d, err := l.dispatch(ctx, c)
	if err != nil {
		return c, err
	}
	for _, e := range l.o.Exporters {
		err = errors.Join(err, e.Export(ctx, d))
	}
	return c, err
}

func (l *Log) sign(ctx context.Context) (*Checkpoint, error) {
	var c *Checkpoint
	if last, err := LastCheckpoint(ctx, l.st.Read()); err != nil {
		return nil, err
	} else if h, err := readHead(ctx, l.st.Read()); err != nil || h.size == 0 || last != nil && last.Epoch == h.epoch && last.Size == h.size {
		return last, err
	}
	err := l.st.Write(ctx, store.System("record"), func(tx *store.Tx) error {
		chain, err := chainOf(ctx, tx)
		if err != nil {
			return err
		}
		s, err := l.current(chain)
		if err != nil {
			return err
		}
		h, err := readHead(ctx, tx)
		if err != nil {
			return err
		}
		// Another node may have signed this head since it was looked at: one head, one signature.
		if last, err := LastCheckpoint(ctx, tx); err != nil || last != nil && last.Epoch == h.epoch && last.Size == h.size {
			c = last
			return err
		}
		c = &Checkpoint{Origin: originOf(chain), Epoch: h.epoch, Size: h.size, Root: h.edge.root(), AtMs: tx.NowMs}
		if c.Note, err = signNote(s, c.Origin, c.text()); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO record_checkpoints (epoch, size, note) VALUES (?, ?, ?) ON CONFLICT (epoch, size) DO NOTHING`, c.Epoch, c.Size, c.Note)
		return err
	})
	if err != nil {
		return nil, err
	}
	// Not before: a nudge comes ahead of its commit, and one that found nothing must come again.
	l.grew.Store(0)
	return c, nil
}

// Checkpoints lists kept checkpoints, newest first.
func Checkpoints(ctx context.Context, db bun.IDB, limit int) ([]Checkpoint, error) {
	var notes []string
	if err := db.NewRaw(`SELECT note FROM record_checkpoints ORDER BY epoch DESC, size DESC LIMIT ?`, limit).Scan(ctx, &notes); err != nil {
		return nil, err
	}
	out := make([]Checkpoint, 0, len(notes))
	for _, n := range notes {
		c, err := ParseCheckpoint(n)
		if err != nil {
			return nil, err
		}
		out = append(out, *c)
	}
	return out, nil
}

// LastCheckpoint is the newest kept checkpoint, nil if there is none.
func LastCheckpoint(ctx context.Context, db bun.IDB) (*Checkpoint, error) {
	var n string
	err := db.QueryRowContext(ctx, `SELECT note FROM record_checkpoints ORDER BY epoch DESC, size DESC LIMIT 1`).Scan(&n)
	if isNoRows(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return ParseCheckpoint(n)
}

// Run signs and exports until ctx ends: at the start, every Options.Every if the record grew, after
// Options.Entries new entries, and at once after an erasure. It returns when ctx is done, after one
// last checkpoint. A failure is logged and tried again; it never ends the loop.
func (l *Log) Run(ctx context.Context) error {
	scrub := true // what an erasure left before a crash
	for {
		var erased <-chan struct{} // taken before the head is read, so that no erasure falls between
		if hub := l.st.Hub(); hub != nil {
			_, erased = hub.Watch(TopicErased)
		}
		wait := l.o.Every
		_, err := l.Checkpoint(ctx)
		if err == nil && scrub {
			err = l.scrub(ctx)
		}
		scrub = err != nil && scrub
		if err != nil && ctx.Err() == nil {
			l.o.Logger.ErrorContext(ctx, "record checkpoint failed", "error", err)
			wait = min(wait, 10*time.Second)
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			_, err := l.Checkpoint(last)
			return err
		case <-erased:
			scrub = true
		case <-l.wake:
		case <-l.st.Clock().After(wait):
		}
	}
}

// scrub takes what an erasure left out of the files. SQLite's write-ahead log is moved into the database file and
// emptied, since it may still hold pages from before; readers may delay it, then it is tried again. PostgreSQL
// rewrites the small table of keys; what they sealed may stay in free room of its pages, and opens no more.
func (l *Log) scrub(ctx context.Context) error {
	db := l.st.Read()
	if db.Dialect().Name() == dialect.PG {
		_, err := db.ExecContext(ctx, `VACUUM FULL record_keys`)
		return err
	}
	var busy, frames, moved int
	if err := db.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &frames, &moved); err != nil {
		return err
	}
	if busy != 0 {
		return errors.New("record: readers keep the write-ahead log from being emptied")
	}
	return nil
}

// SignHead signs the head of db, which may be a copy, and keeps nothing. nil if the record is empty.
func (l *Log) SignHead(ctx context.Context, db bun.IDB, atMs int64) (*Checkpoint, error) {
	chain, err := chainOf(ctx, db)
	if err != nil {
		return nil, err
	}
	h, err := readHead(ctx, db)
	if err != nil || h.size == 0 {
		return nil, err
	}
	s, err := l.current(chain)
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{Origin: originOf(chain), Epoch: h.epoch, Size: h.size, Root: h.edge.root(), AtMs: atMs}
	c.Note, err = signNote(s, c.Origin, c.text())
	return c, err
}

// SignText signs other words of this record, such as a backup's manifest. purpose is one word that
// keeps the note from being taken for another kind; body ends in a newline.
func (l *Log) SignText(ctx context.Context, db bun.IDB, purpose, body string) (string, error) {
	chain, err := chainOf(ctx, db)
	if err != nil {
		return "", err
	}
	s, err := l.current(chain)
	if err != nil {
		return "", err
	}
	return signNote(s, originOf(chain), originOf(chain)+"\n"+purpose+"\n"+body)
}

// OpenText checks a note of SignText against the signers in db and gives its body.
func OpenText(ctx context.Context, db bun.IDB, purpose, signed string) (body string, err error) {
	chain, err := chainOf(ctx, db)
	if err != nil {
		return "", err
	}
	text, _, err := openNote(signed, originOf(chain), chain)
	if err != nil {
		return "", err
	}
	body, ok := strings.CutPrefix(text, originOf(chain)+"\n"+purpose+"\n")
	if !ok {
		return "", errors.New("record: the note was signed for another purpose")
	}
	return body, nil
}
