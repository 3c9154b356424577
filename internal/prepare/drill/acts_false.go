package drill

import (
	"context"
	"fmt"
	"net/url"
)

// The stages that only case A.2 has.

// factcheck holds what the model said against a source.
func (r *run) factcheck(ctx context.Context) error {
	if err := r.do(ctx, "duty_officer", "/incidents/"+r.incident.ID+"/fact-checks", "check", map[string]string{"claim": r.sc.Claim, "source": r.sc.Source, "verdict": "false"}, nil); err != nil {
		return err
	}
	d, err := r.dossier(ctx)
	if err == nil && (len(d.FactChecks) != 1 || d.FactChecks[0].Verdict != "false") {
		err = fmt.Errorf("the fact check sheet does not say that the claim is false")
	}
	return err
}

// offline takes the service away by one person's order while an answer is under way, before the level
// is confirmed and before anybody else was asked.
func (r *run) offline(ctx context.Context) error {
	o, given, err := r.orderOf(ctx, "service_offline")
	if err != nil {
		return err
	}
	var under *openAnswer
	if !given {
		if under, err = r.underWay(ctx); err != nil {
			return err
		}
		defer under.close()
	}
	if o, err = r.issue(ctx, "service_offline", r.sc.Title.ZH); err != nil {
		return err
	}
	if o.State != "in_force" {
		return nil // an earlier run went on to come back online
	}
	if under != nil {
		if err := r.cut(ctx, under); err != nil {
			return err
		}
	}
	p, err := r.obeyed(ctx)
	if err != nil {
		return err
	}
	cuts := 0
	for _, a := range p.Acks {
		cuts += a.StreamsCut
	}
	if under != nil && cuts == 0 && !r.interrupted() {
		return fmt.Errorf("an answer was under way, but no gateway says that it cut one")
	}
	t, err := r.round(ctx)
	if err == nil && t.offline != t.asked {
		err = fmt.Errorf("the service is offline, but not for everybody: %s", t)
	}
	if err != nil {
		return err
	}
	if err := r.proven(ctx); err != nil {
		return err
	}
	return r.untouched(ctx)
}

// underWay opens an answer that hangs; a server that is away meanwhile makes it begin again.
func (r *run) underWay(ctx context.Context) (a *openAnswer, err error) {
	return a, r.eventually(ctx, func(ctx context.Context) (bool, string, error) {
		var why error
		if a, why = r.hang(ctx); why != nil {
			if ctx.Err() != nil {
				return false, "", ctx.Err()
			}
			r.trials++
			return false, why.Error(), nil
		}
		return true, "", nil
	})
}

// ratify: another person stands by the emergency.
func (r *run) ratify(ctx context.Context) error {
	review, err := r.gateReview(ctx, "offline")
	if err != nil {
		return err
	}
	return r.do(ctx, "management", "/gate-reviews/"+review.ID+"/ratify", "ratify", map[string]any{"approve": true, "reason": "情况紧急，追认（演练）"}, nil)
}

func (r *run) gateReview(ctx context.Context, direction string) (reviewView, error) {
	var list []reviewView
	if err := r.get(ctx, r.as("management"), "/gate-reviews?order_id="+url.QueryEscape(r.order)+"&direction="+direction, &list); err != nil {
		return reviewView{}, err
	}
	if len(list) == 0 {
		return reviewView{}, fmt.Errorf("no %s gate review is filed for the order", direction)
	}
	return list[0], nil
}

// report tells the stand-in of the authority and hands its receipt in for what is owed.
func (r *run) report(ctx context.Context) error {
	receipt, err := r.tell(ctx, "compliance", "authority-sim", "演练主管部门")
	if err != nil {
		return err
	}
	var owed []obligationView
	if err := r.get(ctx, r.as("compliance"), "/incidents/"+r.incident.ID+"/obligations", &owed); err != nil {
		return err
	}
	met := 0
	for _, o := range owed {
		if o.State == "owed" {
			if err := r.do(ctx, "compliance", "/obligations/"+o.ID+"/submit", "submit/"+o.ID, map[string]string{"receipt": receipt}, nil); err != nil {
				return err
			}
		}
		if o.State == "owed" || o.State == "met" {
			met++
		}
	}
	if met == 0 {
		return fmt.Errorf("nothing is owed at level %d", r.sc.Level)
	}
	return nil
}

