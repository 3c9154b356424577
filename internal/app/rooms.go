package app

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fengsui/fengsui/internal/flow"
	"github.com/fengsui/fengsui/internal/monitor/anomaly"
	"github.com/fengsui/fengsui/internal/monitor/behaviour"
	"github.com/fengsui/fengsui/internal/monitor/gateway"
	"github.com/fengsui/fengsui/internal/monitor/intake"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/health"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/login"
	"github.com/fengsui/fengsui/internal/platform/node"
	"github.com/fengsui/fengsui/internal/platform/notify"
	"github.com/fengsui/fengsui/internal/platform/outgoing"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
	"github.com/fengsui/fengsui/internal/prepare/lexicon"
	"github.com/fengsui/fengsui/internal/prepare/plan"
	"github.com/fengsui/fengsui/internal/respond/containment"
	"github.com/fengsui/fengsui/internal/respond/dispatch"
	"github.com/fengsui/fengsui/internal/respond/evaluation"
	"github.com/fengsui/fengsui/internal/respond/evidence"
	"github.com/fengsui/fengsui/internal/respond/gatereview"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/standard"
)

// The channels that are always there.
const (
	inbox        = "inbox"         // stays in the outbox until acknowledged
	secondWay    = "second"        // the auditor's own way: a file that an operator forwards
	authoritySim = "authority-sim" // a stand-in for the authority, for drills
	platformSim  = "platform-sim"  // a stand-in for other platforms, for drills
	webhookWay   = "webhook"
)

func (a *App) rooms(ctx context.Context, st *store.Store, log *record.Log, vault *secret.Vault, catalog *locale.Catalog, s seeds) (*flow.House, error) {
	book, err := standard.Load()
	if err != nil {
		return nil, err
	}
	h := &flow.House{Store: st, Book: book, Record: log, Secrets: vault, Login: login.New(st, vault), StaffWay: inbox, Node: a.o.Node}
	h.Login.ReachProviders(outgoing.Guard{AllowPrivate: a.o.AllowPrivateOIDC})
	if h.Channels, err = a.channels(); err != nil {
		return nil, err
	}
	h.Registry = &notify.Registry{Vault: vault, Clock: a.o.Clock, Taken: append(h.Channels.IDs(), webhookWay),
		Web: outgoing.Guard{AllowPrivate: a.o.AllowPrivateWebhooks}.Client(10 * time.Second), Dial: outgoing.Guard{AllowPrivate: a.o.AllowPrivateMail}.Dialer().DialContext}
	a.work("channels", func(ctx context.Context) error {
		return h.Registry.Follow(ctx, st, h.Channels, func(err error) { a.log.Error("a channel cannot be opened", "error", err) })
	})
	if a.o.Webhook != "" {
		h.StaffWay = webhookWay
	}
	h.Acks = notify.AckLinks{Key: s.ack, Page: h.PageURL}
	h.Lexicon = lexicon.New(func(id string) bool { _, ok := book.Risk(id); return ok })
	rules, err := anomaly.LoadRules()
	if err != nil {
		return nil, err
	}
	h.Anomalies = anomaly.NewDesk(rules, h)
	h.Intake = intake.NewDesk(log, h.Anomalies)
	h.Dispatch = dispatch.New(h)
	h.PlanRules = planRules(book)
	h.Review = gatereview.New(h)
	h.Control, err = containment.New(containment.Options{
		Key: ed25519.NewKeyFromSeed(s.control), ProbeSecret: s.probe, Pager: h, Review: h.Review, Notices: containment.CatalogNotices{Catalog: catalog},
		Level: func(ctx context.Context, db bun.IDB, id string) (int, error) {
			l, err := incident.LevelOf(ctx, db, id)
			return l.Working, err
		},
		Epoch: func(ctx context.Context, db bun.IDB) (epoch int64, err error) {
			return epoch, db.NewRaw("SELECT epoch FROM record_head").Scan(ctx, &epoch)
		},
		Traffic: counts{a},
		Version: health.ReadBuild("").Version,
		May:     func() bool { return a.node == nil || a.node.May(containment.Module) },
	})
	if err != nil {
		return nil, err
	}
	h.Review.Bind(h.Control)
	if h.Telemetry, err = telemetry.Open(ctx, telemetry.Options{Store: st, Vault: log, Logger: a.log,
		Pinned: func(ctx context.Context) ([]string, error) { return evidence.PinnedDays(ctx, st.Read()) }}); err != nil {
		return nil, err
	}
	a.teardown = append(a.teardown, h.Telemetry.Close)
	a.sink = behaviour.NewSink(h.Telemetry)
	h.Evidence = evidence.NewKeeper(st, h.Telemetry, log)
	h.Upstream = outgoing.Guard{AllowPrivate: a.o.AllowPrivateUpstreams}.Client(60 * time.Second)
	a.work("telemetry", h.Telemetry.Run)
	a.alone("anomaly", func(ctx context.Context, st *store.Store) error {
		return anomaly.NewEngine(st, h.Telemetry, h.Anomalies, a.log).Run(ctx)
	})
	a.alone("evaluation", func(ctx context.Context, st *store.Store) error {
		return (&evaluation.Runner{Store: st, Prompts: h, Asker: h, Judge: h, Clock: a.o.Clock, Log: a.log}).Run(ctx)
	})
	return h, nil
}

