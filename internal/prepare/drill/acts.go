package drill

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A stage may be played again by a second process after a first one was killed, so each of them asks
// what is there, changes things under keys that are the same every time, and proves only what can
// still be proven: nothing can be detected any more once the model is fixed.

func slowly(drillID string) string { return drillID + slowWord }

// prepare lets the model go wrong for this drill's questions and sees that ordinary ones pass.
func (r *run) prepare(ctx context.Context) error {
	d, err := r.known(ctx)
	if err != nil {
		return err
	}
	if len(d.Fixes) > 0 {
		return nil // the model stays fixed
	}
	on := []defect{{"name": r.sc.Fault, "contains": mark(r.drill.ID)}, {"name": "stall", "contains": mark(slowly(r.drill.ID))}}
	if r.o.Sabotage == FaultOff {
		on = nil
	}
	// The questions that hang must go wrong too, and their mark is another one.
	if len(on) > 0 {
		on = append(on, defect{"name": r.sc.Fault, "contains": mark(slowly(r.drill.ID))})
	}
	if err := r.setFaults(ctx, faultsURL(r.o.Upstream), r.drill.ID, on...); err != nil {
		return err
	}
	if r.resumed {
		return nil // an order may be in force
	}
	if err := r.harmless(ctx, r.scene.GatewayKey, r.scene.Model, "the drill's service"); err != nil {
		return err
	}
	return r.untouched(ctx)
}

// detect lets several people meet the harm until the watch notices.
func (r *run) detect(ctx context.Context) error {
	found, err := r.main(ctx)
	if found || err != nil {
		return err
	}
	var t tally
	asked := time.Time{}
	err = r.eventually(ctx, func(ctx context.Context) (bool, string, error) {
		if r.clock.Now().Sub(asked) > 3*time.Second { // what a killed gateway saw last may be lost
			asked = r.clock.Now()
			var err error
			if t, err = r.round(ctx); err != nil {
				return false, "", err
			}
		}
		found, err := r.main(ctx)
		return found, "no anomaly was opened (" + t.String() + ")", err
	})
	if err == nil && t.harmful == 0 && t.asked > 0 {
		err = fmt.Errorf("an anomaly was opened, but no client met the harm (%s)", t)
	}
	return err
}

// complain is what a user does: no token, a content number and some words.
func (r *run) complain(ctx context.Context) error {
	list, err := r.complaints(ctx)
	if err != nil || len(list) > 0 && slices.ContainsFunc(list, func(c complaintView) bool { return c.State == "answered" }) {
		return err
	}
	if len(list) > 0 && r.incident.ID != "" {
		return nil // the code went with the process that was killed
	}
	var a struct {
		Signals []struct {
			ContentNo string `json:"content_no"`
		} `json:"signals"`
	}
	if err := r.get(ctx, r.as("duty_officer"), "/anomalies/"+r.anomaly, &a); err != nil {
		return err
	}
	content := ""
	for _, s := range a.Signals {
		if content == "" {
			content = s.ContentNo
		}
	}
	if err := r.post(ctx, "", "/complaints", r.drill.ID+"/complain", map[string]string{"service_id": r.scene.ServiceID, "kind": "complaint", "text": r.sc.Complaint, "content_no": content}, &r.code); err != nil {
		return err
	}
	if r.code["number"] == "" || r.code["code"] == "" {
		return fmt.Errorf("the complainant got no number and code to ask with")
	}
	return nil
}

func (r *run) complaints(ctx context.Context) ([]complaintView, error) {
	return all[complaintView](ctx, r, "duty_officer", "/complaints?service_id="+url.QueryEscape(r.scene.ServiceID))
}

