package drill

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// What the runner reads of the API's answers.
type (
	incidentView struct {
		ID       string `json:"id"`
		Number   string `json:"number"`
		Kind     string `json:"kind"`
		State    string `json:"state"`
		category string
		level    int
	}
	anomalyView struct {
		ID         string `json:"id"`
		Number     string `json:"number"`
		RuleID     string `json:"rule_id"`
		State      string `json:"state"`
		OpenedMs   int64  `json:"opened_ms"`
		IncidentID string `json:"incident_id"`
	}
	orderView struct {
		ID    string `json:"id"`
		Rung  string `json:"rung"`
		State string `json:"state"`
	}
	proofView struct {
		Order        orderView `json:"order"`
		Acknowledged bool      `json:"acknowledged"`
		Proven       bool      `json:"proven"`
		Missing      []string  `json:"missing"`
		Acks         []struct {
			StreamsCut int `json:"streams_cut"`
		} `json:"acks"`
		Probes []struct {
			Detail string `json:"detail"`
		} `json:"probes"`
	}
	complaintView struct {
		ID    string `json:"id"`
		State string `json:"state"`
	}
	reviewView struct {
		ID        string `json:"id"`
		Direction string `json:"direction"`
		State     string `json:"state"`
	}
	taskView struct {
		ID    string `json:"id"`
		Role  string `json:"role"`
		State string `json:"state"`
	}
	obligationView struct {
		ID     string `json:"id"`
		RuleID string `json:"rule_id"`
		State  string `json:"state"`
	}
	messageView struct {
		Channel   string `json:"channel"`
		Recipient string `json:"recipient"`
		State     string `json:"state"`
		Receipt   string `json:"receipt"`
	}
	idView struct {
		ID string `json:"id"`
	}
	dossierView struct {
		Incident incidentView `json:"incident"`
		Level    struct {
			Working int    `json:"working"`
			Final   *int   `json:"final"`
			Stage   string `json:"stage"`
		} `json:"level"`
		Categories []struct {
			GuideType string `json:"guide_type"`
		} `json:"categories"`
		Awareness       []struct{ Source string } `json:"awareness"`
		Obligations     []obligationView          `json:"obligations"`
		Evidence        []idView                  `json:"evidence"`
		MissingEvidence []string                  `json:"missing_evidence"`
		Spread          []struct {
			AskedMs   int64 `json:"asked_ms"`
			RemovedMs int64 `json:"removed_ms"`
		} `json:"spread"`
		FactChecks []struct{ Verdict string } `json:"fact_checks"`
		Statements []struct {
			ApprovedMs int64 `json:"approved_ms"`
		} `json:"statements"`
		Impacts        []idView   `json:"impacts"`
		Fixes          []idView   `json:"fixes"`
		Tasks          []taskView `json:"tasks"`
		Retrospectives []idView   `json:"retrospectives"`
		Actions        []idView   `json:"actions"`
		Milestones     []struct {
			Name string `json:"name"`
		} `json:"milestones"`
	}
)

// dossier reads the incident whole, as the commander sees it, and keeps what the result needs.
func (r *run) dossier(ctx context.Context) (dossierView, error) {
	var d dossierView
	if err := r.get(ctx, r.as("commander"), "/incidents/"+r.incident.ID, &d); err != nil {
		return d, err
	}
	category, level := r.incident.category, r.incident.level
	if len(d.Categories) > 0 {
		category = d.Categories[0].GuideType
	}
	if d.Level.Final != nil {
		level = *d.Level.Final
	}
	r.incident = d.Incident
	r.incident.category, r.incident.level = category, level
	return d, nil
}

// known finds the incident that an earlier run of this drill declared.
func (r *run) known(ctx context.Context) (dossierView, error) {
	list, err := all[incidentView](ctx, r, "duty_officer", "/incidents?kind=drill&service_id="+url.QueryEscape(r.scene.ServiceID))
	if err != nil {
		return dossierView{}, err
	}
	if len(list) == 0 {
		return dossierView{}, nil
	}
	r.resumed, r.incident = true, list[len(list)-1]
	return r.dossier(ctx)
}

