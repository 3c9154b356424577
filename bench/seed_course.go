package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/fengsui/fengsui/internal/flow"
	"github.com/fengsui/fengsui/internal/monitor/anomaly"
	"github.com/fengsui/fengsui/internal/monitor/intake"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/prepare/plan"
	"github.com/fengsui/fengsui/internal/respond/containment"
	"github.com/fengsui/fengsui/internal/respond/dispatch"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/respond/obligation"
	"github.com/fengsui/fengsui/internal/service"
)

// course is how far an incident is taken.
type course struct {
	n           int // its number among the incidents
	id, service string
	kind        string // only what is real has orders
	guide, risk string
	stage, ends int // stages done, and those that will be
	inState     incident.State
}

func (c *course) state() string { return string(c.inState) }

// decide has the officer assess what came in; the quotas of promotion and declaration are spread evenly.
func (s *seeder) decide(ctx context.Context, n, steps int, fresh []anomaly.Anomaly, last bool) error {
	return s.write(ctx, s.officer, func(tx *store.Tx) error {
		into := ""
		promote := min(s.incidents*9/10, s.anomalies/2) * (n + 1) / steps
		for k, a := range fresh {
			if last && k%3 == 1 {
				s.out.Anomalies["open"]++
				continue
			}
			hide := s.promoted < promote && s.incidents >= 100 && s.restricted < 10 && s.promoted%80 == 7
			if _, err := anomaly.Assess(ctx, tx, a.ID); err != nil {
				return err
			}
			switch {
			case s.promoted < promote:
				p := flow.Promotion{Title: s.sentence()}
				if hide {
					p.RestrictedFor = []string{s.compliance.ID}
				}
				i, err := s.house.Promote(ctx, tx, a.ID, p)
				if err != nil {
					return err
				}
				s.promoted++
				if hide {
					s.restricted++
					s.out.Restrict++
					continue
				}
				into = a.ID
				s.out.Anomalies["promoted"]++
				s.takeCourse(i, a.Category, a.Risk, steps-n, steps)
			case into != "" && k%7 == 0:
				if _, err := s.house.MergeAnomaly(ctx, tx, a.ID, into); err != nil {
					return err
				}
				s.out.Anomalies["merged"]++
			case last && k%3 == 2:
				s.out.Anomalies["assessing"]++
			default:
				if _, err := anomaly.Dismiss(ctx, tx, a.ID, "经研判属于正常使用："+s.sentence()); err != nil {
					return err
				}
				s.out.Anomalies["dismissed"]++
			}
		}
		for s.declared < (s.incidents-min(s.incidents*9/10, s.anomalies/2))*(n+1)/steps {
			i, err := s.house.Declare(ctx, tx, incident.Declaration{Kind: []string{"real", "test", "backfill"}[s.declared%3], ServiceID: s.services[n%len(s.services)].ID, Title: s.sentence(), AwareMs: tx.NowMs, AwareSource: "declared"})
			if err != nil {
				return err
			}
			s.declared++
			s.takeCourse(i, "", "", steps-n, steps)
		}
		return nil
	})
}

// takeCourse begins the course of an incident; what is old is closed but for one in twelve.
func (s *seeder) takeCourse(i incident.Incident, guide, risk string, left, steps int) {
	c := &course{n: len(s.courses), id: i.ID, service: i.ServiceID, kind: i.Kind, guide: guide, risk: risk, inState: i.State, ends: len(stages)}
	switch { // nobody leaves what is owed alone for weeks
	case 12*left < steps:
		c.ends = c.n % len(stages)
	case c.n%12 == 5:
		c.ends = 4 + c.n%6
	}
	if s.harm(c).SocialHarm == "重大" {
		c.ends = min(c.ends, 8) // not every such cell of the table has a level, and without one nothing is closed
	}
	if guide == "" {
		c.guide = []string{"content.false", "content.illegal", "data.leak", "content.rights"}[c.n%4]
	}
	if s.busy == nil && i.Kind == "real" && left <= stepsOfBusy(s.filling) {
		s.busy = &busy{course: c, service: slices.IndexFunc(s.services, func(x service.Service) bool { return x.ID == i.ServiceID }), content: "CN" + i.ID}
		s.out.Busy, c.ends = i.ID, 5
	}
	s.courses = append(s.courses, c)
}

// advance takes each course one stage further; it reports whether there was one to take.
func (s *seeder) advance(ctx context.Context) (moved bool, err error) {
	for _, c := range s.courses {
		if c.stage >= c.ends {
			continue
		}
		if err := s.write(ctx, s.officer, func(tx *store.Tx) error { return stages[c.stage].do(s, ctx, tx, c) }); err != nil {
			return false, fmt.Errorf("%s of incident %d: %w", stages[c.stage].name, c.n, err)
		}
		c.stage, moved = c.stage+1, true
	}
	return moved, nil
}