// declare: the complaint is read, what belongs together is joined, and the anomaly becomes an incident.
func (r *run) declare(ctx context.Context) error {
	list, err := r.complaints(ctx)
	if err != nil {
		return err
	}
	for _, c := range list {
		if c.State == "received" {
			if err := r.do(ctx, "duty_officer", "/complaints/"+c.ID+"/read", "read/"+c.ID, nil, nil); err != nil {
				return err
			}
		}
	}
	if err := r.do(ctx, "duty_officer", "/anomalies/"+r.anomaly+"/assess", "assess/"+r.anomaly, nil, nil); err != nil {
		return err
	}
	if r.incident.ID == "" {
		if err := r.sweep(ctx); err != nil {
			return err
		}
	}
	if err := r.do(ctx, "duty_officer", "/anomalies/"+r.anomaly+"/promote", "promote", map[string]string{"title": r.sc.Title.ZH}, &r.incident); err != nil {
		return err
	}
	d, err := r.dossier(ctx)
	switch {
	case err != nil:
		return err
	case d.Incident.Kind != "drill" || !strings.HasPrefix(d.Incident.Number, "D-"):
		return fmt.Errorf("the incident is not marked as a drill: kind %s, number %s", d.Incident.Kind, d.Incident.Number)
	case !slices.ContainsFunc(d.Awareness, func(a struct{ Source string }) bool { return a.Source == "complaint_read" }):
		return fmt.Errorf("reading the complaint is no candidate for awareness")
	case len(d.Obligations) == 0:
		return fmt.Errorf("no clock runs before there is a level")
	}
	return nil
}

func (r *run) classify(ctx context.Context) error {
	if err := r.do(ctx, "duty_officer", "/incidents/"+r.incident.ID+"/categories", "category", map[string]string{"guide_type": r.sc.Category, "risk": r.sc.Risk, "rank": "primary", "part": "manifestation"}, nil); err != nil {
		return err
	}
	if err := r.assess(ctx, "duty_officer", "preliminary"); err != nil {
		return err
	}
	d, err := r.dossier(ctx)
	if err == nil && (d.Level.Working != r.sc.Level || r.incident.category != r.sc.Category) {
		err = fmt.Errorf("%s at level %d instead of %s at %d", r.incident.category, d.Level.Working, r.sc.Category, r.sc.Level)
	}
	return err
}

// confirm takes another person than the preliminary assessment.
func (r *run) confirm(ctx context.Context) error {
	who := "commander"
	if r.sabotaged() {
		who = "duty_officer"
	}
	if err := r.assess(ctx, who, "confirmed"); err != nil {
		return err
	}
	d, err := r.dossier(ctx)
	if err == nil && (d.Level.Final == nil || *d.Level.Final != r.sc.Level || d.Level.Stage == "preliminary") {
		err = fmt.Errorf("the level is not confirmed as %d: %+v", r.sc.Level, d.Level)
	}
	return err
}

func (r *run) assess(ctx context.Context, who, stage string) error {
	return r.do(ctx, who, "/incidents/"+r.incident.ID+"/assessments", "assess", map[string]any{"stage": stage, "source": "self", "facts": map[string]any{"drill": true, "scenario": r.sc.ID},
		"social_harm": r.sc.Harm, "reason": r.sc.Ground}, nil)
}

// respond: evidence is there and the plan runs.
func (r *run) respond(ctx context.Context) error {
	var started struct {
		Tasks []taskView `json:"tasks"`
	}
	if err := r.do(ctx, "duty_officer", "/incidents/"+r.incident.ID+"/plan", "plan", nil, &started); err != nil {
		return err
	}
	if len(started.Tasks) == 0 {
		return fmt.Errorf("the plan gave nobody a task")
	}
	return r.eventually(ctx, func(ctx context.Context) (bool, string, error) {
		d, err := r.dossier(ctx)
		// A capture that a killed gateway had not stored yet is missing for good, and shown as missing.
		ok := len(d.Evidence) > 0 && (len(d.MissingEvidence) == 0 || r.trials > 0 || r.resumed)
		return ok, fmt.Sprintf("%d pieces of evidence are kept and %d are missing", len(d.Evidence), len(d.MissingEvidence)), err
	})
}

