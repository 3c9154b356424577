package gatelink

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fengsui/fengsui/internal/monitor/gateway"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/posture"
)

// Gate is what the agent keeps current; gateway.Gateway is one.
type Gate interface {
	Apply(ctx context.Context, s posture.Signed) (gateway.Ack, error)
	Contact()
	KeepAgain() error
	Status() gateway.Status
	Stops() []posture.Signed
}

// Options are what an agent needs. Controls, StateDir, Client and Clock are required.
type Options struct {
	Controls      []string // addresses of control nodes, tried in turn
	StateDir      string
	JoinToken     string // needed until the gateway was let in
	URL           string // where control reaches this gateway for probes; "" = nowhere
	Version       string
	Client        *http.Client  // without a time limit of its own
	ContactWithin time.Duration // of the gateway; 0 = never isolated
	Clock         clock.Clock
	Log           *slog.Logger // default: discards
}

// Times of the line. A question that is answered late is given up after answerWithin at most beyond the wait it asked for.
const (
	longestWait  = 5 * time.Second // well within a lease
	answerWithin = 10 * time.Second
	leastPatient = 2 * time.Second
	retryBase    = 100 * time.Millisecond
	retryMax     = 2 * time.Second
)

// Agent is the gateway's end of the line to control.
type Agent struct {
	o   Options
	log *slog.Logger

	mu     sync.Mutex
	m      member
	at     int // of Controls, the one that answered last
	skewMs int64
	toldMs int64

	parts   map[string][]byte // of the bundle in force
	saved   int64             // ms: contact was last noted on disk
	patient time.Duration     // how late an answer may be; of the one goroutine that asks
	changed chan struct{}     // closed when facts come
	revoked chan struct{}     // closed when control took the credential away
	once    sync.Once
}

// New reads the state folder, made if missing. Errors name the option at fault.
func New(o Options) (*Agent, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if len(o.Controls) == 0 {
		return nil, fault.Invalid("control", "error.required", "field", "control")
	}
	for i, c := range o.Controls {
		u, err := url.Parse(c)
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
			return nil, fault.Invalid("control", "gatelink.bad_control", "address", c)
		}
		if ip := net.ParseIP(u.Hostname()); u.Scheme == "http" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return nil, fault.Invalid("control", "gatelink.needs_tls", "address", c)
		}
		o.Controls[i] = strings.TrimRight(c, "/")
	}
	if err := os.MkdirAll(o.StateDir, 0o700); err != nil {
		return nil, fault.Unavailable("gateway.no_state_dir", "dir", o.StateDir).Because(err)
	}
	m, err := loadMember(o.StateDir)
	if err != nil {
		return nil, fault.Unavailable("gateway.no_state_dir", "dir", o.StateDir).Because(err)
	}
	a := &Agent{o: o, log: o.Log, m: m, parts: map[string][]byte{}, patient: leastPatient, changed: make(chan struct{}), revoked: make(chan struct{})}
	if m.Revoked {
		a.once.Do(func() { close(a.revoked) })
	}
	return a, nil
}

// ID is the gateway's name at control, "" until it was let in.
func (a *Agent) ID() string { a.mu.Lock(); defer a.mu.Unlock(); return a.m.GatewayID }

// ControlKey is what bundles are verified with.
func (a *Agent) ControlKey() []byte { a.mu.Lock(); defer a.mu.Unlock(); return a.m.ControlKey }

// Facts are the last that control told, nil before; the channel is closed when others come.
func (a *Agent) Facts() (*Facts, <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.m.Facts, a.changed
}

// Revoked is closed when control took this gateway's credential away; nothing may pass from then on, also after a restart.
func (a *Agent) Revoked() <-chan struct{} { return a.revoked }

// Skew is how far this machine's clock was ahead of control's at the last contact, and when that was, UTC ms; 0 = never.
func (a *Agent) Skew() (ahead time.Duration, contactMs int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Duration(a.skewMs) * time.Millisecond, a.toldMs
}

// Secret opens an upstream key by its reference. Error: fault not-found.
func (a *Agent) Secret(ref string) (string, error) {
	f, _ := a.Facts()
	if f == nil || f.Secrets[ref] == nil {
		return "", fault.NotFound("secret", "error.not_found", "field", ref)
	}
	v, err := a.unseal("secret:"+ref, f.Secrets[ref])
	return string(v), err
}

