// Package posture is what a gateway obeys: the posture (防护策略), an immutable, content-addressed
// snapshot of all rules for one service, the orders (处置指令) that tighten it for a while, the gateway
// keys that say whose traffic is whose, and the signed bundle in which control hands all of them over.
//
// Everything here is data and pure functions; nothing reads a clock, a file or the network.
package posture

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/fengsui/fengsui/internal/platform/fault"
)

// Format is the edition of the wire form of drafts, orders and bundles. A gateway refuses another one.
const Format = 1

// Role is what a deployment is for.
type Role string

// The roles of a deployment.
const (
	RolePrimary Role = "primary"
	RoleBackup  Role = "backup"
)

// Deployment is one upstream of a service.
type Deployment struct {
	ID       string `json:"id"`
	BaseURL  string `json:"base_url"`           // up to and including the version, such as http://127.0.0.1:9000/v1
	Model    string `json:"model"`              // the model name that the upstream knows
	Secret   string `json:"secret,omitzero"`    // reference into the secret store for the upstream key, never the key itself
	Role     Role   `json:"role"`               //
	Filed    bool   `json:"filed"`              // the model's filing (备案) covers this service
	Tested   bool   `json:"tested"`             // it passed the service test with this service's lexicons
	ModelRev string `json:"model_rev,omitzero"` // model version as the register names it
	Prompt   string `json:"prompt,omitzero"`    // version of the system prompt, for the traffic row
}

// Text is a sentence shown to users in both languages of the product.
type Text struct {
	ZH string `json:"zh"`
	EN string `json:"en"`
}

// In gives the text in lang ("zh", "en"); any other language is answered in Chinese first.
func (t Text) In(lang string) string {
	if lang == "en" && t.EN != "" || t.ZH == "" {
		return t.EN
	}
	return t.ZH
}

// Notices are the texts that replace what is not released.
type Notices struct {
	Replaced Text `json:"replaced"` // an answer that was taken back and replaced whole
	Blocked  Text `json:"blocked"`  // a request or answer that was blocked
	Limited  Text `json:"limited"`  // an audience that is not served for now
	Offline  Text `json:"offline"`  // the service is offline
}

// Limits bound one request. Zero takes the default in brackets.
type Limits struct {
	MaxBodyBytes    int64 `json:"max_body_bytes"`    // [1 MiB] request body
	MaxMessages     int   `json:"max_messages"`      // [256]
	MaxChoices      int   `json:"max_choices"`       // [4] the request's n
	MaxDepth        int   `json:"max_depth"`         // [32] nesting of the request's JSON
	MaxAnswerBytes  int64 `json:"max_answer_bytes"`  // [8 MiB] upstream body that is not a stream
	MaxEventBytes   int   `json:"max_event_bytes"`   // [1 MiB] one server-sent event
	FirstByteMs     int64 `json:"first_byte_ms"`     // [120000] upstream's header
	IdleMs          int64 `json:"idle_ms"`           // [60000] silence inside a stream
	TotalMs         int64 `json:"total_ms"`          // [600000] whole request
	ClientWriteMs   int64 `json:"client_write_ms"`   // [15000] one write to a slow client
	MaxOpenStreams  int   `json:"max_open_streams"`  // [10000] of this service on one gateway
	MaxCaptureBytes int   `json:"max_capture_bytes"` // [65536] of prompt and of answer handed to the sink
}

func (l *Limits) fill() {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def64 := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	def64(&l.MaxBodyBytes, 1<<20)
	def(&l.MaxMessages, 256)
	def(&l.MaxChoices, 4)
	def(&l.MaxDepth, 32)
	def64(&l.MaxAnswerBytes, 8<<20)
	def(&l.MaxEventBytes, 1<<20)
	def64(&l.FirstByteMs, 120_000)
	def64(&l.IdleMs, 60_000)
	def64(&l.TotalMs, 600_000)
	def64(&l.ClientWriteMs, 15_000)
	def(&l.MaxOpenStreams, 10_000)
	def(&l.MaxCaptureBytes, 64<<10)
}

