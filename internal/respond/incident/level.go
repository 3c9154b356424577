package incident

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/service"
	"github.com/fengsui/fengsui/internal/standard"
)

// Assessment is one statement of the level of one affected object (design promise 9). Rows are only
// added; the level of an incident is reckoned from them. FinalLevel is nil where Table 2 is empty
// and nobody has decided.
type Assessment struct {
	bun.BaseModel `bun:"table:assessment" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	IncidentID    string `json:"incident_id"`
	ObjectID      string `json:"object_id"`
	Stage         string `json:"stage"`  // preliminary, confirmed, final
	Source        string `json:"source"` // self, expert, authority
	Facts         string `json:"facts"`  // JSON
	Importance    string `json:"importance"`
	BusinessLoss  string `json:"business_loss"`
	SocialHarm    string `json:"social_harm"`
	LevelFromLoss *int   `json:"level_from_loss"`
	LevelFromHarm *int   `json:"level_from_harm"`
	FinalLevel    *int   `json:"final_level"`
	WorkingLevel  int    `json:"working_level"`
	Grading       string `json:"grading"` // JSON of standard.Grading
	Edition       string `json:"edition"`
	AssessedBy    string `json:"assessed_by"`
	SecondBy      string `json:"second_by,omitempty"`
	Reason        string `json:"reason"`
	AtMs          int64  `json:"at_ms"`
}

// Assessing is the input of Assess. Factor names may be Chinese or English. Decided is a level set
// by a person: an authority's, or a decision where the tables give none; 0 = the tables decide.
type Assessing struct {
	ObjectID     string         `json:"object_id"`
	Stage        string         `json:"stage"`
	Source       string         `json:"source"`
	Facts        map[string]any `json:"facts"`
	Importance   string         `json:"importance"` // "" = the object's dated importance at awareness
	BusinessLoss string         `json:"business_loss"`
	SocialHarm   string         `json:"social_harm"`
	Decided      int            `json:"decided"`
	Reason       string         `json:"reason"`
}

// Level is where an incident stands on the guide's scale: the gravest over its objects. Final is nil
// while any object has none. Working is 0 before the first assessment.
type Level struct {
	Working int    `json:"working"`
	Final   *int   `json:"final"`
	Stage   string `json:"stage"`
	Source  string `json:"source"`
}

// Outcome of an assessment: the row, or the request for a second person when it would lower the level.
// It is both where a person decided a level below that of the tables: theirs stands until another agrees.
type Outcome struct {
	Assessment *Assessment               `json:"assessment,omitempty"`
	Second     *identity.SecondSignature `json:"second,omitempty"`
	Level      Level                     `json:"level"`
}

// Assess grades one affected object. What would lower the incident's working level, or is decided below
// the level of the tables, waits for a second person; an authority's level too, since one person alone
// wrote it down. Confirming takes another person than the preliminary assessment. Errors: forbidden,
// invalid factors (field named), invalid stage or source.
func Assess(ctx context.Context, tx *store.Tx, book *standard.Book, incidentID string, in Assessing) (Outcome, error) {
	i, err := forChange(ctx, tx, incidentID, "incident.grade")
	if err != nil {
		return Outcome{}, err
	}
	row, tables, err := grade(ctx, tx, book, i, in)
	if err != nil {
		return Outcome{}, err
	}
	rows, objects, err := graded(ctx, tx, i.ID)
	if err != nil {
		return Outcome{}, err
	}
	before := levelOf(rows, objects)
	if in.Stage != "preliminary" {
		if err := anotherPerson(rows, row); err != nil {
			return Outcome{}, err
		}
	}
	after := levelOf(append(slices.Clone(rows), row), objects)
	below := row.WorkingLevel > tables.WorkingLevel && !agreed(rows, row)
	if !below && (before.Working == 0 || after.Working <= before.Working) {
		return Outcome{Assessment: &row, Level: after}, insertAssessment(ctx, tx, &row)
	}
	if strings.TrimSpace(in.Reason) == "" {
		return Outcome{}, fault.Invalid("reason", "incident.lowering_reason")
	}
	out := Outcome{Level: before}
	if below && raises(rows, tables) {
		if err := insertAssessment(ctx, tx, &tables); err != nil {
			return Outcome{}, err
		}
		out = Outcome{Assessment: &tables, Level: levelOf(append(slices.Clone(rows), tables), objects)}
	}
	s, err := identity.AskSecond(ctx, tx, identity.SecondSignature{Action: "incident.grade", ObjectKind: "assessment", ObjectID: i.ID, IncidentID: i.ID, DrillID: i.DrillID, Reason: in.Reason}, row)
	out.Second = &s
	return out, err
}

// standingOf gives what stands for one object.
func standingOf(rows []Assessment, objectID string) (Assessment, bool) {
	standing := standingRows(rows)
	at := slices.IndexFunc(standing, func(r Assessment) bool { return r.ObjectID == objectID })
	if at < 0 {
		return Assessment{}, false
	}
	return standing[at], true
}

// agreed reports whether two persons have already decided at least as low a level on the same factors.
func agreed(rows []Assessment, row Assessment) bool {
	r, ok := standingOf(rows, row.ObjectID)
	return ok && r.SecondBy != "" && r.WorkingLevel >= row.WorkingLevel && r.Source == row.Source &&
		r.Importance == row.Importance && r.BusinessLoss == row.BusinessLoss && r.SocialHarm == row.SocialHarm
}

// raises reports whether the object has no level yet, or a less grave one.
func raises(rows []Assessment, row Assessment) bool {
	r, ok := standingOf(rows, row.ObjectID)
	return !ok || row.WorkingLevel < r.WorkingLevel
}

// anotherPerson holds a confirmation to a second pair of eyes. An authority's level is a second pair by
// itself, whoever writes it down.
func anotherPerson(rows []Assessment, row Assessment) error {
	if row.Source == "authority" {
		return nil
	}
	for _, r := range slices.Backward(rows) {
		if r.ObjectID == row.ObjectID && r.Stage == "preliminary" {
			return identity.TwoPersons(r.AssessedBy, row.AssessedBy)
		}
	}
	return fault.Conflict("stage", "incident.no_preliminary")
}

func insertAssessment(ctx context.Context, tx *store.Tx, row *Assessment) error {
	if _, err := tx.NewInsert().Model(row).Exec(ctx); err != nil {
		return err
	}
	tx.Record(store.Entry{Action: "incident.assess", ObjectKind: "incident", ObjectID: row.IncidentID, Scope: Scope(row.IncidentID), Content: row})
	tx.Touch("incident")
	return nil
}

// grade makes the row of an assessment, and the one that the tables alone give; they are the same where
// nobody decided.
func grade(ctx context.Context, tx *store.Tx, book *standard.Book, i Incident, in Assessing) (row, tables Assessment, err error) {
	none := Assessment{}
	for field, ok := range map[string]bool{
		"stage":   slices.Contains([]string{"preliminary", "confirmed", "final"}, in.Stage),
		"source":  slices.Contains([]string{"self", "expert", "authority"}, in.Source),
		"decided": in.Decided >= 0 && in.Decided <= 4,
	} {
		if !ok {
			return none, none, fault.Invalid(field, "incident.assess_"+field)
		}
	}
	objects, err := Objects(ctx, tx, i.ID)
	if err != nil {
		return none, none, err
	}
	if in.ObjectID == "" && len(objects) == 1 {
		in.ObjectID = objects[0].ID
	}
	if !slices.ContainsFunc(objects, func(o service.AffectedObject) bool { return o.ID == in.ObjectID }) {
		return none, none, fault.NotFound("object_id", "error.not_found", "field", "object_id")
	}
	if in.Importance == "" {
		aware, err := AwareMs(ctx, tx, i.ID)
		if err != nil {
			return none, none, err
		}
		imp, err := service.ImportanceAt(ctx, tx, in.ObjectID, aware)
		if err != nil {
			return none, none, fault.Invalid("importance", "incident.no_importance")
		}
		in.Importance = imp.Level
	}
	var f standard.Factors
	if f.Importance, err = book.ParseImportance(in.Importance); err != nil {
		return none, none, inputFault(err)
	}
	if in.BusinessLoss != "" {
		if f.BusinessLoss, err = book.ParseBusinessLoss(in.BusinessLoss); err != nil {
			return none, none, inputFault(err)
		}
	}
	if in.SocialHarm != "" {
		if f.SocialHarm, err = book.ParseSocialHarm(in.SocialHarm); err != nil {
			return none, none, inputFault(err)
		}
	}
	g, err := book.Grade(f)
	if err != nil {
		return none, none, inputFault(err)
	}
	facts, err := json.Marshal(in.Facts)
	if err != nil {
		return none, none, fault.Invalid("facts", "error.not_json", "field", "facts")
	}
	if len(facts) > maxFacts || deeper(in.Facts, maxFactsDepth) {
		return none, none, fault.Invalid("facts", "incident.facts_large", "bytes", maxFacts, "depth", maxFactsDepth)
	}
	js, err := json.Marshal(g)
	if err != nil {
		return none, none, err
	}
	row = Assessment{ID: tx.NewID(), IncidentID: i.ID, ObjectID: in.ObjectID, Stage: in.Stage, Source: in.Source, Facts: string(facts),
		Importance: string(f.Importance), BusinessLoss: string(f.BusinessLoss), SocialHarm: string(f.SocialHarm), FinalLevel: g.Final, WorkingLevel: g.Working,
		Grading: string(js), Edition: g.Edition, AssessedBy: tx.Actor.ID, Reason: in.Reason, AtMs: tx.NowMs}
	if g.FromLoss != nil {
		row.LevelFromLoss = g.FromLoss.Level
	}
	if g.FromHarm != nil {
		row.LevelFromHarm = g.FromHarm.Level
	}
	tables = row
	if in.Decided == 0 {
		return row, tables, nil
	}
	// Only an authority may overrule the tables; anyone else decides only where they are empty.
	if in.Source != "authority" && g.Final != nil {
		return none, none, fault.Conflict("decided", "incident.tables_decide")
	}
	if strings.TrimSpace(in.Reason) == "" {
		return none, none, fault.Invalid("reason", "error.required", "field", "reason")
	}
	d := in.Decided
	row.FinalLevel, row.WorkingLevel = &d, d
	tables.ID = tx.NewID()
	if tables.Source == "authority" {
		tables.Source, tables.Stage = "self", "preliminary" // the authority said another level; this is ours, of one person
	}
	return row, tables, nil
}

// inputFault turns a complaint of the book about its input into a fault that names the field.
func inputFault(err error) error {
	var in *standard.InputError
	if errors.As(err, &in) {
		return fault.Invalid(in.Field, "incident.bad_factor", "value", in.Value, "valid", strings.Join(in.Valid, " / ")).Because(err)
	}
	return err
}

// Assessments lists all rows of an incident, oldest first.
func Assessments(ctx context.Context, db bun.IDB, incidentID string) ([]Assessment, error) {
	out := []Assessment{}
	return out, db.NewSelect().Model(&out).Where("incident_id = ?", incidentID).Order("at_ms", "id").Scan(ctx)
}

// LevelOf reckons the level of an incident from its assessments.
func LevelOf(ctx context.Context, db bun.IDB, incidentID string) (Level, error) {
	rows, objects, err := graded(ctx, db, incidentID)
	if err != nil {
		return Level{}, err
	}
	return levelOf(rows, objects), nil
}

// LevelsOf is LevelOf for many incidents at once; one that is not graded has the zero Level.
func LevelsOf(ctx context.Context, db bun.IDB, incidentIDs []string) (map[string]Level, error) {
	out := map[string]Level{}
	if len(incidentIDs) == 0 {
		return out, nil
	}
	var rows []Assessment
	if err := db.NewSelect().Model(&rows).Where("incident_id IN (?)", bun.List(incidentIDs)).Order("at_ms", "id").Scan(ctx); err != nil {
		return nil, err
	}
	var objects []struct {
		IncidentID string
		N          int
	}
	if err := db.NewRaw("SELECT incident_id, COUNT(*) AS n FROM incident_object WHERE incident_id IN (?) GROUP BY incident_id", bun.List(incidentIDs)).Scan(ctx, &objects); err != nil {
		return nil, err
	}
	of := map[string][]Assessment{}
	for _, r := range rows {
		of[r.IncidentID] = append(of[r.IncidentID], r)
	}
	for _, o := range objects {
		out[o.IncidentID] = levelOf(of[o.IncidentID], o.N)
	}
	return out, nil
}

// graded reads all assessments of an incident and how many affected objects it has.
func graded(ctx context.Context, db bun.IDB, incidentID string) ([]Assessment, int, error) {
	rows, err := Assessments(ctx, db, incidentID)
	if err != nil {
		return nil, 0, err
	}
	objects, err := db.NewSelect().TableExpr("incident_object").Where("incident_id = ?", incidentID).Count(ctx)
	return rows, int(objects), err
}

// standingRows takes, for each object, the authority's newest row, else the newest row, in the order in
// which the objects were first assessed. Rows are oldest first.
func standingRows(rows []Assessment) []Assessment {
	var out []Assessment
	for _, r := range rows {
		at := slices.IndexFunc(out, func(o Assessment) bool { return o.ObjectID == r.ObjectID })
		switch {
		case at < 0:
			out = append(out, r)
		case out[at].Source != "authority" || r.Source == "authority":
			out[at] = r
		}
	}
	return out
}

// levelOf takes the gravest of what stands; of equals the one at the earliest stage, because that is how
// firm the level is. It is final when each of the incident's objects has a final level.
func levelOf(rows []Assessment, objects int) Level {
	stages := []string{"preliminary", "confirmed", "final"}
	standing := standingRows(rows)
	final := len(standing) > 0 && len(standing) >= objects
	var l Level
	for _, r := range standing {
		final = final && r.FinalLevel != nil
		firmer := slices.Index(stages, r.Stage) >= slices.Index(stages, l.Stage)
		if l.Working == 0 || r.WorkingLevel < l.Working || (r.WorkingLevel == l.Working && !firmer) {
			l.Working, l.Stage, l.Source = r.WorkingLevel, r.Stage, r.Source
		}
	}
	if final {
		l.Final = new(l.Working)
	}
	return l
}

// Decide confirms or rejects what waits for a second person on an incident: a lowered level or a
// withdrawn awareness. A confirmed request takes effect in this transaction.
func Decide(ctx context.Context, tx *store.Tx, secondID string, confirm bool) (identity.SecondSignature, error) {
	var s identity.SecondSignature
	if err := tx.NewSelect().Model(&s).Where("id = ?", secondID).Scan(ctx); err != nil {
		return s, store.Missing(err, "id")
	}
	if _, err := forChange(ctx, tx, s.IncidentID, s.Action); err != nil {
		return identity.SecondSignature{}, err
	}
	s, err := identity.DecideSecond(ctx, tx, secondID, confirm)
	if err != nil {
		return s, err
	}
	if !confirm {
		return s, nil
	}
	switch s.ObjectKind {
	case "awareness":
		return s, withdrawAwareness(ctx, tx, s)
	case restriction:
		return s, unrestrict(ctx, tx, s.IncidentID)
	case "assessment":
		var row Assessment
		if err := json.Unmarshal([]byte(s.Request), &row); err != nil {
			return s, err
		}
		if err := stillStands(ctx, tx, s, row); err != nil {
			return s, err
		}
		row.ID, row.SecondBy, row.AtMs = tx.NewID(), tx.Actor.ID, tx.NowMs
		return s, insertAssessment(ctx, tx, &row)
	}
	return s, fault.Conflict("id", "error.not_found", "field", "id")
}

// stillStands refuses to confirm a lowering when somebody assessed the object again after it was asked
// for: what the first person saw is no longer what the second would lower.
func stillStands(ctx context.Context, tx *store.Tx, s identity.SecondSignature, row Assessment) error {
	rows, err := Assessments(ctx, tx, s.IncidentID)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(rows, func(r Assessment) bool {
		return r.ObjectID == row.ObjectID && r.AtMs > s.RequestedMs
	}) {
		return fault.Conflict("id", "incident.assessed_since")
	}
	return nil
}

// Limits of the facts of an assessment: bytes of JSON, and how deep objects and lists stand in each other.
const (
	maxFacts      = 16 << 10
	maxFactsDepth = 4
)

// deeper reports whether objects and lists stand more than depth deep in each other.
func deeper(v any, depth int) bool {
	var inside []any
	switch v := v.(type) {
	case map[string]any:
		inside = slices.Collect(maps.Values(v))
	case []any:
		inside = v
	default:
		return false
	}
	return depth == 0 || slices.ContainsFunc(inside, func(x any) bool { return deeper(x, depth-1) })
}
