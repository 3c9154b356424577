package doctor

import (
	"context"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/node"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// answersWithin is how long the database may take to answer at first.
const answersWithin = 10 * time.Second

// database opens the main database as it is; the function closes it.
func (p *patient) database(ctx context.Context) func() {
	first, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()
	db, err := store.Look(first, p.App.DataDir, p.App.Database)
	if err != nil {
		p.bad("database", "doctor.database_unreadable", "why", err)
		return func() {}
	}
	p.db = db
	if p.App.Database == "" {
		p.ok("database", "doctor.sqlite")
	} else if err := p.postgres(first, db); err != nil {
		p.bad("database", "doctor.database_fails", "why", err)
	}
	return func() { db.Close() }
}

// schema compares what the database is with what this program knows.
func (p *patient) schema(ctx context.Context) error {
	var have, need int64
	if err := p.db.NewRaw("SELECT MAX(version_id) FROM goose_db_version WHERE is_applied").Scan(ctx, &have); err != nil {
		return err
	}
	if err := p.db.NewRaw("SELECT oldest FROM schema_need").Scan(ctx, &need); err != nil && have >= store.Schema() {
		return err // older schemas do not say
	}
	args := []any{"have", have, "know", store.Schema(), "need", need}
	switch know := store.Schema(); {
	case have > know && know < need:
		p.bad("schema", "doctor.schema_newer", args...)
	case have > know:
		p.warn("schema", "doctor.schema_beside", args...)
	case have < know:
		p.warn("schema", "doctor.schema_older", args...)
	default:
		p.ok("schema", "doctor.schema", args...)
	}
	return nil
}

// maxSkew is how far clocks may be apart before somebody should see to it; as /readyz has it.
const maxSkew = 2 * time.Second

// time compares the machine's clock with the database's, and with what the record says was already.
func (p *patient) time(ctx context.Context) error {
	fine := true
	if p.App.Database != "" {
		var ms int64
		asked := p.nowMs()
		if err := p.db.NewRaw("SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint").Scan(ctx, &ms); err != nil {
			return err
		}
		if apart := time.Duration(ms-(asked+p.nowMs())/2) * time.Millisecond; apart.Abs() > maxSkew {
			fine = false
			p.bad("clock", "doctor.clock_apart", "apart", apart.Abs())
		}
	}
	var newest int64
	if err := p.db.NewRaw("SELECT COALESCE(MAX(at_ms), 0) FROM (SELECT at_ms FROM record_entries ORDER BY idx DESC LIMIT 100) AS newest").Scan(ctx, &newest); err != nil {
		return err
	}
	if ahead := time.Duration(newest-p.nowMs()) * time.Millisecond; ahead > maxSkew {
		fine = false
		p.bad("clock", "doctor.clock_back", "apart", ahead)
	}
	if fine {
		p.ok("clock", "doctor.clock")
	}
	return nil
}

// sealed sees whether the key folder opens what the database holds sealed.
func (p *patient) sealed(ctx context.Context) error {
	if p.keys == nil {
		return nil
	}
	vault := secret.NewVault(p.keys)
	names, err := vault.Names(ctx, p.db)
	if err != nil {
		return err
	}
	shut := 0
	for _, n := range names {
		if _, err := vault.Get(ctx, p.db, n); err != nil {
			shut++
		}
	}
	if shut > 0 {
		p.bad("keys", "doctor.keys_foreign", "folder", p.App.KeysDir, "count", shut, "of", len(names))
	}
	return nil
}

func (p *patient) nodes(ctx context.Context) error {
	all, err := node.List(ctx, p.db, p.nowMs())
	if err != nil {
		return err
	}
	built := map[int64]bool{}
	var gone, behind []string
	serving := 0
	for _, n := range all {
		switch n.State {
		case node.Gone:
			gone = append(gone, n.ID)
		case node.Serving:
			serving++
			built[n.BuiltFor] = true
			if len(n.Behind) > 0 {
				behind = append(behind, n.ID+" ("+strings.Join(n.Behind, ", ")+")")
			}
		}
	}
	if len(gone) > 0 {
		p.bad("nodes", "doctor.nodes_gone", "nodes", strings.Join(gone, ", "))
	}
	if len(behind) > 0 {
		p.warn("nodes", "doctor.nodes_behind", "nodes", strings.Join(behind, "; "))
	}
	if len(built) > 1 {
		p.warn("nodes", "doctor.nodes_mixed", "count", len(built))
	}
	if len(gone)+len(behind) == 0 && len(built) < 2 {
		p.ok("nodes", "doctor.nodes", "count", serving)
	}
	return nil
}

// postgres looks at the server.
func (p *patient) postgres(ctx context.Context, db *bun.DB) error {
	var version int
	var collation, encoding string
	var standby bool
	if err := db.QueryRowContext(ctx, `SELECT current_setting('server_version_num')::int, datcollate, pg_encoding_to_char(encoding), pg_is_in_recovery()
		FROM pg_database WHERE datname = current_database()`).Scan(&version, &collation, &encoding, &standby); err != nil {
		return err
	}
	before := len(p.rep.Findings)
	if version < 150000 {
		p.bad("postgres", "doctor.postgres_old", "version", version/10000)
	}
	if (collation != "C" && collation != "POSIX") || encoding != "UTF8" {
		p.bad("postgres", "doctor.postgres_collation", "collation", collation, "encoding", encoding)
	}
	if standby {
		p.bad("postgres", "doctor.postgres_standby")
	}
	settings, err := p.settings(ctx, db)
	if err != nil {
		return err
	}
	for _, name := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		if settings[name] == "off" {
			p.bad("postgres", "doctor.postgres_forgets", "setting", name)
		}
	}
	if settings["archive_mode"] == "off" {
		p.warn("postgres", "doctor.postgres_no_archive")
	}
	var failing bool
	if err := db.QueryRowContext(ctx, `SELECT COALESCE(last_failed_time > COALESCE(last_archived_time, '-infinity'), FALSE) FROM pg_stat_archiver`).Scan(&failing); err != nil {
		return err
	}
	if failing && settings["archive_mode"] != "off" {
		p.bad("postgres", "doctor.postgres_archive_fails")
	}
	var used, most int
	if err := db.QueryRowContext(ctx, `SELECT COUNT(*), current_setting('max_connections')::int FROM pg_stat_activity WHERE backend_type = 'client backend'`).Scan(&used, &most); err != nil {
		return err
	}
	if most-used < connectionsOfANode {
		p.warn("postgres", "doctor.postgres_connections", "used", used, "most", most, "need", connectionsOfANode)
	}
	if err := p.standbys(ctx, db, settings["synchronous_standby_names"] != ""); err != nil {
		return err
	}
	if len(p.rep.Findings) == before {
		p.ok("postgres", "doctor.postgres", "version", version/10000)
	}
	return nil
}

