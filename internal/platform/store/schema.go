package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
)

//go:embed migrations/*.sql
var migrationFS embed.FS

// NodeGone is how long nothing was heard of a node, in milliseconds, until it counts as gone.
const NodeGone = 30_000

// A schema change lets programs that do not know it go on, so that nodes are replaced one after the other. One that
// takes away or changes what they use says so itself, by the statement that oldest finds, and its number there.
var oldest = regexp.MustCompile(`(?i)UPDATE schema_need SET oldest = (\d+)`)

// tolerant reads rows with columns that a newer program added.
var tolerant = bun.WithDiscardUnknownColumns()

// changes are the files of all schema changes that this program knows.
func (o Options) changes() (fs.FS, error) {
	if o.schema != nil {
		return o.schema, nil
	}
	return fs.Sub(migrationFS, "migrations")
}

// migrations gives the one list of schema changes, which both engines run.
func (o Options) migrations(engine goose.Dialect, db *sql.DB) (*goose.Provider, error) {
	files, err := o.changes()
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(engine, db, files)
}

// Schema is the newest schema that this program knows.
func Schema() int64 {
	names, err := fs.Glob(migrationFS, "migrations/*.sql")
	if err != nil || len(names) == 0 {
		panic(fmt.Sprint("store: no schema: ", err)) // it is part of the program
	}
	v, err := goose.NumericComponent(names[len(names)-1])
	if err != nil {
		panic(err)
	}
	return v
}

var made = regexp.MustCompile(`(?i)CREATE TABLE (?:IF NOT EXISTS )?([a-z_]+)`)

// Ours says whether a table of the main database is one that a schema change of this program makes.
func Ours(table string) bool {
	names, err := fs.Glob(migrationFS, "migrations/*.sql")
	for _, n := range names {
		raw, _ := migrationFS.ReadFile(n) // it is part of the program
		for _, m := range made.FindAllSubmatch(raw, -1) {
			if string(m[1]) == table {
				return true
			}
		}
	}
	return err == nil && table == "goose_db_version"
}

// migrate brings the schema up to date. A newer one than is known is left alone, if it lets this program work on it.
// Nothing that nodes which serve do not understand is changed under them.
func (o Options) migrate(ctx context.Context, engine goose.Dialect, db *bun.DB) error {
	p, err := o.migrations(engine, db.DB)
	if err != nil {
		return err
	}
	have, err := p.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	known := p.ListSources()[len(p.ListSources())-1].Version
	if have > known {
		if !o.lets(ctx, db, known) {
			return fault.Unavailable("store.newer_schema")
		}
		return nil
	}
	if have >= schemaOfNodes {
		if err := o.alone(ctx, db, have, p.ListSources()); err != nil {
			return err
		}
	}
	_, err = p.Up(ctx)
	return err
}

// schemaOfNodes is the first schema that says who serves, and whom it lets work on it.
const schemaOfNodes = 170

// lets reports whether the database's newer schema lets a program work on it that knows this one.
func (o Options) lets(ctx context.Context, db bun.IDB, known int64) bool {
	var need int64
	err := db.NewRaw("SELECT oldest FROM schema_need").Scan(ctx, &need)
	return err == nil && known >= need
}

// alone refuses to make changes that nodes which serve now do not understand. Error: fault unavailable store.older_nodes.
func (o Options) alone(ctx context.Context, db bun.IDB, have int64, all []*goose.Source) error {
	files, err := o.changes()
	if err != nil {
		return err
	}
	var need int64
	for _, s := range all {
		if s.Version <= have {
			continue
		}
		text, err := fs.ReadFile(files, s.Path)
		if err != nil {
			return err
		}
		up, _, _ := strings.Cut(string(text), "-- +goose Down")
		if m := oldest.FindStringSubmatch(up); m != nil {
			if need, err = strconv.ParseInt(m[1], 10, 64); err != nil {
				return err
			}
		}
	}
	var serving []string
	now := clock.Ms(o.Clock)
	if db.Dialect().Name() == dialect.PG { // nodes are seen by the database's clock
		if err := db.NewRaw("SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint").Scan(ctx, &now); err != nil {
			return err
		}
	}
	if err := db.NewRaw("SELECT id FROM node WHERE left_ms = 0 AND seen_ms > ? AND built_for < ? ORDER BY id", now-NodeGone, need).Scan(ctx, &serving); err != nil {
		return err
	}
	if len(serving) > 0 {
		return fault.Unavailable("store.older_nodes", "nodes", strings.Join(serving, ", "))
	}
	return nil
}
