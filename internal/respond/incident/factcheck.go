package incident

import (
	"context"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Vault seals text under the key of a scope, so that erasing the scope makes it unreadable.
type Vault interface {
	Seal(ctx context.Context, tx *store.Tx, scope string, plain []byte) (string, error)
	Open(ctx context.Context, db bun.IDB, scope, sealed string) ([]byte, error)
}

// FactCheck is one line of the fact check sheet 核查单: a claim the model made, the source it was held
// against, the verdict, and who checked. The claim is sealed under the incident's scope.
type FactCheck struct {
	bun.BaseModel `bun:"table:fact_check" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	IncidentID    string `json:"incident_id"`
	Claim         string `json:"claim,omitempty"` // sealed in the database; clear only in what CheckFact is given
	Source        string `json:"source"`
	Verdict       string `json:"verdict"` // true, false, misleading, unproven
	Checker       string `json:"checker"`
	AtMs          int64  `json:"at_ms"`
}

var verdicts = []string{"true", "false", "misleading", "unproven"}

// CheckFact adds a line to the sheet. Source and claim are required.
func CheckFact(ctx context.Context, tx *store.Tx, v Vault, incidentID string, c FactCheck) (FactCheck, error) {
	i, err := forChange(ctx, tx, incidentID, "factcheck.write")
	if err != nil {
		return c, err
	}
	if err := need("claim", c.Claim, "source", c.Source); err != nil {
		return c, err
	}
	if !slices.Contains(verdicts, c.Verdict) {
		return c, fault.Invalid("verdict", "error.unknown_value", "value", c.Verdict, "valid", strings.Join(verdicts, ", "))
	}
	sealed, err := v.Seal(ctx, tx, Scope(i.ID), []byte(c.Claim))
	if err != nil {
		return c, err
	}
	c.ID, c.IncidentID, c.Claim, c.Checker, c.AtMs = tx.NewID(), i.ID, sealed, tx.Actor.ID, tx.NowMs
	if _, err := tx.NewInsert().Model(&c).Exec(ctx); err != nil {
		return c, err
	}
	tx.Record(store.Entry{Action: "factcheck.add", ObjectKind: "incident", ObjectID: i.ID, Scope: Scope(i.ID), Content: c})
	c.Claim = ""
	return c, nil
}

// FactChecks lists the sheet; claims stay sealed.
func FactChecks(ctx context.Context, db bun.IDB, incidentID string) ([]FactCheck, error) {
	out := []FactCheck{}
	err := db.NewSelect().Model(&out).ExcludeColumn("claim").Where("incident_id = ?", incidentID).Order("at_ms", "id").Scan(ctx)
	return out, err
}

// need checks that required text is there; it takes field, value pairs.
func need(pairs ...string) error {
	for k := 0; k+1 < len(pairs); k += 2 {
		if strings.TrimSpace(pairs[k+1]) == "" {
			return fault.Invalid(pairs[k], "error.required", "field", pairs[k])
		}
	}
	return nil
}
