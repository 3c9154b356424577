// Package lexicon keeps the keyword libraries (关键词库): which terms are looked for, near what, for
// which risk, and what is done about a hit. Adding a term is tightening and takes one person, who
// has it live at once for a day; keeping it takes a second person, and so does taking it away.
package lexicon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/inspect/match"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/service"
)

// Topic is woken when what is live may have changed; a posture has to be compiled anew.
const Topic = "posture"

// DueExpire is the kind of the due rows that take away what nobody approved; handler: Expire.
const DueExpire = "lexicon.expire"

const (
	// EmergencyMs is how long an unapproved entry lives: 24 h.
	EmergencyMs int64 = 24 * 60 * 60 * 1000
	// MaxEmergency is how many entries one emergency publication may hold. A hot event asks for at
	// least 20 (guide 6.1.2 a 3); more than this is an import.
	MaxEmergency = 50
	maxContexts  = 16
	maxTerm      = 300 // characters, of which many may be left out; the index has no more
	maxTopic     = 64
)

// States of an entry.
const (
	StateLive    = "live"
	StateRetired = "retired"
)

// Draft is an entry as somebody proposes it. Term and contexts are 1 to 64 symbols; Risk is one of
// A.1.a … A.5.b (GB/T 45654-2025, Annex A).
type Draft struct {
	ServiceID  string   `json:"service_id"` // "" = every service
	Term       string   `json:"term"`
	Action     string   `json:"action"` // observe, mask, replace, block
	Risk       string   `json:"risk"`
	Topic      string   `json:"topic"`
	Contexts   []string `json:"contexts"`    // if any, the term hits only near one of them
	StrictOnly bool     `json:"strict_only"` // only while a strict filter order is in force
	Secret     bool     `json:"secret"`      // from a directive: the console shows it masked
	// Matching says in which ways the term is looked for other than usual.
	Matching inspect.Matching `json:"matching"`
}

// Entry is a term that is, or was, looked for. ExpiresMs 0 means that it was approved to stay.
type Entry struct {
	bun.BaseModel `bun:"table:lexicon_entry" json:"-"`
	ID            string           `bun:"id,pk" json:"id"`
	ServiceID     string           `json:"service_id"`
	Term          string           `json:"term"`
	Action        string           `json:"action"`
	Risk          string           `json:"risk"`
	Topic         string           `json:"topic"`
	Contexts      []string         `bun:"contexts" json:"contexts"`
	StrictOnly    bool             `json:"strict_only"`
	Secret        bool             `json:"secret"`
	Matching      inspect.Matching `json:"matching"`
	Source        string           `json:"source"` // starter, import:<id>, incident:<id>, emergency
	State         string           `json:"state"`
	ExpiresMs     int64            `json:"expires_ms"`
	CreatedBy     string           `json:"created_by"`
	ApprovedBy    string           `json:"approved_by"`
	CreatedMs     int64            `json:"created_ms"`
}

// Rule is the entry as the engine looks for it.
func (e Entry) Rule() (t inspect.Term, err error) {
	t = inspect.Term{ID: e.ID, Text: e.Term, Risk: e.Risk, Topic: e.Topic, Contexts: e.Contexts}
	if len(e.Contexts) > 0 {
		t.Window = Window
	}
	if t.Action, err = inspect.ParseAction(e.Action); err != nil {
		return t, err
	}
	t.Disguise, err = e.Matching.Of(e.Term, e.Contexts...)
	return t, err
}

// masked is the entry as the console may show it.
func (e Entry) masked() Entry {
	if e.Secret {
		e.Term, e.Contexts = strings.Repeat("＊", utf8.RuneCountInString(e.Term)), []string{}
	}
	return e
}

// fingerprint lets the record name a term without holding it.
func (d Draft) fingerprint() string {
	sum := sha256.Sum256([]byte(strings.Join(append([]string{d.ServiceID, d.Term, strconv.FormatBool(d.StrictOnly)}, d.Contexts...), "\x00")))
	return hex.EncodeToString(sum[:])
}

// Library is the keyword library with the taxonomy it must fit.
type Library struct{ knowsRisk func(id string) bool }

// New makes a library; knowsRisk says whether a risk code exists (standard.Book.Risk).
func New(knowsRisk func(id string) bool) *Library { return &Library{knowsRisk} }

