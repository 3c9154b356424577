package login

import (
	"context"
	"math/bits"
	"net"
	"net/netip"
	"time"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// How many tries are free, by account and by address, before each further one waits twice as long as
// the one before it, up to longestDelay. An address may be that of a whole office.
const (
	freeByAccount = 5
	freeByAddress = 20
	longestDelay  = 15 * time.Minute
	forgetAfter   = 24 * time.Hour
)

// try is one attempt to log in, which is counted before it is judged: guesses that arrive together
// cannot outrun the count.
type try struct {
	account string // a hash of the folded name, of accounts that do not exist too; "" for a passkey, which names none
	address string
}

func tryOf(account, address string) try {
	t := try{address: "address:" + Network(address)}
	if account != "" {
		t.account = "account:" + digest(fold(account))
	}
	return t
}

func host(address string) string {
	if h, _, err := net.SplitHostPort(address); err == nil {
		return h
	}
	return address
}

// Network is what one person can be thought to hold: an IPv4 address, or the /64 of an IPv6 one.
func Network(address string) string {
	a, err := netip.ParseAddr(host(address))
	if err != nil {
		return host(address)
	}
	if a = a.Unmap().WithZone(""); a.Is6() {
		p, _ := a.Prefix(64)
		return p.String()
	}
	return a.String()
}

func (t try) limits() map[string]int64 {
	out := map[string]int64{t.address: freeByAddress}
	if t.account != "" {
		out[t.account] = freeByAccount
	}
	return out
}

func delay(tries, free int64) time.Duration {
	if tries <= free {
		return 0
	}
	return min(time.Second<<min(tries-free, 20), longestDelay)
}

// charge counts the try, or refuses it: fault too_many login.too_many with the seconds to wait.
func (d *Desk) charge(ctx context.Context, t try) error {
	return d.st.Write(ctx, store.System("login"), func(tx *store.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM login_attempt WHERE last_ms < ?", tx.NowMs-forgetAfter.Milliseconds()); err != nil {
			return err
		}
		var wait int64
		for what := range t.limits() {
			var until []int64
			if err := tx.NewRaw("SELECT until_ms FROM login_attempt WHERE what = ?", what).Scan(ctx, &until); err != nil {
				return err
			}
			if len(until) > 0 {
				wait = max(wait, until[0]-tx.NowMs)
			}
		}
		if wait > 0 {
			return fault.TooMany("login.too_many", "seconds", (wait+999)/1000)
		}
		for what, free := range t.limits() {
			var tries int64
			if err := tx.NewRaw(`INSERT INTO login_attempt (what, tries, refused, last_ms, until_ms) VALUES (?, 1, 0, ?, 0)
				ON CONFLICT (what) DO UPDATE SET tries = login_attempt.tries + 1, last_ms = excluded.last_ms RETURNING tries`, what, tx.NowMs).Scan(ctx, &tries); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "UPDATE login_attempt SET until_ms = ? WHERE what = ?", tx.NowMs+delay(tries, free).Milliseconds(), what); err != nil {
				return err
			}
		}
		return nil
	})
}

// forgive takes back what charge counted, of a try that was no failure. A whole log-in also clears
// the account's count; a right password without its code does not, or codes could be guessed between two.
func forgive(ctx context.Context, tx *store.Tx, t try, whole bool) error {
	for what := range t.limits() {
		if _, err := tx.ExecContext(ctx, "UPDATE login_attempt SET tries = tries - 1, until_ms = 0 WHERE what = ? AND tries > 0", what); err != nil {
			return err
		}
	}
	if !whole {
		return nil
	}
	_, err := tx.ExecContext(ctx, "DELETE FROM login_attempt WHERE what = ?", t.account)
	return err
}

// refuse notes that the try failed. The record gets the first, second, fourth, eighth … refusal, by the
// account if there is one and else by the address, so that no flood fills it; it never gets what was typed.
func (d *Desk) refuse(ctx context.Context, t try, personID string) error {
	err := d.st.Write(ctx, store.System("login"), func(tx *store.Tx) error {
		by, kind := t.address, "address"
		if personID != "" && t.account != "" {
			by, kind = t.account, "account"
		}
		for what := range t.limits() {
			var refused uint64
			if err := tx.NewRaw("UPDATE login_attempt SET refused = refused + 1 WHERE what = ? RETURNING refused", what).Scan(ctx, &refused); err != nil {
				return err
			}
			if what == by && bits.OnesCount64(refused) == 1 {
				tx.Record(store.Entry{Action: "login.refused", ObjectKind: "person", ObjectID: personID, Content: map[string]any{"by": kind, "refused": refused}})
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return fault.Unauthenticated("login.refused")
}
