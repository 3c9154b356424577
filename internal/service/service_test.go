package service_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"pgregory.net/rapid"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/service"
)

var (
	ctx      = context.Background()
	engineer = store.Actor{ID: "engineer", Roles: []string{"safety_engineer"}}
	officer  = store.Actor{ID: "officer", Roles: []string{"duty_officer"}}
	seat     = store.Actor{ID: "seat", Roles: []string{"safety_engineer"}, Drill: "d1"}
)

type ledger struct{ actions []string }

func (l *ledger) Append(_ context.Context, _ bun.Tx, _ int64, entries []store.Entry) error {
	for _, e := range entries {
		l.actions = append(l.actions, e.Action)
	}
	return nil
}

// bench has a real service and one of drill d1.
type bench struct {
	dir         string
	st          *store.Store
	clock       *clock.Fake
	ledger      *ledger
	operator    service.Operator
	real, drill service.Service
	object      service.AffectedObject
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{dir: t.TempDir(), clock: clock.NewFake(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)), ledger: &ledger{}}
	var err error
	if b.st, err = store.Open(ctx, storetest.With(t, store.Options{Dir: b.dir, Clock: b.clock, Recorder: b.ledger})); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.st.Close() })
	if err := b.try(engineer, func(tx *store.Tx) (err error) {
		if b.operator, err = service.AddOperator(ctx, tx, service.Operator{Name: "n", Province: "p", Kind: "other"}); err != nil {
			return err
		}
		if b.real, b.object, err = service.AddService(ctx, tx, service.Service{OperatorID: b.operator.ID, Name: "n", ModelName: "m1", Kind: "real"}); err != nil {
			return err
		}
		b.drill, _, err = service.AddService(ctx, tx, service.Service{OperatorID: b.operator.ID, Name: "n", ModelName: "m2", Kind: "drill", DrillID: "d1"})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) try(a store.Actor, fn func(tx *store.Tx) error) error { return b.st.Write(ctx, a, fn) }

func (b *bench) rows(t testing.TB) (n int) {
	t.Helper()
	if err := b.st.Read().NewRaw("SELECT (SELECT COUNT(*) FROM operator) + (SELECT COUNT(*) FROM service) + (SELECT COUNT(*) FROM deployment) + (SELECT COUNT(*) FROM affected_object) + (SELECT COUNT(*) FROM importance) + (SELECT COUNT(*) FROM gateway_key)").Scan(ctx, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func (b *bench) refused(t testing.TB, what string, a store.Actor, kind fault.Kind, key, field string, fn func(tx *store.Tx) error) {
	t.Helper()
	rows, entries := b.rows(t), len(b.ledger.actions)
	err := b.try(a, fn)
	if fault.KindOf(err) != kind || !fault.Is(err, key) {
		t.Errorf("%s: %v, want %s %s", what, err, kind, key)
	}
	if f, ok := err.(*fault.Error); ok && f.Field != field {
		t.Errorf("%s names the field %q, want %q", what, f.Field, field)
	}
	if b.rows(t) != rows || len(b.ledger.actions) != entries {
		t.Errorf("%s: a refusal changed something", what)
	}
}

func TestWhatIsRegisteredMustBeComplete(t *testing.T) {
	b := newBench(t)
	op := func(change func(*service.Operator)) func(*store.Tx) error {
		o := service.Operator{Name: "n", Province: "p", Kind: "other"}
		change(&o)
		return func(tx *store.Tx) error { _, err := service.AddOperator(ctx, tx, o); return err }
	}
	svc := func(change func(*service.Service)) func(*store.Tx) error {
		s := service.Service{OperatorID: b.operator.ID, Name: "n", ModelName: "new", Kind: "real"}
		change(&s)
		return func(tx *store.Tx) error { _, _, err := service.AddService(ctx, tx, s); return err }
	}
	obj := func(change func(*service.AffectedObject)) func(*store.Tx) error {
		o := service.AffectedObject{ServiceID: b.real.ID, Kind: "dataset", Name: "n"}
		change(&o)
		return func(tx *store.Tx) error { _, err := service.AddObject(ctx, tx, o); return err }
	}
	imp := func(change func(*service.Importance)) func(*store.Tx) error {
		i := service.Importance{ObjectID: b.object.ID, Level: "重要", Ground: "g"}
		change(&i)
		return func(tx *store.Tx) error { _, err := service.SetImportance(ctx, tx, i); return err }
	}
	key := func(change func(*service.GatewayKey)) func(*store.Tx) error {
		k := service.GatewayKey{ServiceID: b.real.ID, Tenant: "t", UserGroup: "g", TrafficKind: "real"}
		change(&k)
		return func(tx *store.Tx) error { _, _, err := service.IssueKey(ctx, tx, k); return err }
	}
	for name, c := range map[string]struct {
		actor      store.Actor
		kind       fault.Kind
		key, field string
		fn         func(*store.Tx) error
	}{
		"operator without a name":         {engineer, fault.KindInvalid, "error.required", "name", op(func(o *service.Operator) { o.Name = " " })},
		"operator without a province":     {engineer, fault.KindInvalid, "error.required", "province", op(func(o *service.Operator) { o.Province = "" })},
		"operator of unknown kind":        {engineer, fault.KindInvalid, "error.unknown_value", "kind", op(func(o *service.Operator) { o.Kind = "bank" })},
		"filings that are no JSON":        {engineer, fault.KindInvalid, "error.not_json", "filings", op(func(o *service.Operator) { o.Filings = "[" })},
		"filings that are no list":        {engineer, fault.KindInvalid, "error.not_json", "filings", op(func(o *service.Operator) { o.Filings = `{"a":1}` })},
		"filings that are nothing":        {engineer, fault.KindInvalid, "error.not_json", "filings", op(func(o *service.Operator) { o.Filings = `null` })},
		"operator by an officer":          {officer, fault.KindForbidden, "identity.not_allowed", "", op(func(*service.Operator) {})},
		"operator by a seat":              {seat, fault.KindForbidden, "identity.other_drill", "", op(func(*service.Operator) {})},
		"service without a name":          {engineer, fault.KindInvalid, "error.required", "name", svc(func(s *service.Service) { s.Name = "" })},
		"service without a model":         {engineer, fault.KindInvalid, "error.required", "model_name", svc(func(s *service.Service) { s.ModelName = "\t" })},
		"service of no operator":          {engineer, fault.KindInvalid, "error.required", "operator_id", svc(func(s *service.Service) { s.OperatorID = "" })},
		"service of an unknown operator":  {engineer, fault.KindNotFound, "error.not_found", "operator_id", svc(func(s *service.Service) { s.OperatorID = "x" })},
		"service of unknown kind":         {engineer, fault.KindInvalid, "error.unknown_value", "kind", svc(func(s *service.Service) { s.Kind = "backfill" })},
		"drill service without a drill":   {engineer, fault.KindInvalid, "service.drill_kind", "kind", svc(func(s *service.Service) { s.Kind = "drill" })},
		"real service with a drill":       {engineer, fault.KindInvalid, "service.drill_kind", "kind", svc(func(s *service.Service) { s.DrillID = "d1" })},
		"a model name that is taken":      {engineer, fault.KindConflict, "error.exists", "model_name", svc(func(s *service.Service) { s.ModelName = "m1" })},
		"real service by a seat":          {seat, fault.KindForbidden, "identity.other_drill", "", svc(func(*service.Service) {})},
		"object without a name":           {engineer, fault.KindInvalid, "error.required", "name", obj(func(o *service.AffectedObject) { o.Name = "" })},
		"object of unknown kind":          {engineer, fault.KindInvalid, "error.unknown_value", "kind", obj(func(o *service.AffectedObject) { o.Kind = "person" })},
		"object of no service":            {engineer, fault.KindNotFound, "error.not_found", "service_id", obj(func(o *service.AffectedObject) { o.ServiceID = "x" })},
		"object of a real one by a seat":  {seat, fault.KindForbidden, "identity.other_drill", "", obj(func(*service.AffectedObject) {})},
		"importance in English":           {engineer, fault.KindInvalid, "error.unknown_value", "level", imp(func(i *service.Importance) { i.Level = "important" })},
		"importance without a ground":     {engineer, fault.KindInvalid, "error.required", "ground", imp(func(i *service.Importance) { i.Ground = "" })},
		"importance of nothing":           {engineer, fault.KindNotFound, "error.not_found", "object_id", imp(func(i *service.Importance) { i.ObjectID = "x" })},
		"importance before time":          {engineer, fault.KindInvalid, "error.negative", "from_ms", imp(func(i *service.Importance) { i.FromMs = -1 })},
		"importance by a seat":            {seat, fault.KindForbidden, "identity.other_drill", "", imp(func(*service.Importance) {})},
		"key without a tenant":            {engineer, fault.KindInvalid, "error.required", "tenant", key(func(k *service.GatewayKey) { k.Tenant = "" })},
		"key without a group":             {engineer, fault.KindInvalid, "error.required", "user_group", key(func(k *service.GatewayKey) { k.UserGroup = "" })},
		"key of unknown kind":             {engineer, fault.KindInvalid, "error.unknown_value", "traffic_kind", key(func(k *service.GatewayKey) { k.TrafficKind = "backfill" })},
		"key of no service":               {engineer, fault.KindNotFound, "error.not_found", "service_id", key(func(k *service.GatewayKey) { k.ServiceID = "x" })},
		"real traffic to a drill service": {engineer, fault.KindInvalid, "service.drill_key", "traffic_kind", key(func(k *service.GatewayKey) { k.ServiceID = b.drill.ID })},
		"test traffic to a drill service": {engineer, fault.KindInvalid, "service.drill_key", "traffic_kind", key(func(k *service.GatewayKey) { k.ServiceID, k.TrafficKind = b.drill.ID, "test" })},
		"key by an officer":               {officer, fault.KindForbidden, "identity.not_allowed", "", key(func(*service.GatewayKey) {})},
		"key of a real one by a seat":     {seat, fault.KindForbidden, "identity.other_drill", "", key(func(*service.GatewayKey) {})},
	} {
		b.refused(t, name, c.actor, c.kind, c.key, c.field, c.fn)
	}
	for name, fn := range map[string]func(*store.Tx) error{
		"operator": op(func(o *service.Operator) { o.Filings = `["x"]` }), "service": svc(func(*service.Service) {}), "object": obj(func(*service.AffectedObject) {}),
		"importance": imp(func(*service.Importance) {}), "key": key(func(*service.GatewayKey) {}), "drill key to a real service": key(func(k *service.GatewayKey) { k.TrafficKind = "drill" }),
	} {
		if err := b.try(engineer, fn); err != nil {
			t.Errorf("the control %s failed: %v", name, err)
		}
	}
	if err := b.try(seat, key(func(k *service.GatewayKey) { k.ServiceID, k.TrafficKind = b.drill.ID, "drill" })); err != nil {
		t.Error("a seat cannot use its own drill's service:", err)
	}
}

func TestAnUpstreamAddressIsAnAddressAndNothingMore(t *testing.T) {
	b := newBench(t)
	add := func(url string) func(*store.Tx) error {
		return func(tx *store.Tx) error {
			_, err := service.AddDeployment(ctx, tx, service.Deployment{ServiceID: b.real.ID, Name: "n", ModelVersion: "1", UpstreamURL: url, UpstreamModel: "u", Role: "primary"})
			return err
		}
	}
	for _, url := range []string{"x", "/v1", "//host/v1", "host:8000", "ftp://host/v1", "file:///etc/passwd", "http:///v1", "http://:8000/v1", "http://user@host/v1", "https://user:" + "x@host/v1",
		"http://host/v1?key=secret", "http://host/v1?", "http://host/v1#part", "http://host/v1#", "javascript:alert(1)", "http://[::1", "http://ho st/", "HTTP//host", "http://host/%zz", "unix:/run/x"} {
		b.refused(t, url, engineer, fault.KindInvalid, "service.bad_url", "upstream_url", add(url))
	}
	for _, url := range []string{"http://127.0.0.1:8000/v1", "https://model.example/v1/", "http://[::1]:8000/v1", "http://host"} {
		if err := b.try(engineer, add(url)); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	b.refused(t, "another's service", seat, fault.KindForbidden, "identity.other_drill", "", add("http://host"))
	for field, change := range map[string]func(*service.Deployment){
		"name": func(d *service.Deployment) { d.Name = "" }, "model_version": func(d *service.Deployment) { d.ModelVersion = "" }, "upstream_model": func(d *service.Deployment) { d.UpstreamModel = " " },
		"upstream_url": func(d *service.Deployment) { d.UpstreamURL = "" },
	} {
		d := service.Deployment{ServiceID: b.real.ID, Name: "n", ModelVersion: "1", UpstreamURL: "http://h", UpstreamModel: "u", Role: "backup"}
		change(&d)
		b.refused(t, field, engineer, fault.KindInvalid, "error.required", field, func(tx *store.Tx) error { _, err := service.AddDeployment(ctx, tx, d); return err })
	}
	list, err := service.List[service.Deployment](ctx, b.st.Read(), b.real.ID)
	if err != nil || len(list) != 4 || list[0].Route != "default" {
		t.Errorf("%d %v", len(list), err)
	}
}

// The importance at an instant is the newest statement at or before it, and there is none before the first.
func TestImportanceIsDated(t *testing.T) {
	levels := []string{"特别重要", "重要", "一般"}
	b := newBench(t)
	rapid.Check(t, func(r *rapid.T) {
		var object service.AffectedObject
		said := map[int64]string{}
		if err := b.try(engineer, func(tx *store.Tx) (err error) {
			if object, err = service.AddObject(ctx, tx, service.AffectedObject{ServiceID: b.real.ID, Kind: "model", Name: "n"}); err != nil {
				return err
			}
			for _, at := range rapid.SliceOfNDistinct(rapid.Int64Range(1, 40), 0, 6, rapid.ID).Draw(r, "times") {
				said[at] = rapid.SampledFrom(levels).Draw(r, "level")
				if _, err := service.SetImportance(ctx, tx, service.Importance{ObjectID: object.ID, Level: said[at], Ground: "g", FromMs: at}); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			r.Fatal(err)
		}
		want := ""
		for at := int64(0); at <= 41; at++ {
			if s, ok := said[at]; ok {
				want = s
			}
			got, err := service.ImportanceAt(ctx, b.st.Read(), object.ID, at)
			if got.Level != want || (want == "") != fault.Is(err, "error.not_found") || (want != "") != (err == nil) {
				r.Fatalf("at %d: %q %v, want %q", at, got.Level, err, want)
			}
		}
	})
	if err := b.try(engineer, func(tx *store.Tx) error {
		i, err := service.SetImportance(ctx, tx, service.Importance{ObjectID: b.object.ID, Level: "重要", Ground: "g"})
		if i.FromMs != tx.NowMs || i.SetBy != "engineer" {
			t.Errorf("%+v", i)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func TestAGatewayKeyIsShownOnceAndKeptAsAHash(t *testing.T) {
	b := newBench(t)
	var k service.GatewayKey
	var clear string
	if err := b.try(engineer, func(tx *store.Tx) (err error) {
		k, clear, err = service.IssueKey(ctx, tx, service.GatewayKey{ServiceID: b.real.ID, Tenant: "t", UserGroup: "g", TrafficKind: "real", OperatorID: "forged", Hash: "forged"})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if k.OperatorID != b.operator.ID || k.Hash != service.HashKey(clear) || clear[:4] != "fsk-" || len(clear) < 40 {
		t.Errorf("%+v", k)
	}
	files := storetest.Files(t, b.dir)
	found := false
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(raw, []byte(clear[4:])) {
			t.Error("the key is in", filepath.Base(f))
		}
		found = found || bytes.Contains(raw, []byte(k.Hash))
	}
	if !found {
		t.Error("the search finds nothing at all")
	}
}
