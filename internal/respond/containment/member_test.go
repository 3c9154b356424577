package containment_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/containment"
)

var engineer = store.Actor{ID: "engineer", Roles: []string{"safety_engineer"}}

func (b *bench) token(t *testing.T, name string) string {
	t.Helper()
	var token string
	b.do(t, engineer, func(tx *store.Tx) (err error) { _, token, err = b.control.IssueJoin(ctx, tx, name, 0); return err })
	return token
}

func (b *bench) enrol(token, credential string) (m containment.Member, err error) {
	err = b.try(store.System("enrol"), func(tx *store.Tx) error {
		m, err = b.control.Enrol(ctx, tx, token, containment.Enrolment{Credential: credential, PublicKey: base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{9}, 32)), URL: "https://edge.example.com:8081/", Makes: b.makes})
		return err
	})
	return m, err
}

func credential(c string) string { return strings.Repeat(c, 43) }

func TestAJoinTokenLetsOneGatewayInOnce(t *testing.T) {
	b := newBench(t)
	token := b.token(t, "edge-1")
	if !strings.HasSuffix(token, "."+b.control.Fingerprint()) {
		t.Error("the token does not name control's key")
	}
	if _, err := b.enrol(token+"x", credential("a")); !fault.Is(err, "containment.join_refused") {
		t.Error(err)
	}
	m, err := b.enrol(token, credential("a"))
	if err != nil || m.ID != "edge-1" || m.URL != "https://edge.example.com:8081" {
		t.Fatal(m, err)
	}
	if again, err := b.enrol(token, credential("a")); err != nil || again.ID != m.ID {
		t.Errorf("a gateway that did not hear the answer is shut out: %v", err)
	}
	if _, err := b.enrol(token, credential("b")); !fault.Is(err, "containment.join_refused") {
		t.Errorf("a second gateway came in by a used token: %v", err)
	}
	if got, err := containment.Authenticate(ctx, b.st.Read(), credential("a")); err != nil || got.ID != "edge-1" {
		t.Error(got, err)
	}
	if _, err := containment.Authenticate(ctx, b.st.Read(), credential("b")); !fault.Is(err, "containment.gateway_unknown") {
		t.Error(err)
	}
	if s := b.actions(); !strings.Contains(s, "gateway.invite gateway.join") {
		t.Error(s)
	}
}

func TestAJoinTokenIsRefusedWhereItShouldNotBeGiven(t *testing.T) {
	b := newBench(t)
	issue := func(a store.Actor, name string, life time.Duration) error {
		return b.try(a, func(tx *store.Tx) error {
			_, _, err := b.control.IssueJoin(ctx, tx, name, life.Milliseconds())
			return err
		})
	}
	b.do(t, rule, func(tx *store.Tx) error {
		_, err := tx.Exec("INSERT INTO gateway (id, revision, last_seen_ms, effective) VALUES ('gateway-1', 1, 1, TRUE)")
		return err
	})
	for name, c := range map[string]struct {
		err  error
		kind fault.Kind
	}{
		"an officer":               {issue(officer, "e", 0), fault.KindForbidden},
		"a drill's stand-in":       {issue(store.Actor{ID: "s", Roles: []string{"safety_engineer"}, Drill: "d1"}, "e", 0), fault.KindForbidden},
		"a name with a slash":      {issue(engineer, "e/1", 0), fault.KindInvalid},
		"more than two weeks":      {issue(engineer, "e", 15*24*time.Hour), fault.KindInvalid},
		"the name of this process": {issue(engineer, "gateway-1", 0), fault.KindConflict},
	} {
		if fault.KindOf(c.err) != c.kind {
			t.Errorf("%s: %v", name, c.err)
		}
	}
	token := b.token(t, "edge-1")
	b.clock.Advance(14*24*time.Hour + time.Second)
	if _, err := b.enrol(token, credential("a")); !fault.Is(err, "containment.join_refused") {
		t.Errorf("after two weeks: %v", err)
	}
}

// effective gives what the gateway list shows, and whether it is there.
func (b *bench) effective(t *testing.T, id string) (effective, there bool) {
	t.Helper()
	all, err := containment.Gateways(ctx, b.st.Read())
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range all {
		if g.ID == id {
			return g.Effective, true
		}
	}
	return false, false
}

