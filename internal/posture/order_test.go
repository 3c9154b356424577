package posture

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func order(id string, seq int64, rung Rung, change ...func(*Order)) Order {
	o := Order{ID: id, Seq: seq, Kind: Real, Rung: rung, Scope: Scope{ServiceID: "svc1"}, IssuedMs: 1, State: InForce}
	switch rung {
	case TopicBlock:
		o.Params.TopicIDs = []string{"gossip"}
	case BackupModel:
		o.Params.BackupID = "d2"
	}
	for _, c := range change {
		c(&o)
	}
	return o
}

func TestEveryRungHasOneOfTheGuidesThreeMeasures(t *testing.T) {
	want := map[Rung]Tag{StrictFilter: Adjust, BackupModel: Adjust, TopicBlock: Restrict, AudienceLimit: Restrict, ServiceOffline: Offline, "other": ""}
	for r, tag := range want {
		if r.Tag() != tag {
			t.Errorf("%s: %s", r, r.Tag())
		}
	}
}

func TestEffectiveMergesOrders(t *testing.T) {
	ask := Request{ServiceID: "svc1", DeploymentID: "d1", Route: "demo", TenantID: "ten1", Group: "public", Subject: "aa", Kind: Real}
	scope := func(s Scope) func(*Order) { return func(o *Order) { s.ServiceID = "svc1"; o.Scope = s } }
	groups := func(g ...string) func(*Order) { return func(o *Order) { o.Params.AllowedGroups = g } }
	backup := func(id string) func(*Order) { return func(o *Order) { o.Params.BackupID = id } }
	notice := func(s string) func(*Order) { return func(o *Order) { o.Params.Notice.ZH = s } }
	drill := func(o *Order) { o.Kind = Drill }
	lifted := func(o *Order) { o.State = Lifted }
	for _, c := range []struct {
		name   string
		orders []Order
		req    func(*Request)
		want   Decision
	}{
		{"no order changes nothing", nil, nil, Decision{DeploymentID: "d1"}},
		{"strict filter adds the strict set", []Order{order("a", 1, StrictFilter)}, nil,
			Decision{Strict: true, DeploymentID: "d1", OrderIDs: []string{"a"}}},
		{"strict filter and topic block add up", []Order{order("b", 2, TopicBlock), order("a", 1, StrictFilter)}, nil,
			Decision{Strict: true, Topics: []string{"gossip"}, DeploymentID: "d1", OrderIDs: []string{"a", "b"}}},
		{"offline beats all others and the latest notice is shown",
			[]Order{order("a", 1, ServiceOffline, notice("old")), order("b", 2, ServiceOffline, notice("new")), order("c", 3, BackupModel)}, nil,
			Decision{Offline: true, DeploymentID: "d1", Notice: Text{ZH: "new"}, DecidedBy: "b", OrderIDs: []string{"a", "b", "c"}}},
		{"a lifted order does not bind", []Order{order("a", 1, ServiceOffline, lifted)}, nil, Decision{DeploymentID: "d1"}},
		{"an order past its expiry binds until control lifts it", []Order{order("a", 1, StrictFilter, func(o *Order) { o.ExpiresMs = 2 })}, nil,
			Decision{Strict: true, DeploymentID: "d1", OrderIDs: []string{"a"}}},
		{"another service is not touched", []Order{order("a", 1, ServiceOffline, func(o *Order) { o.Scope.ServiceID = "svc2" })}, nil, Decision{DeploymentID: "d1"}},
		{"a drill order does not bind real traffic", []Order{order("a", 1, ServiceOffline, drill)}, nil, Decision{DeploymentID: "d1"}},
		{"a drill order does not bind test traffic", []Order{order("a", 1, ServiceOffline, drill)}, func(r *Request) { r.Kind = Test }, Decision{DeploymentID: "d1"}},
		{"a drill order binds drill traffic", []Order{order("a", 1, ServiceOffline, drill)}, func(r *Request) { r.Kind = Drill },
			Decision{Offline: true, DeploymentID: "d1", DecidedBy: "a", OrderIDs: []string{"a"}}},
		{"a real order binds drill traffic too", []Order{order("a", 1, StrictFilter)}, func(r *Request) { r.Kind = Drill },
			Decision{Strict: true, DeploymentID: "d1", OrderIDs: []string{"a"}}},
		{"audience limit serves an allowed group", []Order{order("a", 1, AudienceLimit, groups("public", "staff"))}, nil,
			Decision{DeploymentID: "d1", OrderIDs: []string{"a"}}},
		{"audience limit without groups serves nobody", []Order{order("a", 1, AudienceLimit)}, nil,
			Decision{Limited: true, DeploymentID: "d1", DecidedBy: "a", OrderIDs: []string{"a"}}},
		{"two audience limits serve only whom both allow", []Order{order("a", 1, AudienceLimit, groups("public", "staff")), order("b", 2, AudienceLimit, groups("staff"))}, nil,
			Decision{Limited: true, DeploymentID: "d1", DecidedBy: "b", OrderIDs: []string{"a", "b"}}},
		{"offline hides an audience limit", []Order{order("a", 1, AudienceLimit), order("b", 2, ServiceOffline)}, nil,
			Decision{Offline: true, Limited: true, DeploymentID: "d1", DecidedBy: "b", OrderIDs: []string{"a", "b"}}},
		{"backup model changes the deployment", []Order{order("a", 1, BackupModel)}, nil, Decision{DeploymentID: "d2", OrderIDs: []string{"a"}}},
		{"the latest of two backups wins", []Order{order("z", 1, BackupModel, backup("d2")), order("a", 2, BackupModel, backup("d3"))}, nil,
			Decision{DeploymentID: "d3", OrderIDs: []string{"a", "z"}}},
		{"the latest of two backups for one deployment wins", []Order{order("z", 1, BackupModel, backup("d2"), scope(Scope{DeploymentID: "d1"})), order("a", 2, BackupModel, backup("d3"), scope(Scope{DeploymentID: "d1"}))}, nil,
			Decision{DeploymentID: "d3", OrderIDs: []string{"a", "z"}}},
		{"orders on the backup bind once it answers", []Order{order("a", 1, BackupModel, scope(Scope{DeploymentID: "d1"})), order("b", 2, ServiceOffline, scope(Scope{DeploymentID: "d2"}))}, nil,
			Decision{Offline: true, DeploymentID: "d2", DecidedBy: "b", OrderIDs: []string{"a", "b"}}},
		{"backups in a circle leave nobody, which is offline",
			[]Order{order("a", 1, BackupModel, scope(Scope{DeploymentID: "d1"})), order("b", 2, BackupModel, backup("d1"), scope(Scope{DeploymentID: "d2"}))}, nil,
			Decision{Offline: true, DeploymentID: "d1", DecidedBy: "b", OrderIDs: []string{"a", "b"}}},
		{"tenant scope", []Order{order("a", 1, StrictFilter, scope(Scope{TenantID: "other"}))}, nil, Decision{DeploymentID: "d1"}},
		{"group scope", []Order{order("a", 1, StrictFilter, scope(Scope{Group: "public"}))}, nil, Decision{Strict: true, DeploymentID: "d1", OrderIDs: []string{"a"}}},
		{"route scope", []Order{order("a", 1, StrictFilter, scope(Scope{Route: "demo-2"}))}, nil, Decision{DeploymentID: "d1"}},
		{"subject scope", []Order{order("a", 1, ServiceOffline, scope(Scope{Subject: "aa"}))}, nil,
			Decision{Offline: true, DeploymentID: "d1", DecidedBy: "a", OrderIDs: []string{"a"}}},
		{"an unknown subject is in no subject scope", []Order{order("a", 1, ServiceOffline, scope(Scope{Subject: "aa"}))}, func(r *Request) { r.Subject = "" }, Decision{DeploymentID: "d1"}},
		{"a rung this build does not know is read as the strongest", []Order{order("a", 1, "freeze")}, nil,
			Decision{Offline: true, DeploymentID: "d1", DecidedBy: "a", OrderIDs: []string{"a"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := ask
			if c.req != nil {
				c.req(&r)
			}
			if got := Effective(c.orders, r); !reflect.DeepEqual(got, c.want) {
				t.Fatalf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestAddingAnOrderNeverLoosensAndListOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gen := rapid.Custom(func(t *rapid.T) Order {
			o := order(rapid.StringMatching(`[a-f]`).Draw(t, "id"), rapid.Int64Range(1, 9).Draw(t, "seq"),
				rapid.SampledFrom([]Rung{StrictFilter, TopicBlock, AudienceLimit, BackupModel, ServiceOffline}).Draw(t, "rung"))
			o.Scope.DeploymentID = rapid.SampledFrom([]string{"", "d1", "d2", "d3"}).Draw(t, "dep")
			o.Params.BackupID = rapid.SampledFrom([]string{"d1", "d2", "d3"}).Draw(t, "backup")
			o.Params.AllowedGroups = rapid.SampledFrom([][]string{nil, {"public"}, {"staff"}}).Draw(t, "groups")
			return o
		})
		orders := rapid.SliceOfNDistinct(gen, 0, 6, func(o Order) string { return o.ID }).Draw(t, "orders")
		r := Request{ServiceID: "svc1", DeploymentID: "d1", Group: "public", Kind: Real}
		before := Effective(orders, r)
		shuffled := slices.Clone(orders)
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if after := Effective(shuffled, r); after.Offline != before.Offline || after.Limited != before.Limited || after.Strict != before.Strict || after.DecidedBy != before.DecidedBy {
			t.Fatalf("order of the list matters: %+v / %+v", before, after)
		}
		// Anything that is not about which deployment answers can only tighten.
		more := gen.Filter(func(o Order) bool { return o.Rung != BackupModel }).Draw(t, "more")
		after := Effective(append(slices.Clone(orders), more), r)
		if before.Offline && !after.Offline || before.Limited && !after.Limited && !after.Offline || before.Strict && !after.Strict && !after.Offline {
			t.Fatalf("%+v loosened %+v to %+v", more, before, after)
		}
	})
}

func TestAnOrderThatMakesNoSenseIsRefusedWithItsField(t *testing.T) {
	for _, c := range []struct {
		name  string
		o     Order
		field string
	}{
		{"no id", order("", 1, StrictFilter), "order.id"},
		{"no seq", order("a", 0, StrictFilter), "order.seq"},
		{"kind", order("a", 1, StrictFilter, func(o *Order) { o.Kind = "play" }), "order.kind"},
		{"rung", order("a", 1, "freeze"), "order.rung"},
		{"state", order("a", 1, StrictFilter, func(o *Order) { o.State = "" }), "order.state"},
		{"service", order("a", 1, StrictFilter, func(o *Order) { o.Scope.ServiceID = "" }), "order.scope.service_id"},
		{"expiry in the past", order("a", 1, StrictFilter, func(o *Order) { o.IssuedMs = 5; o.ExpiresMs = 5 }), "order.expires_ms"},
		{"topic block without topics", order("a", 1, TopicBlock, func(o *Order) { o.Params.TopicIDs = nil }), "order.params.topic_ids"},
		{"backup without deployment", order("a", 1, BackupModel, func(o *Order) { o.Params.BackupID = "" }), "order.params.backup_id"},
		{"backup to itself", order("a", 1, BackupModel, func(o *Order) { o.Scope.DeploymentID = "d2" }), "order.params.backup_id"},
		{"offline that lapses by itself", order("a", 1, ServiceOffline, func(o *Order) { o.ExpiresMs = 99 }), "order.expires_ms"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.o.Check(); field(err) != c.field {
				t.Fatalf("got %v, want field %s", err, c.field)
			}
			if _, err := c.o.Sign(testKey(1)); err == nil {
				t.Fatal("signed all the same")
			}
		})
	}
	ok := order("a", 1, StrictFilter, func(o *Order) { o.ExpiresMs = 10 })
	if err := ok.Check(); err != nil || ok.Lapsed(9) || !ok.Lapsed(10) {
		t.Fatal("control row", err)
	}
}
