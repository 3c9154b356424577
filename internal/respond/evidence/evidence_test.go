package evidence_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fengsui/fengsui/internal/monitor/anomaly"
	"github.com/fengsui/fengsui/internal/monitor/behaviour"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
	"github.com/fengsui/fengsui/internal/platform/telemetry/telemetrytest"
	"github.com/fengsui/fengsui/internal/respond/evidence"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	begin    = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	officer  = store.Actor{ID: "p-officer", Roles: []string{"duty_officer"}}
	engineer = store.Actor{ID: "p-eng", Roles: []string{"engineer"}}
	boss     = store.Actor{ID: "p-boss", Roles: []string{"commander"}}
)

type house struct {
	t       *testing.T
	dir     string
	clock   *clock.Fake
	st      *store.Store
	rec     *telemetrytest.Recorder
	vault   *telemetrytest.Vault
	log     *telemetry.Log
	keeper  *evidence.Keeper
	service service.Service
}

func newHouse(t *testing.T) *house {
	h := &house{t: t, dir: t.TempDir(), clock: clock.NewFake(begin), rec: &telemetrytest.Recorder{}, vault: &telemetrytest.Vault{}}
	h.st = telemetrytest.OpenStore(t, h.dir, h.clock, h.rec)
	h.log, _ = telemetrytest.Run(t, telemetry.Options{Store: h.st, Vault: h.vault,
		Pinned: func(ctx context.Context) ([]string, error) { return evidence.PinnedDays(ctx, h.st.Read()) }})
	h.keeper = evidence.NewKeeper(h.st, h.log, h.vault)
	h.must(store.System("test"), func(tx *store.Tx) error {
		op, err := service.AddOperator(t.Context(), tx, service.Operator{Name: "甲公司", Province: "北京", Kind: "other"})
		if err != nil {
			return err
		}
		h.service, _, err = service.AddService(t.Context(), tx, service.Service{OperatorID: op.ID, Name: "甲", ModelName: "a", Kind: "real"})
		return err
	})
	return h
}

func (h *house) must(a store.Actor, fn func(tx *store.Tx) error) {
	h.t.Helper()
	if err := h.st.Write(h.t.Context(), a, fn); err != nil {
		h.t.Fatal(err)
	}
}