// Check normalises a draft and says what is wrong with it; the term is never part of the error.
func (l *Library) Check(d Draft) (Draft, error) {
	d, err := l.tidy(d)
	if err == nil {
		_, err = compiles([]Draft{d})
	}
	return d, err
}

// checkAll is Check for many, in much less time than one by one. wrong is the index of the draft that err is about.
func (l *Library) checkAll(drafts []Draft) (list []Draft, wrong int, err error) {
	list = make([]Draft, len(drafts))
	for i, d := range drafts {
		if list[i], err = l.tidy(d); err != nil {
			return nil, i, err
		}
	}
	wrong, err = compiles(list)
	return list, wrong, err
}

// tidy is Check but for what the engine says.
func (l *Library) tidy(d Draft) (Draft, error) {
	d.Term, d.Topic, d.Risk, d.Action = strings.TrimSpace(d.Term), strings.TrimSpace(d.Topic), strings.TrimSpace(d.Risk), strings.TrimSpace(d.Action)
	if utf8.RuneCountInString(d.Term) > maxTerm {
		return d, fault.Invalid("term", "lexicon.long_term", "max", maxTerm)
	}
	if len(d.Contexts) > maxContexts {
		return d, fault.Invalid("contexts", "lexicon.too_many_contexts", "max", maxContexts)
	}
	contexts := make([]string, 0, len(d.Contexts))
	for _, c := range d.Contexts {
		contexts = append(contexts, strings.TrimSpace(c))
	}
	slices.Sort(contexts)
	d.Contexts = slices.Compact(contexts)
	if !slices.Contains([]string{"observe", "mask", "replace", "block"}, d.Action) {
		return d, fault.Invalid("action", "error.unknown_value", "value", d.Action, "valid", "observe, mask, replace, block")
	}
	if !l.knowsRisk(d.Risk) {
		return d, fault.Invalid("risk", "lexicon.unknown_risk", "value", d.Risk)
	}
	if utf8.RuneCountInString(d.Topic) > maxTopic || strings.ContainsAny(d.Topic, "\t\n\r|,") {
		return d, fault.Invalid("topic", "lexicon.bad_topic", "max", maxTopic)
	}
	return d, nil
}

// compiles asks the engine, which itself decides what it can look for, so that a live entry never breaks a posture.
func compiles(drafts []Draft) (wrong int, err error) {
	rules := inspect.Rules{Terms: make([]inspect.Term, len(drafts)), MaxHold: inspect.WidestHold}
	for i, d := range drafts {
		rules.Terms[i], err = Entry{ID: strconv.Itoa(i), Term: d.Term, Action: d.Action, Contexts: d.Contexts, Matching: d.Matching}.Rule()
		if err != nil {
			return i, d.refused(err)
		}
	}
	_, err = inspect.Compile(rules)
	var re *inspect.RuleError
	if errors.As(err, &re) {
		if wrong, err := strconv.Atoi(re.ID); err == nil {
			return wrong, drafts[wrong].refused(re)
		}
	}
	return 0, err
}

// refused says which field of a draft the engine does not take, and why.
func (d Draft) refused(err error) error {
	var re *inspect.RuleError
	if !errors.As(err, &re) {
		return err
	}
	key, args := "lexicon.bad_text", []any{"max", inspect.MaxTermRunes}
	field := "matching." + re.Field
	switch signs := !d.Matching.IsZero(); {
	case re.Field == "contexts":
		if field = "contexts"; signs {
			key, args = "lexicon.matching_signs", nil
		}
	case re.Field == "fold" && d.Matching.Fold != "" && d.Matching.Fold != inspect.FoldLoose:
		key, args = "error.unknown_value", []any{"value", d.Matching.Fold, "valid", inspect.FoldStrict + ", " + inspect.FoldLoose}
	case re.Field == "fold":
		key, args = "lexicon.matching_signs", nil
	case re.Field == "gap" && (*d.Matching.Gap < 0 || *d.Matching.Gap > match.MaxGap):
		key, args = "lexicon.matching_gap", []any{"max", match.MaxGap}
	case d.Matching.Fold == inspect.FoldStrict && slices.Contains([]string{"gap", "sound", "spell", "parts", "repeat"}, re.Field):
		key, args = "lexicon.matching_strict", nil
	case re.Field == "sound":
		key, args = "lexicon.matching_sound", []any{"min", match.MinSounds}
	case re.Field == "repeat":
		key, args = "lexicon.matching_repeat", nil
	case re.Field == "spell":
		key, args = "lexicon.matching_spell", nil
	default:
		field = "term"
	}
	return fault.Invalid(field, key, args...).Because(err)
}

