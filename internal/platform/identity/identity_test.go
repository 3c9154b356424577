package identity_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
)

var (
	ctx       = context.Background()
	security  = store.Actor{ID: "security", Roles: []string{"security_admin"}}
	officer   = store.Actor{ID: "officer", Roles: []string{"duty_officer"}}
	second    = store.Actor{ID: "second", Roles: []string{"duty_officer"}}
	commander = store.Actor{ID: "commander", Roles: []string{"commander"}}
	auditor   = store.Actor{ID: "auditor", Roles: []string{"auditor"}}
	standIn   = store.Actor{ID: "stand-in", Roles: []string{"duty_officer", "security_admin"}, Drill: "d1"}
)

type ledger struct{ entries []store.Entry }

func (l *ledger) Append(_ context.Context, _ bun.Tx, _ int64, e []store.Entry) error {
	l.entries = append(l.entries, e...)
	return nil
}

type bench struct {
	dir    string
	st     *store.Store
	clock  *clock.Fake
	ledger *ledger
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{dir: t.TempDir(), clock: clock.NewFake(time.Date(2026, 12, 31, 15, 59, 0, 0, time.UTC)), ledger: &ledger{}}
	var err error
	if b.st, err = store.Open(ctx, storetest.With(t, store.Options{Dir: b.dir, Clock: b.clock, Recorder: b.ledger})); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.st.Close() })
	return b
}

func (b *bench) try(a store.Actor, fn func(tx *store.Tx) error) error { return b.st.Write(ctx, a, fn) }

func (b *bench) person(a store.Actor, drill string, roles ...string) (p identity.Person, err error) {
	err = b.try(a, func(tx *store.Tx) (err error) {
		p, err = identity.AddPerson(ctx, tx, " 甲 ", roles, drill)
		return err
	})
	return p, err
}

func (b *bench) token(a store.Actor, person string, lifetime time.Duration) (clear string, err error) {
	err = b.try(a, func(tx *store.Tx) (err error) {
		token, id, err := identity.IssueToken(ctx, tx, person, "l", lifetime.Milliseconds())
		clear = token
		if err != nil || a.IsSystem() {
			return err
		}
		return identity.SettleToken(ctx, tx, id, true) // as a second person would
	})
	return clear, err
}

