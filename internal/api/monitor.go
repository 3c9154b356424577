package api

import (
	"context"

	"github.com/fengsui/fengsui/internal/flow"
	"github.com/fengsui/fengsui/internal/monitor/anomaly"
	"github.com/fengsui/fengsui/internal/monitor/behaviour"
	"github.com/fengsui/fengsui/internal/monitor/intake"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/incident"
)

// AnomalyView is an anomaly with the first signals that joined it.
type AnomalyView struct {
	Anomaly anomaly.Anomaly  `json:"anomaly"`
	Signals []anomaly.Signal `json:"signals"`
}

type promoteBody struct {
	ByID
	Body struct {
		Title      string   `json:"title" maxLength:"200"`
		Restricted []string `json:"restricted_for,omitempty" doc:"person ids; makes the incident restricted"`
	}
}

type complaintBody struct {
	Body struct {
		Kind      string `json:"kind,omitempty" enum:"complaint,report,rights_notice" default:"complaint"`
		ServiceID string `json:"service_id"`
		ContentNo string `json:"content_no,omitempty" maxLength:"100"`
		Text      string `json:"text" maxLength:"4000"`
		Contact   string `json:"contact,omitempty" maxLength:"200" doc:"required for a rights notice: who you are and how to reach you"`
		Harm      string `json:"harm,omitempty" enum:"violence,obscenity,minors,self_harm,fraud,discrimination,privacy,falsehood,malware,other" doc:"required for a report"`
		Work      string `json:"work,omitempty" maxLength:"500" doc:"required for a rights notice: what was infringed"`
		Proof     string `json:"proof,omitempty" maxLength:"2000" doc:"required for a rights notice: why the right is yours"`
		Links     string `json:"links,omitempty" maxLength:"2000" doc:"where it can be seen; a rights notice needs these or content_no"`
		GoodFaith bool   `json:"good_faith,omitempty" doc:"required for a rights notice: what it says is true to your knowledge"`
	}
}

// ComplaintRead is a complaint with its text, after the reading was put on record.
type ComplaintRead struct {
	Complaint intake.Complaint `json:"complaint"`
	Letter    intake.Letter    `json:"letter"`
}

func (a *API) monitor() {
	const room = "monitor"
	a.unhurried()
	lists(a, operation{path: "/anomalies", id: "list-anomalies", room: room, summary: "The anomaly queue"}, a.AnomalyList())
	get(a, operation{path: "/anomalies/{id}", id: "get-anomaly", room: room, summary: "One anomaly with its signals"}, func(ctx context.Context, actor store.Actor, in *ByID) (AnomalyView, error) {
		x, err := anomaly.Get(ctx, a.Store.Read(), actor, in.ID)
		if err != nil {
			return AnomalyView{}, err
		}
		s, err := anomaly.Signals(ctx, a.Store.Read(), actor, in.ID)
		return AnomalyView{x, s}, err
	})
	get(a, operation{path: "/anomalies/{id}/verdict", id: "get-anomaly-verdict", room: room, summary: "What the gateway decided about one request of an anomaly, and why; quotes nothing"}, func(ctx context.Context, actor store.Actor, in *struct {
		ByID
		ContentNo string `query:"content_no" required:"true" maxLength:"100" doc:"as one of the anomaly's signals has it"`
	}) (behaviour.Decision, error) {
		return behaviour.OfAnomaly(ctx, a.Store.Read(), a.Telemetry, actor, in.ID, in.ContentNo)
	})
	post(a, operation{path: "/anomalies/{id}/assess", id: "assess-anomaly", room: room, summary: "Begin the assessment: the alarm is seen"}, func(ctx context.Context, tx *store.Tx, in *ByID) (anomaly.Anomaly, error) {
		return anomaly.Assess(ctx, tx, in.ID)
	})
	post(a, operation{path: "/anomalies/{id}/dismiss", id: "dismiss-anomaly", room: room, summary: "Dismiss with a reason"}, func(ctx context.Context, tx *store.Tx, in *reasonBody) (anomaly.Anomaly, error) {
		return anomaly.Dismiss(ctx, tx, in.ID, in.Body.Reason)
	})
	post(a, operation{path: "/anomalies/{id}/merge", id: "merge-anomaly", room: room, summary: "Merge into another anomaly"}, func(ctx context.Context, tx *store.Tx, in *struct {
		ByID
		Body struct {
			Into string `json:"into"`
		}
	}) (anomaly.Anomaly, error) {
		return a.MergeAnomaly(ctx, tx, in.ID, in.Body.Into)
	})
	post(a, operation{path: "/anomalies/{id}/promote", id: "promote-anomaly", room: room, summary: "Decide that it is an incident"}, func(ctx context.Context, tx *store.Tx, in *promoteBody) (incident.Incident, error) {
		return a.Promote(ctx, tx, in.ID, flow.Promotion{Title: in.Body.Title, RestrictedFor: in.Body.Restricted})
	})
	lists(a, operation{path: "/complaints", id: "list-complaints", room: room, summary: "List complaints, without their text"}, a.ComplaintList())
	post(a, operation{path: "/complaints", id: "submit-complaint", room: room, summary: "Hand in a complaint, report or rights notice", public: true}, func(ctx context.Context, tx *store.Tx, in *complaintBody) (intake.Receipt, error) {
		b := in.Body
		return a.SubmitComplaint(ctx, tx, intake.Submission{Kind: b.Kind, ServiceID: b.ServiceID, ContentNo: b.ContentNo, Text: b.Text, Contact: b.Contact,
			Harm: b.Harm, Work: b.Work, Proof: b.Proof, Links: b.Links, GoodFaith: b.GoodFaith, Language: string(langOf(ctx))})
	})
	post(a, operation{path: "/complaints/{id}/read", id: "read-complaint", room: room, summary: "Read a complaint; the reading counts as awareness", again: true}, func(ctx context.Context, tx *store.Tx, in *ByID) (ComplaintRead, error) {
		c, l, err := a.Intake.Read(ctx, tx, in.ID)
		return ComplaintRead{c, l}, err
	})
	post(a, operation{path: "/complaints/{id}/answer", id: "answer-complaint", room: room, summary: "Answer a complaint"}, func(ctx context.Context, tx *store.Tx, in *struct {
		ByID
		Body struct {
			Text string `json:"text" maxLength:"4000"`
		}
	}) (intake.Complaint, error) {
		return a.Intake.Answer(ctx, tx, in.ID, in.Body.Text)
	})
	get(a, operation{path: "/complaint-status", id: "complaint-status", room: room, summary: "What became of a complaint", public: true}, func(ctx context.Context, _ store.Actor, in *struct {
		Number string `query:"number" required:"true" maxLength:"50"`
		Code   string `query:"code" required:"true" maxLength:"50"`
	}) (intake.Progress, error) {
		return a.Intake.Lookup(ctx, a.Store.Read(), in.Number, in.Code)
	})
	a.evidence()
}
