package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/flow"
	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/monitor/anomaly"
	"github.com/fengsui/fengsui/internal/monitor/behaviour"
	"github.com/fengsui/fengsui/internal/monitor/gateway"
	"github.com/fengsui/fengsui/internal/monitor/intake"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/notify"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/service"
)

// filling is how much a seeded folder holds; of moments, in the longest story of an incident.
type filling struct{ anomalies, incidents, moments int }

const (
	seedFor      = 28 * 24 * time.Hour // the time over which it all happened
	seedPassword = "bench password 2026"
	mostServices = 12
	minuteRows   = 12 // requests of each of the last sixty minutes
)

// seeded is what lies in a folder, by the seeder's own count.
type seeded struct {
	Dir       string
	Busy      string         // the incident with the longest story
	Anomalies map[string]int // by state, but for those of restricted incidents
	Incidents map[string]int // by state, but for the restricted
	Restrict  int            // incidents for the officer's and compliance's eyes alone, each with one anomaly
	Complain  int
}

func sum(m map[string]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}

// seeder lets weeks pass in an instance: traffic comes in, its rules open anomalies, people decide, incidents take
// their course. All of it goes through the functions that the product itself uses, and the loops that keep clocks,
// messages and telemetry run beside it by the same fake clock, so what lies there in the end is what would lie there.
type seeder struct {
	filling
	app   *app.App
	house *flow.House
	clock *clock.Fake
	sink  *behaviour.Sink
	rules *anomaly.Engine
	rnd   *rand.Rand
	out   seeded

	officer, commander, compliance, engineer store.Actor
	services                                 []service.Service
	deployments                              []service.Deployment
	risks                                    []string

	opened, emitted, promoted, declared, restricted int
	courses                                         []*course
	busy                                            *busy
	sequence                                        int
}

// place is a data folder and the main database that goes with it, "" for SQLite in the folder.
type place struct{ dir, database string }