func TestATokenThatOnePersonIssuedIsGoodWhenAnotherHasConfirmedIt(t *testing.T) {
	b := newBench(t)
	p, err := b.person(security, "", "engineer")
	if err != nil {
		t.Fatal(err)
	}
	issue := func(a store.Actor) (token, id string) {
		t.Helper()
		if err := b.try(a, func(tx *store.Tx) error {
			var err error
			token, id, err = identity.IssueToken(ctx, tx, p.ID, "l", 0)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return token, id
	}
	settle := func(id string, approve bool) error {
		return b.try(security, func(tx *store.Tx) error { return identity.SettleToken(ctx, tx, id, approve) })
	}
	token, id := issue(security)
	if _, err := b.who(token); !fault.Is(err, "identity.bad_token") {
		t.Errorf("good before it was confirmed: %v", err)
	}
	if err := settle(id, true); err != nil {
		t.Fatal(err)
	}
	if _, err := b.who(token); err != nil {
		t.Errorf("not good after it was confirmed: %v", err)
	}
	token, id = issue(security)
	if err := settle(id, false); err != nil {
		t.Fatal(err)
	}
	if err := settle(id, true); !fault.Is(err, "identity.token_revoked") {
		t.Errorf("confirmed after it was rejected: %v", err)
	}
	if _, err := b.who(token); err == nil {
		t.Error("good after it was rejected")
	}
	if token, _ = issue(store.System("first-start")); func() error { _, err := b.who(token); return err }() != nil {
		t.Error("one of a first start waits")
	}
}

func (b *bench) who(token string) (store.Actor, error) {
	return identity.Authenticate(ctx, b.st.Read(), clock.Ms(b.clock), token)
}

func (b *bench) exec(t testing.TB, query string, args ...any) {
	t.Helper()
	if err := b.try(store.System("test"), func(tx *store.Tx) error { _, err := tx.Exec(query, args...); return err }); err != nil {
		t.Fatal(err)
	}
}

func TestATokenStandsForItsPersonUntilSomethingEndsIt(t *testing.T) {
	b := newBench(t)
	p, err := b.person(security, "", "duty_officer", "engineer")
	if err != nil || p.Name != "甲" || !p.Active {
		t.Fatalf("%+v %v", p, err)
	}
	lasting, err := b.token(security, p.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	short, err := b.token(security, p.ID, time.Hour)
	if err != nil || short == lasting || !strings.HasPrefix(short, "fst-") {
		t.Fatal(short, err)
	}
	a, err := b.who(lasting)
	if err != nil || a.ID != p.ID || !slices.Equal(a.Roles, []string{"duty_officer", "engineer"}) || a.Drill != "" || a.IsSystem() {
		t.Fatalf("%+v %v", a, err)
	}
	bad := func(what, token string) {
		t.Helper()
		if a, err := b.who(token); !fault.Is(err, "identity.bad_token") || fault.KindOf(err) != fault.KindUnauthenticated || a.ID != "" || len(a.Roles) > 0 {
			t.Errorf("%s: %+v %v", what, a, err)
		}
	}
	for what, token := range map[string]string{"nothing": "", "prefix only": "fst-", "another case": strings.ToUpper(lasting), "a space more": lasting + " ", "cut": lasting[:len(lasting)-1],
		"the hash": "x", "a quote": "' OR '1'='1", "a wildcard": "%"} {
		bad(what, token)
	}
	b.clock.Advance(time.Hour - time.Millisecond)
	if _, err := b.who(short); err != nil {
		t.Error("a millisecond before its end:", err)
	}
	b.clock.Advance(time.Millisecond)
	bad("expired", short)
	if _, err := b.who(lasting); err != nil {
		t.Error(err)
	}
	b.exec(t, "UPDATE token SET revoked_ms = 1 WHERE expires_ms = 0")
	bad("revoked", lasting)
	b.exec(t, "UPDATE token SET revoked_ms = 0")
	b.exec(t, "UPDATE person SET active = FALSE")
	bad("of who has left", lasting)
	if _, err := b.token(security, p.ID, 0); !fault.Is(err, "error.not_found") {
		t.Error("who has left gets a token:", err)
	}
	b.exec(t, "UPDATE person SET active = TRUE")
	if _, err := b.who(lasting); err != nil {
		t.Error("the control failed:", err)
	}
	b.st.Close()
	if _, err := b.who(lasting); fault.KindOf(err) != fault.KindInternal {
		t.Error("a database that does not answer is told as a bad token:", err)
	}
}

func TestATokenIsNowhereOnDisk(t *testing.T) {
	b := newBench(t)
	p, err := b.person(security, "", "duty_officer")
	if err != nil {
		t.Fatal(err)
	}
	token, err := b.token(security, p.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, f := range storetest.Files(t, b.dir) {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(raw, []byte(token[4:])) {
			t.Error("the token is in", filepath.Base(f))
		}
		found = found || bytes.Contains(raw, []byte(p.ID))
	}
	if !found {
		t.Error("the search finds nothing at all")
	}
	for _, e := range b.ledger.entries {
		if strings.Contains(asText(e.Content), token[4:]) {
			t.Error("the record holds the token")
		}
	}
}

func TestPersonsAreAddedByWhoMayAndAsTheyMayBe(t *testing.T) {
	b := newBench(t)
	for name, c := range map[string]struct {
		actor store.Actor
		drill string
		roles []string
		key   string
	}{
		"no role":                        {security, "", nil, "error.required"},
		"a role that is none":            {security, "", []string{"duty_officer", "root"}, "identity.unknown_role"},
		"the system's role":              {security, "", []string{"system"}, "identity.unknown_role"},
		"two administrators in one":      {security, "", []string{"system_admin", "security_admin"}, "identity.admins_apart"},
		"three administrators in one":    {security, "", []string{"auditor", "audit_admin", "system_admin", "security_admin"}, "identity.admins_apart"},
		"by an officer":                  {officer, "", []string{"duty_officer"}, "identity.not_allowed"},
		"by nobody":                      {store.Actor{}, "", []string{"duty_officer"}, "identity.unknown"},
		"a real one by a seat":           {standIn, "", []string{"duty_officer"}, "identity.other_drill"},
		"another drill's seat by a seat": {standIn, "d2", []string{"duty_officer"}, "identity.other_drill"},
	} {
		if _, err := b.person(c.actor, c.drill, c.roles...); !fault.Is(err, c.key) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := b.try(security, func(tx *store.Tx) error {
		_, err := identity.AddPerson(ctx, tx, " ", []string{"engineer"}, "")
		return err
	}); !fault.Is(err, "error.required") {
		t.Error(err)
	}
	for _, r := range identity.Roles() {
		if _, err := b.person(security, "", r); err != nil {
			t.Errorf("%s: %v", r, err)
		}
	}
	if _, err := b.person(security, "", "system_admin", "system_admin", "engineer"); err != nil {
		t.Error("one administrator named twice is one:", err)
	}
	seat, err := b.person(store.System("drill"), "d1", "duty_officer")
	if err != nil {
		t.Fatal(err)
	}
	genuine, err := identity.ListPersons(ctx, b.st.Read(), security, "")
	if err != nil || len(genuine) != len(identity.Roles())+1 {
		t.Errorf("%d persons, %v", len(genuine), err)
	}
	seats, err := identity.ListPersons(ctx, b.st.Read(), standIn, "d1")
	if err != nil || len(seats) != 1 || seats[0].ID != seat.ID {
		t.Errorf("%+v %v", seats, err)
	}
	if _, err := identity.ListPersons(ctx, b.st.Read(), standIn, ""); !fault.Is(err, "identity.other_drill") {
		t.Error("a seat lists real persons:", err)
	}
	if _, err := identity.ListPersons(ctx, b.st.Read(), officer, ""); !fault.Is(err, "identity.not_allowed") {
		t.Error(err)
	}
}

func TestATokenIsIssuedByWhoMayToWhoIsThere(t *testing.T) {
	b := newBench(t)
	p, err := b.person(security, "", "engineer")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		actor    store.Actor
		person   string
		lifetime time.Duration
		key      string
	}{
		"by an officer":                {officer, p.ID, 0, "identity.not_allowed"},
		"to nobody":                    {security, "nope", 0, "error.not_found"},
		"ended before it begins":       {security, p.ID, -time.Hour, "error.negative"},
		"a seat for a real person":     {standIn, p.ID, 0, "identity.other_drill"},
		"the system's, forged by hand": {store.Actor{ID: "x", Roles: []string{"System"}}, p.ID, 0, "identity.not_allowed"},
	} {
		if token, err := b.token(c.actor, c.person, c.lifetime); !fault.Is(err, c.key) || token != "" {
			t.Errorf("%s: %q %v", name, token, err)
		}
	}
	seat, err := b.person(store.System("drill"), "d1", "commander")
	if err != nil {
		t.Fatal(err)
	}
	token, err := b.token(store.System("drill"), seat.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.who(token); !fault.Is(err, "identity.drill_over") {
		t.Error("a seat acts without its drill:", err)
	}
	b.exec(t, "INSERT INTO drill (id, number, scenario, state, started_by, started_ms) VALUES ('d1', 'D-1', 'A.1', 'running', 'x', 1)")
	if a, err := b.who(token); err != nil || a.Drill != "d1" {
		t.Errorf("%+v %v", a, err)
	}
	b.exec(t, "UPDATE drill SET state = 'paused'")
	if _, err := b.who(token); !fault.Is(err, "identity.drill_over") {
		t.Error("a seat acts while its drill is paused:", err)
	}
}

func TestADrillsSeatIsHeldToItsDrill(t *testing.T) {
	for _, c := range []struct {
		actor store.Actor
		drill string
		ok    bool
	}{{standIn, "d1", true}, {standIn, "d2", false}, {standIn, "", false}, {officer, "", true}, {officer, "d1", true}, {store.System("due"), "d1", true}} {
		if err := identity.RequireDrill(c.actor, c.drill); (err == nil) != c.ok || err != nil && !fault.Is(err, "identity.other_drill") {
			t.Errorf("%s on drill %q: %v", c.actor.ID, c.drill, err)
		}
	}
}

func TestASecondPersonIsAnotherPerson(t *testing.T) {
	for _, c := range []struct{ first, second, key string }{{"a", "b", ""}, {"a", "a", "identity.same_person"}, {"a", "", "identity.second_missing"}, {"", "", "identity.second_missing"}} {
		if err := identity.TwoPersons(c.first, c.second); (err == nil) != (c.key == "") || err != nil && !fault.Is(err, c.key) {
			t.Errorf("%q and %q: %v", c.first, c.second, err)
		}
	}
}

func TestASecondSignatureTakesAnotherPersonWithTheSameRight(t *testing.T) {
	b := newBench(t)
	ask := func(a store.Actor, reason, drill string) (s identity.SecondSignature, err error) {
		err = b.try(a, func(tx *store.Tx) (err error) {
			s, err = identity.AskSecond(ctx, tx, identity.SecondSignature{Action: "order.lift", ObjectKind: "order", ObjectID: "o", IncidentID: "i", DrillID: drill, Reason: reason,
				State: "confirmed", DecidedBy: "forged", RequestedBy: "forged"}, map[string]int{"n": 1})
			return err
		})
		return s, err
	}
	decide := func(a store.Actor, id string, yes bool) (s identity.SecondSignature, err error) {
		err = b.try(a, func(tx *store.Tx) (err error) { s, err = identity.DecideSecond(ctx, tx, id, yes); return err })
		return s, err
	}
	if _, err := ask(officer, " ", ""); !fault.Is(err, "error.required") {
		t.Error(err)
	}
	if _, err := ask(auditor, "r", ""); !fault.Is(err, "identity.not_allowed") {
		t.Error(err)
	}
	s, err := ask(officer, "r", "")
	if err != nil || s.State != "requested" || s.RequestedBy != "officer" || s.Request != `{"n":1}` {
		t.Fatalf("%+v %v", s, err)
	}
	state := func() (out string) {
		if err := b.st.Read().NewRaw("SELECT state || '/' || decided_by FROM second_signature WHERE id = ?", s.ID).Scan(ctx, &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	for name, c := range map[string]struct {
		actor store.Actor
		id    string
		key   string
	}{
		"who asked":               {officer, s.ID, "identity.same_person"},
		"who may not do it alone": {auditor, s.ID, "identity.not_allowed"},
		"a drill's seat":          {standIn, s.ID, "identity.other_drill"},
		"nobody":                  {store.Actor{}, s.ID, "identity.unknown"},
		"of nothing":              {commander, "nope", "error.not_found"},
	} {
		for _, yes := range []bool{true, false} {
			if _, err := decide(c.actor, c.id, yes); !fault.Is(err, c.key) || state() != "requested/forged" && state() != "requested/" {
				t.Errorf("%s: %v, now %s", name, err, state())
			}
		}
	}
	if got, err := decide(second, s.ID, true); err != nil || got.State != "confirmed" || got.DecidedBy != "second" || got.DecidedMs == 0 {
		t.Errorf("%+v %v", got, err)
	}
	for _, a := range []store.Actor{second, commander} { // who asked is told above that it takes another
		if _, err := decide(a, s.ID, false); !fault.Is(err, "identity.second_decided") {
			t.Errorf("%s decides again: %v", a.ID, err)
		}
	}
	s, err = ask(officer, "r", "")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := decide(second, s.ID, false); err != nil || got.State != "rejected" {
		t.Errorf("%+v %v", got, err)
	}
	var actions []string
	for _, e := range b.ledger.entries {
		actions = append(actions, e.Action)
		if e.Scope != "incident:i" {
			t.Errorf("%s is kept under %q", e.Action, e.Scope)
		}
	}
	if got := strings.Join(actions, " "); got != "second.request second.confirmed second.request second.rejected" {
		t.Error(got)
	}
}

func TestAStandInIsNeitherOfTwoPersonsOutsideItsDrill(t *testing.T) {
	b := newBench(t)
	seat, err := b.person(security, "d1", "duty_officer")
	if err != nil {
		t.Fatal(err)
	}
	sits := store.Actor{ID: seat.ID, Roles: seat.Roles(), Drill: "d1"}
	ask := func(a store.Actor, drill string) (s identity.SecondSignature, err error) {
		err = b.try(a, func(tx *store.Tx) (err error) {
			s, err = identity.AskSecond(ctx, tx, identity.SecondSignature{Action: "order.lift", ObjectKind: "order", ObjectID: "o", DrillID: drill, Reason: "r"}, 1)
			return err
		})
		return s, err
	}
	confirm := func(id string) error {
		return b.try(officer, func(tx *store.Tx) error { _, err := identity.DecideSecond(ctx, tx, id, true); return err })
	}
	for _, drill := range []string{"", "d2"} {
		if _, err := ask(sits, drill); !fault.Is(err, "identity.other_drill") {
			t.Errorf("a seat of d1 asks for something of %q: %v", drill, err)
		}
	}
	s, err := ask(sits, "d1")
	if err != nil {
		t.Fatal("the control failed:", err)
	}
	b.exec(t, "UPDATE second_signature SET drill_id = ''") // a request that was filed before a seat was refused
	if err := confirm(s.ID); !fault.Is(err, "identity.other_drill") {
		t.Error("what a seat asked for in the real world is confirmed:", err)
	}
	b.exec(t, "UPDATE second_signature SET drill_id = 'd1'")
	if err := confirm(s.ID); err != nil {
		t.Error("the control failed:", err)
	}
}
