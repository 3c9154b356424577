package containment

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/prepare/lexicon"
	"github.com/fengsui/fengsui/internal/service"
)

// PostureRow 防护策略 as it is kept: Body is the canonical JSON, Digest its address.
type PostureRow struct {
	bun.BaseModel `bun:"table:posture" json:"-"`
	Digest        string `bun:"digest,pk" json:"digest"`
	ServiceID     string `json:"service_id"`
	Seq           int64  `json:"seq"`
	Body          string `json:"-"` // holds terms; never shown as it is
	Reason        string `json:"reason"`
	CompiledBy    string `json:"compiled_by"`
	CompiledMs    int64  `json:"compiled_ms"`
	Needs         int64  `json:"needs" doc:"the oldest make of gateways and control nodes that understands it"`
}

// Compiled is the outcome of CompilePosture.
type Compiled struct {
	Digest  string `json:"digest"`
	Seq     int64  `json:"seq"`
	Changed bool   `json:"changed"`
}

// RuleProbe begins the ids of rules that only our own probes meet; whoever counts signals leaves them out.
const RuleProbe = "probe."

// canary is a harmless word that only a probe says; name tells what it proves.
func canary(serviceID, name string) string {
	sum := sha256.Sum256([]byte(serviceID + "\x00" + name))
	return "fengsui-probe-" + hex.EncodeToString(sum[:10])
}

// CompilePosture makes the posture of a service from what is in the database now: its deployments,
// live lexicon, checks, topics and notices. The same content changes nothing. Content that was in
// force before and is so again gets a new place in the sequence.
func (c *Control) CompilePosture(ctx context.Context, tx *store.Tx, serviceID, reason string) (Compiled, error) {
	svc, err := service.Get[service.Service](ctx, tx, "service_id", serviceID)
	if err != nil {
		return Compiled{}, err
	}
	draft, err := c.draft(ctx, tx, svc, tx.NowMs)
	if err != nil {
		return Compiled{}, err
	}
	last, have, err := latestPosture(ctx, tx, serviceID)
	if err != nil {
		return Compiled{}, err
	}
	if have {
		if draft.Rules.Classifiers, err = c.standing(ctx, tx, last, draft.Rules.Classifiers); err != nil {
			return Compiled{}, err
		}
	}
	p, err := posture.Compile(draft)
	if err != nil {
		return Compiled{}, err
	}
	if have && last.Digest == p.Digest() {
		return Compiled{Digest: last.Digest, Seq: last.Seq}, need(ctx, tx)
	}
	row := PostureRow{Digest: p.Digest(), ServiceID: serviceID, Seq: last.Seq + 1, Body: string(p.Bytes()), Reason: reason, CompiledBy: tx.Actor.ID, CompiledMs: tx.NowMs, Needs: p.Needs()}
	if _, err := tx.NewInsert().Model(&row).On("CONFLICT (digest) DO UPDATE").
		Set("seq = EXCLUDED.seq").Set("reason = EXCLUDED.reason").Set("compiled_by = EXCLUDED.compiled_by").Set("compiled_ms = EXCLUDED.compiled_ms").Exec(ctx); err != nil {
		return Compiled{}, err
	}
	tx.Record(store.Entry{Action: "posture.compile", ObjectKind: "service", ObjectID: serviceID, Content: map[string]any{"digest": row.Digest, "seq": row.Seq, "reason": reason}})
	tx.Touch(TopicPosture)
	if err := need(ctx, tx); err != nil {
		return Compiled{}, err
	}
	return Compiled{Digest: row.Digest, Seq: row.Seq, Changed: true}, bump(ctx, tx)
}

func latestPosture(ctx context.Context, db bun.IDB, serviceID string) (PostureRow, bool, error) {
	var rows []PostureRow
	err := db.NewSelect().Model(&rows).Where("service_id = ?", serviceID).Order("seq DESC").Limit(1).Scan(ctx)
	if err != nil || len(rows) == 0 {
		return PostureRow{}, false, err
	}
	return rows[0], true, nil
}

// Postures lists what a service had, newest first.
func Postures(ctx context.Context, db bun.IDB, serviceID string, limit int) ([]PostureRow, error) {
	if limit <= 0 {
		limit = 50
	}
	out := []PostureRow{}
	return out, db.NewSelect().Model(&out).Where("service_id = ?", serviceID).Order("seq DESC").Limit(int64(limit)).Scan(ctx)
}

func (c *Control) draft(ctx context.Context, db bun.IDB, svc service.Service, nowMs int64) (posture.Draft, error) {
	d := posture.Draft{OperatorID: svc.OperatorID, ServiceID: svc.ID, Models: []string{svc.ModelName},
		Notices: posture.Notices{Replaced: c.o.Notices.Notice("replaced"), Blocked: c.o.Notices.Notice("blocked"), Limited: c.o.Notices.Notice("limited"), Offline: c.o.Notices.Notice("offline")}}
	deployments, err := service.List[service.Deployment](ctx, db, svc.ID)
	if err != nil {
		return d, err
	}
	for _, dep := range deployments {
		d.Deployments = append(d.Deployments, posture.Deployment{ID: dep.ID, BaseURL: strings.TrimRight(dep.UpstreamURL, "/"), Model: dep.UpstreamModel, Secret: dep.SecretRef,
			Role: posture.Role(dep.Role), Filed: dep.Filed, Tested: dep.TestedMs > 0, ModelRev: dep.ModelVersion, Prompt: dep.SystemPromptVersion})
	}
	entries, err := lexicon.Live(ctx, db, svc.ID, nowMs)
	if err != nil {
		return d, err
	}
	edition := sha256.New()
	topics := map[string][]posture.Term{}
	for _, e := range entries {
		edition.Write([]byte(e.ID + "\x00"))
		t := posture.Term{ID: e.ID, Text: e.Term, Action: posture.Action(e.Action), Risk: e.Risk, Topic: e.Topic, Contexts: e.Contexts, Matching: e.Matching}
		if len(t.Contexts) > 0 {
			t.Window = lexicon.Window
		}
		if e.StrictOnly {
			d.Strict.Terms = append(d.Strict.Terms, t)
			if e.Topic != "" {
				// A blocked topic is blocked with its strict terms too, whether or not the strict filter is on.
				t.ID, t.Action = "topic."+t.ID, posture.Block
				topics[e.Topic] = append(topics[e.Topic], t)
			}
			continue
		}
		d.Rules.Terms = append(d.Rules.Terms, t)
	}
	for _, name := range topicsOf(entries) {
		terms := append(topics[name], posture.Term{ID: RuleProbe + "topic." + name, Text: canary(svc.ID, "topic."+name), Action: posture.Block, Topic: name})
		d.Topics = append(d.Topics, posture.Topic{ID: name, Name: posture.Text{ZH: name, EN: name}, Terms: terms})
	}
	d.Strict.Terms = append(d.Strict.Terms, posture.Term{ID: RuleProbe + "strict", Text: canary(svc.ID, "strict"), Action: posture.Block})
	if d.Rules.Checks, err = Checks(ctx, db); err != nil {
		return d, err
	}
	if d.Guard, err = Guard(ctx, db); err != nil {
		return d, err
	}
	judging, err := Judging(ctx, db, svc.ID)
	if err != nil {
		return d, err
	}
	d.Rules.Injection, d.Rules.Classifiers = judging.Injection, judging.Classifiers
	d.Sources = []posture.Source{{Kind: "lexicon", ID: "live", Edition: hex.EncodeToString(edition.Sum(nil)[:8])}}
	return d, nil
}