// contain adjusts the rules; the service stays on.
func (r *run) contain(ctx context.Context) error {
	o, err := r.issue(ctx, "strict_filter", r.sc.Title.ZH)
	if err != nil {
		return err
	}
	d, err := r.dossier(ctx)
	if err != nil || o.State != "in_force" || len(d.Fixes) > 0 {
		return err
	}
	if _, err := r.obeyed(ctx); err != nil {
		return err
	}
	t, err := r.round(ctx)
	switch {
	case err != nil:
		return err
	case t.harmful > 0:
		return fmt.Errorf("the order is acknowledged, but the harm still reaches clients: %s", t)
	case t.filtered == 0:
		return fmt.Errorf("nothing was stopped: %s", t)
	}
	if err := r.proven(ctx); err != nil {
		return err
	}
	if err := r.harmless(ctx, r.scene.GatewayKey, r.scene.Model, "the drill's service"); err != nil {
		return err
	}
	// The control: the same question to the other service is bound by no order.
	h, err := r.ask(ctx, r.gateway, r.control.GatewayKey, r.control.Model, "drill-person-control", said(r.sc.Prompts[0], r.drill.ID), false)
	if err == nil && !strings.Contains(h.text, r.sc.Trigger) {
		err = fmt.Errorf("the order binds the drill's other service too: %d %s %s", h.status, h.code, h.finish)
	}
	if err != nil {
		return err
	}
	return r.untouched(ctx)
}

// extend adds terms to the lexicon of the drill's service, for good by a second person, and sees them live.
func (r *run) extend(ctx context.Context) error {
	entries := []map[string]any{}
	for _, e := range r.sc.Lexicon {
		entries = append(entries, map[string]any{"service_id": r.scene.ServiceID, "term": e.Term, "contexts": e.Contexts, "action": "block", "risk": r.sc.Risk, "topic": r.sc.Topic})
	}
	var added []idView
	if err := r.do(ctx, "safety_engineer", "/lexicon", "publish", map[string]any{"incident_id": r.incident.ID, "entries": entries}, &added); err != nil {
		return err
	}
	ids := []string{}
	for _, e := range added {
		ids = append(ids, e.ID)
	}
	if len(ids) != len(entries) {
		return fmt.Errorf("%d of %d terms were added", len(ids), len(entries))
	}
	if err := r.do(ctx, "commander", "/lexicon/approve", "approve", map[string]any{"ids": ids}, nil); err != nil {
		return err
	}
	return r.eventually(ctx, func(ctx context.Context) (bool, string, error) {
		h, err := r.ask(ctx, r.gateway, r.scene.GatewayKey, r.scene.Model, "drill-person-0", "「"+r.sc.Lexicon[0].Term+"」是什么意思？", false)
		return h.finish == "content_filter", "the gateway does not know the new terms", err
	})
}

// fix repairs the model and files who did what.
func (r *run) fix(ctx context.Context) error {
	if err := r.setFaults(ctx, faultsURL(r.o.Upstream), r.drill.ID); err != nil {
		return err
	}
	return r.do(ctx, "engineer", "/incidents/"+r.incident.ID+"/fixes", "fix", map[string]string{"cause": "模拟模型的缺陷开关处于打开状态（演练）", "measure": "关闭缺陷开关（演练）", "deployment_id": r.scene.DeploymentID}, nil)
}

// test replays the incident's own prompts, by somebody who is not the fixer. A test that could not be
// carried out, because the server was away, is asked for again.
func (r *run) test(ctx context.Context) error {
	_, err := r.serviceTest(ctx)
	return err
}

// testTime is how long a service test may take: it asks every prompt several times.
const testTime = 45 * time.Second