// all reads a long list whole, newest first. The path has a query.
func all[T any](ctx context.Context, r *run, who, path string) ([]T, error) {
	list, cursor := []T{}, ""
	for {
		var page struct {
			Items []T    `json:"items"`
			Next  string `json:"next"`
		}
		if err := r.get(ctx, r.as(who), path+"&limit=200&cursor="+url.QueryEscape(cursor), &page); err != nil {
			return nil, err
		}
		list = append(list, page.Items...)
		if cursor = page.Next; cursor == "" {
			return list, nil
		}
	}
}

// anomalies of the scene, oldest first.
func (r *run) anomalies(ctx context.Context) ([]anomalyView, error) {
	list, err := all[anomalyView](ctx, r, "duty_officer", "/anomalies?service_id="+url.QueryEscape(r.scene.ServiceID))
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b anomalyView) int {
		if a.OpenedMs != b.OpenedMs {
			return int(a.OpenedMs - b.OpenedMs)
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list, nil
}

// main is the anomaly that the gateway's first signals opened. Later signals may open others after it
// was decided, so the oldest one is meant.
func (r *run) main(ctx context.Context) (bool, error) {
	list, err := r.anomalies(ctx)
	if err != nil {
		return false, err
	}
	for _, a := range list {
		if a.RuleID == r.sc.Rule {
			r.anomaly = a.ID
			return true, nil
		}
	}
	return false, nil
}

// sweep merges what else was noticed about the same thing into the anomaly that became the incident.
func (r *run) sweep(ctx context.Context) error {
	list, err := r.anomalies(ctx)
	if err != nil {
		return err
	}
	for _, a := range list {
		if a.ID == r.anomaly || a.State != "open" && a.State != "assessing" {
			continue
		}
		if a.State == "open" {
			if err := r.do(ctx, "duty_officer", "/anomalies/"+a.ID+"/assess", "assess/"+a.ID, nil, nil); err != nil {
				return err
			}
		}
		if err := r.do(ctx, "duty_officer", "/anomalies/"+a.ID+"/merge", "merge/"+a.ID, map[string]string{"into": r.anomaly}, nil); err != nil {
			return err
		}
	}
	return nil
}

// orders of the scene, newest first.
func (r *run) orders(ctx context.Context) ([]orderView, error) {
	return all[orderView](ctx, r, "duty_officer", "/orders?service_id="+url.QueryEscape(r.scene.ServiceID))
}

// orderOf finds the order of a rung on the scene; by whom and when it was given does not matter.
func (r *run) orderOf(ctx context.Context, rung string) (orderView, bool, error) {
	list, err := r.orders(ctx)
	if err != nil {
		return orderView{}, false, err
	}
	for _, o := range list {
		if o.Rung == rung {
			return o, true, nil
		}
	}
	return orderView{}, false, nil
}

// issue puts an order in force unless the plan, or an earlier run, did.
func (r *run) issue(ctx context.Context, rung, reason string) (orderView, error) {
	o, found, err := r.orderOf(ctx, rung)
	if err == nil && !found {
		err = r.do(ctx, "duty_officer", "/orders", "order", map[string]string{"cause": "incident", "cause_id": r.incident.ID, "rung": rung, "service_id": r.scene.ServiceID, "reason": reason}, &o)
		if refused(err, "containment.same_in_force") {
			o, _, err = r.orderOf(ctx, rung)
		}
	}
	r.order = o.ID
	return o, err
}

// obeyed waits until every gateway has acknowledged the order.
func (r *run) obeyed(ctx context.Context) (p proofView, err error) {
	return p, r.eventually(ctx, func(ctx context.Context) (bool, string, error) {
		p = proofView{}
		err := r.get(ctx, r.as("duty_officer"), "/orders/"+r.order, &p)
		return p.Acknowledged, fmt.Sprintf("the order is not acknowledged by every gateway (missing: %v)", p.Missing), err
	})
}

// proven waits until a probe from outside has shown that the order holds.
func (r *run) proven(ctx context.Context) error {
	return r.eventually(ctx, func(ctx context.Context) (bool, string, error) {
		var p proofView
		err := r.get(ctx, r.as("duty_officer"), "/orders/"+r.order, &p)
		found := "no probe yet"
		if n := len(p.Probes); n > 0 {
			found = p.Probes[n-1].Detail
		}
		return p.Proven, "no probe shows that the order holds (" + found + ")", err
	})
}