func TestALeaseEndsByTheStoresClockIsPagedOnceAndComesBack(t *testing.T) {
	b := newBench(t)
	b.refresh(t)
	if _, err := b.enrol(b.token(t, "edge-1"), credential("a")); err != nil {
		t.Fatal(err)
	}
	d := containment.NewDistributor(b.st, b.control, containment.DistributorOptions{})
	run(t, d)
	until(t, "a bundle", func() bool { m, _ := d.Latest(); return m != nil })
	m, _ := d.Latest()
	leases := containment.NewLeases(b.st, b.control, nil)
	if e, there := b.effective(t, "edge-1"); e || !there {
		t.Fatal("effective before it obeys anything")
	}
	for what, ack := range map[string]containment.Ack{"revision": {Epoch: m.Epoch, Revision: m.Revision + 1}, "epoch": {Epoch: m.Epoch + 1, Revision: 1}} {
		if err := d.Obeyed(ctx, "edge-1", ack); !fault.Is(err, "gatelink.behind") {
			t.Errorf("a later %s, which another node may know: %v", what, err)
		}
	}
	if err := d.Obeyed(ctx, "edge-1", containment.Ack{Epoch: m.Epoch, Revision: m.Revision, AtMs: clock.Ms(b.clock)}); err != nil {
		t.Fatal(err)
	}
	if e, _ := b.effective(t, "edge-1"); !e {
		t.Fatal("not effective after its acknowledgement")
	}
	run(t, leases)
	for range 3 { // heard of within the lease
		b.clock.Advance(10 * time.Second)
		leases.Seen("edge-1", m.Revision, "v1", 0, containment.Report{Streams: 7, SpoolBytes: 1000})
		heard := clock.Ms(b.clock)
		until(t, "the lease", func() bool {
			b.clock.Advance(10 * time.Millisecond) // the keeper may not wait for the clock yet
			all, err := containment.Members(ctx, b.st.Read(), officer)
			return err == nil && all[0].LeaseUntilMs == heard+containment.LeaseMs && all[0].Streams == 7 && all[0].SpoolBytes == 1000
		})
	}
	if e, _ := b.effective(t, "edge-1"); !e || b.pager.keys() != "" {
		t.Fatal("lost while in contact", b.pager.keys())
	}
	b.clock.Advance(15 * time.Second)
	until(t, "the loss", func() bool {
		b.clock.Advance(10 * time.Millisecond) // the keeper may have looked before and wait since
		e, _ := b.effective(t, "edge-1")
		return !e
	})
	for range 3 {
		b.clock.Advance(2 * time.Second)
		time.Sleep(20 * time.Millisecond)
	}
	if b.pager.keys() != "containment.page_gateway_lost" {
		t.Errorf("pages: %q", b.pager.keys())
	}
	leases.Seen("edge-1", 0, "v1", 0, containment.Report{}) // in touch, behind
	behind := clock.Ms(b.clock)
	until(t, "the contact", func() bool {
		b.clock.Advance(10 * time.Millisecond)
		all, err := containment.Members(ctx, b.st.Read(), officer)
		return err == nil && all[0].LeaseUntilMs == behind+containment.LeaseMs
	})
	if e, _ := b.effective(t, "edge-1"); e {
		t.Error("a gateway that obeys something older counts as effective")
	}
	leases.Seen("edge-1", m.Revision, "v1", 0, containment.Report{Streams: 7, SpoolBytes: 1000})
	until(t, "it to come back", func() bool { b.clock.Advance(time.Second); e, _ := b.effective(t, "edge-1"); return e })
}

// A gateway may have been cut off between obeying an order and saying so, and find control gone on elsewhere when it is back.
func TestWhatAGatewayObeyedBeforeAnEpochIsNotedButSaysNothingOfToday(t *testing.T) {
	b := newBench(t)
	b.refresh(t)
	if _, err := b.enrol(b.token(t, "edge-1"), credential("a")); err != nil {
		t.Fatal(err)
	}
	o := b.issue(t, officer, strict(containment.FromIncident, "i1"))
	d := containment.NewDistributor(b.st, b.control, containment.DistributorOptions{})
	run(t, d)
	until(t, "a bundle", func() bool { m, _ := d.Latest(); return m != nil })
	m, _ := d.Latest()
	old := containment.Ack{Epoch: m.Epoch - 1, Revision: m.Revision + 7, OrderIDs: []string{o.ID, "an order of a lost database"}, StreamsCut: 3, AtMs: clock.Ms(b.clock)}
	for range 2 { // it may say so again
		if err := d.Obeyed(ctx, "edge-1", old); err != nil {
			t.Fatal(err)
		}
	}
	s := b.status(t, o.ID)
	if len(s.Acks) != 1 || s.Acks[0].StreamsCut != 3 || s.Acks[0].Revision != old.Revision {
		t.Errorf("acknowledgements: %+v", s.Acks)
	}
	if e, _ := b.effective(t, "edge-1"); e || s.Acknowledged {
		t.Error("what was obeyed in another epoch counts as obeyed today")
	}
	if err := d.Obeyed(ctx, "edge-1", containment.Ack{Epoch: m.Epoch, Revision: m.Revision, OrderIDs: []string{o.ID}, AtMs: clock.Ms(b.clock)}); err != nil {
		t.Fatal(err)
	}
	if s = b.status(t, o.ID); !s.Acknowledged || s.Acks[0].StreamsCut != 3 {
		t.Errorf("after today's: %+v", s)
	}
}