func (a *App) channels() (*notify.Directory, error) {
	file := func(name string) notify.Channel { return notify.NewFile(filepath.Join(a.o.DataDir, name)) }
	ends := []notify.Endpoint{
		{ID: inbox, Class: notify.Staff, Channel: notify.Inbox{}},
		{ID: secondWay, Class: notify.Staff, Channel: file("second-channel.jsonl")},
		{ID: authoritySim, Class: notify.Authority, Simulated: true, Channel: file("simulated-authority.jsonl")},
		{ID: platformSim, Class: notify.Platform, Simulated: true, Channel: file("simulated-platform.jsonl")},
	}
	if a.o.Webhook != "" {
		client := outgoing.Guard{AllowPrivate: a.o.AllowPrivateWebhooks}.Client(10 * time.Second)
		w, err := notify.NewWebhook(client, a.o.Webhook, []byte(a.o.WebhookSecret), a.o.Clock)
		if err != nil {
			return nil, err
		}
		ends = append(ends, notify.Endpoint{ID: webhookWay, Class: notify.Staff, Channel: w})
	}
	return notify.NewDirectory(ends...)
}

// cycles makes the loops that keep clocks and messages, the one that audits them, and what shows their
// health from outside.
// maxSkew is how far the machine's clock may be from the database's before somebody should see to it.
const maxSkew = 2 * time.Second

