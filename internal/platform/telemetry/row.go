package telemetry

import (
	"time"

	"github.com/uptrace/bun"
)

// seqBits is how many rows one millisecond may hold in a position.
const seqBits = 20

// SeqAt is the first position that a row stored at ms (UTC milliseconds) can have. Positions grow with
// the order of storing, over all days, and are never used twice.
func SeqAt(ms int64) int64 { return ms << seqBits }

// StoredMs is when the row at position seq was stored, UTC milliseconds by the injected clock.
func StoredMs(seq int64) int64 { return seq >> seqBits }

// Day is the UTC day of an instant as YYYYMMDD, the name of its file.
func Day(ms int64) string { return time.UnixMilli(ms).UTC().Format(dayLayout) }

const dayLayout = "20060102"

// Traffic is one request that the gateway saw. Times are UTC milliseconds unless the name says _us.
type Traffic struct {
	bun.BaseModel `bun:"table:traffic" json:"-"`
	Seq           int64  `bun:"seq,pk" json:"seq"`
	RequestID     string `json:"request_id"`
	ContentNo     string `json:"content_no"` // "" if no answer was given
	GatewayID     string `json:"gateway_id"`
	OperatorID    string `json:"operator_id"`
	ServiceID     string `json:"service_id"`
	DeploymentID  string `json:"deployment_id"`
	PostureDigest string `json:"posture_digest"`
	Tenant        string `json:"tenant"`
	Group         string `bun:"user_group" json:"group"`
	KeyID         string `json:"key_id"`
	Subject       string `json:"subject"` // HMAC; "" is unknown
	Kind          string `json:"kind"`    // real, drill, test, backfill
	Simulated     bool   `json:"simulated"`
	Modality      string `json:"modality"`
	Language      string `json:"language"`
	Route         string `json:"route"`
	Stream        bool   `json:"stream"`

	InputVerdict  string `json:"input_verdict"`
	OutputVerdict string `json:"output_verdict"`
	Verdict       string `bun:"matches" json:"matches"`     // JSON object: rule ids and places, no text; of older gateways the array of what hit
	OrderIDs      string `bun:"order_ids" json:"order_ids"` // JSON array

	ReleasedRunes  int    `json:"released_runes"`
	Finish         string `json:"finish"`
	Status         int    `json:"status"`
	ErrorCode      string `json:"error_code"`
	UpstreamStatus int    `json:"upstream_status"`
	CutByOrder     bool   `json:"cut_by_order"`
	Uninspected    int    `json:"uninspected"`
	TokensIn       int64  `json:"tokens_in"`
	TokensOut      int64  `json:"tokens_out"`

	StartedMs   int64 `json:"started_ms"`
	FirstByteMs int64 `json:"first_byte_ms"`
	EndedMs     int64 `json:"ended_ms"`
	LastByteUs  int64 `json:"last_byte_us"`
	InspectUs   int64 `json:"inspect_us"`

	Content *Content `bun:"-" json:"-"` // given to be captured; never read back with the row
}

// Signal is one observation, by position in the order of storing. Count is 1, or more for a row into
// which signals were aggregated while the queue was full; such a row has no request, no content number
// and no subject, but the distinct subjects that were noted.
type Signal struct {
	bun.BaseModel `bun:"table:signal" json:"-"`
	Seq           int64  `bun:"seq,pk" json:"seq"`
	ID            string `json:"id"`
	AtMs          int64  `json:"at_ms"`
	Count         int    `bun:"n" json:"count"`
	Subjects      string `json:"subjects"` // JSON array; of an aggregated row, at most maxAggregatedSubjects
	RequestID     string `json:"request_id"`
	ContentNo     string `json:"content_no"`
	GatewayID     string `json:"gateway_id"`
	OperatorID    string `json:"operator_id"`
	ServiceID     string `json:"service_id"`
	DeploymentID  string `json:"deployment_id"`
	PostureDigest string `json:"posture_digest"`
	Tenant        string `json:"tenant"`
	Group         string `bun:"user_group" json:"group"`
	Subject       string `json:"subject"`
	Kind          string `json:"kind"`
	Simulated     bool   `json:"simulated"`
	Modality      string `json:"modality"`
	Language      string `json:"language"`
	Rule          string `json:"rule"`
	RuleKind      string `json:"rule_kind"`
	Risk          string `json:"risk"`
	Topic         string `json:"topic"`
	Action        string `json:"action"`
	Side          string `json:"side"`
	Channel       string `json:"channel"`
	Choice        int    `json:"choice"`
	StartByte     int    `json:"start_byte"`
	EndByte       int    `json:"end_byte"`
	Runes         int    `json:"runes"`
	Fingerprint   string `json:"fingerprint"`
	ReleasedRunes int    `json:"released_runes"`

	Content *Content `bun:"-" json:"-"`
}