func TestAControlThatWasDownGivesGatewaysALeasesTimeBeforeItPages(t *testing.T) {
	b := newBench(t)
	b.refresh(t)
	if _, err := b.enrol(b.token(t, "edge-1"), credential("a")); err != nil {
		t.Fatal(err)
	}
	b.do(t, rule, func(tx *store.Tx) error {
		_, err := tx.Exec("UPDATE gateway SET effective = TRUE WHERE id = 'edge-1'")
		return err
	})
	b.clock.Advance(time.Hour) // nobody was there to renew anything
	run(t, containment.NewLeases(b.st, b.control, nil))
	for range 5 {
		b.clock.Advance(2 * time.Second)
		time.Sleep(20 * time.Millisecond)
	}
	if e, _ := b.effective(t, "edge-1"); !e || b.pager.keys() != "" {
		t.Errorf("paged at once: %q", b.pager.keys())
	}
	until(t, "the loss", func() bool { b.clock.Advance(time.Second); e, _ := b.effective(t, "edge-1"); return !e })
}

// Another control node holds it; when that node is killed nobody notes its gateway any more.
func TestAGatewayInAControlNodeThatFellSilentIsShownAndPagedOnce(t *testing.T) {
	b := newBench(t)
	b.refresh(t)
	d := containment.NewDistributor(b.st, b.control, containment.DistributorOptions{}, b.gate("here"))
	run(t, d)
	until(t, "its own gateway", func() bool { e, _ := b.effective(t, "here"); return e })
	b.do(t, rule, func(tx *store.Tx) error {
		_, err := tx.Exec("INSERT INTO gateway (id, revision, last_seen_ms, effective) VALUES ('there', 1, ?, TRUE)", tx.NowMs)
		return err
	})
	run(t, containment.NewLeases(b.st, b.control, nil))
	began := clock.Ms(b.clock)
	step := func() (lost bool) {
		all, err := containment.Gateways(ctx, b.st.Read())
		if err != nil {
			t.Fatal(err)
		}
		if all[0].LastSeenMs > clock.Ms(b.clock)-12_000 { // the clock does not outrun who beats every ten seconds
			b.clock.Advance(500 * time.Millisecond)
		}
		return !all[1].Effective
	}
	until(t, "the loss", step)
	if after := clock.Ms(b.clock) - began; after < 30_000 {
		t.Errorf("lost after %d ms", after)
	}
	lost := clock.Ms(b.clock)
	until(t, "twenty seconds more", func() bool { step(); return clock.Ms(b.clock) > lost+20_000 })
	if e, _ := b.effective(t, "here"); !e || b.pager.keys() != "containment.page_gateway_lost" {
		t.Errorf("the gateway of this node: %v; pages: %q", e, b.pager.keys())
	}
}

func TestOrdersNoLongerWaitForARevokedGateway(t *testing.T) {
	b := newBench(t)
	if _, err := b.enrol(b.token(t, "edge-1"), credential("a")); err != nil {
		t.Fatal(err)
	}
	o := b.issue(t, officer, strict(containment.FromIncident, "i1"))
	if s := b.status(t, o.ID); len(s.Missing) != 1 {
		t.Fatalf("%+v", s)
	}
	if err := b.try(officer, func(tx *store.Tx) error { return b.control.RevokeGateway(ctx, tx, "edge-1") }); fault.KindOf(err) != fault.KindForbidden {
		t.Error(err)
	}
	b.do(t, engineer, func(tx *store.Tx) error { return b.control.RevokeGateway(ctx, tx, "edge-1") })
	if s := b.status(t, o.ID); len(s.Missing) != 0 {
		t.Errorf("%+v", s)
	}
	if _, err := containment.Authenticate(ctx, b.st.Read(), credential("a")); !fault.Is(err, "containment.gateway_revoked") {
		t.Error(err)
	}
	if err := containment.StillMember(ctx, b.st.Read(), "edge-1"); !fault.Is(err, "containment.gateway_revoked") {
		t.Error(err)
	}
	d := containment.NewDistributor(b.st, b.control, containment.DistributorOptions{})
	run(t, d)
	b.refresh(t)
	until(t, "a bundle", func() bool { m, _ := d.Latest(); return m != nil })
	m, _ := d.Latest()
	if err := d.Obeyed(ctx, "edge-1", containment.Ack{Epoch: m.Epoch, Revision: m.Revision}); !fault.Is(err, "containment.gateway_revoked") {
		t.Errorf("a revoked gateway acknowledges: %v", err)
	}
	if _, there := b.effective(t, "edge-1"); there {
		t.Error("it is back in the list")
	}
}

