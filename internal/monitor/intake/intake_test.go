package intake_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fengsui/fengsui/internal/monitor/anomaly"
	"github.com/fengsui/fengsui/internal/monitor/intake"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/telemetry/telemetrytest"
	"github.com/fengsui/fengsui/internal/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	public   = store.System("intake")
	officer  = store.Actor{ID: "p-officer", Roles: []string{"duty_officer"}}
	engineer = store.Actor{ID: "p-eng", Roles: []string{"engineer"}}
	stand    = store.Actor{ID: "p-stand", Roles: []string{"duty_officer"}, Drill: "drill-1"}
)

type house struct {
	t           *testing.T
	dir         string
	clock       *clock.Fake
	st          *store.Store
	rec         *telemetrytest.Recorder
	vault       *telemetrytest.Vault
	desk        *intake.Desk
	real, drill string
}

func newHouse(t *testing.T) *house {
	h := &house{t: t, dir: t.TempDir(), clock: clock.NewFake(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)), rec: &telemetrytest.Recorder{}, vault: &telemetrytest.Vault{}}
	h.st = telemetrytest.OpenStore(t, h.dir, h.clock, h.rec)
	rules, err := anomaly.LoadRules()
	if err != nil {
		t.Fatal(err)
	}
	h.desk = intake.NewDesk(h.vault, anomaly.NewDesk(rules, nil))
	h.must(store.System("test"), func(tx *store.Tx) error {
		op, err := service.AddOperator(t.Context(), tx, service.Operator{Name: "甲公司", Province: "北京", Kind: "other"})
		if err != nil {
			return err
		}
		for kind, id := range map[string]*string{"real": &h.real, "drill": &h.drill} {
			s := service.Service{OperatorID: op.ID, Name: kind, ModelName: kind, Kind: kind}
			if kind == "drill" {
				s.DrillID = "drill-1"
			}
			s, _, err := service.AddService(t.Context(), tx, s)
			if err != nil {
				return err
			}
			*id = s.ID
		}
		return nil
	})
	return h
}

func (h *house) must(a store.Actor, fn func(tx *store.Tx) error) {
	h.t.Helper()
	if err := h.st.Write(h.t.Context(), a, fn); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) submit(a store.Actor, s intake.Submission) (r intake.Receipt, err error) {
	err = h.st.Write(h.t.Context(), a, func(tx *store.Tx) (err error) {
		r, err = h.desk.Submit(h.t.Context(), tx, s)
		return err
	})
	return r, err
}

func (h *house) good() intake.Submission {
	return intake.Submission{Kind: intake.KindComplaint, ServiceID: h.real, ContentNo: "C-1", Text: "回答里有歧视内容", Contact: "13800000000", Language: "zh"}
}

func TestAComplaintGoesFromReceivedToAnsweredAndTheComplainantLearnsOfIt(t *testing.T) {
	h := newHouse(t)
	r, err := h.submit(public, h.good())
	if err != nil || r.Number != "CP-2026-0001" || len(r.Code) != 16 || r.AnomalyID == "" {
		t.Fatalf("receipt %+v, %v", r, err)
	}
	a, err := anomaly.Get(t.Context(), h.st.Read(), officer, r.AnomalyID)
	if err != nil || a.State != anomaly.Open || a.RuleID != "complaint" || a.Signals != 1 {
		t.Errorf("anomaly %+v, %v", a, err)
	}
	if p, err := h.desk.Lookup(t.Context(), h.st.Read(), r.Number, r.Code); err != nil || p.State != intake.StateReceived || p.Answer != "" {
		t.Errorf("progress %+v, %v", p, err)
	}
	early := h.st.Write(t.Context(), officer, func(tx *store.Tx) error { _, err := h.desk.Answer(t.Context(), tx, r.ID, "已处理"); return err })
	if !fault.Is(early, "error.transition") {
		t.Errorf("answered before it was read: %v", early)
	}
	h.clock.Advance(time.Minute)
	for range 2 { // the second reading does not move the first
		h.must(officer, func(tx *store.Tx) error {
			c, letter, err := h.desk.Read(t.Context(), tx, r.ID)
			if letter.Text != "回答里有歧视内容" || letter.Contact != "13800000000" || c.ReadMs != c.ReceivedMs+60_000 || c.ReadBy != officer.ID {
				t.Errorf("read %+v %+v", c, letter)
			}
			return err
		})
		h.clock.Advance(time.Minute)
	}
	h.must(officer, func(tx *store.Tx) error {
		_, err := h.desk.Answer(t.Context(), tx, r.ID, "规则已调整，感谢反馈")
		return err
	})
	p, err := h.desk.Lookup(t.Context(), h.st.Read(), " "+strings.ToLower(r.Number), strings.ToLower(r.Code))
	if err != nil || p.State != intake.StateAnswered || p.Answer != "规则已调整，感谢反馈" || p.AnsweredMs == 0 {
		t.Errorf("progress %+v, %v", p, err)
	}
	if err := h.st.Write(t.Context(), officer, func(tx *store.Tx) error { _, err := h.desk.Answer(t.Context(), tx, r.ID, "又一次"); return err }); !fault.Is(err, "error.transition") {
		t.Errorf("answered twice: %v", err)
	}
	if n := len(h.rec.Of("complaint.read")); n != 2 {
		t.Errorf("%d readings are recorded", n)
	}
	for _, e := range h.rec.Of("complaint.submit") {
		if strings.Contains(e.Content, "歧视") || strings.Contains(e.Content, "138") || e.Scope != intake.Scope(r.ID) {
			t.Errorf("the record holds the text: %+v", e)
		}
	}
}

