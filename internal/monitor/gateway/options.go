package gateway

import (
	"crypto/ed25519"
	"log/slog"
	"net/http"
	"time"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/trace"
)

// Clock tells the time; internal/platform/clock has one.
type Clock interface{ Now() time.Time }

// Isolation is what a gateway does when control has been silent for longer than Options.ContactWithin.
type Isolation string

// The isolation policies.
const (
	IsolationContinue Isolation = "continue" // obey the last bundle; the default
	IsolationStrict   Isolation = "strict"   // the last bundle with the strict set of every service on
	IsolationClosed   Isolation = "closed"   // 503 for new requests
)

// Options configure a gateway. Fields without a default are required.
type Options struct {
	ID          string
	StateDir    string              // where the signed bundle is kept; made if missing
	TrustedKeys []ed25519.PublicKey // control's keys; more than one while they rotate
	Clock       Clock
	Secret      func(ref string) (string, error) // upstream keys by reference
	Sink        Sink
	SubjectKey  []byte // at least 32 bytes; keys the HMAC of subjects. The same on all gateways of an operator.

	Transport     http.RoundTripper // to upstreams. Default: outgoing.Guard{} (no private addresses)
	Isolation     Isolation         // default IsolationContinue
	ContactWithin time.Duration     // default 0: never considered out of contact
	LastContact   time.Time         // when control was last heard of before this start; default now
	CutGrace      time.Duration     // how long a cut stream may take to say goodbye before its connection is reset. Default 150 ms
	Logger        *slog.Logger      // default: discards
	Tracer        *trace.Tracer     // default: no traces

	// NoticeURL is the page that tells end users about a service that is offline; the refusal names it. Default: none.
	NoticeURL func(serviceID string) string

	// DANGEROUSIgnoreOrders makes the gateway disobey every order. It exists for one purpose: the drills' negative
	// control, which must fail when containment does not work. Status says orders_ignored, and a warning is logged.
	DANGEROUSIgnoreOrders bool
}

func (o *Options) check() error {
	switch {
	case o.ID == "":
		return fault.Invalid("gateway.id", "gateway.missing")
	case o.StateDir == "":
		return fault.Invalid("gateway.state_dir", "gateway.missing")
	case len(o.TrustedKeys) == 0:
		return fault.Invalid("gateway.trusted_keys", "gateway.missing")
	case o.Clock == nil:
		return fault.Invalid("gateway.clock", "gateway.missing")
	case o.Secret == nil:
		return fault.Invalid("gateway.secret", "gateway.missing")
	case o.Sink == nil:
		return fault.Invalid("gateway.sink", "gateway.missing")
	case len(o.SubjectKey) < 32:
		return fault.Invalid("gateway.subject_key", "gateway.short_key")
	}
	switch o.Isolation {
	case "":
		o.Isolation = IsolationContinue
	case IsolationContinue, IsolationStrict, IsolationClosed:
	default:
		return fault.Invalid("gateway.isolation", "posture.unknown_value", "value", string(o.Isolation))
	}
	if o.CutGrace <= 0 {
		o.CutGrace = 150 * time.Millisecond
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}
