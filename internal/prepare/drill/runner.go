package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
)

// Sabotage breaks one thing on purpose. A drill that still passes then would prove nothing.
type Sabotage string

// The negative controls. ContainmentOff is set up by whoever starts the instance: its gateway ignores
// orders; the runner only has to fail.
const (
	NoSabotage     Sabotage = ""
	FaultOff       Sabotage = "fault-off"       // the model behaves: fails at detect
	ContainmentOff Sabotage = "containment-off" // fails at contain (A.1) or offline (A.2)
	SameApprover   Sabotage = "same-approver"   // the approver is the requester: fails at Scenario.Approver
)

// Options say what is played against what. Server, Token, Upstream, Scenario, DrillID and HTTP are required.
type Options struct {
	Server        string // base URL of the API, without /api/v1
	Token         string // of a person who may run drills
	Gateway       string // base URL without /v1; "" = as the server's status says
	Upstream      string // base URL with /v1 of a simulated model, as the gateway reaches it
	UpstreamModel string
	Scenario      string
	DrillID       string // a ULID; the same again continues that drill
	Sabotage      Sabotage
	Bystander     *Bystander // a real service that no order of the drill may touch; nil = not looked at
	HTTP          Doer
	Clock         clock.Clock   // default: the system's
	Lang          string        // of refusals: zh (default) or en
	Patience      time.Duration // how long one call goes on trying a server that cannot be reached; default 60 s
	Settle        time.Duration // how long an effect may take to be seen; default 15 s
	OnStage       func(Stage, Words)
}

// Bystander is a client of a real service behind the same gateway.
type Bystander struct{ Key, Model string }

// Stage is one stage that was passed: when it began and how long it took.
type Stage struct {
	Name string `json:"name"`
	At   string `json:"at"` // RFC 3339, UTC
	Ms   int64  `json:"ms"`
}

// Result is what `fengsui drill run --json` prints.
type Result struct {
	Drill          string  `json:"drill"` // the scenario
	DrillID        string  `json:"drill_id"`
	Number         string  `json:"number"`
	Incident       string  `json:"incident"`
	IncidentNumber string  `json:"incident_number"`
	Category       string  `json:"category"`
	Level          int     `json:"level"`
	Stages         []Stage `json:"stages"`
	Passed         bool    `json:"passed"`
	FailedStage    string  `json:"failed_stage,omitempty"`
	Error          string  `json:"error,omitempty"`
	Trials         int     `json:"trials,omitempty"` // calls that had to be made again
}

// StageError says at which stage a drill failed. Errors before the first stage carry none.
type StageError struct {
	Stage string
	Err   error
}

func (e *StageError) Error() string { return "stage " + e.Stage + ": " + e.Err.Error() }
func (e *StageError) Unwrap() error { return e.Err }

// ErrPaused says that the server paused the drill because something real takes precedence.
var ErrPaused = errors.New("the drill is paused: a real incident takes precedence")

// errEnded says that somebody ended the drill meanwhile.
var errEnded = errors.New("the drill was ended by somebody else")

// run is a drill under way. What it knows is read from the server, so that a second process can go on
// where a first one was killed.
type run struct {
	*client
	o        Options
	sc       Scenario
	drill    Drill
	scene    Ground // where the scenario happens
	control  Ground // where nothing may happen
	seats    map[string]Seat
	gateway  string
	stage    string
	resumed  bool // objects of this drill were there before this process
	incident incidentView
	anomaly  string // the one the gateway's signals opened
	order    string // the order that contains
	code     map[string]string
	broken   int       // trials when the stage began
	sat      time.Time // when the tokens and keys were given out
}