func TestWhatIsNotAComplaintIsRefusedAndNothingIsKept(t *testing.T) {
	h := newHouse(t)
	for name, tc := range map[string]struct {
		change func(*intake.Submission)
		actor  store.Actor
		want   string
	}{
		"no text":               {func(s *intake.Submission) { s.Text = "  " }, public, "error.required"},
		"hardly any text":       {func(s *intake.Submission) { s.Text = "差" }, public, "intake.too_short"},
		"too much text":         {func(s *intake.Submission) { s.Text = strings.Repeat("长", intake.MaxText+1) }, public, "anomaly.too_long"},
		"broken UTF-8":          {func(s *intake.Submission) { s.Text = "ab\xff\xfe" }, public, "intake.not_text"},
		"a contact like a book": {func(s *intake.Submission) { s.Contact = strings.Repeat("9", 201) }, public, "anomaly.too_long"},
		"an unknown kind":       {func(s *intake.Submission) { s.Kind = "praise" }, public, "error.unknown_value"},
		"no service":            {func(s *intake.Submission) { s.ServiceID = "" }, public, "error.required"},
		"an unknown service":    {func(s *intake.Submission) { s.ServiceID = "gone" }, public, "error.not_found"},
		"a real one in a drill": {func(s *intake.Submission) { s.ServiceID, s.TrafficKind = h.drill, "real" }, public, "error.unknown_value"},
		"an engineer":           {func(*intake.Submission) {}, engineer, "identity.not_allowed"},
		"a stand-in outside":    {func(*intake.Submission) {}, stand, "identity.other_drill"},
	} {
		s := h.good()
		tc.change(&s)
		if _, err := h.submit(tc.actor, s); !fault.Is(err, tc.want) {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
	all, err := intake.List(t.Context(), h.st.Read(), officer, intake.Filter{})
	open, _ := anomaly.List(t.Context(), h.st.Read(), officer, anomaly.Filter{})
	if err != nil || len(all) != 0 || len(open) != 0 {
		t.Errorf("kept %v and %v, %v", all, open, err)
	}
	s := h.good()
	s.Text = strings.Repeat("长", intake.MaxText)
	if r, err := h.submit(public, s); err != nil || r.Number != "CP-2026-0001" {
		t.Errorf("the longest text: %+v, %v", r, err)
	}
}

func TestADrillsComplaintStaysInItsDrill(t *testing.T) {
	h := newHouse(t)
	s := h.good()
	s.ServiceID = h.drill
	d, err := h.submit(stand, s)
	if err != nil || !strings.HasPrefix(d.Number, "D-CP-") {
		t.Fatalf("%+v, %v", d, err)
	}
	r, err := h.submit(public, h.good())
	if err != nil || d.AnomalyID == r.AnomalyID {
		t.Fatalf("%+v, %v", r, err)
	}
	if list, err := intake.List(t.Context(), h.st.Read(), stand, intake.Filter{}); err != nil || len(list) != 1 || list[0].ID != d.ID {
		t.Errorf("a stand-in sees %+v, %v", list, err)
	}
	err = h.st.Write(t.Context(), stand, func(tx *store.Tx) error { _, _, err := h.desk.Read(t.Context(), tx, r.ID); return err })
	if !fault.Is(err, "identity.other_drill") {
		t.Errorf("a stand-in reads a real complaint: %v", err)
	}
	if _, err := intake.Get(t.Context(), h.st.Read(), engineer, r.ID); !fault.Is(err, "identity.not_allowed") {
		t.Errorf("an engineer reads complaints: %v", err)
	}
}

func TestTheCodeOpensOnlyItsOwnComplaintAndNothingStandsInClear(t *testing.T) {
	h := newHouse(t)
	one, err := h.submit(public, h.good())
	if err != nil {
		t.Fatal(err)
	}
	two, err := h.submit(public, h.good())
	if err != nil || one.Code == two.Code {
		t.Fatalf("%v", err)
	}
	for _, tc := range [][2]string{{one.Number, two.Code}, {one.Number, ""}, {"CP-2026-9999", one.Code}, {"", ""}} {
		if _, err := h.desk.Lookup(t.Context(), h.st.Read(), tc[0], tc[1]); !fault.Is(err, "intake.bad_code") {
			t.Errorf("%v: %v", tc, err)
		}
	}
	h.must(officer, func(tx *store.Tx) error { _, _, err := h.desk.Read(t.Context(), tx, one.ID); return err })
	files, _ := filepath.Glob(filepath.Join(h.dir, "fengsui.db*"))
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"歧视内容", "13800000000", one.Code} {
			if strings.Contains(string(raw), secret) {
				t.Errorf("%s holds %q", filepath.Base(f), secret)
			}
		}
	}
	h.vault.Erase(intake.Scope(one.ID))
	err = h.st.Write(t.Context(), officer, func(tx *store.Tx) error { _, _, err := h.desk.Read(t.Context(), tx, one.ID); return err })
	if !fault.Is(err, "intake.erased") {
		t.Errorf("after the erasure: %v", err)
	}
}

