package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
)

// Moved says what was moved: the tally of each table, those of a day of telemetry as "DAY.TABLE", and the record as it verifies on
// the other side.
type Moved struct {
	Tables map[string]Tally `json:"tables"`
	Days   []string         `json:"days"`
	Record *record.Report   `json:"record"`
}

// Rows is how many rows there are in all tables.
func (m *Moved) Rows() (n int64) {
	for _, t := range m.Tables {
		n += t.Rows
	}
	return n
}

func (m *Moved) note(prefix string, tallies map[string]Tally) {
	for t, tally := range tallies {
		m.Tables[prefix+t] = tally
	}
}

// ToPostgres moves the data folder dir, which no server uses, into an empty database: all tables, the days of telemetry, and the
// record, which must verify on both sides. All of it commits at once; after that the folder remembers the database, and its SQLite
// files carry the ending .moved. If it was interrupted the folder is not served until the same call has ended well.
// Errors: fault conflict backup.not_empty, backup.in_use, backup.schema_differs, backup.copy_differs; not found store.no_data; invalid
// backup.record_broken.
func ToPostgres(ctx context.Context, dir, database string, keys *secret.Keys) (*Moved, error) {
	place, err := store.PlaceOf(database)
	if err != nil {
		return nil, err
	}
	was, err := store.ReadPlace(dir)
	if err != nil {
		return nil, err
	}
	if was != nil && (!was.Moving || was.Database != place.Database) {
		return nil, fault.Conflict("data", "store.elsewhere", "host", was.Host, "port", was.Port, "name", was.Database)
	}
	main := filepath.Join(dir, store.MainFile)
	if _, err := os.Stat(main); err != nil {
		return nil, fault.NotFound("data", "store.no_data", "folder", dir).Because(err)
	}
	db, err := store.OpenSQLite(ctx, main, store.Durable, 2)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	if place.Instance, err = record.New(record.Options{}).Origin(ctx, db); err != nil {
		return nil, err
	}
	to, err := store.Bare(ctx, store.Options{Database: database})
	if err != nil {
		return nil, err
	}
	defer to.Close()
	if was != nil && was.Moving { // the commit may have taken place
		if have, err := record.New(record.Options{}).Origin(ctx, to); err != nil {
			return nil, err
		} else if have == place.Instance {
			rep, err := record.Verify(ctx, to, record.VerifyOptions{Keys: keys})
			if err == nil {
				err = broken(rep)
			}
			if err != nil {
				return nil, err
			}
			return &Moved{Record: rep}, leave(dir, place)
		}
	}
	place.Moving = true
	if err := place.Remember(dir); err != nil { // from here neither side is served
		return nil, err
	}
	place.Moving = false
	m, err := fill(ctx, db, filepath.Join(dir, telemetryDir), to, keys)
	if err != nil {
		return nil, errors.Join(err, os.Remove(filepath.Join(dir, store.PlaceFile)))
	}
	return m, leave(dir, place)
}