func (l Limits) negative() bool {
	return l.MaxBodyBytes < 0 || l.MaxMessages < 0 || l.MaxChoices < 0 || l.MaxDepth < 0 || l.MaxAnswerBytes < 0 ||
		l.MaxEventBytes < 0 || l.FirstByteMs < 0 || l.IdleMs < 0 || l.TotalMs < 0 || l.ClientWriteMs < 0 ||
		l.MaxOpenStreams < 0 || l.MaxCaptureBytes < 0
}

// FailureMode says what happens to a text when its check could not run.
type FailureMode string

// Closed refuses the text (the default); Open releases it uninspected, counted and alarmed.
const (
	Closed FailureMode = "closed"
	Open   FailureMode = "open"
)

// Failure sets the mode per check.
type Failure struct {
	Input  FailureMode `json:"input"`
	Output FailureMode `json:"output"`
}

// Draft describes a posture before it is compiled. Lists may be in any order; Compile sorts them.
type Draft struct {
	Format      int          `json:"format"`
	OperatorID  string       `json:"operator_id"`
	ServiceID   string       `json:"service_id"`
	Models      []string     `json:"models"` // model names this service answers to; the first is the one it is known by
	Deployments []Deployment `json:"deployments"`
	Rules       Rules        `json:"rules"`  // always on
	Strict      Rules        `json:"strict"` // added by a strict-filter order
	Topics      []Topic      `json:"topics"` // what a topic-block order may name
	Notices     Notices      `json:"notices"`
	Limits      Limits       `json:"limits"`
	Failure     Failure      `json:"failure"`
	Guard       *Guard       `json:"guard,omitzero"` // nil: no second opinion
	Sources     []Source     `json:"sources"`        // which lexicons, in which edition, this was made of
}

// Source names what a posture was compiled from, so that a traffic row leads back to a lexicon edition.
type Source struct {
	Kind    string `json:"kind"`
	ID      string `json:"id"`
	Edition string `json:"edition"`
}

// Posture is a compiled draft: canonical bytes and their address. It cannot be changed.
type Posture struct {
	draft   Draft
	body    []byte
	digest  string
	carried bool // of a make that this program does not understand
}

// Compile checks a draft, puts it in canonical order and computes its address. Errors are
// fault.Invalid with the dotted path of the field.
func Compile(d Draft) (*Posture, error) {
	d = d.clone()
	if d.Format == 0 {
		d.Format = Format
	}
	d.Limits.fill()
	d.Guard.fill()
	if d.Failure.Input == "" {
		d.Failure.Input = Closed
	}
	if d.Failure.Output == "" {
		d.Failure.Output = Closed
	}
	d.canonical()
	if err := d.check(); err != nil {
		return nil, err
	}
	body, err := json.Marshal(d, json.Deterministic(true))
	if err != nil {
		return nil, fault.Invalid("posture", "posture.malformed").Because(err)
	}
	return &Posture{draft: d, body: body, digest: digest(body)}, nil
}

// Parse reads the canonical bytes of a posture. Bytes that are not exactly what Compile would write
// are refused, so that one posture has one address.
func Parse(body []byte) (*Posture, error) {
	var d Draft
	if err := decode(body, &d); err != nil {
		return nil, fault.Invalid("posture", "posture.malformed").Because(err)
	}
	p, err := Compile(d)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(p.body, body) {
		return nil, fault.Invalid("posture", "posture.not_canonical")
	}
	return p, nil
}

// Digest is "sha256:" and the hex of the hash over Bytes; it is the posture's name.
func (p *Posture) Digest() string { return p.digest }

// ServiceID is the service whose rules these are.
func (p *Posture) ServiceID() string { return p.draft.ServiceID }

// Bytes is the canonical JSON; a copy.
func (p *Posture) Bytes() []byte { return bytes.Clone(p.body) }

// Draft is the content; a copy that may be changed and compiled again.
func (p *Posture) Draft() Draft { return p.draft.clone() }

