package notify_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/notify"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
)

func phone(c notify.Channel) notify.Endpoint {
	return notify.Endpoint{ID: "phone", Class: notify.Staff, Channel: c}
}

func TestAMessageLeavesInTheLanguageOfItsRecipientAndItsReceiptIsKept(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	f := expect(t, "zh", "en")
	deliver(t, st, directory(t, phone(f)), notify.Options{})
	queue(t, st, hello("zh"))
	until(t, "the message leaves", func() bool { return only(t, st).State == notify.Sent })
	it, r := only(t, st), f.sent()[0]
	if it.Receipt != "receipt 1" || it.SentMs != start.UnixMilli() || it.Attempts != 1 || it.LastError != "" {
		t.Fatalf("%+v", it)
	}
	if r.Subject() != "客服助手 需要关注" || r.Body() != "3 条，二级，2026-03-01 16:00:00 +0800" || r.Recipient() != "officer@example.org" {
		t.Fatalf("%q, %q", r.Subject(), r.Body())
	}
	en := hello("en")
	en.Lang = locale.EN
	queue(t, st, en)
	until(t, "the other leaves", func() bool { return len(f.sent()) == 2 })
	if r := f.sent()[1]; r.Body() != "3 of them, level II, 2026-03-01 16:00:00 +0800" {
		t.Fatalf("%q", r.Body())
	}
}

func TestAMessageThatFailsIsSentAgainWithTheSameKeyAfterAGrowingWait(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	f, n := expect(t, "k"), 0
	f.answer = func(r notify.Rendered) error {
		if n++; n < 3 {
			return fmt.Errorf("mailbox %s is full", r.Recipient())
		}
		return nil
	}
	deliver(t, st, directory(t, phone(f)), notify.Options{RetryBase: 10 * time.Second})
	queue(t, st, hello("k"))
	until(t, "the failure is noted", func() bool { return only(t, st).LastError != "" })
	if it := only(t, st); it.State != notify.Pending || it.NextMs != start.UnixMilli()+10_000 || it.LastError != "mailbox <recipient> is full" {
		t.Fatalf("%+v", it)
	}
	c.Advance(10 * time.Second)
	until(t, "the second failure is noted", func() bool {
		it := only(t, st)
		return it.Attempts == 2 && it.NextMs == start.UnixMilli()+30_000 && it.Owner == ""
	})
	c.Advance(20 * time.Second)
	until(t, "the message leaves", func() bool { return only(t, st).State == notify.Sent })
	if len(f.sent()) != 3 || only(t, st).LastError != "" {
		t.Fatalf("%d sendings, %+v", len(f.sent()), only(t, st))
	}
}

func TestAMessageGivenUpStaysVisibleAndIsPagedAboutByTheSecondChannel(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	first := expect(t, "k")
	first.answer = func(notify.Rendered) error { return errors.New("line is dead") }
	second := expect(t)
	d := directory(t, phone(first), notify.Endpoint{ID: "siren", Class: notify.Staff, Channel: second})
	p, err := notify.NewPager(d, "phone", "siren", "duty", locale.ZH, catalog(t))
	if err != nil {
		t.Fatal(err)
	}
	deliver(t, st, d, notify.Options{MaxAttempts: 2, RetryBase: time.Second})
	a := due.NewAuditor(st, p, due.AuditOptions{}, notify.Stuck{Read: st.Read()})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); a.Run(ctx) }()
	defer func() { cancel(); <-done }()
	until(t, "both channels, who follows the configured ones, and the auditor wait", func() bool { return c.Waiting() == 4 })
	c.Advance(30 * time.Second) // the auditor's grace at the start
	m := hello("k")
	m.IncidentKind = due.KindDrill
	second.expected[fmt.Sprintf("page:outbox:given_up:drill:%d", c.Now().Add(time.Second).UnixMilli())] = true
	queue(t, st, m)
	until(t, "the first attempt", func() bool { return only(t, st).LastError != "" })
	c.Advance(time.Second)
	until(t, "the page, without waiting for the minute", func() bool { return len(second.sent()) == 1 })
	id := only(t, st).ID
	if r := second.sent()[0]; !strings.HasPrefix(r.Subject(), notify.DrillMark+"烽燧呼叫") || !strings.HasPrefix(r.Body(), notify.DrillMark) || !strings.Contains(r.Body(), id) || strings.Contains(r.Body(), "example.org") {
		t.Fatalf("%q\n%q", r.Subject(), r.Body())
	}
	if it := only(t, st); it.State != notify.Failed || it.LastError != "line is dead" {
		t.Fatalf("%+v", it)
	}
	if b, err := notify.CountBacklog(context.Background(), st.Read(), c.Now().UnixMilli()); err != nil || b.Pending != 0 || b.Overdue != 1 {
		t.Fatalf("%+v, %v", b, err)
	}
	first.mu.Lock()
	first.answer = nil
	first.mu.Unlock()
	if err := write(st, func(ctx context.Context, tx *store.Tx) error { return notify.Retry(ctx, tx, id) }); err != nil {
		t.Fatal(err)
	}
	until(t, "the message leaves", func() bool { return only(t, st).State == notify.Sent })
	if err := write(st, func(ctx context.Context, tx *store.Tx) error { return notify.Dismiss(ctx, tx, id) }); !fault.Is(err, "notify.no_message") {
		t.Fatalf("a sent message was dismissed: %v", err)
	}
}

