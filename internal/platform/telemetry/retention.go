package telemetry

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Settings in the main database's table of that name.
const (
	SettingRetention = "telemetry.retention_days" // whole days, at least DefaultRetentionDays
	SettingCapture   = "telemetry.capture"        // "flagged" (default) or "all"
)

// DefaultRetentionDays is both the default and the least: logs are kept for six months by law
// (网络安全法, logs of network operation).
const DefaultRetentionDays = 180

type settings struct {
	days       int
	captureAll bool
}

// CaptureAll reports whether content is captured even when the verdict is allow.
func (l *Log) CaptureAll() bool { return l.settings.Load().captureAll }

// readSettings takes over the settings; a value that is not understood or under the least keeps the default.
func (l *Log) readSettings(ctx context.Context) error {
	set := settings{days: DefaultRetentionDays}
	value, err := l.setting(ctx, SettingRetention)
	if err != nil {
		return err
	}
	if value != "" {
		if days, err := strconv.Atoi(value); err == nil && days >= DefaultRetentionDays {
			set.days = days
		} else {
			l.o.Logger.Warn("retention is kept at the least number of days", "setting", SettingRetention, "days", set.days)
		}
	}
	if value, err = l.setting(ctx, SettingCapture); err != nil {
		return err
	}
	set.captureAll = value == "all"
	l.settings.Store(&set)
	return nil
}

func (l *Log) setting(ctx context.Context, name string) (string, error) {
	var value string
	err := l.o.Store.Read().NewRaw("SELECT value FROM setting WHERE name = ?", name).Scan(ctx, &value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return value, err
}

// Retain deletes the days older than the retention that nothing pins. If it cannot be known
// what is pinned, nothing is deleted. Run calls it each minute.
func (l *Log) Retain(ctx context.Context) error {
	days, err := l.shelf.days(ctx)
	if err != nil {
		return err
	}
	oldest := clock.Ms(l.clock) - int64(l.settings.Load().days)*24*3600*1000
	var pinned []string
	for i, day := range days {
		start, err := time.Parse(dayLayout, day)
		if err != nil || start.AddDate(0, 0, 1).UnixMilli() > oldest {
			break
		}
		if i == 0 && l.o.Pinned != nil {
			if pinned, err = l.o.Pinned(ctx); err != nil {
				return err
			}
		}
		if slices.Contains(pinned, day) {
			continue
		}
		if err := l.delete(ctx, day); err != nil {
			return err
		}
	}
	return nil
}

func (l *Log) delete(ctx context.Context, day string) error {
	segments, err := l.Segments(ctx, day)
	if fault.KindOf(err) == fault.KindNotFound {
		return nil // somebody was faster
	}
	if err != nil {
		return err
	}
	err = l.shelf.drop(ctx, day, func(tx *store.Tx) {
		tx.Record(store.Entry{Action: "telemetry.delete_day", ObjectKind: "telemetry_day", ObjectID: day,
			Content: map[string]any{"retention_days": l.settings.Load().days, "segments": len(segments)}})
	})
	if errors.Is(err, errHeld) {
		return nil
	}
	if err == nil {
		l.counters.deletedDays.Add(1)
		l.o.Logger.Info("telemetry past its retention deleted", "day", day)
	}
	return err
}