func TestEveryKeyOfThisRoomIsInTheCatalog(t *testing.T) {
	c, err := locale.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"intake.not_text", "intake.too_short", "intake.erased", "intake.bad_code"} {
		if !c.Has(key) {
			t.Errorf("%s is missing", key)
		}
	}
}

func TestEachKindOfComplaintNeedsItsOwnFields(t *testing.T) {
	h := newHouse(t)
	full := map[string]intake.Submission{
		intake.KindComplaint: {Text: "情况说明"},
		intake.KindReport:    {Text: "情况说明", Harm: "fraud"},
		intake.KindRights:    {Text: "情况说明", Work: "作品", Proof: "登记", Links: "https://example.com/1", Contact: "权利人", GoodFaith: true},
	}
	for kind, s := range full {
		s.Kind, s.ServiceID = kind, h.real
		if _, err := h.submit(public, s); err != nil {
			t.Errorf("%s whole: %v", kind, err)
		}
		for field, less := range map[string]func(s *intake.Submission){
			"text": func(s *intake.Submission) { s.Text = "" }, "harm": func(s *intake.Submission) { s.Harm = "" }, "work": func(s *intake.Submission) { s.Work = "" },
			"proof": func(s *intake.Submission) { s.Proof = "" }, "content_no": func(s *intake.Submission) { s.Links = "" }, "contact": func(s *intake.Submission) { s.Contact = "" }, "good_faith": func(s *intake.Submission) { s.GoodFaith = false },
		} {
			x := s
			less(&x)
			if _, err := h.submit(public, x); x != s && (fault.KindOf(err) != fault.KindInvalid || !strings.Contains(err.Error(), field)) {
				t.Errorf("%s without %s: %v", kind, field, err)
			}
		}
		x := s
		x.Links, x.ContentNo, x.Harm = "", "C-1", "poem"
		if _, err := h.submit(public, x); !fault.Is(err, "error.unknown_value") {
			t.Errorf("%s of an unknown harm: %v", kind, err)
		}
		x.Harm = s.Harm
		if _, err := h.submit(public, x); err != nil { // a content number stands for the links
			t.Errorf("%s: %v", kind, err)
		}
	}
}