// Window is how near, in symbols, a context has to stand.
const Window = 24

// Publish is the emergency lane: one person makes up to MaxEmergency entries live at once, for 24 h,
// in which another person may approve them. incidentID, if given, becomes their source. A term that
// is live already with the same contexts for the same service is left as it is and not returned.
// Errors: forbidden without lexicon.publish; invalid with the number of the entry.
func (l *Library) Publish(ctx context.Context, tx *store.Tx, incidentID string, drafts []Draft) ([]Entry, error) {
	if len(drafts) == 0 {
		return nil, fault.Invalid("entries", "error.required", "field", "entries")
	}
	if len(drafts) > MaxEmergency {
		return nil, fault.Invalid("entries", "lexicon.too_many", "max", MaxEmergency)
	}
	source, scope, kind := "emergency", "", due.KindReal
	if incidentID != "" {
		source, scope = "incident:"+incidentID, "incident:"+incidentID
		var drill string
		if err := tx.NewRaw("SELECT kind, drill_id FROM incident WHERE id = ?", incidentID).Scan(ctx, &kind, &drill); err != nil {
			return nil, store.Missing(err, "incident_id")
		}
	}
	added, err := l.add(ctx, tx, source, scope, drafts)
	if err != nil {
		return nil, err
	}
	for _, e := range added {
		if err := due.Set(ctx, tx, due.Row{Kind: DueExpire, ObjectKind: "lexicon_entry", ObjectID: e.ID, IncidentKind: kind, DueMs: e.ExpiresMs}); err != nil {
			return nil, err
		}
	}
	return added, nil
}

// add inserts checked drafts as live for 24 h.
func (l *Library) add(ctx context.Context, tx *store.Tx, source, scope string, drafts []Draft) ([]Entry, error) {
	if err := identity.Require(tx.Actor, "lexicon.publish"); err != nil {
		return nil, err
	}
	drafts, wrong, err := l.checkAll(drafts)
	if err != nil {
		return nil, atEntry(err, wrong)
	}
	mayTouch := touching(ctx, tx)
	for i, d := range drafts {
		if err := mayTouch(d.ServiceID); err != nil {
			return nil, atEntry(err, i)
		}
	}
	known, err := same(ctx, tx, drafts)
	if err != nil {
		return nil, err
	}
	added := []Entry{}
	for _, d := range drafts {
		if known[d.whole()] {
			continue
		}
		known[d.whole()] = true
		e := Entry{ID: tx.NewID(), ServiceID: d.ServiceID, Term: d.Term, Action: d.Action, Risk: d.Risk, Topic: d.Topic, Contexts: d.Contexts, StrictOnly: d.StrictOnly, Secret: d.Secret, Matching: d.Matching,
			Source: source, State: StateLive, ExpiresMs: tx.NowMs + EmergencyMs, CreatedBy: tx.Actor.ID, CreatedMs: tx.NowMs}
		tx.Record(store.Entry{Action: "lexicon.publish", ObjectKind: "lexicon_entry", ObjectID: e.ID, Scope: scope,
			Content: map[string]any{"fingerprint": d.fingerprint(), "action": d.Action, "risk": d.Risk, "topic": d.Topic, "matching": d.Matching.String(), "service": d.ServiceID, "source": source, "expires_ms": e.ExpiresMs}})
		added = append(added, e)
	}
	for part := range slices.Chunk(added, together) {
		if _, err := tx.NewInsert().Model(&part).Exec(ctx); err != nil {
			return nil, err
		}
	}
	tx.Touch(Topic)
	return added, nil
}

// together is how many entries one statement is about: nobody else writes meanwhile, so that an import has to be short.
const together = 500

// mayTouch keeps a drill's stand-in to the services of its drill; entries for every service are real.
func mayTouch(ctx context.Context, tx *store.Tx, serviceID string) error {
	if serviceID == "" {
		return identity.RequireDrill(tx.Actor, "")
	}
	svc, err := service.Get[service.Service](ctx, tx, "service_id", serviceID)
	if err != nil {
		return err
	}
	return identity.RequireDrill(tx.Actor, svc.DrillID)
}

