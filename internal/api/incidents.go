package api

import (
	"context"
	"strconv"

	"github.com/fengsui/fengsui/internal/flow"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/respond/obligation"
	"github.com/fengsui/fengsui/internal/standard"
)

type declareBody struct {
	Body struct {
		Kind        string   `json:"kind,omitempty" enum:"real,drill,test,backfill" default:"real"`
		ServiceID   string   `json:"service_id"`
		Title       string   `json:"title" maxLength:"200"`
		ObjectIDs   []string `json:"object_ids,omitempty"`
		AwareMs     int64    `json:"aware_ms,omitempty" doc:"when somebody first knew; 0 = now"`
		AwareSource string   `json:"aware_source,omitempty" default:"declared"`
		Restricted  []string `json:"restricted_for,omitempty" doc:"person ids; makes the incident restricted"`
	}
}

type awarenessBody struct {
	ByID
	Body struct {
		Source string `json:"source"`
		AtMs   int64  `json:"at_ms"`
		Ref    string `json:"ref,omitempty" maxLength:"200"`
	}
}

type reasonBody struct {
	ByID
	Body struct {
		Reason string `json:"reason" maxLength:"2000"`
	}
}

type decisionBody struct {
	ByID
	Body struct {
		Approve bool   `json:"approve"`
		Reason  string `json:"reason,omitempty" maxLength:"2000"`
	}
}

type categoryBody struct {
	ByID
	Body struct {
		GuideType  string `json:"guide_type" example:"content.discrimination"`
		GbCategory string `json:"gb_category,omitempty"`
		Risk       string `json:"risk,omitempty" example:"A.2.e"`
		Rank       string `json:"rank,omitempty" enum:"primary,secondary" default:"primary"`
		Part       string `json:"part,omitempty" enum:"cause,manifestation,consequence" default:"manifestation"`
	}
}

type assessBody struct {
	ByID
	Body struct {
		ObjectID     string         `json:"object_id,omitempty"`
		Stage        string         `json:"stage" enum:"preliminary,confirmed,final"`
		Source       string         `json:"source,omitempty" enum:"self,expert,authority" default:"self"`
		Facts        map[string]any `json:"facts,omitempty"`
		Importance   string         `json:"importance,omitempty"`
		BusinessLoss string         `json:"business_loss,omitempty"`
		SocialHarm   string         `json:"social_harm,omitempty"`
		Decided      int            `json:"decided,omitempty" minimum:"0" maximum:"4"`
		Reason       string         `json:"reason,omitempty" maxLength:"2000"`
	}
}

type cacBody struct {
	ByID
	Body struct {
		Quantities []standard.Quantity `json:"quantities" minItems:"1"`
		Reason     string              `json:"reason,omitempty" maxLength:"2000" doc:"required where something owed would not be owed any more, or later"`
	}
}

type factBody struct {
	ByID
	Body struct {
		Name   string `json:"name"`
		Value  int64  `json:"value" minimum:"0"`
		Reason string `json:"reason,omitempty" maxLength:"2000" doc:"required where something owed would not be owed any more, or later"`
	}
}

// stated is the answer to a fact: entered, or waiting for a second person.
type stated struct {
	OK     bool                      `json:"ok"`
	Second *identity.SecondSignature `json:"second,omitempty"`
}

type peopleBody struct {
	ByID
	Body struct {
		People []string `json:"people"`
	}
}

type timelineQuery struct {
	ByID
	Limit int   `query:"limit" minimum:"0" maximum:"1000" doc:"0 = 200"`
	After int64 `query:"after" minimum:"0" doc:"seq of the last moment that is known; next of the page before"`
}

type timelinePage struct {
	Items []flow.Moment `json:"items"`
	Total int           `json:"total"`
	Next  string        `json:"next" doc:"empty at the end"`
}