// tell queues a notice and waits for its receipt.
func (r *run) tell(ctx context.Context, who, channel, recipient string) (receipt string, err error) {
	if err := r.do(ctx, who, "/incidents/"+r.incident.ID+"/tell", "tell/"+recipient, map[string]string{"channel": channel, "recipient": recipient}, nil); err != nil {
		return "", err
	}
	return receipt, r.eventually(ctx, func(ctx context.Context) (bool, string, error) {
		list, err := all[messageView](ctx, r, who, "/messages?object_id="+url.QueryEscape(r.incident.ID))
		state := "not queued"
		for _, m := range list {
			if m.Channel == channel && m.Recipient == recipient {
				state, receipt = m.State, m.Receipt
			}
		}
		return state == "sent" && receipt != "", "the notice to " + channel + " is " + state, err
	})
}

// statement: what is said outside is drafted by one person and approved by another.
func (r *run) statement(ctx context.Context) error {
	var s idView
	if err := r.do(ctx, "compliance", "/incidents/"+r.incident.ID+"/statements", "draft", map[string]string{"audience": "public", "text": r.sc.Statement}, &s); err != nil {
		return err
	}
	if err := r.do(ctx, "management", "/statements/"+s.ID+"/approve", "approve", nil, nil); err != nil {
		return err
	}
	d, err := r.dossier(ctx)
	if err == nil && (len(d.Statements) != 1 || d.Statements[0].ApprovedMs == 0) {
		err = fmt.Errorf("the statement is not approved")
	}
	return err
}

// spread finds whom it reached, lists where it is outside, asks the platforms, and sees it removed.
func (r *run) spread(ctx context.Context) error {
	base := "/incidents/" + r.incident.ID
	if err := r.do(ctx, "duty_officer", base+"/reach", "reach", nil, nil); err != nil {
		return err
	}
	for n, p := range r.sc.Spread {
		var s idView
		step := fmt.Sprint(n)
		if err := r.do(ctx, "compliance", base+"/spread", step, map[string]string{"platform": p.Platform, "location": p.Location}, &s); err != nil {
			return err
		}
		if _, err := r.tell(ctx, "compliance", "platform-sim", p.Platform); err != nil {
			return err
		}
		for _, event := range []string{"asked", "removed"} {
			if err := r.do(ctx, "compliance", "/spread/"+s.ID+"/"+event, event+"/"+step, nil, nil); err != nil {
				return err
			}
		}
	}
	d, err := r.dossier(ctx)
	if err != nil {
		return err
	}
	removed := 0
	for _, s := range d.Spread {
		if s.AskedMs > 0 && s.RemovedMs > 0 {
			removed++
		}
	}
	if removed != len(r.sc.Spread) {
		return fmt.Errorf("%d of %d places were asked and cleared", removed, len(r.sc.Spread))
	}
	return nil
}

// impact is assessed for our own business and for those outside.
func (r *run) impact(ctx context.Context) error {
	parties := []string{"本单位业务（演练）", "药品生产者与患者（演练）"}
	for n, party := range parties {
		if err := r.do(ctx, "commander", "/incidents/"+r.incident.ID+"/impacts", fmt.Sprint(n), map[string]any{"party": party, "economic": "轻微（演练）", "reputation": "需要澄清（演练）", "users_affected": 3}, nil); err != nil {
			return err
		}
	}
	d, err := r.dossier(ctx)
	if err == nil && len(d.Impacts) != len(parties) {
		err = fmt.Errorf("%d impact assessments are filed instead of %d", len(d.Impacts), len(parties))
	}
	return err
}

// online brings the service back: on a test that passed, asked for by one person, approved by another.
func (r *run) online(ctx context.Context) error {
	test, err := r.serviceTest(ctx)
	if err != nil {
		return err
	}
	asks, decides := "duty_officer", "management"
	if r.sabotaged() {
		asks, decides = "commander", "commander" // who may do both, but not for the same review
	}
	var review idView
	if err := r.do(ctx, asks, "/orders/"+r.order+"/online-review", "request", map[string]string{"ground": "修复完成，服务测试通过（演练）", "service_test_id": test}, &review); err != nil {
		return err
	}
	if err := r.do(ctx, decides, "/gate-reviews/"+review.ID+"/decide", "decide", map[string]any{"approve": true, "reason": "同意恢复上线（演练）"}, nil); err != nil {
		return err
	}
	var p proofView
	if err := r.get(ctx, r.as("duty_officer"), "/orders/"+r.order, &p); err != nil {
		return err
	}
	if p.Order.State != "lifted" {
		return fmt.Errorf("the offline order is still %s", p.Order.State)
	}
	return r.eventually(ctx, func(ctx context.Context) (bool, string, error) {
		why := r.harmless(ctx, r.scene.GatewayKey, r.scene.Model, "the drill's service")
		if why == nil || ctx.Err() != nil {
			return why == nil, "", ctx.Err()
		}
		return false, why.Error(), nil
	})
}
