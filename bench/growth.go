package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun/dialect"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/prepare/plan"
	"github.com/fengsui/fengsui/internal/respond/dispatch"
	"github.com/fengsui/fengsui/internal/respond/incident"
)

// growthSeed is what goes through the product itself before the rest is copied from it.
var growthSeed = filling{anomalies: 60, incidents: 10, moments: 1000}

const (
	growthDue    = 1000             // rows that fall due while the others wait
	growthWithin = 20 * time.Second // over this time
	growthWrites = 200              // decisions, one after the other
)

// grown is what was found at one size on one engine.
type grown struct {
	engine string
	size   int
	seed   filling
	at     place
	busy   string
	filled time.Duration

	held, pages, rest series // what there is, how long pages take, and everything else; a name is a row of the report
}

func (g *grown) column() string { return g.engine + " " + number(float64(g.size)) }

// growthPart puts ten, a thousand and a hundred thousand incidents beside each other, on both engines.
func growthPart(ctx context.Context, b *bench) ([]table, error) {
	bin, err := b.server(ctx)
	if err != nil {
		return nil, err
	}
	cluster, err := storetest.Start(true, "shared_buffers=512MB", "max_wal_size=4GB", "maintenance_work_mem=256MB", "autovacuum_naptime=30s")
	if err != nil {
		return nil, absent{err}
	}
	var all []*grown
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		for _, size := range b.sizes {
			g := &grown{engine: engine, size: size, seed: growthSeed, at: place{dir: filepath.Join(b.dir, fmt.Sprint("growth-", engine, size), "data")}}
			if engine == "PostgreSQL" {
				if g.at.database, err = fresh(ctx, cluster, fmt.Sprint("growth", size)); err != nil {
					return nil, err
				}
			}
			b.say("       growth, %s with %s incidents", engine, number(float64(size)))
			if err := g.fill(ctx); err != nil {
				return nil, fmt.Errorf("%s: filling: %w", g.column(), err)
			}
			b.say("       filled in %.0f s", g.filled.Seconds())
			if err := g.look(ctx, b, bin); err != nil {
				return nil, fmt.Errorf("%s: %w", g.column(), err)
			}
			if err := os.RemoveAll(filepath.Dir(g.at.dir)); err != nil {
				return nil, err
			}
			all = append(all, g)
		}
	}
	return growthTables(all), nil
}

// fresh makes an empty database and gives its address.
func fresh(ctx context.Context, s storetest.Server, name string) (string, error) {
	return s.URL(name), admin(ctx, s.URL("postgres"), "CREATE DATABASE "+name)
}

// admin runs a statement that stands alone.
func admin(ctx context.Context, url, statement string) error {
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	_, err = c.Exec(ctx, statement)
	return errors.Join(err, c.Close(ctx))
}

// fill lets the story of the seeded ten end as long ago as the copies take, so that the last copy ends now.
func (g *grown) fill(ctx context.Context) error {
	began := time.Now()
	end := began.Add(-time.Duration(g.size) * copyEvery)
	s, err := seed(ctx, g.at, g.seed, "http://127.0.0.1:1", end)
	if err != nil {
		return err
	}
	g.busy = s.Busy
	if err := multiply(ctx, g.at, s.Busy, g.size, end); err != nil {
		return err
	}
	g.filled = time.Since(began)
	if g.at.database == "" {
		return nil // SQLite is measured as it lies
	}
	return admin(ctx, g.at.database, "VACUUM ANALYZE") // what it does by itself in the course of two years
}

// open opens the place as a command line would, beside a server or without one.
func (g *grown) open(ctx context.Context) (*app.App, error) {
	return app.Offline(ctx, app.Options{DataDir: g.at.dir, Database: g.at.database})
}

