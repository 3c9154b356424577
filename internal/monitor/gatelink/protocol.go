// Package gatelink is the line between control and a gateway that is a process of its own: the messages of
// both, and the gateway's end of it. Control's end is internal/api/gates.
//
// A gateway enrols once with a join token, then asks control in a loop: "I obey this revision; what is newer?"
// Control answers at once if something is, and otherwise when something comes or the wait is over, so that an
// order is on its way the moment it is committed. Asking is the heartbeat, too: it renews the gateway's lease, and
// a good answer is the contact that the gateway's isolation policy counts from. Any control node may be asked any time.
//
// Bundles travel cut (posture.Slim): an order brings its own few hundred bytes, rules are fetched once by digest.
// What a gateway saw lies on its disk, sealed to control, until control has it; see Spool.
package gatelink

import (
	"github.com/fengsui/fengsui/internal/posture"
)

// Paths of control's end, all POST with JSON except Part (GET, with the digest after it) and Batch (POST, a spool file).
const (
	PathEnrol = "/gate/v1/enrol"
	PathWatch = "/gate/v1/watch"
	PathAck   = "/gate/v1/ack"
	PathPart  = "/gate/v1/part/"
	PathBatch = "/gate/v1/batch/"
)

// Codes of refusals that a gateway acts upon; any other is tried again, at the next address.
const (
	CodeRevoked = "containment.gateway_revoked" // close, and stay closed
	CodeMissing = "posture.part_missing"        // ask anew: the bundle is another one by now
	CodeBad     = "gatelink.bad_batch"          // this batch will never be taken
)

// Refusal is the body of every answer that is not 200.
type Refusal struct {
	Code string `json:"code"`
}

// Enrol asks to be let in by a join token. It may be sent again with the same fields.
type Enrol struct {
	Token      string `json:"token"`
	Credential string `json:"credential"` // made by the gateway
	PublicKey  []byte `json:"public_key"` // X25519; what is sealed to the gateway is sealed to this
	URL        string `json:"url"`        // where control reaches the gateway for probes; "" = nowhere
	Version    string `json:"version"`
	Makes      int64  `json:"makes"` // the newest make of postures that it understands
}

// Enrolled lets a gateway in.
type Enrolled struct {
	GatewayID  string `json:"gateway_id"`
	ControlKey []byte `json:"control_key"` // Ed25519; its SHA-256 stands in the join token
}

// Watch says what a gateway obeys, and asks for what is newer.
type Watch struct {
	Epoch    int64  `json:"epoch"` // 0 with revision 0: nothing yet
	Revision int64  `json:"revision"`
	Digest   string `json:"digest"`  // of the bundle; "" from an older gateway
	Facts    string `json:"facts"`   // digest of the facts it holds
	WaitMs   int64  `json:"wait_ms"` // longest silence wanted
	Version  string `json:"version"`
	Makes    int64  `json:"makes"` // as in Enrol; 0 from an older gateway
	Report   Report `json:"report"`

	Stops []posture.Signed `json:"stops"` // sealed tokens that bind on this gateway
}

// Report is how a gateway fares, for those who look at control.
type Report struct {
	SpoolBytes int64 `json:"spool_bytes"` // waiting to be handed in
	Folded     int64 `json:"folded"`      // rows folded for want of room, since its start
	Lost       int64 `json:"lost"`        // rows lost, since its start
	Streams    int64 `json:"streams"`     // open now
	Unkept     bool  `json:"unkept"`      // the bundle that it obeys is not on its disk
	Unjudged   int64 `json:"unjudged"`    // classifiers that judge nothing there, because the program does not have their model

	GuardsSilent int64 `json:"guards_silent"` // guard models that give no opinions there
}

// News is what a gateway does not have yet; nil parts are as it has them.
type News struct {
	NowMs  int64         `json:"now_ms"` // control's clock
	Bundle *posture.Slim `json:"bundle,omitempty"`
	Facts  *Facts        `json:"facts,omitempty"`
}

// Facts are what a gateway needs beside bundles. Sealed values open with the gateway's own key.
type Facts struct {
	Digest     string            `json:"digest"`
	PublicURL  string            `json:"public_url"`  // of control's pages, for the notice to end users
	CaptureAll bool              `json:"capture_all"` // keep the content of every request
	SpoolKey   []byte            `json:"spool_key"`   // X25519; what the gateway keeps for control is sealed to this
	Subject    []byte            `json:"subject"`     // sealed: key of the HMAC of subjects
	Secrets    map[string][]byte `json:"secrets"`     // sealed: upstream keys by reference, those that the postures name
}

// Ack says that a bundle is obeyed, open streams included, or why it cannot be.
type Ack struct {
	Epoch      int64    `json:"epoch"`
	Revision   int64    `json:"revision"`
	Digest     string   `json:"digest"` // of the bundle; "" from an older gateway
	OrderIDs   []string `json:"order_ids"`
	StreamsCut int      `json:"streams_cut"`
	AtMs       int64    `json:"at_ms"`  // by the gateway's clock
	Failed     bool     `json:"failed"` // it cannot be obeyed as a whole; the log of the gateway says why
}
