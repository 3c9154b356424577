package record

import "github.com/fengsui/fengsui/internal/platform/listing"

// Listing is the list of entries, newest first. Who may see which is the caller's to say.
func Listing() listing.Table {
	return listing.Table{
		From: "record_entries AS e", ID: "CAST(e.idx AS TEXT)", Time: "e.at_ms", Key: "e.idx",
		Search: []string{listing.Has("e.action"), listing.Has("e.object_kind"), listing.Has("e.object_id"), listing.Has("e.actor"), listing.Has("e.scope"),
			"e.actor IN (SELECT id FROM person WHERE " + listing.Has("name") + ")"},
		Fields: []listing.Field{
			{Name: "action", Expr: "e.action", Facet: true},
			{Name: "object_kind", Expr: "e.object_kind", Facet: true},
			{Name: "object_id", Expr: "e.object_id"},
			{Name: "actor", Expr: "e.actor"},
			{Name: "scope", Expr: "e.scope"},
		},
	}
}