// Subject opens the key of the HMAC of subjects.
func (a *Agent) Subject() ([]byte, error) {
	f, _ := a.Facts()
	if f == nil {
		return nil, fault.Unavailable("gatelink.no_facts")
	}
	return a.unseal("subject", f.Subject)
}

func (a *Agent) unseal(ref string, sealed []byte) ([]byte, error) {
	a.mu.Lock()
	key, err := a.m.key()
	a.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return Unseal(key, ref, sealed)
}

// ContactFile holds when control was last heard of, so that a restart does not begin the isolation policy's time anew.
const ContactFile = "contact"

// LastContact is when control was last heard of before this start; zero if never.
func (a *Agent) LastContact() time.Time {
	raw, err := os.ReadFile(filepath.Join(a.o.StateDir, ContactFile))
	ms, err2 := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
	if err != nil || err2 != nil {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// noteContact notes how far the clocks are apart, and on disk the gateway's own last contact, never a later time: obeying a bundle
// may have taken a while since.
func (a *Agent) noteContact(nowMs, controlMs, contactMs int64) {
	a.mu.Lock()
	a.skewMs, a.toldMs = nowMs-controlMs, nowMs
	due := nowMs-a.saved >= 1000 || nowMs < a.saved
	if due {
		a.saved = nowMs
	}
	a.mu.Unlock()
	if due {
		if err := os.WriteFile(filepath.Join(a.o.StateDir, ContactFile), strconv.AppendInt(nil, contactMs, 10), 0o600); err != nil {
			a.log.Error("the time of contact could not be written down", "error", err)
		}
	}
}

// Enrol asks to be let in until control does, and then until it has told the facts. Error: containment.join_refused,
// gatelink.wrong_control, or ctx's.
func (a *Agent) Enrol(ctx context.Context) error {
	wait := retryBase
	for a.ID() == "" {
		at := a.address()
		err := a.enrol(ctx)
		if err == nil {
			break
		}
		if code := codeOf(err); code == "containment.join_refused" || fault.Is(err, "gatelink.wrong_control") || fault.Is(err, "error.required") {
			return err
		}
		a.log.Warn("control does not let this gateway in yet", "control", at, "error", err)
		a.turn(at)
		if !a.rest(ctx, &wait) {
			return ctx.Err()
		}
	}
	for {
		if f, _ := a.Facts(); f != nil {
			return nil
		}
		at := a.address()
		news, err := a.ask(ctx, Watch{Version: a.o.Version, Makes: posture.Understands})
		switch {
		case err == nil && news.Facts != nil:
			return a.learn(*news.Facts)
		case codeOf(err) == CodeRevoked:
			a.close()
			return err
		}
		a.turn(at)
		if !a.rest(ctx, &wait) {
			return ctx.Err()
		}
	}
}

func (a *Agent) enrol(ctx context.Context) error {
	_, fingerprint, ok := strings.Cut(a.o.JoinToken, ".")
	if !ok {
		return fault.Invalid("join", "error.required", "field", "join")
	}
	a.mu.Lock()
	m := a.m
	a.mu.Unlock()
	key, err := m.key()
	if err != nil {
		return err
	}
	var out Enrolled
	if err := a.post(ctx, PathEnrol, Enrol{Token: a.o.JoinToken, Credential: m.Credential, PublicKey: key.PublicKey().Bytes(), URL: a.o.URL, Version: a.o.Version, Makes: posture.Understands}, &out, answerWithin); err != nil {
		return err
	}
	if sum := sha256.Sum256(out.ControlKey); hex.EncodeToString(sum[:]) != fingerprint {
		return fault.Forbidden("gatelink.wrong_control")
	}
	return a.change(func(m *member) { m.GatewayID, m.ControlKey = out.GatewayID, out.ControlKey })
}

// change alters the member on disk and then in memory.
func (a *Agent) change(how func(m *member)) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	m := a.m
	how(&m)
	if err := m.save(a.o.StateDir); err != nil {
		return err
	}
	a.m = m
	return nil
}

func (a *Agent) learn(f Facts) error {
	if err := a.change(func(m *member) { m.Facts = &f }); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	close(a.changed)
	a.changed = make(chan struct{})
	return nil
}

// close remembers that this gateway was revoked.
func (a *Agent) close() {
	if err := a.change(func(m *member) { m.Revoked = true }); err != nil {
		a.log.Error("that this gateway was revoked could not be written down", "error", err)
	}
	a.once.Do(func() { close(a.revoked) })
}

// Follow keeps a gateway current until ctx ends or control revokes it.
func (a *Agent) Follow(ctx context.Context, g Gate, report func() Report) error {
	wait := retryBase
	var owed *Ack // an acknowledgement that control has not taken yet
	if st := g.Status(); st.Revision > 0 {
		// A process that was killed may have obeyed the bundle on its disk and not have said so.
		owed = &Ack{Epoch: st.Epoch, Revision: st.Revision, Digest: st.Digest, OrderIDs: st.OrderIDs, AtMs: clock.Ms(a.o.Clock)}
	}
	for ctx.Err() == nil {
		var err error
		at := a.address()
		if owed, err = a.round(ctx, g, report, owed); err == nil {
			wait = retryBase
			continue
		}
		if codeOf(err) == CodeRevoked {
			a.close()
			return nil
		}
		if ctx.Err() != nil {
			return nil
		}
		a.log.Warn("control cannot be asked", "control", at, "error", err)
		a.turn(at)
		if !a.rest(ctx, &wait) {
			return nil
		}
	}
	return nil
}

func (a *Agent) round(ctx context.Context, g Gate, report func() Report, owed *Ack) (*Ack, error) {
	if owed != nil {
		err := a.post(ctx, PathAck, owed, nil, answerWithin)
		if code := codeOf(err); err != nil && code != "posture.older" { // a revision that control does not know any more is no longer owed
			return owed, err
		}
		owed = nil
	}
	if err := g.KeepAgain(); err != nil {
		a.log.Error("the bundle that is obeyed is still not on disk", "error", err)
	}
	st := g.Status()
	q := Watch{Epoch: st.Epoch, Revision: st.Revision, Digest: st.Digest, Version: a.o.Version, Makes: posture.Understands, Report: report(), Stops: g.Stops(), WaitMs: a.wait().Milliseconds()}
	if f, _ := a.Facts(); f != nil {
		q.Facts = f.Digest
	}
	news, err := a.ask(ctx, q)
	if err != nil {
		return nil, err
	}
	if news.Facts != nil {
		if err := a.learn(*news.Facts); err != nil {
			return nil, err
		}
	}
	if news.Bundle != nil {
		s, err := a.join(ctx, *news.Bundle)
		if err != nil {
			return nil, err
		}
		ack, err := g.Apply(ctx, s)
		if err != nil {
			a.log.Error("a bundle from control is not obeyed", "error", err)
			return &Ack{Epoch: st.Epoch, Revision: st.Revision, Failed: true}, err
		}
		owed = &Ack{Epoch: ack.Epoch, Revision: ack.Revision, Digest: s.Digest(), OrderIDs: ack.OrderIDs, StreamsCut: ack.StreamsCut, AtMs: ack.AtMs}
	} else {
		g.Contact()
	}
	a.noteContact(clock.Ms(a.o.Clock), news.NowMs, g.Status().LastContactMs)
	return owed, nil
}

// wait is how long control may be silent: short enough that silence is not yet isolation.
func (a *Agent) wait() time.Duration {
	if a.o.ContactWithin > 0 {
		return min(longestWait, a.o.ContactWithin/3)
	}
	return longestWait
}

// ask waits for an answer about as long as the last one was late: a node that fell silent is left for another within a lease, and
// a line that is slow is given the time that it takes.
func (a *Agent) ask(ctx context.Context, q Watch) (News, error) {
	var n News
	wait := time.Duration(q.WaitMs) * time.Millisecond
	asked := a.o.Clock.Now()
	err := a.post(ctx, PathWatch, q, &n, wait+a.patient)
	switch {
	case err == nil:
		a.patient = min(max(2*(a.o.Clock.Now().Sub(asked)-wait), leastPatient), answerWithin)
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		a.patient = min(2*a.patient, answerWithin)
	}
	return n, err
}

// join puts a bundle together from the parts at hand and those that control has. They are trusted as little as the
// bundle: what comes out is verified as a whole.
func (a *Agent) join(ctx context.Context, slim posture.Slim) (posture.Signed, error) {
	parts := map[string][]byte{}
	for _, digest := range slim.Parts() {
		if b := a.parts[digest]; b != nil {
			parts[digest] = b
			continue
		}
		b, err := a.fetch(ctx, digest)
		if err != nil {
			return posture.Signed{}, err
		}
		parts[digest] = b
	}
	s, err := slim.Join(func(d string) ([]byte, bool) { b, ok := parts[d]; return b, ok })
	if err == nil {
		a.parts = parts
	}
	return s, err
}

// maxPart bounds a part, in bytes.
const maxPart = 512 << 20

func (a *Agent) fetch(ctx context.Context, digest string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	resp, err := a.send(ctx, http.MethodGet, PathPart+digest, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxPart))
	if err == nil && !posture.IsPart(b, digest) {
		err = fault.Invalid("part", "posture.malformed", "field", "part")
	}
	return b, err
}