// touching is mayTouch for many entries: each service is looked up once.
func touching(ctx context.Context, tx *store.Tx) func(serviceID string) error {
	may := map[string]bool{}
	return func(serviceID string) error {
		if may[serviceID] {
			return nil
		}
		err := mayTouch(ctx, tx, serviceID)
		may[serviceID] = err == nil
		return err
	}
}

// whole is equal for two drafts that ask for the same.
func (d Draft) whole() string {
	return strings.Join(append([]string{d.ServiceID, d.Term, d.Action, d.Topic, strconv.FormatBool(d.StrictOnly), d.Matching.String()}, d.Contexts...), "\x00")
}

// same gives, as whole says them, the live entries of the terms of drafts.
func same(ctx context.Context, tx *store.Tx, drafts []Draft) (map[string]bool, error) {
	known := make(map[string]bool, len(drafts))
	for part := range slices.Chunk(drafts, together) {
		terms := make([]string, len(part))
		for i, d := range part {
			terms[i] = d.Term
		}
		var rows []Entry
		if err := tx.NewSelect().Model(&rows).Where("substr(term, 1, 300) IN (?)", bun.List(terms)).Where("state = ?", StateLive).
			Where("expires_ms = 0 OR expires_ms > ?", tx.NowMs).Scan(ctx); err != nil {
			return nil, err
		}
		for _, e := range rows {
			known[Draft{ServiceID: e.ServiceID, Term: e.Term, Action: e.Action, Topic: e.Topic, Contexts: e.Contexts, StrictOnly: e.StrictOnly, Matching: e.Matching}.whole()] = true
		}
	}
	return known, nil
}

// Approve makes live entries permanent. The approver is another person than each one's author.
// Errors: not found; forbidden without lexicon.approve or for the author; conflict once expired.
func (l *Library) Approve(ctx context.Context, tx *store.Tx, ids ...string) ([]Entry, error) {
	if err := identity.Require(tx.Actor, "lexicon.approve"); err != nil {
		return nil, err
	}
	out := []Entry{}
	mayTouch := touching(ctx, tx)
	for part := range slices.Chunk(ids, together) {
		var rows []Entry
		if err := tx.NewSelect().Model(&rows).Where("id IN (?)", bun.List(part)).Scan(ctx); err != nil {
			return nil, err
		}
		found := make(map[string]*Entry, len(rows))
		for i := range rows {
			found[rows[i].ID] = &rows[i]
		}
		for _, id := range part {
			e := found[id]
			if e == nil {
				return nil, fault.NotFound("id", "error.not_found", "field", "id")
			}
			if err := mayTouch(e.ServiceID); err != nil {
				return nil, err
			}
			if e.State != StateLive || e.ExpiresMs == 0 || e.ExpiresMs <= tx.NowMs {
				return nil, fault.Conflict("id", "lexicon.not_waiting", "state", e.State)
			}
			if err := identity.TwoPersons(e.CreatedBy, tx.Actor.ID); err != nil {
				return nil, err
			}
			e.ApprovedBy, e.ExpiresMs = tx.Actor.ID, 0
			tx.Record(store.Entry{Action: "lexicon.approve", ObjectKind: "lexicon_entry", ObjectID: e.ID, Content: map[string]any{"author": e.CreatedBy}})
			out = append(out, *e)
		}
		if _, err := tx.NewUpdate().Model((*Entry)(nil)).Set("approved_by = ?", tx.Actor.ID).Set("expires_ms = 0").Where("id IN (?)", bun.List(part)).Exec(ctx); err != nil {
			return nil, err
		}
		if err := due.Cancel(ctx, tx, DueExpire, part...); err != nil {
			return nil, err
		}
	}
	tx.Touch(Topic)
	return out, nil
}

// ApproveSource approves all entries of one source, such as an import, that still wait.
func (l *Library) ApproveSource(ctx context.Context, tx *store.Tx, source string) ([]Entry, error) {
	if err := identity.Require(tx.Actor, "lexicon.approve"); err != nil { // before it is said whether there is such a source
		return nil, err
	}
	var ids []string
	if err := tx.NewSelect().Model((*Entry)(nil)).Column("id").Where("source = ? AND state = ? AND expires_ms > ?", source, StateLive, tx.NowMs).Order("id").Scan(ctx, &ids); err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return nil, fault.NotFound("source", "error.not_found", "field", "source")
	}
	out, err := l.Approve(ctx, tx, ids...)
	if err != nil {
		return nil, err
	}
	return out, due.Cancel(ctx, tx, DueExpire, source)
}

