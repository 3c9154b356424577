package drill

import (
	"context"
	"strings"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/service"
)

// StartOptions say what is rehearsed and on which model. ID is a ULID that the client chose.
type StartOptions struct {
	ID                string
	Scenario          string // A.1 or A.2
	UpstreamURL       string // base URL with /v1; a simulated model
	UpstreamModel     string
	UpstreamSecretRef string // name of the upstream's key in the secret store; "" for none
	ByServer          bool   // the server plays it itself
	PlayedBy          string // then the node that does
}

// Started is what the runner needs to play a drill. Tokens and keys are shown here and nowhere else.
// For a drill that has ended, Grounds and Seats are empty.
type Started struct {
	Drill   Drill    `json:"drill"`
	Grounds []Ground `json:"grounds"` // the scenario's own service first
	Seats   []Seat   `json:"seats"`
}

// Ground is a service that exists for one drill, with a gateway key for drill traffic.
type Ground struct {
	ServiceID    string `json:"service_id"`
	ObjectID     string `json:"object_id"`
	DeploymentID string `json:"deployment_id"`
	Model        string `json:"model"` // the model name to ask the gateway for
	Importance   string `json:"importance"`
	GatewayKey   string `json:"gateway_key"`
}

// Seat 演练席位 is a stand-in for one role, with a token that reaches only the objects of the drill.
type Seat struct {
	Role     string `json:"role"`
	PersonID string `json:"person_id"`
	Token    string `json:"token"`
}

// SeatMs is how long a stand-in's token is good: 15 min. Who plays longer asks for fresh ones.
const SeatMs int64 = 15 * 60 * 1000

// Roles are the seats of every drill.
func Roles() []string {
	return []string{"duty_officer", "commander", "engineer", "safety_engineer", "compliance", "management"}
}

// marker is the tenant and the group of drill traffic, and how drill things show themselves in names.
const marker = "drill"