// stages of an incident, each one write of the people whom it takes.
var stages = []struct {
	name string
	do   func(*seeder, context.Context, *store.Tx, *course) error
}{
	{"judge", (*seeder).judge}, {"report", (*seeder).report}, {"contain", (*seeder).contain}, {"confirm", (*seeder).confirm}, {"respond", (*seeder).respond},
	{"work", (*seeder).work}, {"loosen", (*seeder).loosen}, {"end", (*seeder).end}, {"apply", (*seeder).apply}, {"verify", (*seeder).verify},
}

func (s *seeder) harm(c *course) incident.Assessing {
	return incident.Assessing{Source: "self", BusinessLoss: []string{"较小", "较大", "较小", "严重"}[c.n%4], SocialHarm: []string{"", "", "较大", "", "重大", ""}[c.n%6]}
}

func (s *seeder) judge(ctx context.Context, tx *store.Tx, c *course) error {
	if c.guide == "" {
		c.guide = "content.false"
	}
	if _, err := incident.Categorise(ctx, tx, s.house.Book, c.id, incident.Category{GuideType: c.guide, Risk: c.risk, Rank: "primary", Part: "manifestation"}); err != nil {
		return err
	}
	in := s.harm(c)
	in.Stage = "preliminary"
	_, err := s.house.Assess(ctx, tx, c.id, in)
	return err
}

func (s *seeder) contain(ctx context.Context, tx *store.Tx, c *course) error {
	if c.n%5 == 0 || c.kind != "real" {
		return nil
	}
	r := containment.Request{Cause: containment.FromIncident, CauseID: c.id, Rung: posture.StrictFilter, Scope: posture.Scope{ServiceID: c.service, TenantID: fmt.Sprint("tenant-", c.n)}, Reason: s.sentence()}
	if c.n%3 == 0 {
		r.Rung, r.Params.AllowedGroups = posture.AudienceLimit, []string{"internal"}
	}
	_, err := s.house.IssueOrder(ctx, tx, r)
	return err
}

func (s *seeder) confirm(ctx context.Context, tx *store.Tx, c *course) error {
	tx.Actor = s.commander
	in := s.harm(c)
	in.Stage = "confirmed"
	_, err := s.house.Assess(ctx, tx, c.id, in)
	return err
}

func (s *seeder) respond(ctx context.Context, tx *store.Tx, c *course) error {
	if c.n%3 == 0 && c.kind == "real" {
		c.inState = incident.Responding
		_, err := s.house.StartPlan(ctx, tx, c.id)
		return err
	}
	return s.move(ctx, tx, c, incident.OnRespond, "开始处置")
}

func (s *seeder) move(ctx context.Context, tx *store.Tx, c *course, e incident.Event, reason string) error {
	i, err := incident.Advance(ctx, tx, c.id, e, "incident.handle", reason)
	if err != nil {
		return err
	}
	c.inState = i.State
	return s.house.Reckon(ctx, tx, c.id)
}

func (s *seeder) work(ctx context.Context, tx *store.Tx, c *course) error {
	tasks, err := dispatch.List(ctx, tx, tx.Actor, c.id)
	if err != nil {
		return err
	}
	for k, t := range tasks {
		if t.State != dispatch.Open {
			continue
		}
		if k%4 == 3 {
			_, err = s.house.Dispatch.Skip(ctx, tx, t.ID, "本次不需要")
		} else {
			_, err = s.house.Dispatch.Done(ctx, tx, t.ID, s.sentence())
		}
		if err != nil {
			return err
		}
	}
	tx.Actor = s.engineer
	_, err = incident.AddFix(ctx, tx, c.id, incident.Fix{Cause: s.sentence(), Measure: "更新词条并复测"})
	return err
}

func (s *seeder) report(ctx context.Context, tx *store.Tx, c *course) error {
	for _, name := range []string{"personal_information", "endangering_flaw", "crime_suspected"} {
		second, err := obligation.State(ctx, tx, s.house.Book, c.id, obligation.Fact{Name: name}, "经核查没有")
		if err != nil {
			return err
		}
		if second != nil {
			tx.Actor = s.commander
			if _, err := s.house.DecideSecond(ctx, tx, second.ID, true); err != nil {
				return err
			}
			tx.Actor = s.officer
		}
	}
	if err := s.house.Reckon(ctx, tx, c.id); err != nil {
		return err
	}
	return s.settleObligations(ctx, tx, c)
}

