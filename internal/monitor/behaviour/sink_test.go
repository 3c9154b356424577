package behaviour_test

import (
	"reflect"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fengsui/fengsui/internal/monitor/behaviour"
	"github.com/fengsui/fengsui/internal/monitor/gateway"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
	"github.com/fengsui/fengsui/internal/platform/telemetry/telemetrytest"
	"github.com/fengsui/fengsui/internal/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type fakeLog struct {
	traffic []telemetry.Traffic
	signals []telemetry.Signal
	all     bool
}

func (f *fakeLog) PutTraffic(t telemetry.Traffic) { f.traffic = append(f.traffic, t) }
func (f *fakeLog) PutSignal(s telemetry.Signal)   { f.signals = append(f.signals, s) }
func (f *fakeLog) CaptureAll() bool               { return f.all }

// filled sets every field to a value that is not zero, so that a forgotten one is noticed.
func filled(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("s")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint8:
		v.SetUint('1')
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		filled(v.Index(0))
	case reflect.Struct:
		for i := range v.NumField() {
			filled(v.Field(i))
		}
	}
}

func TestNoFieldOfTheGatewayIsForgotten(t *testing.T) {
	var in gateway.Traffic
	var sig gateway.Signal
	filled(reflect.ValueOf(&in).Elem())
	filled(reflect.ValueOf(&sig).Elem())
	log := &fakeLog{}
	s := behaviour.NewSink(log)
	s.Traffic(in)
	s.Signal(sig)
	notOurs := map[string]bool{"BaseModel": true, "Seq": true, "Count": true, "Subjects": true} // telemetry sets them
	for _, row := range []any{log.traffic[0], log.signals[0], *log.traffic[0].Content, *log.signals[0].Content} {
		v := reflect.ValueOf(row)
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; v.Field(i).IsZero() && !notOurs[name] {
				t.Errorf("%s.%s is not carried over", v.Type(), name)
			}
		}
	}
}

func TestContentIsCapturedWhenAVerdictIsNotAllowOrAlwaysIfSet(t *testing.T) {
	for name, tc := range map[string]struct {
		in, out  string
		cut, all bool
		want     bool
	}{
		"allowed":                 {gateway.VerdictAllow, gateway.VerdictAllow, false, false, false},
		"never answered":          {gateway.VerdictAllow, gateway.VerdictNone, false, false, false},
		"observed":                {gateway.VerdictAllow, gateway.VerdictObserve, false, false, true},
		"blocked at the door":     {gateway.VerdictBlock, gateway.VerdictNone, false, false, true},
		"masked":                  {gateway.VerdictAllow, gateway.VerdictMask, false, false, true},
		"uninspected":             {gateway.VerdictAllow, gateway.VerdictUninspected, false, false, true},
		"cut by an order":         {gateway.VerdictAllow, gateway.VerdictAllow, true, false, true},
		"allowed, everything set": {gateway.VerdictAllow, gateway.VerdictAllow, false, true, true},
	} {
		log := &fakeLog{all: tc.all}
		behaviour.NewSink(log).Traffic(gateway.Traffic{InputVerdict: tc.in, OutputVerdict: tc.out, CutByOrder: tc.cut, Prompt: "x"})
		if got := log.traffic[0].Content != nil; got != tc.want {
			t.Errorf("%s: captured %v", name, got)
		}
	}
}

func TestPeopleSeeTrafficThatTheyMaySee(t *testing.T) {
	c := clock.NewFake(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	st := telemetrytest.OpenStore(t, t.TempDir(), c, &telemetrytest.Recorder{})
	log, _ := telemetrytest.Run(t, telemetry.Options{Store: st, Vault: &telemetrytest.Vault{}})
	var real, drill service.Service
	err := st.Write(t.Context(), store.System("test"), func(tx *store.Tx) error {
		op, err := service.AddOperator(t.Context(), tx, service.Operator{Name: "甲公司", Province: "北京", Kind: "other"})
		if err != nil {
			return err
		}
		if real, _, err = service.AddService(t.Context(), tx, service.Service{OperatorID: op.ID, Name: "r", ModelName: "r", Kind: "real"}); err != nil {
			return err
		}
		drill, _, err = service.AddService(t.Context(), tx, service.Service{OperatorID: op.ID, Name: "d", ModelName: "d", Kind: "drill", DrillID: "drill-1"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	sink := behaviour.NewSink(log)
	for i, s := range []service.Service{real, drill} {
		no := string(rune('A' + i))
		sink.Traffic(gateway.Traffic{RequestID: "req" + no, ContentNumber: no, ServiceID: s.ID, Kind: s.Kind, InputVerdict: "allow", OutputVerdict: "block", Answer: "测试违禁词甲"})
		sink.Signal(gateway.Signal{ID: "sig" + no, ContentNumber: no, RequestID: "req" + no, ServiceID: s.ID, Kind: s.Kind, Answer: "测试违禁词甲", Match: gateway.Match{RuleID: "t", Action: "block", Side: "output"}})
	}
	if err := log.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	desk := behaviour.NewDesk(st, log)
	officer := store.Actor{ID: "p", Roles: []string{"duty_officer"}}
	stand := store.Actor{ID: "s", Roles: []string{"duty_officer"}, Drill: "drill-1"}
	for name, tc := range map[string]struct {
		actor store.Actor
		want  int
	}{"an officer": {officer, 2}, "a stand-in": {stand, 1}, "a stand-in of another drill": {store.Actor{ID: "o", Roles: officer.Roles, Drill: "x"}, 0}} {
		rows, err := desk.Recent(t.Context(), tc.actor, telemetry.Filter{})
		counts, err2 := desk.Verdicts(t.Context(), tc.actor, clock.Ms(c), clock.Ms(c)+1)
		if err != nil || err2 != nil || len(rows) != tc.want || len(counts) != tc.want {
			t.Errorf("%s sees %d rows and %d counts, %v, %v", name, len(rows), len(counts), err, err2)
		}
	}
	if _, signals, err := desk.ByContent(t.Context(), stand, "B", 0); err != nil || len(signals) != 1 {
		t.Errorf("a stand-in in its drill: %v, %v", signals, err)
	}
	if row, _, err := desk.ByContent(t.Context(), stand, "A", 0); !fault.Is(err, "identity.other_drill") || row.RequestID != "" {
		t.Errorf("a stand-in reads real traffic: %+v, %v", row, err)
	}
	engineer := store.Actor{ID: "e", Roles: []string{"engineer"}}
	if _, err := desk.Recent(t.Context(), engineer, telemetry.Filter{}); !fault.Is(err, "identity.not_allowed") {
		t.Errorf("an engineer reads traffic: %v", err)
	}
	if s := log.Status(); s.Captured != 4 {
		t.Errorf("%d captures", s.Captured)
	}
}
