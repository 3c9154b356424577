// Package gates is control's end of the line to gateways that are processes of their own; see
// internal/monitor/gatelink for the protocol. It is no part of the console's API: gateways speak to it on a
// listener of its own, each with the credential that it enrolled with.
package gates

import (
	"context"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fengsui/fengsui/internal/monitor/gatelink"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/respond/containment"
)

// Bounds of one message.
const (
	maxMessage = 1 << 20
	maxBatch   = 64 << 20
	longestAsk = 20 * time.Second
)

// Options are what a server needs; all are required but Log.
type Options struct {
	Store       *store.Store
	Control     *containment.Control
	Distributor *containment.Distributor
	Leases      *containment.Leases
	Secrets     *secret.Vault
	Telemetry   *telemetry.Log
	Subject     secret.Value     // key of the HMAC of subjects, the same on all gateways
	SpoolKey    *ecdh.PrivateKey // what gateways keep for control is sealed to its public half
	PublicURL   func() string
	TakeOver    func(ctx context.Context, gatewayID string, stop posture.Signed) error // makes an order of a sealed token that was used
	Log         *slog.Logger                                                           // default: discards
}

// Server answers gateways.
type Server struct {
	o       Options
	closing chan struct{}
	once    sync.Once

	mu    sync.Mutex
	made  *containment.Made // that slim was cut from
	slim  *posture.Slim
	parts [2]map[string][]byte // of this bundle and of the one before, which somebody may still be fetching
}

// New makes a server.
func New(o Options) *Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{o: o, closing: make(chan struct{})}
}

// Release answers everybody who waits; call it when the listener closes.
func (s *Server) Release() { s.once.Do(func() { close(s.closing) }) }

// Handler serves the protocol.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+gatelink.PathEnrol, s.enrol)
	mux.HandleFunc("POST "+gatelink.PathWatch, known(s, s.watch))
	mux.HandleFunc("POST "+gatelink.PathAck, known(s, s.ack))
	mux.HandleFunc("POST "+gatelink.PathBatch+"{made}/{number}", s.batch)
	mux.HandleFunc("GET "+gatelink.PathPart+"{digest}", s.part)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, r, fault.NotFound("path", "error.not_found", "field", "path"))
	})
	return mux
}

// known answers a message of an enrolled gateway.
func known[I, O any](s *Server, answer func(ctx context.Context, m containment.Member, in I) (O, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		m, err := s.who(r)
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		var in I
		if err := read(w, r, &in); err != nil {
			s.refuse(w, r, err)
			return
		}
		out, err := answer(r.Context(), m, in)
		s.say(w, r, out, err)
	}
}

func read(w http.ResponseWriter, r *http.Request, into any) error {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxMessage)).Decode(into); err != nil {
		return fault.Invalid("body", "posture.malformed", "field", "body").Because(err)
	}
	return nil
}

func (s *Server) who(r *http.Request) (containment.Member, error) {
	credential, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return containment.Member{}, fault.Unauthenticated("containment.gateway_unknown")
	}
	return containment.Authenticate(r.Context(), s.o.Store.Read(), credential)
}

func (s *Server) say(w http.ResponseWriter, r *http.Request, out any, err error) {
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out) // the gateway is gone if this fails, and asks again
}

