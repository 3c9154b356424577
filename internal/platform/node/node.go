// Package node keeps who serves this database: each process that does is a node with a name of its own. A node says
// every few seconds that it lives, holds a lease on what one node at a time may do, and leaves alone what a newer
// node has declared to be beyond it. On SQLite there is one node, and it goes through the same.
package node

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Topic is woken when a node comes or leaves, a lease is given back, or a need is raised.
const Topic = "node"

// Default is the name of the one node that needs none; its gateway goes by it too.
const Default = "gateway-1"

// forgetMs is how long a node that left, or is gone, is still shown.
const forgetMs = 24 * 60 * 60 * 1000

// pageMs is how long people are paged about a node that is gone.
const pageMs = 60 * 60 * 1000

var names = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,62}$`)

// Check says whether a name can be a node's. Error: fault invalid node.name.
func Check(name string) error {
	if !names.MatchString(name) {
		return fault.Invalid("node", "node.name", "name", name)
	}
	return nil
}

// Module is a part that understands what its older self may not: rows, messages, files of a later make.
type Module struct {
	Name    string
	Version int64 // raised when it writes what its older self would misread
	Beside  int64 // the oldest version that may go on working beside this one
}

// The states of a node.
const (
	Serving = "serving"
	Left    = "left" // it ended of its own accord
	Gone    = "gone" // nothing was heard of it for half a minute
)

// Node is a process that serves this database, or did within the last day.
type Node struct {
	ID        string           `json:"id"`
	State     string           `json:"state" enum:"serving,left,gone"`
	Here      bool             `json:"here" doc:"the one that answers"`
	Version   string           `json:"version"`
	BuiltFor  int64            `json:"built_for" doc:"the newest schema that it knows"`
	Modules   map[string]int64 `json:"modules" doc:"module, version"`
	Behind    []string         `json:"behind" doc:"modules that it leaves to newer nodes"`
	Leases    []string         `json:"leases" doc:"what it does for all"`
	FirstMs   int64            `json:"first_ms"`
	StartedMs int64            `json:"started_ms"`
	SeenMs    int64            `json:"seen_ms"`
	LeftMs    int64            `json:"left_ms"`
}

type row struct {
	bun.BaseModel `bun:"table:node"`

	ID        string `bun:"id,pk"`
	FirstMs   int64
	StartedMs int64
	SeenMs    int64
	LeftMs    int64
	Version   string
	BuiltFor  int64
	Modules   string
}

func (r row) state(nowMs int64) string {
	switch {
	case r.LeftMs > 0:
		return Left
	case nowMs-r.SeenMs > store.NodeGone:
		return Gone
	}
	return Serving
}

// List reads the nodes as of nowMs, by name.
func List(ctx context.Context, db bun.IDB, nowMs int64) ([]Node, error) {
	var rows []row
	if err := db.NewSelect().Model(&rows).Order("id").Scan(ctx); err != nil {
		return nil, err
	}
	needs, err := readNeeds(ctx, db)
	if err != nil {
		return nil, err
	}
	var leases []struct{ Name, Owner string }
	if err := db.NewRaw("SELECT name, owner FROM lease WHERE until_ms > ? ORDER BY name", nowMs).Scan(ctx, &leases); err != nil {
		return nil, err
	}
	out := []Node{}
	for _, r := range rows {
		n := Node{ID: r.ID, State: r.state(nowMs), Version: r.Version, BuiltFor: r.BuiltFor, Modules: map[string]int64{}, Leases: []string{},
			FirstMs: r.FirstMs, StartedMs: r.StartedMs, SeenMs: r.SeenMs, LeftMs: r.LeftMs}
		if err := json.Unmarshal([]byte(r.Modules), &n.Modules); err != nil {
			return nil, err
		}
		n.Behind = behind(needs, n.Modules)
		for _, l := range leases {
			if l.Owner == r.ID && n.State == Serving {
				n.Leases = append(n.Leases, l.Name)
			}
		}
		out = append(out, n)
	}
	return out, nil
}

func readNeeds(ctx context.Context, db bun.IDB) (map[string]int64, error) {
	var rows []struct {
		Module  string
		Version int64
	}
	if err := db.NewRaw("SELECT module, version FROM module_need").Scan(ctx, &rows); err != nil {
		return nil, err
	}
	out := map[string]int64{}
	for _, r := range rows {
		out[r.Module] = r.Version
	}
	return out, nil
}

// Need sets how new a module has to be, up or down: for one whose rows say themselves what they need. It does nothing if
// it is so already.
func Need(ctx context.Context, tx *store.Tx, module string, version int64) error {
	res, err := tx.ExecContext(ctx, `INSERT INTO module_need (module, version, node, since_ms) VALUES (?, ?, ?, ?)
		ON CONFLICT (module) DO UPDATE SET version = excluded.version, node = excluded.node, since_ms = excluded.since_ms WHERE module_need.version <> excluded.version`,
		module, version, tx.Actor.ID, tx.NowMs)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return err
	}
	tx.Touch(Topic)
	return nil
}

// Older names the nodes that serve and understand a module less than that, with their versions.
func Older(ctx context.Context, db bun.IDB, module string, version, nowMs int64) ([]string, error) {
	nodes, err := List(ctx, db, nowMs)
	out := []string{}
	for _, n := range nodes {
		if v, knows := n.Modules[module]; n.State == Serving && knows && v < version {
			out = append(out, strings.TrimSpace(n.ID+" "+n.Version))
		}
	}
	return out, err
}

// behind lists the modules of a node that are older than is needed. A module that it does not have at all it leaves
// alone anyway.
func behind(needs, have map[string]int64) []string {
	out := []string{}
	for m, need := range needs {
		if v, knows := have[m]; knows && v < need {
			out = append(out, m)
		}
	}
	slices.Sort(out)
	return out
}

// Serves reports whether a node has been serving without a break since an instant.
func Serves(ctx context.Context, db bun.IDB, id string, sinceMs, nowMs int64) (bool, error) {
	var n int
	err := db.NewRaw("SELECT COUNT(*) FROM node WHERE id = ? AND left_ms = 0 AND seen_ms > ? AND started_ms <= ?", id, nowMs-store.NodeGone, sinceMs).Scan(ctx, &n)
	return n > 0, err
}

// Missing is the auditor's source of nodes that are gone without having said so.
type Missing struct{ Read bun.IDB }

// Overdue lists the nodes that went within the last hour. A node that is meant to stay away is not paged about for ever.
func (m Missing) Overdue(ctx context.Context, nowMs int64, _ time.Duration) ([]due.Overdue, error) {
	var rows []row
	err := m.Read.NewSelect().Model(&rows).Where("left_ms = 0 AND seen_ms < ? AND seen_ms > ?", nowMs-store.NodeGone, nowMs-pageMs).Order("seen_ms", "id").Scan(ctx)
	out := make([]due.Overdue, 0, len(rows))
	for _, r := range rows {
		out = append(out, due.Overdue{Source: "node", ID: r.ID, Reason: due.ReasonStale, IncidentKind: due.KindReal, What: strings.TrimSpace(r.ID + " " + r.Version), DueMs: r.SeenMs})
	}
	return out, err
}