func (g *grown) look(ctx context.Context, b *bench, bin string) (err error) {
	a, err := g.open(ctx)
	if err != nil {
		return err
	}
	defer a.Stop()
	if err := g.sizes(ctx, a); err != nil {
		return err
	}
	id, token, err := a.AddPerson(ctx, "bench", consoleViewer)
	if err != nil {
		return err
	}
	var args []string
	if g.at.database != "" {
		args = append(args, "--database", g.at.database)
	}
	started := time.Now()
	srv, err := startServer(ctx, b.log, bin, g.at.dir, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.stop()) }()
	if err := srv.ready(ctx); err != nil {
		return err
	}
	g.rest.add("start to ready, s", "", time.Since(started).Seconds())
	if err := wait(ctx, 5*time.Second); err != nil { // what fell due in between is worked off
		return err
	}
	tasks, err := g.lateness(ctx, a, store.Actor{ID: id, Roles: []string{consoleViewer}})
	if err != nil {
		return err
	}
	if err := g.ask(ctx, b.runs, a, srv.url, token); err != nil {
		return err
	}
	if err := g.writes(ctx, srv.url, token, tasks); err != nil {
		return err
	}
	memory, err := resident(srv.cmd.Process.Pid)
	if err != nil {
		return err
	}
	g.rest.add("memory of the server afterwards, MB", "", float64(memory)/1e6)
	return nil
}

