package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/login"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// SessionCookie is the name of the cookie that carries a session.
const SessionCookie = "fengsui_session"

// wire is the exchange below an operation, for what is no JSON: cookies, and where a request came from.
type wire struct {
	r       *http.Request
	w       http.ResponseWriter
	session login.Session // the asker's; zero for a token
}

func wireOf(ctx context.Context) *wire { w, _ := ctx.Value(wireKey).(*wire); return w }

func (w *wire) from() login.From {
	return login.From{Address: w.r.RemoteAddr, Agent: w.r.UserAgent()}
}

// SetSession puts a session's token into the cookie; "" takes it out. Scripts cannot read it, no other
// site can have it sent, and over TLS it never travels in clear. public is the address of the desk.
func SetSession(w http.ResponseWriter, r *http.Request, public, token string) {
	c := &http.Cookie{Name: SessionCookie, Value: token, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil || strings.HasPrefix(public, "https:")}
	if token == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// whoIs turns a bearer token or a session's cookie into the actor. A browser sends the cookie whoever
// made it send the request, so a cookie must not change anything on behalf of another site.
func (a *API) whoIs(ctx huma.Context, w *wire) (store.Actor, error) {
	if header := ctx.Header("Authorization"); header != "" {
		scheme, token, ok := strings.Cut(header, " ")
		if !ok || !strings.EqualFold(scheme, "Bearer") {
			return store.Actor{}, fault.Unauthenticated("identity.unknown")
		}
		return identity.Authenticate(ctx.Context(), a.Store.Read(), a.NowMs(), strings.TrimSpace(token))
	}
	cookie, err := w.r.Cookie(SessionCookie)
	if err != nil {
		return store.Actor{}, fault.Unauthenticated("identity.unknown")
	}
	if err := a.sameSite(w.r); err != nil {
		return store.Actor{}, err
	}
	who := a.Login.Authenticate
	if ctx.Operation().OperationID == "events" || ctx.Header(unattended) != "" {
		who = a.Login.Look
	}
	actor, s, err := who(ctx.Context(), cookie.Value)
	w.session = s
	return actor, err
}

// unattended is the header by which a page says that it reads anew by itself, with nobody at the keys.
const unattended = "Fengsui-Unattended"

// sameSite refuses what another site had a browser send, as far as it could change something.
func (a *API) sameSite(r *http.Request) error {
	p := http.NewCrossOriginProtection()
	if public := a.Login.PublicURL(); public != "" {
		if err := p.AddTrustedOrigin(public); err != nil {
			return err
		}
	}
	if err := p.Check(r); err != nil {
		return fault.Forbidden("login.cross_site").Because(err)
	}
	return nil
}

// act registers a call that changes something in more steps than one transaction: a hash takes too long
// to hold the writer up for. It has no Idempotency-Key.
func act[I, O any](a *API, o operation, fn func(ctx context.Context, w *wire, actor store.Actor, in *I) (O, error)) {
	o.method, o.again = http.MethodPost, true
	huma.Register(a.huma, o.huma(), func(ctx context.Context, in *I) (*output[O], error) {
		w := wireOf(ctx)
		var out O
		err := error(nil)
		if o.public { // a log-in of another's making is a way to be watched
			err = a.sameSite(w.r)
		}
		if err == nil {
			out, err = fn(ctx, w, actorOf(ctx), in)
		}
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return &output[O]{out}, nil
	})
}

// LoginWays says how one can log in here.
type LoginWays struct {
	Password bool      `json:"password"`
	Passkey  bool      `json:"passkey"`
	OIDC     []OIDCWay `json:"oidc"`
	Demo     string    `json:"demo,omitempty" doc:"a hint that only a demonstration shows"`
}

// OIDCWay is an identity provider that can vouch for a person.
type OIDCWay struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// LoginState is what became of a log-in: in, or code, which asks for the one-time password.
type LoginState struct {
	State string `json:"state"`
}

type passwordBody struct {
	Body struct {
		Account  string `json:"account" maxLength:"200"`
		Password string `json:"password" maxLength:"2000"`
		Code     string `json:"code,omitempty" maxLength:"20"`
	}
}

type credentialBody struct {
	Body struct {
		Ceremony   string          `json:"ceremony" maxLength:"100"`
		Credential json.RawMessage `json:"credential" doc:"what the browser's credentials API answered, as JSON"`
	}
}

type newPasskeyBody struct {
	Body struct {
		Ceremony   string          `json:"ceremony" maxLength:"100"`
		Label      string          `json:"label" maxLength:"100"`
		Credential json.RawMessage `json:"credential" doc:"what the browser's credentials API answered, as JSON"`
	}
}

type codeBody struct {
	Body struct {
		Code string `json:"code" maxLength:"20"`
	}
}

// in sets the cookie of a log-in.
func (a *API) in(w *wire, in login.In) LoginState {
	if in.Token == "" {
		return LoginState{"code"}
	}
	SetSession(w.w, w.r, a.Login.PublicURL(), in.Token)
	return LoginState{"in"}
}

// login are the operations by which one logs in and out. They come after monitor, whose limit on what needs no token holds for them.
func (a *API) login() {
	const room = "identity"
	get(a, operation{path: "/login/ways", id: "login-ways", room: room, summary: "How one can log in", public: true}, func(ctx context.Context, _ store.Actor, _ *none) (LoginWays, error) {
		ways := LoginWays{Password: true, Passkey: a.Login.Passkeys(wireOf(ctx).r.Host), OIDC: []OIDCWay{}, Demo: a.Login.Demo()}
		all, err := a.Login.Providers(ctx, a.Store.Read())
		for _, p := range all {
			ways.OIDC = append(ways.OIDC, OIDCWay{p.ID, p.Name})
		}
		return ways, err
	})
	act(a, operation{path: "/login/password", id: "login-password", room: room, summary: "Log in by account and password, and by a code if one is asked for", public: true}, func(ctx context.Context, w *wire, _ store.Actor, in *passwordBody) (LoginState, error) {
		got, err := a.Login.Password(ctx, login.Attempt{Account: in.Body.Account, Password: in.Body.Password, Code: in.Body.Code, From: w.from()})
		if err != nil {
			return LoginState{}, err
		}
		return a.in(w, got), nil
	})
	act(a, operation{path: "/login/passkey/begin", id: "login-passkey-begin", room: room, summary: "Begin to log in by passkey", public: true}, func(ctx context.Context, _ *wire, _ store.Actor, _ *none) (login.Ceremony, error) {
		return a.Login.BeginLogin(ctx)
	})
	act(a, operation{path: "/login/passkey/finish", id: "login-passkey-finish", room: room, summary: "Log in by what the passkey answered", public: true}, func(ctx context.Context, w *wire, _ store.Actor, in *credentialBody) (LoginState, error) {
		got, err := a.Login.FinishLogin(ctx, w.from(), in.Body.Ceremony, in.Body.Credential)
		if err != nil {
			return LoginState{}, err
		}
		return a.in(w, got), nil
	})
	post(a, operation{path: "/logout", id: "logout", room: room, summary: "End this session", again: true}, func(ctx context.Context, tx *store.Tx, _ *none) (done, error) {
		w := wireOf(ctx)
		if w.session.ID == "" {
			return done{}, fault.Conflict("session", "login.needs_session")
		}
		SetSession(w.w, w.r, a.Login.PublicURL(), "")
		return done{true}, login.EndSession(ctx, tx, w.session.ID)
	})
	post(a, operation{path: "/logout-everywhere", id: "logout-everywhere", room: room, summary: "End all of one's sessions", again: true}, func(ctx context.Context, tx *store.Tx, _ *none) (done, error) {
		w := wireOf(ctx)
		SetSession(w.w, w.r, a.Login.PublicURL(), "")
		_, err := login.EndSessions(ctx, tx, tx.Actor.ID, "")
		return done{err == nil}, err
	})
}

// inPerson refuses a token where somebody changes how they log in: a token that leaks must not become
// a way in that outlives it.
func inPerson(ctx context.Context) error {
	if wireOf(ctx).session.ID == "" {
		return fault.Forbidden("login.needs_session")
	}
	return nil
}

// me are the operations about oneself.
func (a *API) me() {
	const room = "identity"
	get(a, operation{path: "/me", id: "me", room: room, summary: "Who am I, and what may I do"}, func(ctx context.Context, actor store.Actor, _ *none) (Me, error) {
		return a.whoAmI(ctx, actor, wireOf(ctx).session)
	})
	act(a, operation{path: "/me/password", id: "change-password", room: room, summary: "Change one's password; ends one's other sessions"}, func(ctx context.Context, w *wire, actor store.Actor, in *struct {
		Body struct {
			Old string `json:"old" maxLength:"2000"`
			New string `json:"new" maxLength:"2000"`
		}
	}) (done, error) {
		if err := inPerson(ctx); err != nil {
			return done{}, err
		}
		err := a.Login.ChangePassword(ctx, actor, w.session, w.from(), in.Body.Old, in.Body.New)
		return done{err == nil}, err
	})
	post(a, operation{path: "/me/totp/begin", id: "begin-totp", room: room, summary: "Make a secret for one-time passwords", again: true}, func(ctx context.Context, tx *store.Tx, _ *none) (login.Secret, error) {
		if err := inPerson(ctx); err != nil {
			return login.Secret{}, err
		}
		return a.Login.BeginTOTP(ctx, tx)
	})
	post(a, operation{path: "/me/totp/confirm", id: "confirm-totp", room: room, summary: "Turn one-time passwords on by showing one", again: true}, func(ctx context.Context, tx *store.Tx, in *codeBody) (done, error) {
		if err := inPerson(ctx); err != nil {
			return done{}, err
		}
		err := a.Login.ConfirmTOTP(ctx, tx, in.Body.Code)
		return done{err == nil}, err
	})
	act(a, operation{path: "/me/totp/remove", id: "remove-totp", room: room, summary: "Turn one-time passwords off by showing one"}, func(ctx context.Context, w *wire, actor store.Actor, in *codeBody) (done, error) {
		if err := inPerson(ctx); err != nil {
			return done{}, err
		}
		err := a.Login.RemoveTOTP(ctx, actor, w.from(), in.Body.Code)
		return done{err == nil}, err
	})
	get(a, operation{path: "/me/passkeys", id: "list-passkeys", room: room, summary: "One's passkeys"}, func(ctx context.Context, actor store.Actor, _ *none) ([]login.Passkey, error) {
		return login.ListPasskeys(ctx, a.Store.Read(), actor.ID)
	})
	post(a, operation{path: "/me/passkeys/begin", id: "begin-passkey", room: room, summary: "Begin to register a passkey", again: true}, func(ctx context.Context, tx *store.Tx, _ *none) (login.Ceremony, error) {
		if err := inPerson(ctx); err != nil {
			return login.Ceremony{}, err
		}
		return a.Login.BeginPasskey(ctx, tx)
	})
	act(a, operation{path: "/me/passkeys/finish", id: "finish-passkey", room: room, summary: "Register what the passkey answered"}, func(ctx context.Context, _ *wire, actor store.Actor, in *newPasskeyBody) (login.Passkey, error) {
		if err := inPerson(ctx); err != nil {
			return login.Passkey{}, err
		}
		return a.Login.FinishPasskey(ctx, actor, in.Body.Ceremony, in.Body.Label, in.Body.Credential)
	})
	post(a, operation{path: "/me/passkeys/{id}/remove", id: "remove-passkey", room: room, summary: "Remove a passkey", again: true}, func(ctx context.Context, tx *store.Tx, in *ByID) (done, error) {
		if err := inPerson(ctx); err != nil {
			return done{}, err
		}
		err := login.RemovePasskey(ctx, tx, in.ID)
		return done{err == nil}, err
	})
	get(a, operation{path: "/me/sessions", id: "list-sessions", room: room, summary: "One's sessions"}, func(ctx context.Context, actor store.Actor, _ *none) ([]login.Session, error) {
		return a.Login.Sessions(ctx, actor.ID, wireOf(ctx).session.ID)
	})
	post(a, operation{path: "/me/sessions/{id}/end", id: "end-session", room: room, summary: "End one of one's sessions", again: true}, func(ctx context.Context, tx *store.Tx, in *ByID) (done, error) {
		err := login.EndSession(ctx, tx, in.ID)
		return done{err == nil}, err
	})
}

// Me is who asks, what they may do, and how they can log in. Session is set for a browser's log-in.
type Me struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Account  string     `json:"account"`
	Roles    []string   `json:"roles"`
	Actions  []string   `json:"actions"`
	DrillID  string     `json:"drill_id,omitempty"`
	Password bool       `json:"password"`
	TOTP     bool       `json:"totp"`
	Passkeys int        `json:"passkeys"`
	Session  *MySession `json:"session,omitempty"`
}

// MySession is the session that the request came in.
type MySession struct {
	ID        string `json:"id"`
	ExpiresMs int64  `json:"expires_ms"`
}

func (a *API) whoAmI(ctx context.Context, actor store.Actor, s login.Session) (Me, error) {
	m := Me{ID: actor.ID, Roles: actor.Roles, Actions: identity.ActionsOf(actor), DrillID: actor.Drill}
	db := a.Store.Read()
	if err := db.NewRaw("SELECT name FROM person WHERE id = ?", actor.ID).Scan(ctx, &m.Name); err != nil {
		return m, err
	}
	acc, err := login.AccountOf(ctx, db, actor.ID)
	if err != nil {
		return m, err
	}
	if acc != nil {
		m.Account, m.Password, m.TOTP = acc.Name, true, acc.TOTPMs != 0
	}
	keys, err := login.ListPasskeys(ctx, db, actor.ID)
	m.Passkeys = len(keys)
	if s.ID != "" {
		m.Session = &MySession{s.ID, s.ExpiresMs}
	}
	return m, err
}
