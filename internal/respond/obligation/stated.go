package obligation

import (
	"context"

	"github.com/uptrace/bun"
)

// Stated is a fact as it stands, with who stated it when.
type Stated struct {
	Fact
	StatedBy string `json:"stated_by"`
	StatedMs int64  `json:"stated_ms"`
}

// StatedOf lists the stated facts of an incident, by name.
func StatedOf(ctx context.Context, db bun.IDB, incidentID string) ([]Stated, error) {
	out := []Stated{}
	return out, db.NewRaw("SELECT name, value, stated_by, stated_ms FROM incident_fact WHERE incident_id = ? ORDER BY name", incidentID).Scan(ctx, &out)
}

// CACAssessment is one grading on the second scale. Quantities is a JSON array of standard.Quantity,
// Grading the JSON of standard.CACGrading.
type CACAssessment struct {
	ID         string `json:"id"`
	Grade      string `json:"grade"`
	Quantities string `json:"quantities"`
	Grading    string `json:"grading"`
	Verified   bool   `json:"verified"`
	Edition    string `json:"edition"`
	AssessedBy string `json:"assessed_by"`
	AtMs       int64  `json:"at_ms"`
}

// CACGradesOf lists the gradings of an incident on the second scale, oldest first; the last one stands.
func CACGradesOf(ctx context.Context, db bun.IDB, incidentID string) ([]CACAssessment, error) {
	out := []CACAssessment{}
	return out, db.NewRaw(`SELECT id, grade, quantities, decided_by_indicator AS grading, verified, edition, assessed_by, at_ms
		FROM cac_assessment WHERE incident_id = ? ORDER BY at_ms, id`, incidentID).Scan(ctx, &out)
}
