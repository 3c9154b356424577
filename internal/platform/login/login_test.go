package login

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
)

const goodPassword = "correct horse 烽燧"

type bench struct {
	*Desk
	clock *clock.Fake
}

func newBench(t *testing.T) *bench {
	t.Helper()
	keys, err := secret.Open(filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	clk := clock.NewFake(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	log := record.New(record.Options{Keys: keys})
	st, err := store.Open(t.Context(), storetest.With(t, store.Options{Dir: t.TempDir(), Clock: clk, Recorder: log}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	if err := log.Bind(t.Context(), st); err != nil {
		t.Fatal(err)
	}
	return &bench{New(st, secret.NewVault(keys)), clk}
}

// person has an account; the answer is who acts.
func (b *bench) person(t *testing.T, role string) store.Actor {
	t.Helper()
	var p identity.Person
	if err := b.st.Write(t.Context(), store.System("test"), func(tx *store.Tx) (err error) {
		p, err = identity.AddPerson(t.Context(), tx, role, []string{role}, "")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := b.SetAccount(t.Context(), store.System("test"), p.ID, role, goodPassword); err != nil {
		t.Fatal(err)
	}
	return store.Actor{ID: p.ID, Roles: []string{role}}
}

func (b *bench) count(t *testing.T, query string, args ...any) (n int) {
	t.Helper()
	if err := b.st.Read().NewRaw(query, args...).Scan(t.Context(), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNoMorePasswordsAreHashedAtATimeThanMemoryWasMeantFor(t *testing.T) {
	b := newBench(t)
	var leave []func()
	for range atOnce {
		done, err := b.turn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, done)
	}
	busy := make(chan error, 1)
	go func() { _, err := b.hash(context.Background(), goodPassword); busy <- err }()
	for b.clock.Waiting() == 0 {
		time.Sleep(time.Millisecond)
	}
	b.clock.Advance(longestWait)
	if err := <-busy; !fault.Is(err, "login.busy") {
		t.Errorf("one more than may be: %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.hash(gone, goodPassword); !errors.Is(err, context.Canceled) {
		t.Errorf("who went away still waits: %v", err)
	}
	leave[0]()
	stored, err := b.hash(t.Context(), goodPassword)
	if err != nil {
		t.Fatalf("a place is free: %v", err)
	}
	leave[1]()
	if ok, err := b.matches(t.Context(), stored, goodPassword); !ok || err != nil {
		t.Errorf("%v %v", ok, err)
	}
	if n := len(b.hashing); n != atOnce-2 {
		t.Errorf("%d places are taken, %d should be", n, atOnce-2)
	}
}

func TestAddressesWaitLongerEachTimeAndAreForgottenAfterADay(t *testing.T) {
	b := newBench(t)
	wrong := func(address string) error {
		_, err := b.Password(t.Context(), Attempt{Account: fmt.Sprint("nobody", b.clock.Now().UnixNano()), Password: "x", From: From{Address: address}})
		return err
	}
	// The whole /64 of an IPv6 address counts as one, and each account only once: it is the address that waits.
	for i := range freeByAddress {
		if err := wrong(fmt.Sprintf("[2001:db8:1:2::%x]:443", i+1)); !fault.Is(err, "login.refused") {
			t.Fatalf("try %d: %v", i, err)
		}
		b.clock.Advance(time.Millisecond)
	}
	for _, wait := range []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second} {
		if err := wrong("[2001:db8:1:2::99]:443"); !fault.Is(err, "login.refused") {
			t.Fatalf("before a wait of %v: %v", wait, err)
		}
		b.clock.Advance(wait - time.Millisecond)
		if err := wrong("[2001:db8:1:2::98]:443"); !fault.Is(err, "login.too_many") {
			t.Errorf("within %v: %v", wait, err)
		}
		if err := wrong(fmt.Sprintf("[2001:db8:1:3::1]:%d", 1000+wait/time.Second)); !fault.Is(err, "login.refused") {
			t.Errorf("a neighbour: %v", err)
		}
		b.clock.Advance(time.Millisecond)
	}
	if d := delay(1000, freeByAddress); d != longestDelay {
		t.Errorf("a thousand tries wait for %v", d)
	}
	before := b.count(t, "SELECT COUNT(*) FROM login_attempt")
	b.clock.Advance(forgetAfter + time.Minute)
	if err := wrong("192.0.2.1:1"); !fault.Is(err, "login.refused") {
		t.Fatal(err)
	}
	if n := b.count(t, "SELECT COUNT(*) FROM login_attempt"); before < 20 || n != 2 {
		t.Errorf("%d rows of addresses and accounts, a day later %d", before, n)
	}
}

func TestCodesAreTurnedOffByACodeOnlyAndNotAsAnAdministratorsLastFactor(t *testing.T) {
	for role, want := range map[string]string{"engineer": "", "system_admin": "login.last_factor"} {
		t.Run(role, func(t *testing.T) {
			b := newBench(t)
			who, from := b.person(t, role), From{Address: "192.0.2.1:1"}
			if err := b.RemoveTOTP(t.Context(), who, from, "000000"); !fault.Is(err, "login.totp_off") {
				t.Errorf("nothing to turn off: %v", err)
			}
			var s Secret
			code := func() string {
				c, err := totp.GenerateCode(s.Secret, b.clock.Now())
				if err != nil {
					t.Fatal(err)
				}
				return c
			}
			if err := b.st.Write(t.Context(), who, func(tx *store.Tx) (err error) { s, err = b.BeginTOTP(t.Context(), tx); return err }); err != nil {
				t.Fatal(err)
			}
			if err := b.st.Write(t.Context(), who, func(tx *store.Tx) error { return b.ConfirmTOTP(t.Context(), tx, code()) }); err != nil {
				t.Fatal(err)
			}
			on := func() bool {
				return b.count(t, "SELECT COUNT(*) FROM account WHERE person_id = ? AND totp_ms > 0", who.ID) == 1
			}
			if err := b.RemoveTOTP(t.Context(), who, from, code()); want == "" && !fault.Is(err, "login.bad_code") || !on() {
				t.Errorf("a code that was used up: %v", err)
			}
			b.clock.Advance(time.Minute)
			err := b.RemoveTOTP(t.Context(), who, from, code())
			if want == "" && (err != nil || on()) || want != "" && (!fault.Is(err, want) || !on()) {
				t.Errorf("a good code: %v, still on: %v", err, on())
			}
			if n := b.count(t, "SELECT COUNT(*) FROM secrets WHERE name = ?", secretName(who.ID)); (n == 0) != (want == "") {
				t.Errorf("%d secrets are kept", n)
			}
		})
	}
}

func TestGuessingTheCodeThatTurnsCodesOffWaitsAsALogInDoes(t *testing.T) {
	b := newBench(t)
	who := b.person(t, "engineer")
	if err := b.st.Write(t.Context(), who, func(tx *store.Tx) error {
		s, err := b.BeginTOTP(t.Context(), tx)
		if err != nil {
			return err
		}
		code, err := totp.GenerateCode(s.Secret, b.clock.Now())
		if err != nil {
			return err
		}
		return b.ConfirmTOTP(t.Context(), tx, code)
	}); err != nil {
		t.Fatal(err)
	}
	var err error
	for i := 0; i <= freeByAccount+1; i++ {
		err = b.RemoveTOTP(t.Context(), who, From{Address: fmt.Sprintf("192.0.2.%d:1", i+1)}, "12345")
	}
	if !fault.Is(err, "login.too_many") {
		t.Errorf("after %d guesses: %v", freeByAccount+2, err)
	}
}