// lateness lets tasks of an incident run out of time, each with all that this does: the task is marked, an entry appended, a page queued.
func (g *grown) lateness(ctx context.Context, a *app.App, who store.Actor) (tasks []string, err error) {
	h := a.House
	var first int64
	if err := h.Store.Write(ctx, who, func(tx *store.Tx) error {
		tasks = nil
		var svc string
		if err := tx.NewRaw("SELECT id FROM service ORDER BY id LIMIT 1").Scan(ctx, &svc); err != nil {
			return err
		}
		i, err := h.Declare(ctx, tx, incident.Declaration{Kind: "test", ServiceID: svc, Title: "到期测量", AwareMs: tx.NowMs, AwareSource: "declared"})
		if err != nil {
			return err
		}
		first = time.Now().Add(5 * time.Second).UnixMilli() // setting them takes a while
		for n := range growthDue {
			t, err := h.Dispatch.Add(ctx, tx, i.ID, plan.Text{ZH: "核对一项", EN: "check one"}, "engineer", 10)
			if err != nil {
				return err
			}
			tasks = append(tasks, t.ID)
			if err := due.Set(ctx, tx, due.Row{Kind: dispatch.DueTask, ObjectKind: "task", ObjectID: t.ID, IncidentKind: "test", DueMs: first + int64(n)*growthWithin.Milliseconds()/growthDue}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return nil, err
	}
	if time.Now().UnixMilli() > first {
		return nil, errors.New("the machine is too busy: the first rows were due before the last were set")
	}
	if err := wait(ctx, time.Until(time.UnixMilli(first).Add(growthWithin+2*time.Second))); err != nil {
		return nil, err
	}
	var rows []struct{ DueMs, FiredMs int64 }
	if err := h.Store.Read().NewRaw("SELECT due_ms, fired_ms FROM due WHERE kind = ? AND due_ms >= ? AND due_ms < ? AND state = 'fired'", dispatch.DueTask, first, first+growthWithin.Milliseconds()).Scan(ctx, &rows); err != nil {
		return nil, err
	}
	if len(rows) != growthDue {
		return nil, fmt.Errorf("%d of %d rows fired within two seconds", len(rows), growthDue)
	}
	late := make([]time.Duration, 0, len(rows))
	for _, r := range rows {
		late = append(late, time.Duration(r.FiredMs-r.DueMs)*time.Millisecond)
	}
	for _, p := range []struct {
		name string
		at   float64
	}{{"lateness p50, ms", 0.5}, {"lateness p99, ms", 0.99}, {"lateness max, ms", 1}} {
		g.rest.add(p.name, "", ms(percentile(late, p.at)))
	}
	return tasks, nil
}

// page is one request that a person's page waits for.
type growthPage struct{ name, path string }

func (g *grown) ask(ctx context.Context, runs int, a *app.App, base, token string) error {
	var one struct{ ID, Number string }
	if err := a.House.Store.Read().NewRaw("SELECT id, number FROM incident WHERE state = 'closed' ORDER BY id DESC LIMIT 1").Scan(ctx, &one); err != nil {
		return err
	}
	for _, p := range []growthPage{
		{"overview", "/overview"}, {"status", "/status"},
		{"anomalies: first page", "/anomalies?limit=50"}, {"anomalies: next page", "next"}, {"anomalies: undecided", "/anomalies?state=open,assessing"}, {"anomalies: search for a number", "/anomalies?q=000123"},
		{"incidents: first page", "/incidents?limit=50"}, {"incidents: next page", "next"}, {"incidents: not closed", "/incidents?state=declared,responding,recovering,ended,verifying"},
		{"incidents: search for a word", "/incidents?q=" + url.QueryEscape("图书馆")}, {"incidents: search for a number", "/incidents?q=" + url.QueryEscape(one.Number)},
		{"incident: desk", "/incidents/" + one.ID}, {"incident: timeline", "/incidents/" + one.ID + "/timeline"},
		{"busy incident: desk", "/incidents/" + g.busy}, {"busy incident: timeline, 1,000 moments", "/incidents/" + g.busy + "/timeline?limit=1000"},
		{"orders: first page", "/orders?limit=50"}, {"orders: next page", "next"}, {"complaints: first page", "/complaints?limit=50"}, {"complaints: next page", "next"},
		{"messages: first page", "/messages?limit=50"}, {"record: first page", "/record?limit=50"}, {"record: next page", "next"}, {"record: one action", "/record?action=incident.declare"},
		{"record: search for an id", "/record?q=" + one.ID}, {"record: search for nothing", "/record?q=nosuchthing"}, {"search everywhere", "/search?q=" + url.QueryEscape(one.Number)},
		{"metrics", "!/metrics"}, {"readiness", "!/readyz"},
	} {
		if err := g.page(ctx, runs, p, base, token); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

var growthNext string // the page after the one that was asked for last

func (g *grown) page(ctx context.Context, runs int, p growthPage, base, token string) error {
	path := "/api/v1" + p.path
	switch {
	case p.path == "next" && growthNext == "":
		return nil // there is none in so small a folder
	case p.path == "next":
		path = growthNext
	case strings.HasPrefix(p.path, "!"):
		path = p.path[1:]
	}
	var body []byte
	for n := range runs + 1 {
		began := time.Now()
		got, err := fetch(ctx, base+path, token)
		if err != nil {
			return err
		}
		took := ms(time.Since(began))
		switch body = got; {
		case n > 0:
			g.pages.add(p.name, "", took)
		case strings.HasSuffix(p.name, "first page"): // what is counted of a long list is kept for ten seconds
			g.pages.add(p.name+", the first time", "", took)
		}
	}
	growthNext = ""
	var list struct {
		Next string `json:"next"`
	}
	if json.Unmarshal(body, &list) == nil && list.Next != "" && !strings.Contains(path, "cursor=") {
		growthNext = path + "&cursor=" + list.Next
	}
	return nil
}

// writes finishes tasks one after the other: each is a decision with its entry.
func (g *grown) writes(ctx context.Context, base, token string, tasks []string) error {
	var took []time.Duration
	for _, id := range tasks[:growthWrites] {
		began := time.Now()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/api/v1/tasks/"+id+"/done", strings.NewReader(`{"output":"核对无误"}`))
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(res.Body)
		if err = errors.Join(err, res.Body.Close()); err != nil {
			return err
		}
		if res.StatusCode/100 != 2 {
			return fmt.Errorf("finishing a task: %d %.200s", res.StatusCode, body)
		}
		took = append(took, time.Since(began))
	}
	g.rest.add("finishing a task p50, ms", "", ms(percentile(took, 0.5)))
	g.rest.add("finishing a task p99, ms", "", ms(percentile(took, 0.99)))
	return nil
}

var growthGroups = []struct{ name, tables string }{
	{"record", "record_head record_entries record_hashes record_payloads record_keys record_checkpoints record_epochs record_signers"},
	{"clocks", "due overdue_page"}, {"messages", "outbox"}, {"anomalies, signals, complaints", "anomaly signal complaint anomaly_cursor"},
}

// sizes reads what there is and how large it lies on the disk.
func (g *grown) sizes(ctx context.Context, a *app.App) error {
	db := a.House.Store.Read()
	for _, c := range []struct{ name, query string }{
		{"incidents", "incident"}, {"of them not closed", "incident WHERE state <> 'closed'"}, {"anomalies", "anomaly"}, {"complaints", "complaint"}, {"orders", "disposal_order"}, {"obligations", "obligation"},
		{"clocks that run", "due WHERE state = 'pending'"}, {"clocks in all", "due"}, {"messages", "outbox"}, {"entries of the record", "record_entries"},
	} {
		var n int64
		if err := db.NewRaw("SELECT COUNT(*) FROM "+c.query).Scan(ctx, &n); err != nil {
			return err
		}
		g.held.add(c.name, "", float64(n))
	}
	query := "SELECT m.tbl_name AS name, SUM(d.n) AS n FROM (SELECT name, SUM(pgsize) AS n FROM dbstat GROUP BY name) AS d JOIN sqlite_master AS m ON m.name = d.name GROUP BY m.tbl_name"
	if db.Dialect().Name() == dialect.PG {
		query = "SELECT relname AS name, pg_total_relation_size(oid) AS n FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
	}
	var tables []struct {
		Name string
		N    int64
	}
	if err := db.NewRaw(query).Scan(ctx, &tables); err != nil {
		return err
	}
	sums, total := map[string]float64{}, 0.0
	for _, t := range tables {
		group := "incidents and what hangs on them, and the rest"
		for _, x := range growthGroups {
			if strings.Contains(" "+x.tables+" ", " "+t.Name+" ") {
				group = x.name
			}
		}
		sums[group] += float64(t.N)
		total += float64(t.N)
	}
	for _, group := range slices.Sorted(maps.Keys(sums)) {
		n := sums[group]
		g.held.add("on disk: "+group+", MB", "", n/1e6)
	}
	g.held.add("on disk: all, MB", "", total/1e6)
	g.held.add("filled in, s", "", g.filled.Seconds())
	return nil
}

// growthTables puts the sizes beside each other, a column each. The largest place has every row.
func growthTables(all []*grown) []table {
	out := []table{
		{Title: "Cost as it grows: what there is", Keys: []string{"what"}, Notes: []string{
			fmt.Sprintf("Ten incidents with %d anomalies went through the product; the others are copies of them with ids, numbers and times of their own in every table, one each %d minutes, every %dth not closed. Each copy has up to %d messages, %d fired clocks and %d signals, and %d entries of its own in the record, which are appended and sealed like any other.",
				growthSeed.anomalies, int(copyEvery.Minutes()), openEvery, mostOf["outbox"], mostOf["due"], mostOf["signal"], entriesOfCopy),
			"The clocks that run are due over a year from a month hence: none of them fires while it is measured.",
			"PostgreSQL was vacuumed and analysed after the filling, as it does by itself in time; SQLite lies as it was filled.",
		}},
		{Title: "Cost as it grows: from a request to its last byte, ms (goal: under 300 ms)", Keys: []string{"request"}, Notes: []string{
			"One server and one person, one request after the other, with a token of the role commander, who may read all that is there. Each request is made once before it is measured.",
			"A list of more than 50,000 rows keeps its counts for ten seconds; the first time says what counting takes.",
		}},
		{Title: "Cost as it grows: clocks, decisions, start and memory", Keys: []string{"what"}, Notes: []string{
			fmt.Sprintf("Lateness: %s tasks of one incident run out of time over %.0f s while the other clocks run, each with all that this does: it is marked, an entry is appended, a page is queued. From the due time to the instant of the transaction that fires. All must have fired two seconds after the last was due, or the run fails.", number(growthDue), growthWithin.Seconds()),
			fmt.Sprintf("Finishing a task: %d decisions over HTTP, one after the other, from the request to the last byte.", growthWrites),
		}},
	}
	for i, of := range []func(*grown) *series{func(g *grown) *series { return &g.held }, func(g *grown) *series { return &g.pages }, func(g *grown) *series { return &g.rest }} {
		out[i].Part = "growth"
		for _, name := range of(all[len(all)-1]).names {
			r := row{Keys: []string{name}}
			for _, g := range all {
				r.Figures = append(r.Figures, newFigure(g.column(), "", of(g).values[name]))
			}
			out[i].Rows = append(out[i].Rows, r)
		}
	}
	return out
}