func (a *API) incidents() {
	const room = "incident"
	lists(a, operation{path: "/incidents", id: "list-incidents", room: room, summary: "List incidents"}, a.IncidentList())
	get(a, operation{path: "/incidents/{id}", id: "get-incident", room: room, summary: "One incident whole"}, func(ctx context.Context, actor store.Actor, in *ByID) (flow.Dossier, error) {
		return a.Dossier(ctx, actor, in.ID)
	})
	post(a, operation{path: "/incidents", id: "declare-incident", room: room, summary: "Declare an incident without an anomaly"}, func(ctx context.Context, tx *store.Tx, in *declareBody) (incident.Incident, error) {
		b := in.Body
		return a.Declare(ctx, tx, incident.Declaration{Kind: b.Kind, DrillID: tx.Actor.Drill, ServiceID: b.ServiceID, Title: b.Title, ObjectIDs: b.ObjectIDs,
			AwareMs: b.AwareMs, AwareSource: b.AwareSource, RestrictedFor: b.Restricted})
	})
	post(a, operation{path: "/incidents/{id}/restrict", id: "restrict-incident", room: room, summary: "Put an incident behind an allow-list"}, func(ctx context.Context, tx *store.Tx, in *peopleBody) (done, error) {
		return done{true}, incident.Restrict(ctx, tx, in.ID, in.Body.People)
	})
	post(a, operation{path: "/incidents/{id}/unrestrict", id: "unrestrict-incident", room: room, summary: "Ask to take an incident's wall away; needs a second person"}, func(ctx context.Context, tx *store.Tx, in *reasonBody) (identity.SecondSignature, error) {
		return incident.AskUnrestrict(ctx, tx, in.ID, in.Body.Reason)
	})
	post(a, operation{path: "/incidents/{id}/awareness", id: "add-awareness", room: room, summary: "Enter a time of awareness"}, func(ctx context.Context, tx *store.Tx, in *awarenessBody) (incident.Awareness, error) {
		w, err := incident.AddAwareness(ctx, tx, in.ID, in.Body.Source, in.Body.AtMs, in.Body.Ref)
		if err != nil {
			return w, err
		}
		return w, a.Reckon(ctx, tx, in.ID)
	})
	post(a, operation{path: "/awareness/{id}/withdraw", id: "withdraw-awareness", room: room, summary: "Ask to strike a time of awareness; needs a second person"}, func(ctx context.Context, tx *store.Tx, in *reasonBody) (identity.SecondSignature, error) {
		return incident.AskWithdrawAwareness(ctx, tx, in.ID, in.Body.Reason)
	})
	post(a, operation{path: "/second-signatures/{id}/decide", id: "decide-second", room: room, summary: "Confirm or reject what waits for a second person"}, func(ctx context.Context, tx *store.Tx, in *decisionBody) (identity.SecondSignature, error) {
		return a.DecideSecond(ctx, tx, in.ID, in.Body.Approve)
	})
	get(a, operation{path: "/second-signatures", id: "list-seconds", room: room, summary: "What waits for a second person: for you to decide, and asked for by you"}, func(ctx context.Context, actor store.Actor, _ *none) (flow.Waiting, error) {
		return a.Seconds(ctx, actor)
	})
	post(a, operation{path: "/second-signatures/{id}/withdraw", id: "withdraw-second", room: room, summary: "Take back what you asked for and nobody has decided yet"}, func(ctx context.Context, tx *store.Tx, in *ByID) (identity.SecondSignature, error) {
		return a.WithdrawSecond(ctx, tx, in.ID)
	})
	post(a, operation{path: "/incidents/{id}/categories", id: "categorise", room: room, summary: "Classify an incident"}, func(ctx context.Context, tx *store.Tx, in *categoryBody) (incident.Category, error) {
		b := in.Body
		c, err := incident.Categorise(ctx, tx, a.Book, in.ID, incident.Category{GuideType: b.GuideType, GbCategory: b.GbCategory, Risk: b.Risk, Rank: b.Rank, Part: b.Part})
		if err != nil {
			return c, err
		}
		return c, a.Reckon(ctx, tx, in.ID)
	})
	post(a, operation{path: "/incidents/{id}/assessments", id: "assess-level", room: room, summary: "Assess the level of an affected object"}, func(ctx context.Context, tx *store.Tx, in *assessBody) (incident.Outcome, error) {
		b := in.Body
		return a.Assess(ctx, tx, in.ID, incident.Assessing{ObjectID: b.ObjectID, Stage: b.Stage, Source: b.Source, Facts: b.Facts, Importance: b.Importance,
			BusinessLoss: b.BusinessLoss, SocialHarm: b.SocialHarm, Decided: b.Decided, Reason: b.Reason})
	})
	post(a, operation{path: "/incidents/{id}/cac-grade", id: "grade-cac", room: room, summary: "Grade on the second scale, from quantities"}, func(ctx context.Context, tx *store.Tx, in *cacBody) (obligation.CACOutcome, error) {
		g, err := obligation.GradeCAC(ctx, tx, a.Book, in.ID, in.Body.Quantities, in.Body.Reason)
		if err != nil {
			return g, err
		}
		return g, a.Reckon(ctx, tx, in.ID)
	})
	post(a, operation{path: "/incidents/{id}/facts", id: "state-fact", room: room, summary: "State a fact that obligations depend on"}, func(ctx context.Context, tx *store.Tx, in *factBody) (stated, error) {
		second, err := obligation.State(ctx, tx, a.Book, in.ID, obligation.Fact{Name: in.Body.Name, Value: in.Body.Value}, in.Body.Reason)
		if err != nil || second != nil {
			return stated{Second: second}, err
		}
		return stated{OK: true}, a.Reckon(ctx, tx, in.ID)
	})
	get(a, operation{path: "/incidents/{id}/timeline", id: "timeline", room: room, summary: "The story of an incident, from the record, oldest first"}, func(ctx context.Context, actor store.Actor, in *timelineQuery) (timelinePage, error) {
		if in.Limit == 0 {
			in.Limit = 200
		}
		items, total, next, err := a.Timeline(ctx, actor, in.ID, in.After, in.Limit)
		p := timelinePage{Items: items, Total: total}
		if next > 0 {
			p.Next = strconv.FormatInt(next, 10)
		}
		return p, err
	})
	get(a, operation{path: "/incidents/{id}/obligations", id: "list-obligations", room: room, summary: "What is owed to whom by when"}, func(ctx context.Context, actor store.Actor, in *ByID) ([]obligation.Obligation, error) {
		return obligation.List(ctx, a.Store.Read(), a.Book, actor, in.ID)
	})
	post(a, operation{path: "/obligations/{id}/submit", id: "submit-report", room: room, summary: "Attest that a report was handed in"}, func(ctx context.Context, tx *store.Tx, in *struct {
		ByID
		Body struct {
			Receipt string `json:"receipt" maxLength:"500"`
		}
	}) (obligation.Obligation, error) {
		return obligation.Submit(ctx, tx, in.ID, in.Body.Receipt)
	})
	post(a, operation{path: "/obligations/{id}/strike-off", id: "strike-off-obligation", room: room, summary: "Decide not to report"}, func(ctx context.Context, tx *store.Tx, in *reasonBody) (obligation.Obligation, error) {
		return obligation.StrikeOff(ctx, tx, a.Book, in.ID, in.Body.Reason)
	})
}