// leave ends a move: the folder remembers the database, and no longer looks like one with data of its own.
func leave(dir string, place store.Place) error {
	ending := ".moved"
	for n := 2; ; n++ { // a folder may have been moved, and back, before
		if found, err := filepath.Glob(filepath.Join(dir, "*"+ending)); err != nil || len(found) == 0 {
			break
		}
		ending = fmt.Sprint(".moved", n)
	}
	for _, name := range []string{store.MainFile, store.MainFile + "-wal", store.MainFile + "-shm", telemetryDir} {
		if err := os.Rename(filepath.Join(dir, name), filepath.Join(dir, name+ending)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	place.Moving = false
	return errors.Join(place.Remember(dir), syncDir(dir))
}

// fill copies a main database and the days in a folder into an empty PostgreSQL database, in one transaction.
func fill(ctx context.Context, main *bun.DB, days string, to *bun.DB, keys *secret.Keys) (*Moved, error) {
	if err := unused(ctx, to); err != nil {
		return nil, err
	}
	m := &Moved{Tables: map[string]Tally{}}
	tx, err := to.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it only says that the transaction is done
	if err := vacant(ctx, tx); err != nil {
		return nil, err
	}
	from, err := main.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer from.Rollback() //nolint:errcheck // nothing was written
	before, err := record.Verify(ctx, from, record.VerifyOptions{Keys: keys})
	if err != nil {
		return nil, err
	}
	if err := broken(before); err != nil {
		return nil, err
	}
	tallies, err := carry(ctx, from, tx)
	if err != nil {
		return nil, err
	}
	m.note("", tallies)
	if m.Record, err = record.Verify(ctx, tx, record.VerifyOptions{Keys: keys}); err != nil {
		return nil, err
	}
	if err := same(before, m.Record); err != nil {
		return nil, err
	}
	files, err := dayFiles(days)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		day, _ := telemetry.DayOf(file)
		if err := telemetry.MakeSchema(ctx, tx, day); err != nil {
			return nil, err
		}
		tallies, err := carryDay(ctx, days, day, func(db bun.IDB) (map[string]Tally, error) { return carry(ctx, db, tx) })
		if err != nil {
			return nil, fmt.Errorf("telemetry of %s: %w", day, err)
		}
		m.note(day+".", tallies)
		m.Days = append(m.Days, day)
	}
	return m, tx.Commit()
}

// same compares the record on both sides.
func same(before, after *record.Report) error {
	if err := broken(after); err != nil {
		return err
	}
	if before.Root != after.Root || before.Entries != after.Entries || before.Epoch != after.Epoch || before.Signer != after.Signer {
		return fault.Conflict("from", "backup.copy_differs", "table", "record")
	}
	return nil
}

// carryDay opens the file of a day, making it if it is not there, with the tables that the program knows.
func carryDay(ctx context.Context, dir, day string, fn func(db bun.IDB) (map[string]Tally, error)) (_ map[string]Tally, err error) {
	db, err := telemetry.MakeDay(ctx, dir, day)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return fn(db)
}

// vacant refuses a database that holds an instance.
func vacant(ctx context.Context, tx bun.Tx) error {
	if err := store.Exclusive(ctx, tx); err != nil {
		return err
	}
	var name string
	var signers int
	if err := tx.QueryRowContext(ctx, `SELECT current_database(), (SELECT COUNT(*) FROM record_signers)`).Scan(&name, &signers); err != nil {
		return err
	}
	days, err := telemetry.SchemaDays(ctx, tx)
	if err == nil && (signers > 0 || len(days) > 0) {
		err = fault.Conflict("database", "backup.not_empty", "folder", name)
	}
	return err
}

// unused refuses a database that a process of ours is connected to. One that has just ended may be seen for a moment.
func unused(ctx context.Context, db *bun.DB) error {
	var name string
	for range 20 {
		var others int
		err := db.QueryRowContext(ctx, `SELECT current_database(), (SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()
			AND application_name = 'fengsui' AND pid <> pg_backend_pid())`).Scan(&name, &others)
		if err != nil || others == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return fault.Conflict("database", "backup.in_use", "name", name)
}

// toFolder copies a PostgreSQL database, as of one snapshot, to the files of a data folder: the main database and the days.
func toFolder(ctx context.Context, dir, database, work string) (*Moved, error) {
	from, err := store.Reader(ctx, dir, database)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	m := &Moved{Tables: map[string]Tally{}}
	snap, err := from.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer snap.Rollback() //nolint:errcheck // nothing was written
	main, err := store.Bare(ctx, store.Options{Dir: work})
	if err != nil {
		return nil, err
	}
	into := func(db *bun.DB, prefix string) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback() //nolint:errcheck // after a commit it only says that the transaction is done
		tallies, err := carry(ctx, snap, tx)
		if err != nil {
			return err
		}
		m.note(prefix, tallies)
		return tx.Commit()
	}
	if err := errors.Join(into(main, ""), main.Close()); err != nil {
		return nil, err
	}
	if m.Days, err = telemetry.SchemaDays(ctx, snap); err != nil || len(m.Days) == 0 {
		return m, err
	}
	if err := os.MkdirAll(filepath.Join(work, telemetryDir), 0o700); err != nil {
		return nil, err
	}
	for _, day := range m.Days {
		if err := telemetry.At(ctx, snap, day); err != nil {
			return nil, err
		}
		db, err := telemetry.MakeDay(ctx, filepath.Join(work, telemetryDir), day)
		if err != nil {
			return nil, err
		}
		if err := errors.Join(into(db, day+"."), db.Close()); err != nil {
			return nil, fmt.Errorf("telemetry of %s: %w", day, err)
		}
	}
	return m, nil
}

// ToSQLite moves a database that no server uses into the data folder dir, which must hold no database of its own; the folder then
// forgets the database, which stays as it is and is to be dropped. Errors as of ToPostgres.
func ToSQLite(ctx context.Context, dir, database string, keys *secret.Keys) (*Moved, error) {
	if _, err := os.Stat(filepath.Join(dir, store.MainFile)); err == nil {
		return nil, fault.Conflict("data", "backup.not_empty", "folder", filepath.Base(dir))
	}
	db, err := store.Reader(ctx, dir, database)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(unused(ctx, db), db.Close()); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp(filepath.Dir(filepath.Clean(dir)), ".fengsui-move-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	m, err := toFolder(ctx, dir, database, work)
	if err != nil {
		return nil, err
	}
	before, err := verified(ctx, dir, database, keys)
	if err != nil {
		return nil, err
	}
	if m.Record, err = verified(ctx, work, "", keys); err != nil {
		return nil, err
	}
	if err := same(before, m.Record); err != nil {
		return nil, err
	}
	// The main database comes last: until then the folder is refused as one whose data are elsewhere.
	if err := os.Rename(filepath.Join(work, telemetryDir), filepath.Join(dir, telemetryDir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Conflict("data", "backup.not_empty", "folder", filepath.Join(filepath.Base(dir), telemetryDir)).Because(err)
	}
	if err := os.Rename(filepath.Join(work, store.MainFile), filepath.Join(dir, store.MainFile)); err != nil {
		return nil, err
	}
	if err := os.Remove(filepath.Join(dir, store.PlaceFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return m, syncDir(dir)
}

func verified(ctx context.Context, dir, database string, keys *secret.Keys) (*record.Report, error) {
	db, err := store.Reader(ctx, dir, database)
	if err != nil {
		return nil, err
	}
	rep, err := record.Verify(ctx, db, record.VerifyOptions{Keys: keys})
	if err = errors.Join(err, db.Close()); err != nil {
		return nil, err
	}
	return rep, broken(rep)
}