// Content is what is captured: prompt and answer are personal data and live only encrypted.
type Content struct {
	Messages []byte `json:"messages,omitempty"` // the request's messages as JSON
	Prompt   string `json:"prompt,omitempty"`
	Answer   string `json:"answer,omitempty"`
}

func (c *Content) size() int {
	if c == nil {
		return 0
	}
	return len(c.Messages) + len(c.Prompt) + len(c.Answer)
}

// Stages of a capture: at the first signal of a request, and at its end.
const (
	StageFound = "found"
	StageEnded = "ended"
)

// Capture is content under a random key of its own; the key is sealed under Scope, so that erasing a
// subject makes the ciphertext unreadable wherever it lies.
type Capture struct {
	bun.BaseModel `bun:"table:capture" json:"-"`
	Seq           int64  `bun:"seq,pk" json:"seq"`
	RequestID     string `json:"request_id"`
	Stage         string `json:"stage"`
	ContentNo     string `json:"content_no"`
	ServiceID     string `json:"service_id"`
	Kind          string `json:"kind"`
	Modality      string `json:"modality"`
	Language      string `json:"language"`
	Scope         string `json:"scope"` // subject:<hmac>
	SealedKey     string `json:"-"`
	SHA256        string `bun:"sha256" json:"sha256"` // of Body, hex
	Body          []byte `json:"-"`

	Day string `bun:"-" json:"day"` // the file it was read from
}

// Ref names a capture by what its evidence is filed under: the content number, or the request if the
// answer never came to have one.
func (c Capture) Ref() string {
	if c.ContentNo != "" {
		return c.ContentNo
	}
	return c.RequestID
}

// Aggregate counts rows of traffic that were not stored one by one because the queue was full.
type Aggregate struct {
	bun.BaseModel `bun:"table:aggregate" json:"-"`
	Seq           int64  `bun:"seq,pk" json:"seq"`
	FirstMs       int64  `json:"first_ms"`
	LastMs        int64  `json:"last_ms"`
	ServiceID     string `json:"service_id"`
	Kind          string `json:"kind"`
	Simulated     bool   `json:"simulated"`
	InputVerdict  string `json:"input_verdict"`
	OutputVerdict string `json:"output_verdict"`
	Count         int    `bun:"n" json:"count"`
	ReleasedRunes int64  `json:"released_runes"`
}