// HandIn hands in what the spool holds, oldest first, until ctx ends.
func (a *Agent) HandIn(ctx context.Context, s *Spool) error {
	wait := retryBase
	for ctx.Err() == nil {
		b, ok := s.next()
		if !ok {
			select {
			case <-ctx.Done():
			case <-s.wake:
				select { // what comes together goes together
				case <-ctx.Done():
				case <-a.o.Clock.After(50 * time.Millisecond):
				}
			case <-a.o.Clock.After(time.Second):
			}
			continue
		}
		at := a.address()
		err := a.handIn(ctx, s, b)
		unread := errors.Is(err, errUnread)
		if bad := unread || codeOf(err) == CodeBad; err == nil || bad {
			if bad {
				a.log.Error("a batch cannot be read; it is put aside and its rows are lost", "batch", b.name, "by_control", !unread, "error", err)
			}
			if err := s.done(b, bad); err != nil {
				a.log.Error("a batch that control has could not be deleted; it is handed in again, which changes nothing", "batch", b.name, "error", err)
				if !a.rest(ctx, &wait) {
					return nil
				}
				continue
			}
			wait = retryBase
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		a.log.Warn("control does not take what was seen; it is kept", "control", at, "error", err)
		a.turn(at)
		if !a.rest(ctx, &wait) {
			return nil
		}
	}
	return nil
}

// errUnread: this gateway cannot read its own file. What stands behind it must not wait for that.
var errUnread = errors.New("the spool file cannot be read")

func (a *Agent) handIn(ctx context.Context, s *Spool, b spooled) error {
	raw, err := s.read(b)
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) { // says nothing about the file
		return err
	}
	if err != nil {
		return errors.Join(errUnread, err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	resp, err := a.send(ctx, http.MethodPost, PathBatch+fmt.Sprintf("%d/%d", b.madeMs, b.number), raw)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.Body.Close()
}

// refused is an answer of control that is not 200.
type refused struct {
	status int
	code   string
}

func (r refused) Error() string { return fmt.Sprintf("control answers %d %s", r.status, r.code) }

func codeOf(err error) string {
	var r refused
	if errors.As(err, &r) {
		return r.code
	}
	return ""
}

func (a *Agent) address() string { a.mu.Lock(); defer a.mu.Unlock(); return a.o.Controls[a.at] }

// turn goes to the next control node, unless somebody went on from the one that failed already.
func (a *Agent) turn(from string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.o.Controls[a.at] == from {
		a.at = (a.at + 1) % len(a.o.Controls)
	}
}

func (a *Agent) post(ctx context.Context, path string, in, out any, within time.Duration) error {
	raw, err := json.Marshal(in)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	resp, err := a.send(ctx, http.MethodPost, path, raw)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	return json.NewDecoder(io.LimitReader(resp.Body, maxPart)).Decode(out)
}

// send asks control; the error of an answer that is not 200 is a refused.
func (a *Agent) send(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, a.address()+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	req.Header.Set("Authorization", "Bearer "+a.m.Credential)
	a.mu.Unlock()
	resp, err := a.o.Client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	var r Refusal
	_ = json.NewDecoder(io.LimitReader(resp.Body, 1<<16)).Decode(&r) // a proxy in between answers what it likes
	return nil, refused{resp.StatusCode, r.Code}
}

// rest waits, longer each time; false if ctx ended.
func (a *Agent) rest(ctx context.Context, wait *time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-a.o.Clock.After(*wait):
	}
	*wait = min(2**wait, retryMax)
	return true
}