// Run plays a scenario to its end. An error is also in the result, with the stage that failed; the
// drill is then finished as failed on the server. A paused drill and a cancelled ctx leave it to be
// resumed.
func Run(ctx context.Context, o Options) (Result, error) {
	res := Result{Drill: o.Scenario, DrillID: o.DrillID, Stages: []Stage{}}
	fail := func(err error) (Result, error) {
		var at *StageError
		if errors.As(err, &at) {
			res.FailedStage = at.Stage
		}
		res.Error = err.Error()
		return res, err
	}
	r, err := begin(ctx, o)
	if err != nil {
		return fail(err)
	}
	res.Number = r.drill.Number
	if r.drill.State != Running {
		return ended(res, r.drill)
	}
	acts, err := r.acts()
	if err != nil {
		return fail(err)
	}
	for i, name := range r.sc.Stages {
		began := r.clock.Now()
		r.stage, r.broken = name.ID, r.trials
		if err = r.running(ctx); err == nil {
			err = acts[i](ctx)
		}
		if refused(err, "identity.drill_over") { // in the middle of a stage; what follows tells which it was
			if why := r.running(ctx); why != nil {
				err = why
			}
		}
		if err != nil {
			err = &StageError{name.ID, err}
			break
		}
		s := Stage{Name: name.ID, At: began.UTC().Format("2006-01-02T15:04:05.000Z07:00"), Ms: r.clock.Now().Sub(began).Milliseconds()}
		res.Stages = append(res.Stages, s)
		if err = r.notify(ctx, res.Stages); err != nil {
			break
		}
		if r.o.OnStage != nil {
			r.o.OnStage(s, Words{name.ZH, name.EN})
		}
	}
	res.Incident, res.IncidentNumber, res.Category, res.Level, res.Trials = r.incident.ID, r.incident.Number, r.incident.category, r.incident.level, r.trials
	if ctx.Err() != nil || errors.Is(err, ErrPaused) || errors.Is(err, errEnded) {
		return fail(err)
	}
	if e := r.finish(ctx, res.Stages, err == nil); e != nil {
		err = errors.Join(err, fmt.Errorf("the drill could not be finished: %w", e))
	}
	if err != nil {
		return fail(err)
	}
	res.Passed = true
	return res, nil
}

// ended gives the result of a drill that was over before.
func ended(res Result, d Drill) (Result, error) {
	if err := json.Unmarshal([]byte(d.Stages), &res.Stages); err != nil {
		return res, err
	}
	res.Incident, res.Passed = d.IncidentID, d.State == Passed
	if !res.Passed {
		res.Error = "the drill ended before as " + string(d.State)
		return res, errors.New(res.Error)
	}
	return res, nil
}

func (o Options) withDefaults() Options {
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.Patience <= 0 {
		o.Patience = 60 * time.Second
	}
	if o.Settle <= 0 {
		o.Settle = 15 * time.Second
	}
	if o.Lang == "" {
		o.Lang = "zh"
	}
	return o
}

func begin(ctx context.Context, o Options) (*run, error) {
	o = o.withDefaults()
	book, err := Scenarios()
	if err != nil {
		return nil, err
	}
	sc, ok := book[o.Scenario]
	if !ok {
		return nil, fmt.Errorf("there is no scenario %q; use one of %v", o.Scenario, ScenarioIDs())
	}
	if !validID(o.DrillID) {
		return nil, fmt.Errorf("the drill id %q is not a ULID", o.DrillID)
	}
	r := &run{client: &client{base: o.Server, http: o.HTTP, clock: o.Clock, lang: o.Lang, patience: o.Patience}, o: o, sc: sc, gateway: o.Gateway,
		seats: map[string]Seat{}, code: map[string]string{}}
	if err := r.sit(ctx); err != nil || r.drill.State != Running {
		return r, err
	}
	if r.gateway == "" {
		var status struct {
			GatewayURL string `json:"gateway_url"`
		}
		if err := r.get(ctx, o.Token, "/status", &status); err != nil {
			return nil, err
		}
		r.gateway = status.GatewayURL
	}
	return r, nil
}

// sit starts the drill, or asks for fresh tokens and keys of one that is under way.
func (r *run) sit(ctx context.Context) error {
	o := r.o
	var started Started
	if err := r.post(ctx, o.Token, "/drills", o.DrillID, map[string]string{"id": o.DrillID, "scenario": o.Scenario, "upstream_url": o.Upstream, "upstream_model": o.UpstreamModel}, &started); err != nil {
		if refused(err, "drill.paused") {
			return ErrPaused
		}
		return fmt.Errorf("the drill cannot start: %w", err)
	}
	r.drill = started.Drill
	if r.drill.State != Running {
		return nil
	}
	if len(started.Grounds) != 2 {
		return fmt.Errorf("the server made %d services for the drill instead of 2", len(started.Grounds))
	}
	r.scene, r.control = started.Grounds[0], started.Grounds[1]
	for _, s := range started.Seats {
		r.seats[s.Role] = s
	}
	for _, role := range Roles() {
		if r.seats[role].Token == "" {
			return fmt.Errorf("the server gave no stand-in for %s", role)
		}
	}
	r.sat = r.clock.Now()
	return nil
}