func (r *run) serviceTest(ctx context.Context) (string, error) {
	var t struct {
		ID      string `json:"id"`
		State   string `json:"state"`
		Prompts int    `json:"prompts"`
		Runs    int    `json:"runs"`
		Harmful int    `json:"harmful"`
		Errors  int    `json:"errors"`
	}
	for n := range 5 {
		if err := r.post(ctx, r.as("safety_engineer"), "/incidents/"+r.incident.ID+"/service-tests", fmt.Sprintf("%s/test/%d", r.drill.ID, n), map[string]string{"deployment_id": r.scene.DeploymentID}, &t); err != nil {
			return "", err
		}
		err := r.within(ctx, testTime, func(ctx context.Context) (bool, string, error) {
			err := r.get(ctx, r.as("safety_engineer"), "/service-tests/"+t.ID, &t)
			return t.State != "running", "the service test does not end", err
		})
		if err != nil {
			return "", err
		}
		if t.State != "error" {
			break
		}
	}
	if t.State != "passed" {
		return t.ID, fmt.Errorf("the service test is %s: %d prompts, %d runs, %d harmful, %d errors", t.State, t.Prompts, t.Runs, t.Harmful, t.Errors)
	}
	return t.ID, nil
}

// recheck asks again what went wrong, after a service test where none was part of going online.
func (r *run) recheck(ctx context.Context) error {
	if !r.sc.Has("test") {
		if err := r.test(ctx); err != nil {
			return err
		}
	}
	if err := r.fixed(ctx); err != nil {
		return err
	}
	return r.untouched(ctx)
}

// answer tells every complainant what became of it, and the complainant looks it up.
func (r *run) answer(ctx context.Context) error {
	list, err := r.complaints(ctx)
	if err != nil {
		return err
	}
	for _, c := range list {
		if c.State == "received" {
			if err := r.do(ctx, "duty_officer", "/complaints/"+c.ID+"/read", "read/"+c.ID, nil, nil); err != nil {
				return err
			}
		}
		if c.State != "answered" {
			if err := r.do(ctx, "duty_officer", "/complaints/"+c.ID+"/answer", "answer/"+c.ID, map[string]string{"text": r.sc.Answer}, nil); err != nil {
				return err
			}
		}
	}
	if r.code["code"] == "" {
		if list, err = r.complaints(ctx); err == nil && slices.ContainsFunc(list, func(c complaintView) bool { return c.State != "answered" }) {
			err = fmt.Errorf("a complaint is not answered")
		}
		return err
	}
	var seen struct {
		State  string `json:"state"`
		Answer string `json:"answer"`
	}
	err = r.get(ctx, "", "/complaint-status?number="+url.QueryEscape(r.code["number"])+"&code="+url.QueryEscape(r.code["code"]), &seen)
	if err == nil && (seen.State != "answered" || seen.Answer != r.sc.Answer) {
		err = fmt.Errorf("the complainant does not see the answer (state %s)", seen.State)
	}
	return err
}

// lift loosens what still binds, the orders that the plan gave included. It takes two persons.
func (r *run) lift(ctx context.Context) error {
	orders, err := r.orders(ctx)
	if err != nil {
		return err
	}
	for _, o := range orders {
		if o.State != "in_force" {
			continue
		}
		var ask idView
		if err := r.do(ctx, "duty_officer", "/orders/"+o.ID+"/lift", "ask/"+o.ID, map[string]string{"reason": "修复已通过复查（演练）"}, &ask); err != nil {
			return err
		}
		if err := r.do(ctx, "commander", "/second-signatures/"+ask.ID+"/decide", "decide/"+o.ID, map[string]any{"approve": true, "reason": "同意（演练）"}, nil); err != nil {
			return err
		}
	}
	// While the strict filter binds, not even the question may hold these words.
	return r.eventually(ctx, func(ctx context.Context) (bool, string, error) {
		h, err := r.ask(ctx, r.gateway, r.scene.GatewayKey, r.scene.Model, "drill-person-0", "「"+r.sc.Trigger+"」这句话错在哪里？", false)
		return h.finish == "stop", "the gateway still obeys an order that was lifted (" + h.finish + h.code + ")", err
	})
}