func (s *seeder) settleObligations(ctx context.Context, tx *store.Tx, c *course) error {
	tx.Actor = s.compliance
	all, err := obligation.List(ctx, tx, s.house.Book, tx.Actor, c.id)
	if err != nil {
		return err
	}
	for k, o := range all {
		switch {
		case !o.Standing():
		case o.State == "owed":
			if _, err := obligation.Submit(ctx, tx, o.ID, fmt.Sprintf("受理号 %d-%d", c.n, k)); err != nil {
				return err
			}
		default:
			if _, err := obligation.StrikeOff(ctx, tx, s.house.Book, o.ID, "经研判不满足报送条件"); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *seeder) loosen(ctx context.Context, tx *store.Tx, c *course) error {
	orders, err := containment.List(ctx, tx, tx.Actor, containment.Filter{IncidentID: c.id})
	if err != nil {
		return err
	}
	for _, o := range orders {
		if o.State != containment.InForce {
			continue
		}
		var second identity.SecondSignature
		if second, err = s.house.Control.RequestLift(ctx, tx, o.ID, "已修复，复测通过"); err != nil {
			return err
		}
		tx.Actor = s.commander
		if _, err := s.house.DecideSecond(ctx, tx, second.ID, true); err != nil {
			return err
		}
		tx.Actor = s.officer
	}
	return nil
}

func (s *seeder) end(ctx context.Context, tx *store.Tx, c *course) error {
	if err := s.move(ctx, tx, c, incident.OnRecover, "已恢复"); err != nil {
		return err
	}
	return s.move(ctx, tx, c, incident.OnEndHandling, "复查通过")
}

func (s *seeder) apply(ctx context.Context, tx *store.Tx, c *course) error {
	if err := s.settleObligations(ctx, tx, c); err != nil {
		return err
	}
	tx.Actor = s.officer
	_, err := incident.ApplyClosing(ctx, tx, c.id, "原因查明，措施落实，无未了事项")
	c.inState = incident.Verifying
	return err
}

func (s *seeder) verify(ctx context.Context, tx *store.Tx, c *course) error {
	tx.Actor = s.commander
	_, err := s.house.VerifyClosing(ctx, tx, c.id, true, "核实无误")
	c.inState = incident.Closed
	return err
}

// busy is the incident of which many people complain: its story is as long as one gets.
type busy struct {
	*course
	service   int
	content   string
	crowd     string   // the anomaly that the complaints open
	complains []string // ids
}

// A complaint is four moments: handed in, joined, read, answered. The rest is work on the incident.
func crowdOf(f filling) int     { return f.moments / 5 }
func stepsOfBusy(f filling) int { return max(3, f.anomalies/150) }
func titled(s string) plan.Text { return plan.Text{ZH: s, EN: s} }
func (b *busy) more(n int) int  { return max(0, n-len(b.complains)) }

// crowd lets complaints about the busy incident come in; after the last step they are merged into it and answered, and
// people work on until its story is long enough.
func (s *seeder) crowd(ctx context.Context, n, steps int) error {
	b := s.busy
	if b == nil {
		if n == steps-1 {
			return fmt.Errorf("no incident became the busy one")
		}
		return nil
	}
	todo := b.more(crowdOf(s.filling))
	if n < steps-1 {
		todo = min(todo, crowdOf(s.filling)/max(1, stepsOfBusy(s.filling)-1)+1)
	}
	if err := s.write(ctx, store.System("bench"), func(tx *store.Tx) error {
		for range todo {
			r, err := s.house.SubmitComplaint(ctx, tx, intake.Submission{Kind: intake.KindComplaint, ServiceID: s.services[b.service].ID, ContentNo: b.content, Text: s.sentence(), Language: "zh"})
			if err != nil {
				return err
			}
			if b.crowd == "" {
				s.opened++
			}
			b.crowd, b.complains = r.AnomalyID, append(b.complains, r.ID)
		}
		return nil
	}); err != nil {
		return err
	}
	s.out.Complain += todo
	if n < steps-1 {
		return nil
	}
	return s.crowdOver(ctx)
}

func (s *seeder) crowdOver(ctx context.Context) error {
	b := s.busy
	var first string
	if err := s.house.Store.Read().NewRaw("SELECT id FROM anomaly WHERE incident_id = ?", b.id).Scan(ctx, &first); err != nil {
		return err
	}
	if err := s.write(ctx, s.officer, func(tx *store.Tx) error {
		if _, err := anomaly.Assess(ctx, tx, b.crowd); err != nil {
			return err
		}
		_, err := s.house.MergeAnomaly(ctx, tx, b.crowd, first)
		return err
	}); err != nil {
		return err
	}
	s.out.Anomalies["merged"]++
	for part := range slices.Chunk(b.complains, 50) {
		if err := s.write(ctx, s.officer, func(tx *store.Tx) error {
			for _, id := range part {
				if _, _, err := s.house.Intake.Read(ctx, tx, id); err != nil {
					return err
				}
				if _, err := s.house.Intake.Answer(ctx, tx, id, "您反映的情况已经核实并处理，感谢您的监督。"); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	for {
		_, total, _, err := s.house.Timeline(ctx, s.officer, b.id, 0, 1)
		if err != nil || total >= s.moments {
			return err
		}
		if err := s.write(ctx, s.officer, func(tx *store.Tx) error {
			for range min(25, (s.moments-total+2)/3) {
				t, err := s.house.Dispatch.Add(ctx, tx, b.id, titled(s.sentence()), "engineer", 0)
				if err != nil {
					return err
				}
				if _, err := s.house.Dispatch.Done(ctx, tx, t.ID, s.sentence()); err != nil {
					return err
				}
				if _, err := incident.CheckFact(ctx, tx, s.house.Record, b.id, incident.FactCheck{Claim: s.sentence(), Source: "公开资料", Verdict: "unproven"}); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
}
