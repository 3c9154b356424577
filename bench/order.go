package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/prepare/lexicon"
	"github.com/fengsui/fengsui/internal/respond/containment"
	"github.com/fengsui/fengsui/internal/respond/incident"
)

// orderPart takes a service offline while many streams are open and looks when each of them fell silent. All of
// it is the real thing: internal/app with control, distributor, gateway, prober and telemetry in one process;
// clients and stub model in processes of their own.
func orderPart(ctx context.Context, b *bench) (_ []table, err error) {
	if err := needFiles(uint64(2*b.streams + 500)); err != nil {
		return nil, err
	}
	var upstreamURL string
	model, err := start(ctx, b.log, "upstream", nil, &upstreamURL)
	if err != nil {
		return nil, err
	}
	defer model.stop()
	people, err := start(ctx, b.log, "clients", nil, nil)
	if err != nil {
		return nil, err
	}
	defer people.stop()
	dir := filepath.Join(b.dir, "order")
	a, err := app.New(ctx, app.Options{DataDir: filepath.Join(dir, "data"), Listen: "127.0.0.1:0", GatewayListen: "127.0.0.1:0", AllowPrivateUpstreams: true})
	if err != nil {
		return nil, err
	}
	h, err := prepareHouse(ctx, a, upstreamURL)
	if err != nil {
		a.Stop()
		return nil, err
	}
	var running sync.WaitGroup
	running.Go(func() { err = errors.Join(err, a.Run(ctx)) })
	tables, runErr := h.measure(ctx, b, people)
	a.Stop()
	running.Wait()
	if err = errors.Join(runErr, err); err != nil {
		return nil, err
	}
	return tables, nil
}

// housed is an instance with one service, its incident and the person who issues orders.
type housed struct {
	*app.App
	officer             store.Actor
	service, key, event string
}

func prepareHouse(ctx context.Context, a *app.App, upstreamURL string) (*housed, error) {
	first, err := a.FirstService(ctx, app.FirstService{Upstream: upstreamURL + "/v1", Model: modelName})
	if err != nil {
		return nil, err
	}
	h := &housed{App: a, service: first.ServiceID, key: first.Key}
	id, _, err := a.AddPerson(ctx, "duty officer", "duty_officer")
	if err != nil {
		return nil, err
	}
	h.officer = store.Actor{ID: id, Roles: []string{"duty_officer"}}
	var drafts []lexicon.Draft
	for _, t := range nonsense(lexiconSize) {
		drafts = append(drafts, lexicon.Draft{ServiceID: h.service, Term: t, Action: string(posture.Mask), Risk: "A.1.a"})
	}
	return h, a.House.Store.Write(ctx, h.officer, func(tx *store.Tx) error {
		if _, _, err := a.House.Lexicon.Import(ctx, tx, drafts); err != nil {
			return err
		}
		i, err := a.House.Declare(ctx, tx, incident.Declaration{Kind: "real", ServiceID: h.service, Title: "bench", AwareMs: tx.NowMs, AwareSource: "alarm_seen"})
		if err != nil {
			return err
		}
		h.event = i.ID
		tx.Actor = store.System("bench")
		_, err = a.House.Control.CompilePosture(ctx, tx, h.service, "bench")
		return err
	})
}

// cut is what one order did.
type cut struct {
	toLastByte map[string][]time.Duration // by class: from the order's decision to the last byte handed to the kernel
	asRead     map[string][]time.Duration // the same as the clients saw it
	commit     time.Duration              // what the commit itself took
	ack        time.Duration              // until the gateway had acknowledged
	afterAck   map[string]int64           // bytes that clients read later than that
	reset      int                        // streams whose connection was reset
}