// seed fills a place, which must not be there yet. The story ends at end; upstream is where its services send requests.
func seed(ctx context.Context, at place, want filling, upstream string, end time.Time) (_ *seeded, err error) {
	fake := clock.NewFake(end.Add(-seedFor))
	a, err := app.New(ctx, app.Options{DataDir: at.dir, Database: at.database, Listen: "127.0.0.1:0", GatewayListen: "127.0.0.1:0", AllowPrivateUpstreams: true, Clock: fake})
	if err != nil {
		return nil, err
	}
	defer a.Stop()
	s := &seeder{filling: want, app: a, house: a.House, clock: fake, sink: behaviour.NewSink(a.House.Telemetry), rnd: rand.New(rand.NewPCG(1, 2)),
		out: seeded{Dir: at.dir, Anomalies: map[string]int{}, Incidents: map[string]int{}}}
	if err := s.people(ctx, upstream); err != nil {
		return nil, err
	}
	stop, err := s.loops(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := s.weeks(ctx, end); err != nil {
		return nil, err
	}
	return &s.out, nil
}

// people registers who works there and the services.
func (s *seeder) people(ctx context.Context, upstream string) error {
	for _, p := range []struct {
		role, name string
		as         *store.Actor
	}{{"duty_officer", "值班员", &s.officer}, {"commander", "指挥员", &s.commander}, {"compliance", "合规接口人", &s.compliance}, {"engineer", "平台工程师", &s.engineer}} {
		id, _, err := s.app.AddPerson(ctx, p.name, p.role)
		if err != nil {
			return err
		}
		*p.as = store.Actor{ID: id, Roles: []string{p.role}}
		if err := s.house.Login.SetAccount(ctx, store.System("bench"), id, p.role, seedPassword); err != nil {
			return err
		}
	}
	for _, g := range s.house.Book.RiskGroups() {
		for _, r := range g.Risks {
			s.risks = append(s.risks, r.ID)
		}
	}
	return s.write(ctx, store.System("bench"), func(tx *store.Tx) error {
		op, err := service.AddOperator(ctx, tx, service.Operator{Name: "示例运营单位", Province: "北京", Kind: "other"})
		if err != nil {
			return err
		}
		for n := range mostServices {
			name := serviceNames[n%len(serviceNames)]
			svc, object, err := service.AddService(ctx, tx, service.Service{OperatorID: op.ID, Name: name, ModelName: fmt.Sprintf("model-%02d", n+1), Kind: "real"})
			if err != nil {
				return err
			}
			if _, err := service.SetImportance(ctx, tx, service.Importance{ObjectID: object.ID, Level: []string{"一般", "重要", "一般", "特别重要"}[n%4], Ground: "年度评估结论"}); err != nil {
				return err
			}
			d, err := service.AddDeployment(ctx, tx, service.Deployment{ServiceID: svc.ID, Name: "primary", ModelVersion: "1.0", UpstreamURL: upstream + "/v1", UpstreamModel: svc.ModelName, Role: "primary"})
			if err != nil {
				return err
			}
			if _, err := s.house.Control.CompilePosture(ctx, tx, svc.ID, "bench"); err != nil {
				return err
			}
			s.services, s.deployments = append(s.services, svc), append(s.deployments, d)
		}
		return nil
	})
}

// loops starts what internal/app runs beside people, but for the gateway and what looks at it from outside.
func (s *seeder) loops(ctx context.Context) (stop func() error, err error) {
	catalog, err := locale.Load()
	if err != nil {
		return nil, err
	}
	h := s.house
	s.rules = anomaly.NewEngine(h.Store, h.Telemetry, h.Anomalies, nil)
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	run := []func(context.Context) error{h.Telemetry.Run, s.rules.Run, due.New(h.Store, h.DueHandlers(), due.Options{}).Run,
		notify.NewDeliverer(h.Store, h.Channels, catalog, notify.Options{AckLink: h.Acks.Link}).Run}
	errs := make([]error, len(run))
	for i, f := range run {
		running.Go(func() { errs[i] = f(ctx) })
	}
	return func() error {
		cancel()
		running.Wait()
		return errors.Join(errs...)
	}, nil
}

func (s *seeder) write(ctx context.Context, a store.Actor, fn func(tx *store.Tx) error) error {
	return s.house.Store.Write(ctx, a, fn)
}

// weeks lets time pass: each step brings anomalies to one service, which people decide before the next step.
func (s *seeder) weeks(ctx context.Context, end time.Time) error {
	steps := (s.anomalies + len(s.risks) - 1) / len(s.risks)
	begin := s.clock.Now()
	span := end.Add(-24 * time.Hour).Sub(begin)
	for n := range steps {
		s.clock.Set(begin.Add(span * time.Duration(n+1) / time.Duration(steps)))
		last := n >= steps-len(s.services) // nothing comes to this service any more, so some may stay undecided
		if err := s.step(ctx, n, steps, last); err != nil {
			return fmt.Errorf("step %d of %d: %w", n+1, steps, err)
		}
	}
	for moved := true; moved; {
		s.clock.Advance(time.Hour)
		var err error
		if moved, err = s.advance(ctx); err != nil {
			return err
		}
	}
	if err := s.lastHour(ctx, end); err != nil {
		return err
	}
	for _, c := range s.courses {
		s.out.Incidents[c.state()]++
	}
	return nil
}

func (s *seeder) step(ctx context.Context, n, steps int, last bool) error {
	svc := n % len(s.services)
	target := s.anomalies * (n + 1) / steps
	from := s.clock.Now().UnixMilli()
	// A complaint a step, and some that speak of a content that a signal shows.
	number, err := s.complain(ctx, svc, "")
	if err != nil {
		return err
	}
	risks := slices.Clone(s.risks)
	s.rnd.Shuffle(len(risks), func(i, j int) { risks[i], risks[j] = risks[j], risks[i] })
	content := ""
	for _, r := range risks[:min(len(risks), target-s.opened)] {
		content = s.emit(svc, r)
		s.opened, s.emitted = s.opened+1, s.emitted+1
	}
	if err := s.arrived(ctx); err != nil {
		return err
	}
	joined := ""
	if content != "" {
		if joined, err = s.complain(ctx, svc, content); err != nil {
			return err
		}
	}
	var fresh []anomaly.Anomaly
	if err := s.house.Store.Read().NewSelect().Model(&fresh).Where("state = ? AND service_id = ? AND opened_ms >= ?", anomaly.Open, s.services[svc].ID, from).Order("id").Scan(ctx); err != nil {
		return err
	}
	if err := s.decide(ctx, n, steps, fresh, last); err != nil {
		return err
	}
	if err := s.answer(ctx, number, joined); err != nil {
		return err
	}
	if err := s.crowd(ctx, n, steps); err != nil {
		return err
	}
	_, err = s.advance(ctx)
	return err
}

// complain hands in one complaint; without a content number it opens an anomaly of its own.
func (s *seeder) complain(ctx context.Context, svc int, content string) (id string, err error) {
	if content == "" {
		if s.opened >= s.anomalies {
			return "", nil
		}
		s.opened++
	}
	s.out.Complain++
	return id, s.write(ctx, store.System("bench"), func(tx *store.Tx) error {
		r, err := s.house.SubmitComplaint(ctx, tx, intake.Submission{Kind: intake.KindComplaint, ServiceID: s.services[svc].ID, ContentNo: cmp.Or(content, "CN"+tx.NewID()), Text: s.sentence(), Language: "zh"})
		id = r.ID
		return err
	})
}

// answer has complaints read, and some of them answered.
func (s *seeder) answer(ctx context.Context, ids ...string) error {
	return s.write(ctx, s.officer, func(tx *store.Tx) error {
		for k, id := range ids {
			if id == "" {
				continue
			}
			if _, _, err := s.house.Intake.Read(ctx, tx, id); err != nil {
				return err
			}
			if k%2 == 0 {
				if _, err := s.house.Intake.Answer(ctx, tx, id, "您反映的情况已经核实并处理，感谢您的监督。"); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// emit is as many answers of a service with one risk as its rule needs to open an anomaly; it gives the number of the first.
func (s *seeder) emit(svc int, risk string) (content string) {
	ms := s.clock.Now().UnixMilli()
	of := anomaly.Observation{Kind: "real", Signal: anomaly.Signal{Source: "gateway", ServiceID: s.services[svc].ID, Side: gateway.Output, Risk: risk, Action: "mask"}}
	least := s.house.Anomalies.Rules().For(of).Threshold
	for range least + s.rnd.IntN(2) {
		t := s.traffic(svc, ms)
		content = cmp.Or(content, t.ContentNumber)
		t.OutputVerdict, t.Prompt, t.Answer = "mask", s.sentence(), s.sentence()
		m := gateway.Match{RuleID: "bench-" + risk, Kind: "term", Risk: risk, Action: "mask", Side: gateway.Output, Channel: "content", Runes: 2}
		t.Verdict.Add(inspect.Place{Side: m.Side, Channel: m.Channel}, []inspect.Match{{RuleID: m.RuleID, Kind: m.Kind, Risk: m.Risk, Action: inspect.Mask, Runes: m.Runes}})
		s.sink.Traffic(t)
		s.sink.Signal(gateway.Signal{ID: store.NewID(ms), AtMs: ms, Match: m, RequestID: t.RequestID, ContentNumber: t.ContentNumber, GatewayID: t.GatewayID, OperatorID: t.OperatorID, ServiceID: t.ServiceID,
			DeploymentID: t.DeploymentID, TenantID: t.TenantID, Group: t.Group, Subject: t.Subject, Kind: t.Kind, Modality: t.Modality, Language: t.Language, Prompt: t.Prompt, Answer: t.Answer})
	}
	return content
}

func (s *seeder) traffic(svc int, ms int64) gateway.Traffic {
	s.sequence++
	return gateway.Traffic{RequestID: store.NewID(ms), ContentNumber: "CN" + store.NewID(ms), GatewayID: "gateway-1", OperatorID: s.services[svc].OperatorID, ServiceID: s.services[svc].ID, DeploymentID: s.deployments[svc].ID,
		TenantID: "default", Group: "default", Subject: fmt.Sprintf("%064x", s.sequence), Kind: "real", Modality: "text", Language: "zh", Route: s.services[svc].ModelName,
		InputVerdict: "allow", OutputVerdict: "allow", ReleasedRunes: 80, Finish: "stop", Status: 200, UpstreamStatus: 200, StartedMs: ms, FirstByteMs: ms, EndedMs: ms}
}

// arrived waits until the engine has opened what was emitted.
func (s *seeder) arrived(ctx context.Context) error {
	if err := s.house.Telemetry.Flush(ctx); err != nil {
		return err
	}
	for deadline := time.Now().Add(time.Minute); s.rules.Status().Opened != int64(s.emitted); s.clock.Advance(10 * time.Millisecond) { // it tries again by the clock
		if st := s.rules.Status(); st.Opened > int64(s.emitted) || time.Now().After(deadline) {
			return fmt.Errorf("the rules opened %d anomalies instead of %d: %s", st.Opened, s.emitted, st.Failing)
		}
		if err := wait(ctx, 2*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// lastHour is the traffic that the overview shows.
func (s *seeder) lastHour(ctx context.Context, end time.Time) error {
	for m := range 60 {
		at := end.Add(time.Duration(m-59) * time.Minute)
		s.clock.Set(at)
		for k := range minuteRows {
			t := s.traffic((m+k)%len(s.services), at.UnixMilli())
			if k%5 == 0 {
				t.InputVerdict = "observe"
			}
			s.sink.Traffic(t)
		}
		if err := s.house.Telemetry.Flush(ctx); err != nil {
			return err
		}
	}
	return s.settled(ctx)
}

// settled waits until nothing is due any more and every message has left. Weeks leave a hundred thousand messages, and a
// busy machine takes its time over them: only when nothing has moved for two minutes is something wrong.
func (s *seeder) settled(ctx context.Context) error {
	db := s.house.Store.Read()
	var deadline time.Time
	for least := int64(-1); ; {
		clocks, err := due.CountBacklog(ctx, db, s.house.NowMs())
		if err != nil {
			return err
		}
		messages, err := notify.CountBacklog(ctx, db, s.house.NowMs())
		if err != nil {
			return err
		}
		if clocks.Overdue == 0 && messages.Pending == 0 {
			return nil
		}
		if left := clocks.Overdue + messages.Pending; least < 0 || left < least {
			least, deadline = left, time.Now().Add(2*time.Minute)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d clocks and %d messages are not settled", clocks.Overdue, messages.Pending)
		}
		s.clock.Advance(time.Millisecond) // wakes nobody early; a worker that just missed its row looks again
		if err := wait(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

var serviceNames = []string{"智能问答助手", "文档摘要服务", "代码补全服务", "旅游行程规划", "在线客服机器人", "读书笔记助手", "会议纪要服务", "菜谱推荐", "翻译服务", "作文批改助手", "活动策划助手", "资料检索服务"}

// sentence is harmless and of any length, like what people write.
func (s *seeder) sentence() string {
	parts := []string{"关于周末出行的建议", "用户咨询图书馆的开放时间", "请帮忙写一段生日祝福", "介绍一下家常豆腐的做法", "会议室预订流程说明", "解释什么是二十四节气", "推荐几本适合初学者的书", "整理今天的会议要点", "比较两种扫地方式的优缺点", "为班级运动会拟一个口号"}
	out := parts[s.rnd.IntN(len(parts))]
	for range s.rnd.IntN(4) {
		out += "，" + parts[s.rnd.IntN(len(parts))]
	}
	return out
}
