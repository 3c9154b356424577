package gateway

import (
	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/monitor/guard"
)

// Match is one rule that hit, as it goes into signals. It never holds text.
type Match struct {
	RuleID  string `json:"rule_id"`
	Kind    string `json:"kind"` // "term", or what inspect.Kinds gives
	Risk    string `json:"risk"`
	Topic   string `json:"topic,omitzero"`
	Action  string `json:"action"`
	Side    string `json:"side"`    // "input" or "output"
	Channel string `json:"channel"` // see the Channel constants
	Choice  int    `json:"choice"`  // index of the answer, or of the message on the input side
	Start   int    `json:"start"`   // byte offset in the channel's own text, before masking
	End     int    `json:"end"`
	Runes   int    `json:"runes"`

	Score float64 `json:"score,omitzero"` // of a classifier: probability
}

// Sides of a request.
const (
	Input  = "input"
	Output = "output"
)

// Verdicts of a side: the worst action of its matches, or one of the two below.
const (
	VerdictAllow       = "allow"
	VerdictObserve     = "observe"
	VerdictMask        = "mask"
	VerdictReplace     = "replace"
	VerdictBlock       = "block"
	VerdictUninspected = "uninspected" // the check failed and the posture says open
	VerdictNone        = "none"        // this side never happened: refused, blocked before, upstream never answered
)

// Traffic is what remains of one request that carried a valid gateway key. Times are milliseconds UTC.
type Traffic struct {
	RequestID     string `json:"request_id"`
	ContentNumber string `json:"content_number"` // of the answer, "" if none was given
	GatewayID     string `json:"gateway_id"`
	OperatorID    string `json:"operator_id"`
	ServiceID     string `json:"service_id"`
	DeploymentID  string `json:"deployment_id"` // that answered or would have
	PostureDigest string `json:"posture_digest"`
	TenantID      string `json:"tenant_id"`
	Group         string `json:"group"`
	KeyID         string `json:"key_id"`
	Subject       string `json:"subject"` // HMAC-SHA256 hex; "" is an unknown subject
	Kind          string `json:"kind"`    // real, drill, test
	Simulated     bool   `json:"simulated"`
	Modality      string `json:"modality"` // "text"
	Language      string `json:"language"` // zh, en or other, guessed from the prompt
	Route         string `json:"route"`    // model name that the client asked for
	Stream        bool   `json:"stream"`

	InputVerdict  string          `json:"input_verdict"`
	OutputVerdict string          `json:"output_verdict"`
	Verdict       inspect.Verdict `json:"verdict"`   // over all texts of both sides; its actions are those of rules and of the guard
	OrderIDs      []string        `json:"order_ids"` // orders that bound this request at its end

	ReleasedRunes  int    `json:"released_runes"`  // runes of model text that left for the client: the reach of this answer
	Finish         string `json:"finish"`          // finish_reason sent to the client for the first choice
	Status         int    `json:"status"`          // HTTP status sent
	ErrorCode      string `json:"error_code"`      // code of the error object, if one was sent
	UpstreamStatus int    `json:"upstream_status"` // 0: never asked or never answered
	CutByOrder     bool   `json:"cut_by_order"`    // ended, or refused at the door, by an order
	Uninspected    int    `json:"uninspected"`     // texts released without their check (failure mode open)
	TokensIn       int64  `json:"tokens_in"`
	TokensOut      int64  `json:"tokens_out"`

	StartedMs   int64 `json:"started_ms"`
	FirstByteMs int64 `json:"first_byte_ms"` // first byte to the client, 0 if none
	EndedMs     int64 `json:"ended_ms"`
	LastByteUs  int64 `json:"last_byte_us"` // microseconds UTC: last time bytes were handed to the kernel

	// Capture. The sink decides what is stored and how; nothing of it is ever logged. Cut at Limits.MaxCaptureBytes.
	Messages []byte `json:"messages,omitzero"` // the request's messages as canonical JSON, before masking
	Prompt   string `json:"prompt,omitzero"`   // last user message
	Answer   string `json:"answer,omitzero"`   // what the model said in all channels, before masking
}