// AskRetire asks for an entry to be taken away; it stays live until DecideRetire by another person,
// because taking a term away loosens.
func (l *Library) AskRetire(ctx context.Context, tx *store.Tx, id, reason string) (identity.SecondSignature, error) {
	return l.askRetire(ctx, tx, id, reason, retirement{Retire: id})
}

func (l *Library) askRetire(ctx context.Context, tx *store.Tx, id, reason string, asked retirement) (identity.SecondSignature, error) {
	e, err := service.Get[Entry](ctx, tx, "id", id)
	if err != nil {
		return identity.SecondSignature{}, err
	}
	if err := mayTouch(ctx, tx, e.ServiceID); err != nil {
		return identity.SecondSignature{}, err
	}
	if e.State != StateLive {
		return identity.SecondSignature{}, fault.Conflict("id", "lexicon.not_live", "state", e.State)
	}
	drill, err := drillOf(ctx, tx, e.ServiceID)
	if err != nil {
		return identity.SecondSignature{}, err
	}
	return identity.AskSecond(ctx, tx, identity.SecondSignature{Action: "lexicon.publish", ObjectKind: "lexicon_entry", ObjectID: id, DrillID: drill, Reason: reason}, asked)
}

// DecideRetire confirms or rejects what AskRetire asked for.
func (l *Library) DecideRetire(ctx context.Context, tx *store.Tx, secondID string, confirm bool) (identity.SecondSignature, error) {
	s, err := identity.DecideSecond(ctx, tx, secondID, confirm)
	if err != nil {
		return s, err
	}
	if s.ObjectKind != "lexicon_entry" {
		return s, fault.NotFound("id", "error.not_found", "field", "id")
	}
	if !confirm {
		return s, nil
	}
	var asked retirement
	if err := json.Unmarshal([]byte(s.Request), &asked); err != nil {
		return s, err
	}
	if asked.Instead != "" {
		if err := succeed(ctx, tx, asked.Instead, s.ObjectID); err != nil {
			return s, err
		}
	}
	return s, retire(ctx, tx, "lexicon.retire", "id = ?", s.ObjectID)
}

// Changed is an entry that is to take another's place, and what a second person has to decide about that.
type Changed struct {
	Entry  Entry                    `json:"entry"`
	Second identity.SecondSignature `json:"second_signature"`
}

// ChangeMatching has the term of an entry looked for in another way too, live at once for a day, and asks for the entry itself
// to be taken away, because the new way may find less; DecideRetire by another person does both for good. The new entry is
// masked if it is secret. Errors: not found; forbidden without lexicon.publish; conflict if id is not live; invalid if there is
// such an entry already, or for what Check says.
func (l *Library) ChangeMatching(ctx context.Context, tx *store.Tx, id string, m inspect.Matching, reason string) (Changed, error) {
	e, err := service.Get[Entry](ctx, tx, "id", id)
	if err != nil {
		return Changed{}, err
	}
	if !e.live(tx.NowMs) {
		return Changed{}, fault.Conflict("id", "lexicon.not_live", "state", e.State)
	}
	d := Draft{ServiceID: e.ServiceID, Term: e.Term, Action: e.Action, Risk: e.Risk, Topic: e.Topic, Contexts: e.Contexts, StrictOnly: e.StrictOnly, Secret: e.Secret, Matching: m}
	added, err := l.Publish(ctx, tx, "", []Draft{d})
	var f *fault.Error
	if errors.As(err, &f) {
		c := *f
		c.Field = strings.TrimPrefix(f.Field, "entries[0].")
		return Changed{}, &c
	}
	if err != nil {
		return Changed{}, err
	}
	if len(added) == 0 {
		return Changed{}, fault.Invalid("matching", "lexicon.matching_same")
	}
	second, err := l.askRetire(ctx, tx, id, reason, retirement{Retire: id, Instead: added[0].ID})
	return Changed{added[0].masked(), second}, err
}

// retirement is what is asked for: Instead, if any, takes the place of what is retired.
type retirement struct {
	Retire  string `json:"retire"`
	Instead string `json:"instead,omitempty"`
}

func (e Entry) live(nowMs int64) bool {
	return e.State == StateLive && (e.ExpiresMs == 0 || e.ExpiresMs > nowMs)
}