// connectionsOfANode is how many one node opens at most, with some for commands: writer, readers, telemetry, ear, name, fate.
const connectionsOfANode = 20

func (p *patient) settings(ctx context.Context, db *bun.DB) (map[string]string, error) {
	var rows []struct{ Name, Setting string }
	err := db.NewRaw(`SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit', 'archive_mode', 'synchronous_standby_names')`).Scan(ctx, &rows)
	out := map[string]string{}
	for _, r := range rows {
		out[r.Name] = r.Setting
	}
	return out, err
}

// standbys looks at who copies the server. A role without pg_monitor does not see the figures; then none are judged.
func (p *patient) standbys(ctx context.Context, db *bun.DB, synchronous bool) error {
	var rows []struct {
		Name string
		Lag  *float64 // s
	}
	if err := db.NewRaw(`SELECT COALESCE(application_name, '?') AS name, EXTRACT(EPOCH FROM replay_lag)::float8 AS lag FROM pg_stat_replication WHERE application_name IS DISTINCT FROM 'pg_basebackup'`).Scan(ctx, &rows); err != nil {
		return err
	}
	for _, r := range rows {
		if r.Lag != nil && *r.Lag > p.Lag.Seconds() {
			p.bad("postgres", "doctor.postgres_lag", "standby", r.Name, "seconds", int64(*r.Lag))
		}
	}
	if len(rows) > 0 && !synchronous {
		p.warn("postgres", "doctor.postgres_asynchronous", "count", len(rows))
	}
	return nil
}