func (h *housed) measure(ctx context.Context, b *bench, people *child) ([]table, error) {
	each := map[string]*series{}
	for _, class := range append([]string{"all"}, classes...) {
		each[class] = &series{}
	}
	order := &series{}
	many := map[string]int{slow: b.streams / 5, silent: b.streams / 10}
	many[steady] = b.streams - many[slow] - many[silent]
	for n := range b.runs {
		b.say("       order run %d of %d", n+1, b.runs)
		c, err := h.run(ctx, b, people, many)
		if err != nil {
			return nil, err
		}
		order.add("commit of the order", "ms", ms(c.commit))
		order.add("acknowledged by the gateway", "ms", ms(c.ack))
		order.add("connections reset", "", float64(c.reset))
		for class, s := range each {
			kernel, client, after := c.toLastByte[class], c.asRead[class], c.afterAck[class]
			if class == "all" {
				kernel, client, after = joined(c.toLastByte), joined(c.asRead), 0
				for _, v := range c.afterAck {
					after += v
				}
			}
			s.add("p50", "ms", ms(percentile(kernel, 0.5)))
			s.add("p99", "ms", ms(percentile(kernel, 0.99)))
			s.add("max", "ms", ms(percentile(kernel, 1)))
			if class != slow && class != "all" {
				s.add("client's last read, p99", "ms", ms(percentile(client, 0.99)))
			} else {
				s.none("client's last read, p99", "ms") // how long it reads what it has is its own choice
			}
			s.add("bytes read after the acknowledgement", "B", float64(after))
		}
	}
	t := table{Part: "order", Title: fmt.Sprintf("Order to last byte: a service with %s open streams is taken offline (goal: p99 under 1 s)", number(float64(b.streams))), Keys: []string{"streams", "number"}}
	for _, class := range append([]string{"all"}, classes...) {
		n := many[class]
		if class == "all" {
			n = b.streams
		}
		t.Rows = append(t.Rows, row{Keys: []string{class, number(float64(n))}, Figures: each[class].figures()})
	}
	t.Notes = []string{
		"From the last statement inside the order's transaction, so its commit and sync are counted, to the last byte that the gateway handed to the kernel; for a stream that was reset, to the end of its call, after which nothing can be handed over.",
		"Keeps up: an event each 50 ms. Reads slowly: offered 40 KiB a second, takes 1, with a receive buffer of 4 KiB; the gateway's writes to it are stuck when the order comes. Silent: the upstream said one event and then nothing.",
		"Bytes read after the acknowledgement: by then they lay in the clients' own kernels (a slow reader is let read all that is there; whatever was still in the gateway's kernel is thrown away by the reset).",
		fmt.Sprintf("All %s streams were cut by the order in every run, or the run fails. One process holds control, store, gateway with the starter lexicon and %s terms, and telemetry; clients and stub model are processes of their own on the same cores. No peer.", number(float64(b.streams)), number(lexiconSize)),
	}
	return []table{t, {Part: "order", Title: "Order to last byte: the order itself", Keys: []string{"order"}, Rows: []row{{Keys: []string{"service offline"}, Figures: order.figures()}}}}, nil
}

func joined(m map[string][]time.Duration) []time.Duration {
	return slices.Concat(slices.Collect(maps.Values(m))...)
}

func (h *housed) run(ctx context.Context, b *bench, people *child, many map[string]int) (*cut, error) {
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	u, err := url.Parse(h.GatewayURL())
	if err != nil {
		return nil, err
	}
	if err := h.ready(ctx, u.Host); err != nil {
		return nil, err
	}
	open := 0
	if err := people.ask("open", openCall{Addr: u.Host, Key: h.key, Streams: many}, &open); err != nil {
		return nil, err
	}
	if open != b.streams {
		return nil, fmt.Errorf("%d streams are open, not %d", open, b.streams)
	}
	if err := wait(ctx, 2500*time.Millisecond); err != nil { // until the slow readers' buffers are full
		return nil, err
	}
	if n := h.Gateway.Status().OpenStreams; n != b.streams {
		return nil, fmt.Errorf("the gateway holds %d streams before the order, not %d", n, b.streams)
	}
	c := &cut{}
	var decided time.Time
	var o containment.Order
	if err := h.House.Store.Write(ctx, h.officer, func(tx *store.Tx) error {
		var err error
		o, err = h.House.IssueOrder(ctx, tx, containment.Request{Cause: containment.FromIncident, CauseID: h.event, Rung: posture.ServiceOffline,
			Scope: posture.Scope{ServiceID: h.service}, Reason: "bench"})
		decided = time.Now()
		return err
	}); err != nil {
		return nil, err
	}
	c.commit = time.Since(decided)
	ackMs, err := h.acknowledged(ctx, o.ID)
	if err != nil {
		return nil, err
	}
	c.ack = time.UnixMilli(ackMs).Sub(decided)
	var saw []seen
	if err := people.ask("see", ackMs*1000+999, &saw); err != nil { // the acknowledgement is told in milliseconds
		return nil, err
	}
	if err := h.judge(ctx, c, decided, saw); err != nil {
		return nil, err
	}
	return c, h.House.Store.Write(ctx, h.officer, func(tx *store.Tx) error {
		_, err := h.House.Control.UndoOffline(ctx, tx, o.ID, "bench")
		return err
	})
}