// answer stores a harmful answer with its content captured, unless text is "".
func (h *house) answer(n int, text string) string {
	h.t.Helper()
	no := fmt.Sprintf("C-%d", n)
	s := telemetry.Signal{ID: fmt.Sprintf("sig-%d", n), AtMs: clock.Ms(h.clock), RequestID: fmt.Sprintf("req-%d", n), ContentNo: no, ServiceID: h.service.ID, Kind: "real",
		Subject: fmt.Sprintf("subj-%d", n), Rule: "term-1", Risk: "A.2.e", Action: "block", Side: "output", Modality: "text", Language: "zh"}
	if text != "" {
		s.Content = &telemetry.Content{Prompt: "测试提示", Answer: text}
	}
	h.log.PutSignal(s)
	if err := h.log.Flush(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	return no
}

// complain opens an anomaly about content numbers.
func (h *house) complain(numbers ...string) anomaly.Anomaly {
	h.t.Helper()
	rules, err := anomaly.ParseRules([]byte("edition: t\nrules: [{id: complaint, match: {source: complaint}, threshold: 1, fingerprint: [service], severity: high}]"))
	if err != nil {
		h.t.Fatal(err)
	}
	var a anomaly.Anomaly
	h.must(store.System("intake"), func(tx *store.Tx) (err error) {
		for _, no := range numbers {
			if a, err = anomaly.NewDesk(rules, nil).Raise(h.t.Context(), tx, anomaly.Observation{Kind: "real", Signal: anomaly.Signal{Source: "complaint", ServiceID: h.service.ID, ContentNo: no}}); err != nil {
				return err
			}
		}
		return nil
	})
	return a
}

// declare promotes an anomaly to an incident and lets it adopt the evidence.
func (h *house) declare(a anomaly.Anomaly, restrictedFor ...string) incident.Incident {
	h.t.Helper()
	var i incident.Incident
	h.must(officer, func(tx *store.Tx) (err error) {
		if _, err = anomaly.Assess(h.t.Context(), tx, a.ID); err != nil {
			return err
		}
		if i, err = incident.Declare(h.t.Context(), tx, incident.Declaration{Kind: "real", ServiceID: h.service.ID, Title: "测试事件", Editions: []string{"e"},
			AwareMs: tx.NowMs, AwareSource: "alarm_seen", RestrictedFor: restrictedFor}); err != nil {
			return err
		}
		if _, err = anomaly.MarkPromoted(h.t.Context(), tx, a.ID, i.ID); err != nil {
			return err
		}
		_, err = h.keeper.Adopt(h.t.Context(), tx, a.ID, i.ID)
		return err
	})
	return i
}

func TestEvidenceIsPinnedAdoptedAndUnmaskedWithARecordedReason(t *testing.T) {
	h := newHouse(t)
	one, two := h.answer(1, "测试违禁词甲"), h.answer(2, "测试违禁词乙")
	lost := h.answer(3, "")
	a := h.complain(one, two, lost)
	pins, err := h.keeper.PinAnomaly(t.Context(), officer, a.ID)
	if err != nil || len(pins) != 2 || pins[0].Day != "20261122" || pins[0].IncidentID != "" {
		t.Fatalf("pins %+v, %v", pins, err)
	}
	if again, err := h.keeper.PinAnomaly(t.Context(), officer, a.ID); err != nil || len(again) != 0 {
		t.Errorf("pinned twice: %+v, %v", again, err)
	}
	if gone, err := evidence.MissingOf(t.Context(), h.st.Read(), officer, a.ID); err != nil || !slices.Equal(gone, []string{lost}) {
		t.Errorf("missing %v, %v", gone, err)
	}
	h.vault.Erase("subject:subj-1") // the pin outlives the subject's key: its own scope holds the data key
	i := h.declare(a)
	if gone, err := evidence.Missing(t.Context(), h.st.Read(), officer, i.ID); err != nil || !slices.Equal(gone, []string{lost}) {
		t.Errorf("missing %v, %v", gone, err)
	}
	list, err := evidence.List(t.Context(), h.st.Read(), officer, i.ID)
	if err != nil || len(list) != 2 || list[0].SealedKey == pins[0].SealedKey {
		t.Fatalf("adopted %+v, %v", list, err)
	}
	content, err := h.keeper.Unmask(t.Context(), officer, list[0].ID, "研判需要")
	if err != nil || content.Answer != "测试违禁词甲" || content.Prompt != "测试提示" {
		t.Errorf("content %+v, %v", content, err)
	}
	var reason string
	if err := h.st.Read().NewRaw("SELECT reason FROM unmasking WHERE evidence_id = ? AND person_id = ?", list[0].ID, officer.ID).Scan(t.Context(), &reason); err != nil || reason != "研判需要" {
		t.Errorf("audit row %q, %v", reason, err)
	}
	for _, action := range []string{"evidence.pin", "evidence.adopt", "evidence.unmask"} {
		entries := h.rec.Of(action)
		if len(entries) == 0 {
			t.Errorf("%s is not recorded", action)
		}
		for _, e := range entries {
			if strings.Contains(e.Content, "违禁词") {
				t.Errorf("the record holds content: %s", e.Content)
			}
		}
	}
	if all, err := h.keeper.Replay(t.Context(), "servicetest", i.ID); err != nil || len(all) != 2 || len(h.rec.Of("evidence.unmask")) != 3 {
		t.Errorf("replay %+v, %v", all, err)
	}
	h.vault.Erase(incident.Scope(i.ID))
	if _, err := h.keeper.Unmask(t.Context(), officer, list[0].ID, "再看"); !fault.Is(err, "evidence.gone") {
		t.Errorf("after the erasure of the incident: %v", err)
	}
}

func TestUnmaskingIsRefusedWithoutPermissionReasonNeedToKnowOrRecord(t *testing.T) {
	h := newHouse(t)
	a := h.complain(h.answer(1, "测试违禁词甲"))
	if _, err := h.keeper.PinAnomaly(t.Context(), officer, a.ID); err != nil {
		t.Fatal(err)
	}
	i := h.declare(a, officer.ID)
	list, err := evidence.List(t.Context(), h.st.Read(), officer, i.ID)
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	for name, tc := range map[string]struct {
		actor        store.Actor
		reason, want string
	}{
		"an engineer":             {engineer, "好奇", "identity.not_allowed"},
		"no reason":               {officer, "  ", "error.required"},
		"an endless reason":       {officer, strings.Repeat("长", 501), "anomaly.too_long"},
		"not on the allow-list":   {boss, "研判", "error.not_found"},
		"a stand-in of a drill":   {store.Actor{ID: officer.ID, Roles: officer.Roles, Drill: "d"}, "研判", "error.not_found"},
		"somebody without a name": {store.Actor{}, "研判", "identity.unknown"},
	} {
		if c, err := h.keeper.Unmask(t.Context(), tc.actor, list[0].ID, tc.reason); !fault.Is(err, tc.want) || c.Answer != "" {
			t.Errorf("%s: %+v, %v; want %s", name, c, err, tc.want)
		}
	}
	h.rec.Fail = errors.New("the record cannot be written")
	if c, err := h.keeper.Unmask(t.Context(), officer, list[0].ID, "研判"); err == nil || c.Answer != "" {
		t.Errorf("bytes left without an entry: %+v", c)
	}
	h.rec.Fail = nil
	var n int
	if err := h.st.Read().NewRaw("SELECT COUNT(*) FROM unmasking").Scan(t.Context(), &n); err != nil || n != 0 || len(h.rec.Of("evidence.unmask")) != 0 {
		t.Errorf("%d audit rows of refused unmaskings, %v", n, err)
	}
}

// What the gateway decided is shown to whoever may know of the capsule, without unmasking it.
func TestTheVerdictOfACapsuleIsShownToWhomItConcernsAndQuotesNothing(t *testing.T) {
	h := newHouse(t)
	no := h.answer(1, "测试违禁词甲")
	a := h.complain(no)
	pins, err := h.keeper.PinAnomaly(t.Context(), officer, a.ID)
	if err != nil || len(pins) != 1 {
		t.Fatal(pins, err)
	}
	id := pins[0].ID
	if d, err := h.keeper.Verdict(t.Context(), officer, id); err != nil || d.Told != behaviour.ToldNothing {
		t.Errorf("before the request has ended: %+v, %v", d, err)
	}
	h.clock.Advance(25 * time.Hour) // it ends on another day
	h.log.PutTraffic(telemetry.Traffic{RequestID: "req-1", ContentNo: no, ServiceID: h.service.ID, Kind: "real", OutputVerdict: "block", PostureDigest: "sha256:1",
		Verdict: `{"action":"block","hits":[{"side":"output","channel":"content","choice":1,"rule_id":"term-1","kind":"term","action":"block","start":3,"end":21,"runes":6,"first_rune":1,"end_rune":7}]}`})
	if err := h.log.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.declare(a, officer.ID)
	d, err := h.keeper.Verdict(t.Context(), officer, id)
	if err != nil || d.Told != behaviour.ToldVerdict || d.Output != "block" || len(d.Verdict.Hits) != 1 || d.Verdict.Hits[0].Choice != 1 || d.Verdict.Rules.Digest != "sha256:1" {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := h.keeper.Verdict(t.Context(), boss, id); fault.KindOf(err) != fault.KindNotFound {
		t.Errorf("whom the incident does not concern: %v", err)
	}
	var n int
	if err := h.st.Read().NewRaw("SELECT COUNT(*) FROM unmasking").Scan(t.Context(), &n); err != nil || n != 0 {
		t.Errorf("%d unmaskings, %v", n, err)
	}
}

func TestAnAlteredOrVanishedCapsuleIsFound(t *testing.T) {
	h := newHouse(t)
	a := h.complain(h.answer(1, "测试违禁词甲"))
	pins, err := h.keeper.PinAnomaly(t.Context(), officer, a.ID)
	if err != nil || len(pins) != 1 {
		t.Fatalf("%+v, %v", pins, err)
	}
	if err := h.keeper.Verify(t.Context(), officer, pins[0].ID); err != nil {
		t.Fatalf("untouched: %v", err)
	}
	telemetrytest.Alter(t, h.dir, "20261122", "UPDATE capture SET body = ?", make([]byte, 64))
	if err := h.keeper.Verify(t.Context(), officer, pins[0].ID); !fault.Is(err, "telemetry.altered") {
		t.Errorf("an altered byte: %v", err)
	}
	if _, err := h.keeper.Unmask(t.Context(), officer, pins[0].ID, "研判"); !fault.Is(err, "telemetry.altered") {
		t.Errorf("an altered capsule was unmasked: %v", err)
	}
	telemetrytest.Alter(t, h.dir, "20261122", "DELETE FROM capture")
	if err := h.keeper.Verify(t.Context(), officer, pins[0].ID); !fault.Is(err, "evidence.gone") {
		t.Errorf("a vanished capsule: %v", err)
	}
}

func TestAPinnedDayOutlivesRetentionAndAnUnpinnedOneDoesNot(t *testing.T) {
	h := newHouse(t)
	a := h.complain(h.answer(1, "测试违禁词甲"))
	for n := range 4 {
		h.clock.Advance(24 * time.Hour)
		h.answer(10+n, "测试")
	}
	if _, err := h.keeper.PinAnomaly(t.Context(), officer, a.ID); err != nil {
		t.Fatal(err)
	}
	h.clock.Advance(200 * 24 * time.Hour)
	if err := h.log.Retain(t.Context()); err != nil {
		t.Fatal(err)
	}
	days, err := h.log.Days(t.Context())
	left := []string{"20261122", "20261125", "20261126"} // the last two are still open
	if storetest.On() == storetest.Postgres {
		left = left[:1] // there none is
	}
	if err != nil || !slices.Equal(days, left) {
		t.Errorf("days %v, %v", days, err)
	}
}

func TestEveryKeyOfThisRoomIsInTheCatalog(t *testing.T) {
	c, err := locale.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"evidence.gone", "telemetry.altered", "telemetry.no_content", "reach.bad_location"} {
		if !c.Has(key) {
			t.Errorf("%s is missing", key)
		}
	}
}