// Signal is one rule that hit in one request: sent the moment it is found, so that keeping the
// evidence need not wait for the end of the answer. One per request, side and rule; the first of a
// request carries the content for all of them, which are joined to it by RequestID.
type Signal struct {
	ID            string `json:"id"` // ULID
	AtMs          int64  `json:"at_ms"`
	Match         Match  `json:"match"`
	RequestID     string `json:"request_id"`
	ContentNumber string `json:"content_number"`
	GatewayID     string `json:"gateway_id"`
	OperatorID    string `json:"operator_id"`
	ServiceID     string `json:"service_id"`
	DeploymentID  string `json:"deployment_id"`
	PostureDigest string `json:"posture_digest"`
	TenantID      string `json:"tenant_id"`
	Group         string `json:"group"`
	Subject       string `json:"subject"`
	Kind          string `json:"kind"`
	Simulated     bool   `json:"simulated"`
	Modality      string `json:"modality"`
	Language      string `json:"language"`
	Fingerprint   string `json:"fingerprint"` // equal for equal prompts that hit the same rule on the same side of the same service
	Released      int    `json:"released"`    // runes of model text that had left when it was found

	Messages []byte `json:"messages,omitzero"` // capture, as in Traffic; of the first signal
	Prompt   string `json:"prompt,omitzero"`
	Answer   string `json:"answer,omitzero"` // up to and with the hit
}

// Sink takes what a gateway saw. It is called on the path of a request and must not block: whoever
// implements it owns a bounded queue and counts what it had to drop.
type Sink interface {
	Traffic(Traffic)
	Signal(Signal)
}

// Ack says which bundle a gateway obeys and what that did.
type Ack struct {
	GatewayID  string   `json:"gateway_id"`
	Epoch      int64    `json:"epoch"`
	Revision   int64    `json:"revision"`
	OrderIDs   []string `json:"order_ids"`   // in effect
	StreamsCut int      `json:"streams_cut"` // open streams and calls that this bundle ended
	StreamsHit int      `json:"streams_hit"` // open ones whose orders changed, the cut ones included
	AtMs       int64    `json:"at_ms"`       // when the last of them was ended
	Persisted  bool     `json:"persisted"`   // the bundle is on this gateway's disk
}

// Status is a gateway's own view of itself, for readiness and the status page.
type Status struct {
	GatewayID     string                   `json:"gateway_id"`
	Effective     bool                     `json:"effective"` // obeys a bundle and control was in touch lately
	Reason        string                   `json:"reason"`    // why not: no_bundle, out_of_contact, orders_ignored, stopped
	Epoch         int64                    `json:"epoch"`
	Revision      int64                    `json:"revision"`
	Digest        string                   `json:"digest"` // of the bundle
	OrderIDs      []string                 `json:"order_ids"`
	Unkept        bool                     `json:"unkept"`   // the bundle is not on this gateway's disk
	Postures      map[string]string        `json:"postures"` // service id → digest
	Guards        map[string]guard.Numbers `json:"guards"`   // service id → how its guard model fares, of those that have one
	Unjudged      map[string][]string      `json:"unjudged"` // service id → classifiers that judge nothing here, because this program does not have their model
	OpenStreams   int                      `json:"open_streams"`
	LastContactMs int64                    `json:"last_contact_ms"`
	Isolation     string                   `json:"isolation"` // policy in effect now, "" while control is in touch
	Counters      Counters                 `json:"counters"`
}

// Missing counts the classifiers that judge nothing here.
func (s Status) Missing() (n int64) {
	for _, ids := range s.Unjudged {
		n += int64(len(ids))
	}
	return n
}

// SilentGuards counts the guard models that nobody has heard from lately.
func (s Status) SilentGuards() (n int64) {
	for _, g := range s.Guards {
		if g.Quiet {
			n++
		}
	}
	return n
}

// Counters only grow while the process lives.
type Counters struct {
	Requests     int64 `json:"requests"`
	Refused      int64 `json:"refused"`       // error objects of our own
	Unknown      int64 `json:"unknown"`       // requests whose subject is unknown
	InputBlocks  int64 `json:"input_blocks"`  //
	OutputBlocks int64 `json:"output_blocks"` //
	Uninspected  int64 `json:"uninspected"`   // texts released without their check
	Events       int64 `json:"events"`        // server-sent events read from upstreams
	EventsSlow   int64 `json:"events_slow"`   // of these, decoded in full
	StreamsCut   int64 `json:"streams_cut"`   // by orders
	ClientsSlow  int64 `json:"clients_slow"`  // connections reset because the client did not read
}