func TestADismissedMessageIsNoLongerPagedAbout(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	m := hello("k")
	m.Template = "test.nothing"
	queue(t, st, m)
	deliver(t, st, directory(t, phone(expect(t))), notify.Options{})
	until(t, "the message without a text is given up at once", func() bool { return only(t, st).State == notify.Failed })
	stuck := func() int {
		out, err := (notify.Stuck{Read: st.Read()}).Overdue(context.Background(), c.Now().Add(time.Hour).UnixMilli(), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		return len(out)
	}
	if stuck() != 1 {
		t.Fatal("a message given up is not seen")
	}
	if err := write(st, func(ctx context.Context, tx *store.Tx) error { return notify.Dismiss(ctx, tx, only(t, st).ID) }); err != nil {
		t.Fatal(err)
	}
	if stuck() != 0 {
		t.Fatal("a dismissed message is still paged about")
	}
}

func TestAMessageForAChannelThatNobodyServesIsPagedAbout(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	queue(t, st, hello("k"))
	deliver(t, st, directory(t, notify.Endpoint{ID: "other", Class: notify.Staff, Channel: expect(t)}), notify.Options{})
	for after, want := range map[time.Duration]int{20 * time.Second: 0, 40 * time.Second: 1} {
		out, err := (notify.Stuck{Read: st.Read()}).Overdue(context.Background(), start.Add(after).UnixMilli(), 30*time.Second)
		if err != nil || len(out) != want || want == 1 && out[0].Reason != due.ReasonNoAttempt {
			t.Fatalf("after %s: %+v, %v", after, out, err)
		}
	}
}

func TestADrillNeverReachesAnAuthorityEvenIfTheChannelStoppedBeingSimulated(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	m := hello("k")
	m.Channel, m.IncidentKind = "authority", due.KindDrill
	before := directory(t, notify.Endpoint{ID: "authority", Class: notify.Authority, Simulated: true, Channel: expect(t)})
	m, err := before.Address(m)
	if err != nil {
		t.Fatal(err)
	}
	queue(t, st, m)
	after := directory(t, notify.Endpoint{ID: "authority", Class: notify.Authority, Channel: expect(t)}) // expects nothing
	deliver(t, st, after, notify.Options{})
	until(t, "the message is refused", func() bool { return only(t, st).State == notify.Refused })
	if _, err := after.Address(m); !fault.Is(err, "notify.authority_in_drill") {
		t.Fatalf("%v", err)
	}
	// The other way round: a real report must not end at a stand-in and count as made.
	real := hello("real")
	real.Channel, real.Class = "authority", notify.Authority
	st2 := open(t, c)
	queue(t, st2, real)
	deliver(t, st2, before, notify.Options{})
	until(t, "the message is refused", func() bool { return only(t, st2).State == notify.Refused })
}

func TestADrillDoesReachASimulatedAuthority(t *testing.T) {
	st := open(t, clock.NewFake(start))
	f := expect(t, "k")
	d := directory(t, notify.Endpoint{ID: "authority", Class: notify.Authority, Simulated: true, Channel: f})
	m := hello("k")
	m.Channel, m.IncidentKind = "authority", due.KindDrill
	m, err := d.Address(m)
	if err != nil {
		t.Fatal(err)
	}
	queue(t, st, m)
	deliver(t, st, d, notify.Options{})
	until(t, "the message leaves", func() bool { return only(t, st).State == notify.Sent })
	if r := f.sent()[0]; r.Subject() != "【演练】客服助手 需要关注" {
		t.Fatalf("%q", r.Subject())
	}
}

type hanging struct{ inside chan struct{} }

func (h hanging) Send(ctx context.Context, _ notify.Rendered) (string, error) {
	h.inside <- struct{}{}
	<-ctx.Done()
	return "", ctx.Err()
}

func TestAChannelThatHangsHoldsBackNobodyElseAndAStopCutsItShort(t *testing.T) {
	st := open(t, clock.NewFake(start))
	h, f := hanging{make(chan struct{}, 1)}, expect(t, "quick")
	stop := deliver(t, st, directory(t, phone(f), notify.Endpoint{ID: "slow", Class: notify.Staff, Channel: h}), notify.Options{Timeout: time.Minute})
	slow := hello("slow")
	slow.Channel = "slow"
	queue(t, st, slow)
	<-h.inside
	queue(t, st, hello("quick"))
	until(t, "the quick one leaves", func() bool { return len(list(t, st, notify.Filter{States: []notify.State{notify.Sent}})) == 1 })
	stop()
	it := list(t, st, notify.Filter{Channel: "slow"})[0]
	if it.State != notify.Pending || it.NextMs != start.UnixMilli() || it.Owner != "" {
		t.Fatalf("a sending cut short by a stop must be free for the next run: %+v", it)
	}
}

type panicky struct{}

func (panicky) Send(context.Context, notify.Rendered) (string, error) { panic("oh no") }

func TestAChannelThatPanicsCountsAsAFailure(t *testing.T) {
	st := open(t, clock.NewFake(start))
	queue(t, st, hello("k"))
	deliver(t, st, directory(t, phone(panicky{})), notify.Options{})
	until(t, "the failure is noted", func() bool { return strings.Contains(only(t, st).LastError, "panic") })
}

func TestTwoDeliverersOnOneDatabaseSendEachMessageOnce(t *testing.T) {
	c, dir, f := clock.NewFake(start), t.TempDir(), expect(t)
	var ms []notify.Message
	for i := range 100 {
		f.expected[fmt.Sprint(i)] = true
		ms = append(ms, hello(fmt.Sprint(i)))
	}
	stores := []*store.Store{openIn(t, c, dir), openIn(t, c, dir)}
	queue(t, stores[0], ms...)
	for i, st := range stores {
		deliver(t, st, directory(t, phone(f)), notify.Options{Owner: fmt.Sprint(i)})
	}
	until(t, "all leave", func() bool { return len(list(t, stores[0], notify.Filter{States: []notify.State{notify.Sent}})) == 100 })
	if n := len(f.sent()); n != 100 {
		t.Fatalf("%d sendings", n)
	}
}

func TestAClockThatStepsBackDoesNotHoldAMessage(t *testing.T) {
	c := clock.NewFake(start.Add(24 * time.Hour))
	st := open(t, c)
	f, n := expect(t, "k"), 0
	f.answer = func(notify.Rendered) error {
		if n++; n == 1 {
			return errors.New("not yet")
		}
		return nil
	}
	deliver(t, st, directory(t, phone(f)), notify.Options{})
	queue(t, st, hello("k"))
	until(t, "the failure is noted", func() bool { return only(t, st).LastError != "" })
	c.Set(start)
	st.Hub().Bump(notify.Topic)
	until(t, "the message leaves", func() bool { return only(t, st).State == notify.Sent })
}

func TestTheSecondChannelMustBeAnotherOneAndForStaff(t *testing.T) {
	same := expect(t)
	d := directory(t, phone(same), notify.Endpoint{ID: "alias", Class: notify.Staff, Channel: same}, notify.Endpoint{ID: "siren", Class: notify.Staff, Channel: expect(t)},
		notify.Endpoint{ID: "world", Class: notify.Public, Channel: expect(t)})
	for second, key := range map[string]string{"phone": "notify.second_channel_same", "alias": "notify.second_channel_same", "world": "notify.second_channel_not_staff", "none": "notify.channel_unknown"} {
		if _, err := notify.NewPager(d, "phone", second, "duty", locale.ZH, catalog(t)); !fault.Is(err, key) {
			t.Errorf("%s: got %v, want %s", second, err, key)
		}
	}
	if _, err := notify.NewPager(d, "phone", "siren", "duty", locale.ZH, catalog(t)); err != nil {
		t.Error(err)
	}
}

func TestADirectoryRefusesWhatItCannotServe(t *testing.T) {
	for name, es := range map[string][]notify.Endpoint{
		"id twice":      {phone(notify.Inbox{}), phone(notify.Inbox{})},
		"no id":         {{Class: notify.Staff, Channel: notify.Inbox{}}},
		"no channel":    {{ID: "x", Class: notify.Staff}},
		"unknown class": {{ID: "x", Class: "friends", Channel: notify.Inbox{}}},
	} {
		if _, err := notify.NewDirectory(es...); fault.KindOf(err) != fault.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheQueriesOfEachRoundUseAnIndex(t *testing.T) {
	st := open(t, clock.NewFake(start))
	for name, q := range map[string]string{
		"outbox_next": "SELECT next_ms FROM outbox WHERE state = 'pending' AND channel = 'phone' ORDER BY next_ms LIMIT 1",
		"outbox_open": strings.ReplaceAll(notify.StuckMessagesSQL, "?", "5"),
	} {
		if plan := storetest.Plan(t, st.Read(), q); !plan.Uses(name) {
			t.Errorf("%s: %s", name, plan)
		}
	}
}