// Segment is a closed run of rows, FromSeq < seq <= ToSeq, of one day, and the digest over them.
type Segment struct {
	bun.BaseModel `bun:"table:segment" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	Day           string `json:"day"`
	FromSeq       int64  `json:"from_seq"`
	ToSeq         int64  `json:"to_seq"`
	Rows          int64  `json:"rows"`
	SHA256        string `bun:"sha256" json:"sha256"`
	ClosedMs      int64  `json:"closed_ms"`
	HandedMs      int64  `json:"handed_ms"` // 0: not yet in the record
}

const schema = `
CREATE TABLE IF NOT EXISTS traffic (
  seq INTEGER PRIMARY KEY, request_id TEXT NOT NULL UNIQUE, content_no TEXT NOT NULL, gateway_id TEXT NOT NULL,
  operator_id TEXT NOT NULL, service_id TEXT NOT NULL, deployment_id TEXT NOT NULL, posture_digest TEXT NOT NULL,
  tenant TEXT NOT NULL, user_group TEXT NOT NULL, key_id TEXT NOT NULL, subject TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('real','drill','test','backfill')), simulated BOOLEAN NOT NULL,
  modality TEXT NOT NULL, language TEXT NOT NULL, route TEXT NOT NULL, stream BOOLEAN NOT NULL,
  input_verdict TEXT NOT NULL, output_verdict TEXT NOT NULL, matches TEXT NOT NULL, order_ids TEXT NOT NULL,
  released_runes INTEGER NOT NULL, finish TEXT NOT NULL, status INTEGER NOT NULL, error_code TEXT NOT NULL,
  upstream_status INTEGER NOT NULL, cut_by_order BOOLEAN NOT NULL, uninspected INTEGER NOT NULL,
  tokens_in BIGINT NOT NULL, tokens_out BIGINT NOT NULL, started_ms BIGINT NOT NULL, first_byte_ms BIGINT NOT NULL,
  ended_ms BIGINT NOT NULL, last_byte_us BIGINT NOT NULL, inspect_us BIGINT NOT NULL);
CREATE INDEX IF NOT EXISTS traffic_content ON traffic(content_no) WHERE content_no <> '';
CREATE TABLE IF NOT EXISTS signal (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, at_ms BIGINT NOT NULL, n INTEGER NOT NULL, subjects TEXT NOT NULL,
  request_id TEXT NOT NULL, content_no TEXT NOT NULL, gateway_id TEXT NOT NULL, operator_id TEXT NOT NULL,
  service_id TEXT NOT NULL, deployment_id TEXT NOT NULL, posture_digest TEXT NOT NULL, tenant TEXT NOT NULL,
  user_group TEXT NOT NULL, subject TEXT NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('real','drill','test','backfill')),
  simulated BOOLEAN NOT NULL, modality TEXT NOT NULL, language TEXT NOT NULL, rule TEXT NOT NULL, rule_kind TEXT NOT NULL,
  risk TEXT NOT NULL, topic TEXT NOT NULL, action TEXT NOT NULL, side TEXT NOT NULL, channel TEXT NOT NULL,
  choice INTEGER NOT NULL, start_byte INTEGER NOT NULL, end_byte INTEGER NOT NULL, runes INTEGER NOT NULL,
  fingerprint TEXT NOT NULL, released_runes INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS signal_content ON signal(content_no) WHERE content_no <> '';
CREATE INDEX IF NOT EXISTS signal_rule ON signal(service_id, rule);
CREATE TABLE IF NOT EXISTS capture (
  seq INTEGER PRIMARY KEY, request_id TEXT NOT NULL, stage TEXT NOT NULL, content_no TEXT NOT NULL, service_id TEXT NOT NULL,
  kind TEXT NOT NULL, modality TEXT NOT NULL, language TEXT NOT NULL, scope TEXT NOT NULL, sealed_key TEXT NOT NULL,
  sha256 TEXT NOT NULL, body BLOB NOT NULL, UNIQUE (request_id, stage));
CREATE INDEX IF NOT EXISTS capture_content ON capture(content_no) WHERE content_no <> '';
CREATE INDEX IF NOT EXISTS capture_sha ON capture(sha256);
CREATE TABLE IF NOT EXISTS aggregate (
  seq INTEGER PRIMARY KEY, first_ms BIGINT NOT NULL, last_ms BIGINT NOT NULL, service_id TEXT NOT NULL, kind TEXT NOT NULL,
  simulated BOOLEAN NOT NULL, input_verdict TEXT NOT NULL, output_verdict TEXT NOT NULL, n INTEGER NOT NULL, released_runes BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS handed (gateway_id TEXT NOT NULL, number BIGINT NOT NULL, PRIMARY KEY (gateway_id, number));
CREATE TABLE IF NOT EXISTS segment (
  id TEXT PRIMARY KEY, day TEXT NOT NULL, from_seq BIGINT NOT NULL, to_seq BIGINT NOT NULL, rows BIGINT NOT NULL,
  sha256 TEXT NOT NULL, closed_ms BIGINT NOT NULL, handed_ms BIGINT NOT NULL);
`