// succeed lets an entry stay for good in the place of another that was approved to.
func succeed(ctx context.Context, tx *store.Tx, id, old string) error {
	e, err := service.Get[Entry](ctx, tx, "id", id)
	if err != nil {
		return err
	}
	was, err := service.Get[Entry](ctx, tx, "id", old)
	if err != nil {
		return err
	}
	if !e.live(tx.NowMs) {
		return fault.Conflict("id", "lexicon.successor_gone")
	}
	if was.ExpiresMs > 0 || e.ExpiresMs == 0 {
		return nil
	}
	e.ApprovedBy, e.ExpiresMs = tx.Actor.ID, 0
	if _, err := tx.NewUpdate().Model(&e).Column("approved_by", "expires_ms").WherePK().Exec(ctx); err != nil {
		return err
	}
	tx.Record(store.Entry{Action: "lexicon.approve", ObjectKind: "lexicon_entry", ObjectID: e.ID, Content: map[string]any{"author": e.CreatedBy, "instead_of": old}})
	return due.Cancel(ctx, tx, DueExpire, e.ID)
}

func drillOf(ctx context.Context, db bun.IDB, serviceID string) (string, error) {
	if serviceID == "" {
		return "", nil
	}
	svc, err := service.Get[service.Service](ctx, db, "service_id", serviceID)
	return svc.DrillID, err
}

// Expire is the due handler: it takes away what was not approved in time.
func (l *Library) Expire(ctx context.Context, tx *store.Tx, r due.Row) error {
	return retire(ctx, tx, "lexicon.expire", "(id = ? OR source = ?) AND expires_ms > 0 AND expires_ms <= ?", r.ObjectID, r.ObjectID, tx.NowMs)
}

func retire(ctx context.Context, tx *store.Tx, action, where string, args ...any) error {
	var ids []string
	if err := tx.NewSelect().Model((*Entry)(nil)).Column("id").Where("state = ?", StateLive).Where(where, args...).Scan(ctx, &ids); err != nil {
		return err
	}
	for part := range slices.Chunk(ids, together) {
		if _, err := tx.NewUpdate().Model((*Entry)(nil)).Set("state = ?", StateRetired).Where("id IN (?)", bun.List(part)).Exec(ctx); err != nil {
			return err
		}
		if err := due.Cancel(ctx, tx, DueExpire, part...); err != nil {
			return err
		}
	}
	for _, id := range ids {
		tx.Record(store.Entry{Action: action, ObjectKind: "lexicon_entry", ObjectID: id})
	}
	if len(ids) > 0 {
		tx.Touch(Topic)
	}
	return nil
}

// Live gives what is looked for in a service at an instant, terms in the clear: for compiling a
// posture only, never for showing.
func Live(ctx context.Context, db bun.IDB, serviceID string, nowMs int64) ([]Entry, error) {
	out := []Entry{}
	err := db.NewSelect().Model(&out).Where("state = ?", StateLive).Where("expires_ms = 0 OR expires_ms > ?", nowMs).
		Where("service_id = '' OR service_id = ?", serviceID).Order("id").Scan(ctx)
	return out, err
}

// Filter picks entries; an empty field does not restrict.
type Filter struct {
	ServiceID string
	Risk      string
	Topic     string
	Source    string
	State     string
	Waiting   bool // live and not yet approved
	Limit     int  // default 200
	Offset    int
}

// List shows entries, newest first, secret ones masked. Forbidden without lexicon.read.
func List(ctx context.Context, db bun.IDB, a store.Actor, f Filter) ([]Entry, error) {
	if err := identity.Require(a, "lexicon.read"); err != nil {
		return nil, err
	}
	if f.Limit <= 0 {
		f.Limit = 200
	}
	out := []Entry{}
	q := db.NewSelect().Model(&out).Order("created_ms DESC", "id DESC").Limit(int64(f.Limit)).Offset(int64(f.Offset))
	for _, c := range []struct{ column, value string }{{"service_id", f.ServiceID}, {"risk", f.Risk}, {"topic", f.Topic}, {"source", f.Source}, {"state", f.State}} {
		if c.value != "" {
			q = q.Where("? = ?", bun.Ident(c.column), c.value)
		}
	}
	if f.Waiting {
		q = q.Where("state = ? AND expires_ms > 0", StateLive)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, err
	}
	for i := range out {
		out[i] = out[i].masked()
	}
	return out, nil
}
