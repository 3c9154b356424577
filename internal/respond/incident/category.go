package incident

import (
	"context"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/standard"
)

// Category is one classification of an incident: guide chapter 4 type with its GB/T 20986 category.
// One primary, any number of secondary, each with its part.
type Category struct {
	bun.BaseModel `bun:"table:incident_category" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	IncidentID    string `json:"incident_id"`
	GuideType     string `json:"guide_type"`
	GbCategory    string `json:"gb_category"`
	Risk          string `json:"risk,omitempty"` // A.1.a … A.5.b
	Rank          string `json:"rank"`           // primary, secondary
	Part          string `json:"part"`           // cause, manifestation, consequence
	Edition       string `json:"edition"`
	SetBy         string `json:"set_by"`
	SetMs         int64  `json:"set_ms"`
	RetiredMs     int64  `json:"retired_ms,omitempty"`
}

// Categorise adds a classification; a new primary one retires the old. GbCategory "" takes the
// standard's default for the type.
func Categorise(ctx context.Context, tx *store.Tx, book *standard.Book, incidentID string, c Category) (Category, error) {
	i, err := forChange(ctx, tx, incidentID, "incident.grade")
	if err != nil {
		return c, err
	}
	sub, ok := book.Subtype(c.GuideType)
	if !ok {
		return c, fault.Invalid("guide_type", "error.unknown_value", "value", c.GuideType, "valid", strings.Join(subtypeIDs(book), ", "))
	}
	if c.GbCategory == "" {
		c.GbCategory = sub.Map.Category
	}
	if !slices.ContainsFunc(book.Categories(), func(k standard.Category) bool { return k.ID == c.GbCategory }) {
		return c, fault.Invalid("gb_category", "error.unknown_value", "value", c.GbCategory, "valid", "GB/T 20986")
	}
	if c.Risk != "" {
		if _, ok := book.Risk(c.Risk); !ok {
			return c, fault.Invalid("risk", "error.unknown_value", "value", c.Risk, "valid", "A.1.a … A.5.b")
		}
	}
	if c.Rank != "primary" && c.Rank != "secondary" {
		return c, fault.Invalid("rank", "error.unknown_value", "value", c.Rank, "valid", "primary, secondary")
	}
	if !slices.Contains([]string{"cause", "manifestation", "consequence"}, c.Part) {
		return c, fault.Invalid("part", "error.unknown_value", "value", c.Part, "valid", "cause, manifestation, consequence")
	}
	if c.Rank == "primary" {
		if _, err := tx.ExecContext(ctx, "UPDATE incident_category SET retired_ms = ? WHERE incident_id = ? AND rank = 'primary' AND retired_ms = 0", tx.NowMs, i.ID); err != nil {
			return c, err
		}
	}
	c.ID, c.IncidentID, c.Edition, c.SetBy, c.SetMs, c.RetiredMs = tx.NewID(), i.ID, sub.Cite.Edition, tx.Actor.ID, tx.NowMs, 0
	if _, err := tx.NewInsert().Model(&c).Exec(ctx); err != nil {
		return c, err
	}
	tx.Record(store.Entry{Action: "incident.categorise", ObjectKind: "incident", ObjectID: i.ID, Scope: Scope(i.ID), Content: c})
	tx.Touch("incident")
	return c, nil
}

func subtypeIDs(book *standard.Book) []string {
	var ids []string
	for _, t := range book.Types() {
		for _, s := range t.Subtypes {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// Categories lists the classifications that stand, the primary first.
func Categories(ctx context.Context, db bun.IDB, incidentID string) ([]Category, error) {
	out := []Category{}
	return out, db.NewSelect().Model(&out).Where("incident_id = ? AND retired_ms = 0", incidentID).Order("rank", "set_ms", "id").Scan(ctx)
}

// Primary is the guide type of the primary classification, "" before there is one.
func Primary(ctx context.Context, db bun.IDB, incidentID string) (string, error) {
	cs, err := Categories(ctx, db, incidentID)
	if err != nil || len(cs) == 0 || cs[0].Rank != "primary" {
		return "", err
	}
	return cs[0].GuideType, nil
}