// Start makes the ground of a drill: an operator if drills have none yet, one service of importance 一般
// and one of 重要, their keys, and the stand-ins. The same id again gives the same objects with fresh
// tokens and keys, because the old ones are kept nowhere in the clear. Errors: forbidden without
// drill.run or for a stand-in; invalid id, scenario or upstream; conflict when the id belongs to
// another scenario or the drill is paused.
func Start(ctx context.Context, tx *store.Tx, o StartOptions) (Started, error) {
	if err := identity.Require(tx.Actor, "drill.run"); err != nil {
		return Started{}, err
	}
	if err := identity.RequireDrill(tx.Actor, ""); err != nil {
		return Started{}, err
	}
	if !validID(o.ID) {
		return Started{}, fault.Invalid("id", "drill.bad_id")
	}
	book, err := Scenarios()
	if err != nil {
		return Started{}, err
	}
	sc, ok := book[o.Scenario]
	if !ok {
		return Started{}, fault.Invalid("scenario", "error.unknown_value", "value", o.Scenario, "valid", strings.Join(ScenarioIDs(), ", "))
	}
	var known []Drill
	if err := tx.NewSelect().Model(&known).Where("id = ?", o.ID).Scan(ctx); err != nil {
		return Started{}, err
	}
	if len(known) == 1 {
		return rejoin(ctx, tx, known[0], sc)
	}
	number, err := identity.NextNumber(ctx, tx, "DR", marker)
	if err != nil {
		return Started{}, err
	}
	d := Drill{ID: o.ID, Number: number, Scenario: sc.ID, State: Running, StartedBy: tx.Actor.ID, StartedMs: tx.NowMs, Stages: "[]", ByServer: o.ByServer, PlayedBy: o.PlayedBy}
	var own service.Service
	// Whoever may run a drill need not be allowed to manage services and persons; these are the drill's.
	if err := asSystem(tx, func() error {
		operator, err := drillOperator(ctx, tx)
		if err != nil {
			return err
		}
		for _, importance := range importances {
			s, err := addService(ctx, tx, d, sc, o, operator, importance)
			if err != nil {
				return err
			}
			if importance == sc.Importance {
				own = s
			}
		}
		for _, role := range Roles() {
			if _, err := identity.AddPerson(ctx, tx, number+" "+role, []string{role}, d.ID); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return Started{}, err
	}
	d.ServiceID = own.ID
	if _, err := tx.NewInsert().Model(&d).Exec(ctx); err != nil {
		return Started{}, err
	}
	tx.Record(store.Entry{Action: "drill.start", ObjectKind: "drill", ObjectID: d.ID, Content: map[string]any{"number": number, "scenario": sc.ID, "service": own.ID}})
	tx.Touch(Topic)
	return equip(ctx, tx, d)
}

// importances of the two services of every drill. The second is the control: nothing may happen to it.
var importances = []string{"一般", "重要"}

func rejoin(ctx context.Context, tx *store.Tx, d Drill, sc Scenario) (Started, error) {
	if d.Scenario != sc.ID {
		return Started{}, fault.Conflict("scenario", "drill.other_scenario", "scenario", d.Scenario)
	}
	switch d.State {
	case Running:
		return equip(ctx, tx, d)
	case Paused:
		return Started{}, fault.Conflict("id", "drill.paused", "number", d.Number)
	}
	return Started{Drill: d, Grounds: []Ground{}, Seats: []Seat{}}, nil
}

// equip gives out fresh keys and tokens for what the drill already has.
func equip(ctx context.Context, tx *store.Tx, d Drill) (Started, error) {
	out := Started{Drill: d, Grounds: []Ground{}, Seats: []Seat{}}
	return out, asSystem(tx, func() error {
		var services []service.Service
		if err := tx.NewSelect().Model(&services).Where("drill_id = ?", d.ID).OrderExpr("CASE WHEN id = ? THEN 0 ELSE 1 END, id", d.ServiceID).Scan(ctx); err != nil {
			return err
		}
		for _, s := range services {
			g, err := ground(ctx, tx, s)
			if err != nil {
				return err
			}
			out.Grounds = append(out.Grounds, g)
		}
		people, err := identity.ListPersons(ctx, tx, tx.Actor, d.ID)
		if err != nil {
			return err
		}
		for _, p := range people {
			token, _, err := identity.IssueToken(ctx, tx, p.ID, d.Number, SeatMs)
			if err != nil {
				return err
			}
			out.Seats = append(out.Seats, Seat{Role: p.Roles()[0], PersonID: p.ID, Token: token})
		}
		return nil
	})
}

func ground(ctx context.Context, tx *store.Tx, s service.Service) (Ground, error) {
	g := Ground{ServiceID: s.ID, Model: s.ModelName}
	if err := tx.NewRaw("SELECT id FROM affected_object WHERE service_id = ? AND kind = 'service' ORDER BY created_ms, id LIMIT 1", s.ID).Scan(ctx, &g.ObjectID); err != nil {
		return g, err
	}
	if err := tx.NewRaw("SELECT id FROM deployment WHERE service_id = ? AND role = 'primary' ORDER BY created_ms, id LIMIT 1", s.ID).Scan(ctx, &g.DeploymentID); err != nil {
		return g, err
	}
	i, err := service.ImportanceAt(ctx, tx, g.ObjectID, tx.NowMs)
	if err != nil {
		return g, err
	}
	g.Importance = i.Level
	_, g.GatewayKey, err = service.IssueKey(ctx, tx, service.GatewayKey{ServiceID: s.ID, Tenant: marker, UserGroup: marker, TrafficKind: marker, Label: s.Name})
	return g, err
}

// drillOperator is the operator of earlier drills, or a new one. It is never one that owes real reports.
func drillOperator(ctx context.Context, tx *store.Tx) (string, error) {
	var ids []string
	if err := tx.NewRaw("SELECT operator_id FROM service WHERE kind = ? ORDER BY created_ms, id LIMIT 1", marker).Scan(ctx, &ids); err != nil {
		return "", err
	}
	if len(ids) == 1 {
		return ids[0], nil
	}
	o, err := service.AddOperator(ctx, tx, service.Operator{Name: "演练运营主体", Province: "演练", Kind: "other"})
	return o.ID, err
}

func addService(ctx context.Context, tx *store.Tx, d Drill, sc Scenario, o StartOptions, operator, importance string) (service.Service, error) {
	name := "control"
	if importance == sc.Importance {
		name = "scene"
	}
	s, object, err := service.AddService(ctx, tx, service.Service{OperatorID: operator, Name: d.Number + " " + name, Kind: marker, DrillID: d.ID,
		ModelName: marker + "-" + strings.ToLower(d.ID) + "-" + name})
	if err != nil {
		return s, err
	}
	if _, err := service.SetImportance(ctx, tx, service.Importance{ObjectID: object.ID, Level: importance, Ground: sc.Ground, FromMs: tx.NowMs}); err != nil {
		return s, err
	}
	_, err = service.AddDeployment(ctx, tx, service.Deployment{ServiceID: s.ID, Name: "primary", ModelVersion: o.UpstreamModel, UpstreamURL: o.UpstreamURL,
		UpstreamModel: o.UpstreamModel, SecretRef: o.UpstreamSecretRef, Role: "primary", Filed: true})
	return s, err
}

// asSystem lets fn act with the rights of the system inside a transaction that a person opened.
func asSystem(tx *store.Tx, fn func() error) error {
	defer tx.Lend(store.System("drill"))()
	return fn()
}
