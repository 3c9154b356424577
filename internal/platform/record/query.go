package record

import (
	"context"
	"encoding/json"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"
)

// Entry is one entry as it is shown: what its leaf says.
type Entry struct {
	Idx        int64    `json:"idx"`
	Epoch      int64    `json:"epoch"`
	AtMs       int64    `json:"at_ms"`
	Action     string   `json:"action"`
	ObjectKind string   `json:"object_kind"`
	ObjectID   string   `json:"object_id"`
	Actor      string   `json:"actor"`
	Roles      []string `json:"roles,omitempty"`
	Drill      string   `json:"drill,omitempty"`
	Scope      string   `json:"scope,omitempty"`
	Erased     bool     `json:"erased"`
}

// Size is how many entries the record has: the index of the next one.
func Size(ctx context.Context, db bun.IDB) (n int64, err error) {
	err = db.QueryRowContext(ctx, `SELECT size FROM record_head WHERE id = 1`).Scan(&n)
	return n, err
}

// Filter picks entries; empty fields pick all.
type Filter struct {
	Action, ObjectKind, ObjectID, Actor, Scope string
	Without                                    schema.QueryAppender // selects scopes and object ids whose entries are left out; nil: none
	At                                         []int64              // only these indexes
	From                                       int64                // only entries with this index or a greater one
	Limit                                      int                  // default 100, at most 1,000
}

// Entries lists entries by index. It asks for no permission: the caller has.
func Entries(ctx context.Context, db bun.IDB, f Filter) ([]Entry, error) {
	if f.Limit <= 0 || f.Limit > 1000 {
		f.Limit = 100
	}
	q := db.NewSelect().TableExpr("record_entries AS e").ColumnExpr("e.leaf").
		ColumnExpr("CASE WHEN EXISTS (SELECT 1 FROM record_payloads AS p WHERE p.idx = e.idx) THEN 0 ELSE 1 END AS erased").
		Where("e.idx >= ?", f.From).OrderExpr("e.idx").Limit(int64(f.Limit))
	for _, c := range []struct{ col, val string }{{"action", f.Action}, {"object_kind", f.ObjectKind}, {"object_id", f.ObjectID}, {"actor", f.Actor}, {"scope", f.Scope}} {
		if c.val != "" {
			q = q.Where("? = ?", bun.Ident("e."+c.col), c.val)
		}
	}
	if len(f.At) > 0 {
		q = q.Where("e.idx IN (?)", bun.List(f.At))
	}
	if f.Without != nil {
		q = q.Where("e.scope NOT IN (?) AND e.object_id NOT IN (?)", f.Without, f.Without)
	}
	var rows []struct {
		Leaf   string
		Erased int
	}
	if err := q.Scan(ctx, &rows); err != nil {
		return nil, err
	}
	out := make([]Entry, 0, len(rows))
	for _, r := range rows {
		var f leaf
		if err := json.Unmarshal([]byte(r.Leaf), &f); err != nil {
			return nil, err
		}
		out = append(out, Entry{f.Idx, f.Epoch, f.AtMs, f.Action, f.ObjectKind, f.ObjectID, f.Actor, f.Roles, f.Drill, f.Scope, r.Erased == 1})
	}
	return out, nil
}