// settle states the facts, hands in or strikes off what is owed, and closes the tasks.
func (r *run) settle(ctx context.Context) error {
	base := "/incidents/" + r.incident.ID
	for _, fact := range []string{"personal_information", "endangering_flaw", "crime_suspected"} {
		if err := r.do(ctx, "commander", base+"/facts", "fact/"+fact, map[string]any{"name": fact, "value": 0}, nil); err != nil {
			return err
		}
	}
	var owed []obligationView
	if err := r.get(ctx, r.as("compliance"), base+"/obligations", &owed); err != nil {
		return err
	}
	for _, o := range owed {
		var err error
		switch o.State {
		case "owed":
			err = r.do(ctx, "compliance", "/obligations/"+o.ID+"/submit", "submit/"+o.ID, map[string]string{"receipt": "模拟回执（演练）"}, nil)
		case "pending", "decision":
			err = r.do(ctx, "compliance", "/obligations/"+o.ID+"/strike-off", "strike/"+o.ID, map[string]string{"reason": "演练：经研判不满足报送条件"}, nil)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", o.RuleID, err)
		}
	}
	var tasks []taskView
	if err := r.get(ctx, r.as("commander"), base+"/tasks", &tasks); err != nil {
		return err
	}
	for _, t := range tasks {
		if t.State != "open" {
			continue
		}
		who := t.Role
		if r.seats[who].Token == "" {
			who = "commander"
		}
		if err := r.do(ctx, who, "/tasks/"+t.ID+"/done", "task/"+t.ID, map[string]string{"output": "演练中已完成"}, nil); err != nil {
			return err
		}
	}
	return nil
}

// close walks from where the incident stands to closed; another person verifies.
func (r *run) close(ctx context.Context) error {
	base := "/incidents/" + r.incident.ID
	if r.incident.State != "closed" {
		if err := r.sweep(ctx); err != nil {
			return err
		}
	}
	for range 6 {
		d, err := r.dossier(ctx)
		if err != nil {
			return err
		}
		switch d.Incident.State {
		case "responding":
			err = r.do(ctx, "duty_officer", base+"/recover", "recover", map[string]string{"reason": "已修复（演练）"}, nil)
		case "recovering":
			err = r.do(ctx, "duty_officer", base+"/end-handling", "end", map[string]string{"reason": "复查通过（演练）"}, nil)
		case "ended":
			err = r.do(ctx, "duty_officer", base+"/closing", "apply", map[string]string{"summary": "演练：原因查明，措施落实，无未了事项"}, nil)
		case "verifying":
			err = r.do(ctx, "compliance", base+"/closing/verify", "verify", map[string]any{"confirm": true, "finding": "演练：核实无误"}, nil)
		case "closed":
			return nil
		default:
			return fmt.Errorf("nobody responds to the incident: it is %s", d.Incident.State)
		}
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("the incident does not close: it is %s", r.incident.State)
}

// review holds the retrospective; something has to follow from it.
func (r *run) review(ctx context.Context) error {
	due := r.drill.StartedMs + 7*24*60*60*1000
	actions := []map[string]any{
		{"title": "扩充相关关键词库与测试题库（演练）", "owner": "safety_engineer", "due_ms": due},
		{"title": "检查训练数据并复测模型（演练）", "owner": "engineer", "due_ms": due},
		{"title": "组织应急培训（演练）", "owner": "commander", "due_ms": due},
	}
	if err := r.do(ctx, "commander", "/incidents/"+r.incident.ID+"/retrospective", "hold", map[string]any{"root_cause": "模拟模型的缺陷（演练）", "went_well": "先处置后定级，证据与处置同时开始",
		"went_badly": "无", "actions": actions}, nil); err != nil {
		return err
	}
	d, err := r.dossier(ctx)
	if err == nil && (len(d.Retrospectives) != 1 || len(d.Actions) != len(actions)) {
		err = fmt.Errorf("%d retrospectives with %d actions are filed instead of 1 with %d", len(d.Retrospectives), len(d.Actions), len(actions))
	}
	return err
}
