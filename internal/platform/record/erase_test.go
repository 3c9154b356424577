package record_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
)

func TestErasureNeedsTwoPersonsAndYieldsToALegalHold(t *testing.T) {
	h := newHouse(t)
	h.write(decision("subject:9", 1), decision("incident:1", 2))
	try := func(actor store.Actor, e record.Erasure) error {
		return h.st.Write(ctx, actor, func(tx *store.Tx) error { return h.log.Erase(ctx, tx, e) })
	}
	a, b := store.Actor{ID: "person-a"}, store.Actor{ID: "person-b"}
	good := record.Erasure{Scope: "subject:9", Ground: "request", Requester: "person-a", Approver: "person-b"}
	for key, e := range map[string]record.Erasure{
		"record.two_persons":      {Scope: "subject:9", Ground: "g", Requester: "person-a", Approver: "person-a"},
		"record.erase_ground":     {Scope: "subject:9", Ground: " ", Requester: "person-a", Approver: "person-b"},
		"record.erase_scope":      {Ground: "g", Requester: "person-a", Approver: "person-b"},
		"record.nothing_to_erase": {Scope: "subject:10", Ground: "g", Requester: "person-a", Approver: "person-b"},
	} {
		if err := try(a, e); !fault.Is(err, key) {
			t.Errorf("want %s, got %v", key, err)
		}
	}
	for name, e := range map[string]record.Erasure{
		"a part of the system approves": {Scope: "subject:9", Ground: "g", Requester: "person-a", Approver: "system:due"},
		"nobody approves":               {Scope: "subject:9", Ground: "g", Requester: "person-a"},
	} {
		if err := try(a, e); !fault.Is(err, "record.two_persons") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := try(store.Actor{ID: "person-c"}, good); !fault.Is(err, "record.two_persons") {
		t.Errorf("a third person carries it out: %v", err)
	}
	var hold, hold2 string
	err := h.st.Write(ctx, a, func(tx *store.Tx) (err error) {
		if hold, err = h.log.Hold(ctx, tx, "subject:9", "court order 1"); err == nil {
			hold2, err = h.log.Hold(ctx, tx, "subject:9", "court order 2")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	release := func(id string) error {
		return h.st.Write(ctx, a, func(tx *store.Tx) error { return h.log.ReleaseHold(ctx, tx, id, "withdrawn") })
	}
	for _, id := range []string{hold, hold2} {
		if err := try(b, good); !fault.Is(err, "record.held") || fault.KindOf(err) != fault.KindConflict {
			t.Errorf("under hold: %v", err)
		}
		if err := release(id); err != nil {
			t.Fatal(err)
		}
	}
	if err := release(hold); !fault.Is(err, "record.no_hold") {
		t.Errorf("released twice: %v", err)
	}
	h.checkpoint()
	passes(t, h.verify(record.VerifyOptions{}))
	if err := try(b, good); err != nil {
		t.Fatal(err)
	}
	if _, err := h.log.Content(ctx, h.st.Read(), 1); !fault.Is(err, "record.erased") {
		t.Errorf("erased content: %v", err)
	}
	if c, err := h.log.Content(ctx, h.st.Read(), 2); err != nil || !strings.Contains(string(c), "甲 2") {
		t.Errorf("the content of another scope: %s %v", c, err)
	}
	h.write(decision("subject:9", 3)) // the scope may be written again, under a new key
	rep := h.verify(record.VerifyOptions{})
	if passes(t, rep); rep.Erased != 1 {
		t.Errorf("erased %d, want 1", rep.Erased)
	}
	if c, err := h.log.Content(ctx, h.st.Read(), rep.Entries-1); err != nil || !strings.Contains(string(c), "甲 3") {
		t.Errorf("written after the erasure: %s %v", c, err)
	}
}

func TestAnEntryOfTheErasingTransactionIsErasedToo(t *testing.T) {
	h := newHouse(t)
	h.write(decision("subject:9", 1))
	err := h.st.Write(ctx, store.Actor{ID: "person-b"}, func(tx *store.Tx) error {
		tx.Record(decision("subject:9", 2))
		return h.log.Erase(ctx, tx, record.Erasure{Scope: "subject:9", Ground: "g", Requester: "person-a", Approver: "person-b"})
	})
	if err != nil {
		t.Fatal(err)
	}
	if rep := h.verify(record.VerifyOptions{}); !rep.OK || rep.Erased != 2 {
		t.Errorf("report: %+v", rep)
	}
}

func TestASealedValueIsUnreadableOnceItsScopeIsErased(t *testing.T) {
	h := newHouse(t)
	var sealed string
	seal := func() {
		err := h.st.Write(ctx, officer, func(tx *store.Tx) (err error) {
			sealed, err = h.log.Seal(ctx, tx, "subject:9", []byte("capture key"))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	seal()
	passes(t, h.verify(record.VerifyOptions{})) // a key without an entry under its scope is no fault
	if got, err := h.log.Open(ctx, h.st.Read(), "subject:9", sealed); err != nil || string(got) != "capture key" {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := h.log.Open(ctx, h.st.Read(), "subject:8", sealed); !fault.Is(err, "record.scope_erased") {
		t.Errorf("a scope without a key: %v", err)
	}
	var old []byte
	var since int64
	if err := h.st.Read().QueryRowContext(ctx, `SELECT since, wrapped FROM record_keys WHERE scope = 'subject:9'`).Scan(&since, &old); err != nil {
		t.Fatal(err)
	}
	h.erase("subject:9")
	if _, err := h.log.Open(ctx, h.st.Read(), "subject:9", sealed); !fault.Is(err, "record.scope_erased") {
		t.Errorf("after the erasure: %v", err)
	}
	first := sealed
	seal() // a new key for the same scope
	if _, err := h.log.Open(ctx, h.st.Read(), "subject:9", first); !errors.Is(err, secret.ErrUnseal) {
		t.Errorf("the old value under the new key: %v", err)
	}
	passes(t, h.verify(record.VerifyOptions{}))
	// Somebody who kept the old key row brings it back.
	err := h.st.Write(ctx, officer, func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE record_keys SET since = ?, wrapped = ? WHERE scope = 'subject:9'`, since, old)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	finds(t, h.verify(record.VerifyOptions{}), "key_survived")
}

func TestASilentDeletionOfAPayloadIsFound(t *testing.T) {
	h := newHouse(t)
	h.write(decision("subject:9", 1))
	err := h.st.Write(ctx, officer, func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM record_payloads WHERE idx = 1`)
		if err == nil {
			_, err = tx.ExecContext(ctx, `DELETE FROM record_keys WHERE scope = 'subject:9'`)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	finds(t, h.verify(record.VerifyOptions{}), "payload_missing")
}