// judge reads the traffic rows of all streams and puts them beside what the clients saw.
func (h *housed) judge(ctx context.Context, c *cut, decided time.Time, saw []seen) error {
	byNo := map[string]seen{}
	var numbers []string
	for _, s := range saw {
		byNo[s.ContentNo] = s
		numbers = append(numbers, s.ContentNo)
	}
	var rows []telemetry.Traffic
	for {
		var err error
		if rows, err = h.House.Telemetry.TrafficOf(ctx, numbers, decided.UnixMilli()-60_000); err != nil {
			return err
		}
		if len(rows) >= len(saw) {
			break
		}
		if err := wait(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("%d of %d traffic rows came: %w", len(rows), len(saw), err)
		}
	}
	c.toLastByte, c.asRead, c.afterAck = map[string][]time.Duration{}, map[string][]time.Duration{}, map[string]int64{}
	for _, r := range rows {
		s := byNo[r.ContentNo]
		if !r.CutByOrder || !s.Ended || !s.Farewell && !s.Reset {
			return fmt.Errorf("a stream (%s) was not ended by the order: error code %q, ended %t, said goodbye %t, reset %t", s.Class, r.ErrorCode, s.Ended, s.Farewell, s.Reset)
		}
		last := time.UnixMicro(r.LastByteUs)
		if !s.Farewell { // a write that was stuck may have handed over a part until the connection was reset
			last = time.UnixMilli(r.EndedMs + 1)
			c.reset++
		}
		c.toLastByte[s.Class] = append(c.toLastByte[s.Class], max(0, last.Sub(decided)))
		c.asRead[s.Class] = append(c.asRead[s.Class], max(0, time.UnixMicro(s.LastUs).Sub(decided)))
		c.afterAck[s.Class] += s.AfterAck
	}
	return nil
}

// ready waits until the gateway answers again.
func (h *housed) ready(ctx context.Context, addr string) error {
	for {
		err := func() error {
			c, err := dial(ctx, addr)
			if err != nil {
				return err
			}
			defer func() { _ = c.conn.Close() }()
			_ = c.conn.SetDeadline(time.Now().Add(5 * time.Second))
			_, _, err = c.once((&target{addr: addr, key: h.key}).request(false, promptText))
			return err
		}()
		if err == nil {
			return nil
		}
		if wait(ctx, 50*time.Millisecond) != nil {
			return fmt.Errorf("the gateway does not answer: %w", err)
		}
	}
}

// acknowledged waits for the gateway's word and gives its instant in milliseconds.
func (h *housed) acknowledged(ctx context.Context, orderID string) (int64, error) {
	for {
		s, err := containment.Get(ctx, h.House.Store.Read(), h.officer, orderID)
		if err != nil {
			return 0, err
		}
		if s.Acknowledged && len(s.Acks) > 0 {
			return s.Acks[0].AtMs, nil
		}
		if err := wait(ctx, 10*time.Millisecond); err != nil {
			return 0, fmt.Errorf("the gateway did not acknowledge the order: %w", err)
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
