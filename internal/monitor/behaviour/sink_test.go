package behaviour_test

import (
	"reflect"
	"testing"

	"go.uber.org/goleak"

	"github.com/fengsui/fengsui/internal/monitor/behaviour"
	"github.com/fengsui/fengsui/internal/monitor/gateway"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
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