func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	out, code := gatelink.Refusal{Code: "internal"}, http.StatusInternalServerError
	var f *fault.Error
	if err = store.Away(err); errors.As(err, &f) {
		out.Code = f.Key
		code = map[fault.Kind]int{fault.KindInvalid: http.StatusUnprocessableEntity, fault.KindNotFound: http.StatusNotFound, fault.KindConflict: http.StatusConflict,
			fault.KindUnauthenticated: http.StatusUnauthorized, fault.KindForbidden: http.StatusForbidden, fault.KindTooMany: http.StatusTooManyRequests}[f.Kind]
	}
	if code == 0 {
		code = http.StatusServiceUnavailable
	}
	if code >= http.StatusInternalServerError && r.Context().Err() == nil {
		s.o.Log.ErrorContext(r.Context(), "a gateway could not be answered", "error", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(out)
}

func (s *Server) enrol(w http.ResponseWriter, r *http.Request) {
	var in gatelink.Enrol
	if err := read(w, r, &in); err != nil {
		s.refuse(w, r, err)
		return
	}
	var m containment.Member
	err := s.o.Store.Write(r.Context(), store.System("enrol"), func(tx *store.Tx) error {
		var err error
		m, err = s.o.Control.Enrol(r.Context(), tx, in.Token, containment.Enrolment{Credential: in.Credential,
			PublicKey: base64.StdEncoding.EncodeToString(in.PublicKey), URL: in.URL, Version: in.Version, Makes: in.Makes})
		return err
	})
	s.say(w, r, gatelink.Enrolled{GatewayID: m.ID, ControlKey: s.o.Control.PublicKey()}, err)
}

// watch answers what is newer than what a gateway has, as soon as something is.
func (s *Server) watch(ctx context.Context, m containment.Member, in gatelink.Watch) (gatelink.News, error) {
	for _, stop := range in.Stops {
		if err := s.o.TakeOver(ctx, m.ID, stop); err != nil {
			s.o.Log.ErrorContext(ctx, "a sealed token that a gateway obeys could not be taken over", "gateway", m.ID, "error", err)
		}
	}
	fares := containment.Report(in.Report)
	clk := s.o.Store.Clock()
	over := clk.After(min(max(0, time.Duration(in.WaitMs)*time.Millisecond), longestAsk))
	for waited := false; ; {
		made, changed := s.o.Distributor.Latest()
		if made == nil {
			return gatelink.News{}, containment.ErrBehind
		}
		ahead := in.Epoch > made.Epoch || in.Epoch == made.Epoch && in.Revision > made.Revision
		same := in.Epoch == made.Epoch && in.Revision == made.Revision
		switch {
		case ahead:
			return gatelink.News{}, containment.ErrBehind
		case same && in.Digest != "" && in.Digest != made.Digest:
			// The database was set back and gave the number again, or this node puts it otherwise than a newer one. The gateway
			// would refuse the bundle; unless another node has the one that it obeys, its lease ends.
			s.o.Log.ErrorContext(ctx, "a gateway obeys another bundle of the same revision", "gateway", m.ID, "revision", in.Revision)
			s.o.Distributor.Clash(made.Revision)
			return gatelink.News{}, containment.ErrBehind
		case same:
			s.o.Leases.Seen(m.ID, in.Revision, in.Version, in.Makes, fares)
		default:
			s.o.Leases.Seen(m.ID, 0, in.Version, in.Makes, fares) // in touch, but it obeys something older
		}
		facts, err := s.facts(ctx, m)
		if err != nil {
			return gatelink.News{}, err
		}
		news := gatelink.News{NowMs: clock.Ms(clk)}
		if facts.Digest != in.Facts {
			news.Facts = &facts
		}
		if !same {
			if news.Bundle, err = s.cut(made); err != nil {
				return gatelink.News{}, err
			}
		}
		if news.Bundle != nil || news.Facts != nil {
			return news, nil
		}
		if waited {
			return news, s.current(ctx, made)
		}
		select {
		case <-changed:
		case <-over:
			waited = true
		case <-s.closing:
			waited = true
		case <-ctx.Done():
			return gatelink.News{}, ctx.Err()
		}
		if err := containment.StillMember(ctx, s.o.Store.Read(), m.ID); err != nil {
			return gatelink.News{}, err
		}
	}
}

// current reports whether this node knows what the store knows. Otherwise it must not be taken for contact.
func (s *Server) current(ctx context.Context, made *containment.Made) error {
	var revision int64
	if err := s.o.Store.Read().NewRaw("SELECT revision FROM bundle_state WHERE id = 1").Scan(ctx, &revision); err != nil {
		return err
	}
	if revision != made.Revision {
		return containment.ErrBehind
	}
	return nil
}

// cut gives the newest bundle without the parts that gateways keep.
func (s *Server) cut(made *containment.Made) (*posture.Slim, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made == made {
		return s.slim, nil
	}
	slim, parts, err := posture.CutBundle(made.Signed, s.o.Control.PublicKey())
	if err != nil {
		return nil, err
	}
	s.made, s.slim, s.parts = made, &slim, [2]map[string][]byte{parts, s.parts[0]}
	return s.slim, nil
}

func (s *Server) part(w http.ResponseWriter, r *http.Request) {
	if _, err := s.who(r); err != nil {
		s.refuse(w, r, err)
		return
	}
	made, _ := s.o.Distributor.Latest()
	if made == nil {
		s.refuse(w, r, containment.ErrBehind)
		return
	}
	if _, err := s.cut(made); err != nil { // another node may have told the gateway what to fetch
		s.refuse(w, r, err)
		return
	}
	s.mu.Lock()
	parts := s.parts
	s.mu.Unlock()
	for _, p := range parts {
		if b, ok := p[r.PathValue("digest")]; ok {
			w.Header().Set("Content-Type", "application/octet-stream")
			_, _ = w.Write(b)
			return
		}
	}
	s.refuse(w, r, fault.NotFound("digest", gatelink.CodeMissing))
}

// facts are sealed to the gateway that asks. The digest does not depend on the sealing, which is new each time.
func (s *Server) facts(ctx context.Context, m containment.Member) (gatelink.Facts, error) {
	f := gatelink.Facts{PublicURL: s.o.PublicURL(), CaptureAll: s.o.Telemetry.CaptureAll(), SpoolKey: s.o.SpoolKey.PublicKey().Bytes(), Secrets: map[string][]byte{}}
	key, err := base64.StdEncoding.DecodeString(m.PublicKey)
	if err != nil {
		return f, err
	}
	if f.Subject, err = gatelink.SealTo(key, "subject", s.o.Subject); err != nil {
		return f, err
	}
	var refs []string
	if err := s.o.Store.Read().NewRaw("SELECT DISTINCT secret_ref FROM deployment WHERE secret_ref <> '' ORDER BY secret_ref").Scan(ctx, &refs); err != nil {
		return f, err
	}
	guard, err := containment.GuardSecret(ctx, s.o.Store.Read())
	if err != nil {
		return f, err
	}
	if guard != "" && !slices.Contains(refs, guard) {
		refs = append(refs, guard)
	}
	mac := hmac.New(sha256.New, s.o.Subject)
	_ = json.NewEncoder(mac).Encode([]any{f.PublicURL, f.CaptureAll, f.SpoolKey}) // a hash takes everything
	for _, ref := range refs {
		if strings.HasPrefix(ref, "fengsui.") {
			continue // the instance's own, which no upstream is given
		}
		v, err := s.o.Secrets.Get(ctx, s.o.Store.Read(), ref)
		if fault.KindOf(err) == fault.KindNotFound {
			continue // the gateway says so when it is asked for
		}
		if err != nil {
			return f, err
		}
		if f.Secrets[ref], err = gatelink.SealTo(key, "secret:"+ref, v); err != nil {
			return f, err
		}
		_ = json.NewEncoder(mac).Encode([]any{ref, []byte(v)})
	}
	f.Digest = hex.EncodeToString(mac.Sum(nil))
	return f, nil
}

// ack writes down what a gateway obeys.
func (s *Server) ack(ctx context.Context, m containment.Member, in gatelink.Ack) (struct{}, error) {
	if in.Failed {
		s.o.Log.Error("a gateway does not obey the bundle", "gateway", m.ID, "revision", in.Revision)
		s.o.Distributor.Disobeyed(ctx, m.ID)
		return struct{}{}, nil
	}
	return struct{}{}, s.o.Distributor.Obeyed(ctx, m.ID, containment.Ack{Epoch: in.Epoch, Revision: in.Revision, Digest: in.Digest, OrderIDs: in.OrderIDs, StreamsCut: in.StreamsCut, AtMs: in.AtMs})
}

// batch takes a spool file. It answers when its rows are stored.
func (s *Server) batch(w http.ResponseWriter, r *http.Request) {
	m, err := s.who(r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	made, errMade := strconv.ParseInt(r.PathValue("made"), 10, 64)
	number, errNumber := strconv.ParseInt(r.PathValue("number"), 10, 64)
	if errMade != nil || errNumber != nil || number <= 0 {
		s.refuse(w, r, fault.Invalid("number", gatelink.CodeBad))
		return
	}
	b := telemetry.Batch{GatewayID: m.ID, Number: number, MadeMs: made}
	if err := gatelink.ReadSpool(http.MaxBytesReader(w, r.Body, maxBatch), s.o.SpoolKey, &b); err != nil {
		s.refuse(w, r, err)
		return
	}
	if len(b.Traffic)+len(b.Signals)+len(b.Aggregates) > 0 {
		err = s.o.Telemetry.Hand(r.Context(), b)
	}
	_, _ = io.Copy(io.Discard, r.Body)
	s.say(w, r, struct{}{}, err)
}
