package store

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
)

// Reader opens the main database of a data folder, or the one at database, as it is: it migrates nothing and makes nothing.
// Errors: fault not found store.no_data; conflict as Open; invalid store.bad_database.
func Reader(ctx context.Context, dir, database string) (*bun.DB, error) {
	if err := (Options{Dir: dir, Database: database}).placed(); err != nil {
		return nil, err
	}
	if database == "" {
		path := filepath.Join(dir, MainFile)
		if _, err := os.Stat(path); err != nil {
			return nil, fault.NotFound("data", "store.no_data", "folder", dir).Because(err)
		}
		return OpenSQLite(ctx, path, Durable, 1)
	}
	config, err := parse(database)
	if err != nil {
		return nil, err
	}
	db := pool(config, 1, session, reading)
	var there bool
	if err := db.QueryRowContext(ctx, "SELECT to_regclass('public.goose_db_version') IS NOT NULL").Scan(&there); err != nil {
		db.Close()
		return nil, err
	}
	if !there {
		db.Close()
		return nil, fault.NotFound("database", "store.no_data", "folder", config.Database)
	}
	return db, nil
}

// Look opens a main database as Reader does, and in a way that changes no file, so that whoever looks as another user leaves nothing behind
// that the server could not open. Errors as Reader.
func Look(ctx context.Context, dir, database string) (*bun.DB, error) {
	if database != "" {
		return Reader(ctx, dir, database)
	}
	if err := (Options{Dir: dir}).placed(); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, MainFile)
	if _, err := os.Stat(path); err != nil {
		return nil, fault.NotFound("data", "store.no_data", "folder", dir).Because(err)
	}
	mode := "mode=ro"
	if _, err := os.Stat(path + "-wal"); errors.Is(err, fs.ErrNotExist) {
		mode = "immutable=1" // nobody has it open; without this SQLite would make a log of its own
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+mode+"&_pragma=busy_timeout(10000)&_pragma=query_only(1)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	var tables int
	if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqlite_schema").Scan(&tables); err != nil {
		db.Close()
		return nil, err
	}
	return bun.NewDB(db, sqlitedialect.New(), tolerant), nil
}

func parse(database string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(database)
	if err != nil {
		return nil, fault.Invalid("database", "store.bad_database") // the cause may hold the password
	}
	// Values go into the text of a statement, quoted by bun, as on SQLite; preparing each text would cost a round trip.
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	config.DialFunc = dial
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectWithin
	}
	return config, nil
}

// Bare opens a main database and brings its schema up to date, for what fills it from elsewhere as a whole: one connection, no
// turns, no record. Errors as Open.
func Bare(ctx context.Context, o Options) (*bun.DB, error) {
	o.Clock = clock.System()
	if o.Database == "" {
		db, err := OpenSQLite(ctx, filepath.Join(o.Dir, MainFile), Durable, 1)
		if err != nil {
			return nil, err
		}
		if err := o.migrate(ctx, goose.DialectSQLite3, db); err != nil {
			db.Close()
			return nil, err
		}
		return db, nil
	}
	config, err := parse(o.Database)
	if err != nil {
		return nil, err
	}
	if err := o.prepare(ctx, config); err != nil {
		return nil, err
	}
	return pool(config, 1, session), nil
}