// running stops the runner when the server paused the drill or somebody ended it.
func (r *run) running(ctx context.Context) error {
	var d Drill
	if err := r.get(ctx, r.o.Token, "/drills/"+r.drill.ID, &d); err != nil {
		return err
	}
	switch d.State {
	case Running:
	case Paused:
		return ErrPaused
	default:
		return fmt.Errorf("%w (%s)", errEnded, d.State)
	}
	if r.clock.Now().Sub(r.sat).Milliseconds() > SeatMs/2 {
		return r.sit(ctx)
	}
	return nil
}

// notify tells the server how far the drill is, for whoever watches it. That it was paused or ended
// meanwhile is for the next stage to find.
func (r *run) notify(ctx context.Context, stages []Stage) error {
	err := r.post(ctx, r.o.Token, "/drills/"+r.drill.ID+"/stages", "", map[string]any{"stages": stages}, nil)
	if refused(err, "error.transition") {
		return nil
	}
	return err
}

func (r *run) finish(ctx context.Context, stages []Stage, passed bool) error {
	js, err := json.Marshal(stages)
	if err != nil {
		return err
	}
	state := Failed
	if passed {
		state = Passed
	}
	return r.post(ctx, r.o.Token, "/drills/"+r.drill.ID+"/finish", r.drill.ID+"/finish", map[string]any{"state": state, "stages": json.RawMessage(js), "incident_id": r.incident.ID}, nil)
}

// as is the token of a stand-in.
func (r *run) as(role string) string { return r.seats[role].Token }

// do posts one step of the stage under a key that a rerun makes again.
func (r *run) do(ctx context.Context, role, path, step string, in, out any) error {
	return r.post(ctx, r.as(role), path, r.drill.ID+"/"+r.stage+"/"+step, in, out)
}

// eventually looks until ok or until effects have had their time; why says what was missing at the end.
func (r *run) eventually(ctx context.Context, look func(ctx context.Context) (ok bool, why string, err error)) error {
	return r.within(ctx, r.o.Settle, look)
}

func (r *run) within(ctx context.Context, limit time.Duration, look func(ctx context.Context) (ok bool, why string, err error)) error {
	until := r.clock.Now().Add(limit)
	seen := r.trials
	for wait := 30 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		ok, why, err := look(ctx)
		if err != nil || ok {
			return err
		}
		if r.trials > seen { // the server was away meanwhile: what it has to do begins anew
			seen, until = r.trials, r.clock.Now().Add(limit)
		}
		if r.clock.Now().After(until) {
			return fmt.Errorf("%s, after %s", why, limit)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.clock.After(wait):
		}
	}
}

// acts are the stages of the scenario in the order of its data.
func (r *run) acts() ([]func(context.Context) error, error) {
	known := map[string]func(context.Context) error{
		"prepare": r.prepare, "detect": r.detect, "complain": r.complain, "declare": r.declare, "factcheck": r.factcheck, "classify": r.classify,
		"confirm": r.confirm, "respond": r.respond, "contain": r.contain, "lexicon": r.extend, "fix": r.fix, "recheck": r.recheck, "answer": r.answer,
		"lift": r.lift, "settle": r.settle, "close": r.close, "review": r.review, "offline": r.offline, "ratify": r.ratify, "report": r.report,
		"statement": r.statement, "spread": r.spread, "impact": r.impact, "test": r.test, "online": r.online,
	}
	acts := make([]func(context.Context) error, 0, len(r.sc.Stages))
	for _, n := range r.sc.Stages {
		act := known[n.ID]
		if act == nil {
			return nil, fmt.Errorf("nobody knows how to play the stage %q", n.ID)
		}
		acts = append(acts, act)
	}
	return acts, nil
}

// sabotaged reports whether the approver is to be the requester at this stage.
func (r *run) sabotaged() bool { return r.o.Sabotage == SameApprover && r.stage == r.sc.Approver }

// interrupted reports whether the server was away since the stage began.
func (r *run) interrupted() bool { return r.trials > r.broken }

// stageNames are the ids of a scenario's stages.
func (s Scenario) stageNames() []string {
	out := make([]string, len(s.Stages))
	for i, n := range s.Stages {
		out[i] = n.ID
	}
	return out
}

// Has reports whether the scenario has a stage.
func (s Scenario) Has(stage string) bool { return slices.Contains(s.stageNames(), stage) }