func (a *App) cycles(_ context.Context, catalog *locale.Catalog) error {
	h, st := a.House, a.House.Store
	worker := due.New(st, h.DueHandlers(), due.Options{Owner: a.o.Node, May: func() bool { return a.node.May("due") }, Log: a.log, OnFired: func(_ due.Row, late time.Duration) { a.metrics.ObserveLateness(late) }})
	a.work("due", worker.Run)
	deliverer := notify.NewDeliverer(st, h.Channels, catalog, notify.Options{Owner: a.o.Node, May: func() bool { return a.node.May("outbox") }, Log: a.log, Tracer: a.o.Tracer, AckLink: h.Acks.Link})
	a.work("outbox", deliverer.Run)
	pager, err := notify.NewPager(h.Channels, h.StaffWay, secondWay, "duty", locale.ZH, catalog)
	if err != nil {
		return err
	}
	watched := append([]*due.Cycle{worker.Cycle(), a.node.Cycle()}, deliverer.Cycles()...)
	auditor := due.NewAuditor(st, pager, due.AuditOptions{Node: a.o.Node, Watch: watched, Log: a.log}, notify.Stuck{Read: st.Read()}, node.Missing{Read: st.Read()})
	a.work("audit", auditor.Run)
	a.work("diagnostics", func(ctx context.Context) error { diagnostics(ctx, a.o.DataDir, a.log); return nil })
	nowMs := func() int64 { return clock.Ms(st.Clock()) }
	h.Cycles = append(watched, auditor.Cycle())
	for _, c := range h.Cycles {
		a.checks.AddCycle(c, flow.CycleLateAfter, nowMs)
		if err := a.metrics.AddCycle(c, nowMs); err != nil {
			return err
		}
	}
	a.checks.Add("store", func(ctx context.Context) error {
		var one int
		return errors.Join(st.Read().NewRaw("SELECT 1").Scan(ctx, &one), st.Room())
	})
	a.checks.Add("drain", func(context.Context) error {
		if a.draining.Load() {
			return errors.New("draining")
		}
		return nil
	})
	a.checks.Add("clock", func(context.Context) error {
		if d := st.Skew().Abs(); d > maxSkew {
			return fmt.Errorf("the clocks of this machine and of the database are %s apart, limit %s; the database's is used", d, maxSkew)
		}
		return nil
	})
	a.checks.Add("modules", func(context.Context) error { return health.Note(a.node.Behind()) })
	a.checks.Add("gateways", func(ctx context.Context) error {
		old, err := containment.TooOld(ctx, a.House.Store)
		if err != nil || len(old) == 0 {
			return err
		}
		names := make([]string, len(old))
		for i, m := range old {
			names[i] = m.ID + " " + m.Version
		}
		return health.Note(fmt.Errorf("too old for the rules in force, so that they obey older ones and no newer order: %s", strings.Join(names, ", ")))
	})
	a.checks.Add("classifiers", func(ctx context.Context) error {
		if a.Gateway != nil {
			if err := unjudged(a.Gateway.Status()); err != nil {
				return err
			}
		}
		lacking, err := containment.Unjudged(ctx, a.House.Store)
		if err != nil || len(lacking) == 0 {
			return err
		}
		names := make([]string, len(lacking))
		for i, m := range lacking {
			names[i] = m.ID + " " + m.Version
		}
		return health.Note(fmt.Errorf("of a version without the model that a posture names, so that its classifiers judge nothing there: %s", strings.Join(names, ", ")))
	})
	a.checks.Add("guards", func(ctx context.Context) error {
		if a.Gateway != nil {
			if err := silentGuards(a.Gateway.Status()); err != nil {
				return err
			}
		}
		ids, err := containment.WithSilentGuards(ctx, a.House.Store.Read())
		if err != nil || len(ids) == 0 {
			return err
		}
		return health.Note(fmt.Errorf("the guard model gives no opinions, so doubtful texts have no second reader there: %s", strings.Join(ids, ", ")))
	})
	a.checks.Add("telemetry", func(context.Context) error { // tries again each second, so this clears by itself
		if why := h.Telemetry.Status().Failing; why != "" {
			return errors.New(why)
		}
		return nil
	})
	for name, count := range map[string]func(context.Context, bun.IDB, int64) (due.Backlog, error){"due": due.CountBacklog, "outbox": notify.CountBacklog} {
		if err := a.metrics.AddQueue(name, func(ctx context.Context) (health.Queue, error) {
			b, err := count(ctx, st.Read(), nowMs())
			q := health.Queue{Pending: float64(b.Pending), Overdue: float64(b.Overdue)}
			if b.OldestDueMs > 0 {
				q.OldestSeconds = float64(nowMs()-b.OldestDueMs) / 1000
			}
			return q, err
		}); err != nil {
			return err
		}
	}
	own := guards{func() (gateway.Status, bool) {
		if a.Gateway == nil {
			return gateway.Status{}, false
		}
		return a.Gateway.Status(), true
	}}
	for _, c := range []prometheus.Collector{figures{h}, a.certs, own} {
		if err := a.metrics.Registerer().Register(c); err != nil {
			return err
		}
	}
	return h.Telemetry.Register(a.metrics.Registerer())
}

func planRules(book *standard.Book) plan.Rules {
	categories, editions := map[string]bool{}, map[string]bool{}
	for _, t := range book.Types() {
		categories[t.ID] = true
		for _, s := range t.Subtypes {
			categories[s.ID] = true
		}
	}
	for _, e := range book.Editions() {
		editions[e.ID] = true
	}
	return plan.Rules{KnowsCategory: func(id string) bool { return categories[id] }, KnowsEdition: func(id string) bool { return editions[id] }}
}
