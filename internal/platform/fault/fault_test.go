package fault_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/platform/fault"
)

func TestEachConstructorMakesItsKind(t *testing.T) {
	for kind, e := range map[fault.Kind]*fault.Error{
		fault.KindInvalid:         fault.Invalid("f", "k", "n", 1),
		fault.KindNotFound:        fault.NotFound("f", "k", "n", 1),
		fault.KindForbidden:       fault.Forbidden("k", "n", 1),
		fault.KindUnauthenticated: fault.Unauthenticated("k", "n", 1),
		fault.KindConflict:        fault.Conflict("f", "k", "n", 1),
		fault.KindUnavailable:     fault.Unavailable("k", "n", 1),
	} {
		if e.Kind != kind || e.Key != "k" || len(e.Args) != 2 || fault.KindOf(e) != kind || !fault.Is(e, "k") || fault.Is(e, "other") {
			t.Errorf("%s: %+v", kind, e)
		}
		if field := kind == fault.KindInvalid || kind == fault.KindNotFound || kind == fault.KindConflict; field != (e.Field == "f") {
			t.Errorf("%s has the field %q", kind, e.Field)
		}
		for name, wrapped := range map[string]error{"wrapped": fmt.Errorf("around: %w", e), "joined": errors.Join(io.EOF, e), "twice": fmt.Errorf("a: %w", fmt.Errorf("b: %w", e))} {
			if fault.KindOf(wrapped) != kind || !fault.Is(wrapped, "k") {
				t.Errorf("%s %s: %v", name, kind, wrapped)
			}
		}
	}
}

func TestWhatIsNoFaultIsInternal(t *testing.T) {
	for _, err := range []error{io.EOF, errors.New("k"), nil} {
		if fault.KindOf(err) != fault.KindInternal || fault.Is(err, "k") || fault.Is(err, "") {
			t.Error(err)
		}
	}
}

func TestACauseIsForTheLogAndLeavesTheFaultAlone(t *testing.T) {
	plain := fault.Unavailable("store.busy")
	caused := plain.Because(io.ErrUnexpectedEOF)
	if errors.Unwrap(plain) != nil || !errors.Is(caused, io.ErrUnexpectedEOF) || caused.Key != plain.Key {
		t.Errorf("%v, %v", plain, caused)
	}
	if s := caused.Error(); !strings.Contains(s, "store.busy") || !strings.Contains(s, io.ErrUnexpectedEOF.Error()) {
		t.Error(s)
	}
	if s := fault.Invalid("a.b", "k", "n", 1, "odd").Error(); s != "invalid a.b: k n=1" {
		t.Error(s)
	}
}
