package doctor

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fengsui/fengsui/internal/platform/record"
)

// uncovered is how long an entry may wait for a checkpoint that covers it: three of the server's rounds.
const uncovered = 15 * time.Minute

// record looks at the signer, the checkpoints in the database, and those outside.
func (p *patient) record(ctx context.Context) error {
	var epoch, size int64
	if err := p.db.NewRaw("SELECT epoch, size FROM record_head").Scan(ctx, &epoch, &size); err != nil {
		return err
	}
	fp, err := record.New(record.Options{}).Signer(ctx, p.db)
	if err == nil && len(fp) < 16 {
		err = errors.New("none was introduced")
	}
	if err != nil {
		p.bad("record", "doctor.record_no_signer", "why", err)
		return nil
	}
	if p.keys != nil {
		mine, err := p.keys.Files("record-signer-")
		if err != nil {
			return err
		}
		if name := "record-signer-" + fp[:16]; !slices.Contains(mine, name) {
			p.bad("record", "doctor.record_signer_missing", "signer", fp)
		} else if _, err := p.keys.File(name); err != nil {
			p.bad("record", "doctor.record_signer_shut", "signer", fp, "why", err)
		}
	}
	last, err := record.LastCheckpoint(ctx, p.db)
	if err != nil {
		return err
	}
	covered := int64(0)
	origin := ""
	if last != nil {
		origin = last.Origin
		if last.Epoch == epoch {
			covered = last.Size
		}
	}
	var waits int64
	err = p.db.NewRaw("SELECT at_ms FROM record_entries WHERE idx = ?", covered).Scan(ctx, &waits)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		p.ok("record", "doctor.record", "entries", size, "signer", fp)
	case err != nil:
		return err
	case p.nowMs()-waits > uncovered.Milliseconds() && p.serving:
		p.bad("record", "doctor.record_unsigned", "count", size-covered)
	case !p.serving:
		p.warn("record", "doctor.record_tail", "count", size-covered)
	default:
		p.ok("record", "doctor.record", "entries", size, "signer", fp)
	}
	return p.outside(origin, epoch, size, epoch, covered)
}

// outside compares what was kept outside with the database.
func (p *patient) outside(origin string, epoch, size, signedEpoch, signed int64) error {
	dir := p.App.OutsideDir
	if inside(dir, p.App.DataDir) {
		p.bad("checkpoints", "doctor.outside_inside", "folder", dir)
	}
	const write = 2
	out, err := record.ReadOutside(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if signed > 0 {
			p.bad("checkpoints", "doctor.outside_missing", "folder", dir)
		}
		return nil
	case err != nil:
		p.bad("checkpoints", "doctor.outside_unreadable", "folder", dir, "why", err)
		return nil
	}
	if err := syscall.Access(dir, write); err != nil {
		p.bad("checkpoints", "doctor.outside_unreadable", "folder", dir, "why", os.NewSyscallError("access", err))
	}
	if out.Unreadable > 0 {
		p.warn("checkpoints", "doctor.outside_damaged", "folder", dir, "count", out.Unreadable)
	}
	var farEpoch, far int64
	for _, text := range out.Checkpoints {
		c, err := record.ParseCheckpoint(text)
		if err == nil && c.Origin == origin && (c.Epoch > farEpoch || c.Epoch == farEpoch && c.Size > far) {
			farEpoch, far = c.Epoch, c.Size
		}
	}
	switch {
	case farEpoch > epoch || farEpoch == epoch && far > size:
		p.bad("checkpoints", "doctor.outside_ahead", "folder", dir, "outside", far, "entries", size)
	case signed > 0 && (farEpoch < signedEpoch || far < signed):
		p.bad("checkpoints", "doctor.outside_behind", "folder", dir, "outside", far, "signed", signed)
	default:
		p.ok("checkpoints", "doctor.outside", "folder", dir, "outside", far)
	}
	return nil
}

// thorough reads all of the database and of the record.
func (p *patient) thorough(ctx context.Context) error {
	if !p.Thorough {
		return nil
	}
	if p.App.Database == "" {
		var says []string
		if err := p.db.NewRaw("PRAGMA integrity_check(3)").Scan(ctx, &says); err != nil {
			return err
		}
		if slices.Equal(says, []string{"ok"}) {
			p.ok("database", "doctor.sqlite_whole")
		} else {
			p.bad("database", "doctor.sqlite_broken", "why", strings.Join(says, "; "))
		}
	}
	o := record.VerifyOptions{Keys: p.keys}
	if out, err := record.ReadOutside(p.App.OutsideDir); err == nil {
		o.Outside = out
	}
	rep, err := record.Verify(ctx, p.db, o)
	if err != nil {
		return err
	}
	if rep.OK {
		p.ok("record", "doctor.record_verified", "entries", rep.Entries)
	} else {
		p.bad("record", "doctor.record_broken", "count", rep.ProblemCount)
	}
	return nil
}
