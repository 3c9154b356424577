package notify

import "github.com/fengsui/fengsui/internal/platform/listing"

// Listing is the list of messages. Who may see which is the caller's to say.
func Listing() listing.Table {
	return listing.Table{
		From: "outbox AS m", ID: "m.id", Time: "m.queued_ms",
		Search: []string{listing.Has("m.template"), listing.Has("m.recipient"), listing.Has("m.channel"), listing.Has("m.object_id"), listing.Has("m.receipt"), listing.Has("m.id")},
		Fields: []listing.Field{
			{Name: "state", Expr: "m.state", Values: []string{string(Pending), string(Sent), string(Refused), string(Failed), string(Dismissed)}, Facet: true},
			{Name: "channel", Expr: "m.channel", Facet: true},
			{Name: "template", Expr: "m.template", Facet: true},
			{Name: "class", Expr: "m.class", Values: []string{string(Staff), string(Authority), string(Platform), string(Public)}},
			{Name: "object_kind", Expr: "m.object_kind"},
			{Name: "object_id", Expr: "m.object_id"},
			{Name: "recipient", Expr: "m.recipient"},
			{Name: "unread", Expr: "CASE WHEN m.acknowledged_ms = 0 THEN 'true' ELSE 'false' END", Values: []string{"true", "false"}},
		},
	}
}