// Any control node may serve any gateway, so that of one revision there must not be two.
func TestTwoControlNodesMakeTheSameBytesOfOneRevision(t *testing.T) {
	b := newBench(t)
	b.refresh(t)
	b.issue(t, officer, strict(containment.FromIncident, "i1"))
	one, _ := b.bundle(t)
	first := b.control
	b.clock.Advance(time.Hour)
	other, err := containment.New(containment.Options{Key: b.key, ProbeSecret: []byte(strings.Repeat("p", 32)), Pager: b.pager, Review: b.desk, Level: nil, Notices: nil})
	if err == nil || other != nil {
		t.Fatal("a control without its parts")
	}
	b.open(t) // another node on the same database
	two, _ := b.bundle(t)
	if first == b.control || one.Revision != two.Revision || !bytes.Equal(one.Signed.Payload, two.Signed.Payload) || !bytes.Equal(one.Signed.Signature, two.Signed.Signature) {
		t.Error("two nodes, two bundles of one revision")
	}
}

func TestAGatewayOfANodeThatIsGoneIsForgottenAndOneThatServesIsNot(t *testing.T) {
	b := newBench(t)
	b.do(t, rule, func(tx *store.Tx) error {
		_, err := tx.Exec("INSERT INTO gateway (id, revision, last_seen_ms, effective) VALUES ('gateway-1', 1, ?, TRUE)", tx.NowMs)
		return err
	})
	revoke := func() error {
		return b.try(engineer, func(tx *store.Tx) error { return b.control.RevokeGateway(ctx, tx, "gateway-1") })
	}
	if err := revoke(); !fault.Is(err, "containment.gateway_serves") {
		t.Errorf("while it serves: %v", err)
	}
	b.clock.Advance(31 * time.Second)
	if err := revoke(); err != nil {
		t.Fatal(err)
	}
	if _, there := b.effective(t, "gateway-1"); there {
		t.Error("orders wait for it still")
	}
	if err := revoke(); fault.KindOf(err) != fault.KindNotFound {
		t.Errorf("a second time: %v", err)
	}
}

func TestALeaseLeftOfAClockThatWasAheadEndsWithinALeasesTime(t *testing.T) {
	b := newBench(t)
	b.refresh(t)
	if _, err := b.enrol(b.token(t, "edge-1"), credential("a")); err != nil {
		t.Fatal(err)
	}
	b.do(t, rule, func(tx *store.Tx) error {
		ahead := tx.NowMs + time.Hour.Milliseconds()
		if _, err := tx.Exec("UPDATE gateway SET effective = TRUE, last_seen_ms = ? WHERE id = 'edge-1'", ahead); err != nil {
			return err
		}
		_, err := tx.Exec("UPDATE gateway_member SET lease_until_ms = ? WHERE id = 'edge-1'", ahead)
		return err
	})
	run(t, containment.NewLeases(b.st, b.control, nil))
	began := b.clock.Now()
	until(t, "the loss", func() bool { b.clock.Advance(time.Second); e, _ := b.effective(t, "edge-1"); return !e })
	if d := b.clock.Now().Sub(began); d > 10*time.Minute {
		t.Errorf("it was missed after %s", d)
	}
}

// leased is a bench with a gateway apart, edge-1, and its leases.
func leased(t *testing.T) (*bench, *containment.Leases) {
	t.Helper()
	b := newBench(t)
	b.refresh(t)
	if _, err := b.enrol(b.token(t, "edge-1"), credential("a")); err != nil {
		t.Fatal(err)
	}
	leases := containment.NewLeases(b.st, b.control, nil)
	run(t, leases)
	return b, leases
}

func TestAGatewayWhoseDiskDoesNotTakeItsOrdersIsPagedOnceEachTime(t *testing.T) {
	b, leases := leased(t)
	for i, unkept := range []bool{false, true, true, false, true} {
		streams := int64(i + 1)
		leases.Seen("edge-1", 0, "v1", 0, containment.Report{Streams: streams, Unkept: unkept})
		until(t, "the report", func() bool {
			b.clock.Advance(10 * time.Millisecond)
			all, err := containment.Members(ctx, b.st.Read(), officer)
			return err == nil && all[0].Streams == streams && all[0].Unkept == unkept
		})
		want := []int{0, 1, 1, 1, 2}[i]
		if got := strings.Count(b.pager.keys(), "containment.page_gateway_unkept"); got != want {
			t.Errorf("report %d: %d pages, want %d", i, got, want)
		}
	}
}