func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// decode is strict: unknown and duplicate names, broken UTF-8 and trailing data are errors.
func decode(body []byte, into any) error {
	return json.Unmarshal(body, into, json.RejectUnknownMembers(true))
}

func (d Draft) clone() Draft {
	d.Models = slices.Clone(d.Models)
	d.Deployments = slices.Clone(d.Deployments)
	d.Sources = slices.Clone(d.Sources)
	d.Rules = d.Rules.clone()
	d.Strict = d.Strict.clone()
	d.Guard = d.Guard.clone()
	topics := make([]Topic, len(d.Topics))
	for i, t := range d.Topics {
		t.Terms = cloneTerms(t.Terms)
		topics[i] = t
	}
	d.Topics = topics
	return d
}

func (d *Draft) canonical() {
	slices.SortFunc(d.Deployments, func(a, b Deployment) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(d.Topics, func(a, b Topic) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(d.Sources, func(a, b Source) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Edition, b.Edition))
	})
	d.Rules.canonical()
	d.Strict.canonical()
	for i := range d.Topics {
		canonicalTerms(d.Topics[i].Terms)
	}
}

func (d *Draft) check() error {
	if d.Format != Format {
		return fault.Invalid("posture.format", "posture.unknown_format", "format", d.Format)
	}
	if d.ServiceID == "" {
		return fault.Invalid("posture.service_id", "posture.missing")
	}
	if len(d.Models) == 0 || slices.Contains(d.Models, "") {
		return fault.Invalid("posture.models", "posture.missing")
	}
	if name, twice := repeated(d.Models, func(s string) string { return s }); twice {
		return fault.Invalid("posture.models", "posture.repeated", "value", name)
	}
	if d.Limits.negative() {
		return fault.Invalid("posture.limits", "posture.negative")
	}
	for _, m := range []FailureMode{d.Failure.Input, d.Failure.Output} {
		if m != Closed && m != Open {
			return fault.Invalid("posture.failure", "posture.unknown_value", "value", string(m))
		}
	}
	if err := d.checkDeployments(); err != nil {
		return err
	}
	if err := d.Guard.check(); err != nil {
		return err
	}
	if id, twice := repeated(d.Topics, func(t Topic) string { return t.ID }); twice {
		return fault.Invalid("posture.topics", "posture.repeated", "value", id)
	}
	ids := map[string]bool{}
	if err := d.Rules.check("posture.rules", ids); err != nil {
		return err
	}
	if err := d.Strict.check("posture.strict", ids); err != nil {
		return err
	}
	for _, t := range d.Topics {
		if t.ID == "" {
			return fault.Invalid("posture.topics.id", "posture.missing")
		}
		if err := checkTerms("posture.topics."+t.ID, t.Terms, ids); err != nil {
			return err
		}
	}
	return nil
}

func (d *Draft) checkDeployments() error {
	primaries := 0
	for _, dep := range d.Deployments {
		if dep.ID == "" || dep.Model == "" {
			return fault.Invalid("posture.deployments", "posture.missing")
		}
		if !UsableURL(dep.BaseURL) {
			return fault.Invalid("posture.deployments."+dep.ID+".base_url", "posture.bad_url")
		}
		switch dep.Role {
		case RolePrimary:
			primaries++
		case RoleBackup:
		default:
			return fault.Invalid("posture.deployments."+dep.ID+".role", "posture.unknown_value", "value", string(dep.Role))
		}
	}
	if id, twice := repeated(d.Deployments, func(d Deployment) string { return d.ID }); twice {
		return fault.Invalid("posture.deployments", "posture.repeated", "value", id)
	}
	if primaries != 1 {
		return fault.Invalid("posture.deployments", "posture.one_primary", "count", primaries)
	}
	return nil
}

// UsableURL tells whether an address is http or https and paths can be put behind it.
func UsableURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == "" && !strings.HasSuffix(u.Path, "/")
}

func repeated[T any](list []T, key func(T) string) (string, bool) {
	seen := make(map[string]bool, len(list))
	for _, v := range list {
		k := key(v)
		if seen[k] {
			return k, true
		}
		seen[k] = true
	}
	return "", false
}
