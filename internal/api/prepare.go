package api

import (
	"context"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/prepare/lexicon"
)

// EntryDraft is a lexicon entry as somebody proposes it.
type EntryDraft struct {
	ServiceID  string   `json:"service_id,omitempty"`
	Term       string   `json:"term" maxLength:"300"`
	Action     string   `json:"action" enum:"observe,mask,replace,block"`
	Risk       string   `json:"risk" example:"A.2.e"`
	Topic      string   `json:"topic,omitempty"`
	Contexts   []string `json:"contexts,omitempty"`
	StrictOnly bool     `json:"strict_only,omitempty"`
	Secret     bool     `json:"secret,omitempty"`

	Matching inspect.Matching `json:"matching,omitempty" doc:"how the term is looked for where that is not as usual"`
}

type lexiconBody struct {
	Body struct {
		IncidentID string       `json:"incident_id,omitempty" doc:"the incident that asks for the entries"`
		Entries    []EntryDraft `json:"entries" minItems:"1" maxItems:"50"`
	}
}

type matchingBody struct {
	ID   string `path:"id"`
	Body struct {
		Matching inspect.Matching `json:"matching"`
		Reason   string           `json:"reason" minLength:"1" maxLength:"2000"`
	}
}

type idsBody struct {
	Body struct {
		IDs []string `json:"ids" minItems:"1" maxItems:"500"`
	}
}

type sourceBody struct {
	Body struct {
		Source string `json:"source" maxLength:"100" example:"import:01J..."`
	}
}

type lexiconImportBody struct {
	Body struct {
		Format string `json:"format" enum:"tsv,json"`
		Text   string `json:"text"`
	}
}

// LexiconImported says what an import added, which lives for a day until another person approves source; or how
// much of it was approved.
type LexiconImported struct {
	Source string `json:"source"`
	Added  int    `json:"added"`
}

func (a *API) prepare() {
	const room = "prepare"
	get(a, operation{path: "/lexicon", id: "list-lexicon", room: room, summary: "List lexicon entries; secret ones are masked"}, func(ctx context.Context, actor store.Actor, in *struct {
		ServiceID string `query:"service_id"`
		State     string `query:"state"`
		Limit     int    `query:"limit" minimum:"0" maximum:"20000" doc:"A whole library of keywords has 10,000 entries and more"`
		Offset    int    `query:"offset" minimum:"0"`
	}) ([]lexicon.Entry, error) {
		return a.LexiconEntries(ctx, actor, lexicon.Filter{ServiceID: in.ServiceID, State: in.State, Limit: in.Limit, Offset: in.Offset})
	})
	post(a, operation{path: "/lexicon", id: "publish-lexicon", room: room, summary: "Publish entries at once for 24 h; approval makes them stay"}, func(ctx context.Context, tx *store.Tx, in *lexiconBody) ([]lexicon.Entry, error) {
		var drafts []lexicon.Draft
		for _, e := range in.Body.Entries {
			drafts = append(drafts, lexicon.Draft{ServiceID: e.ServiceID, Term: e.Term, Action: e.Action, Risk: e.Risk, Topic: e.Topic, Contexts: e.Contexts, StrictOnly: e.StrictOnly, Secret: e.Secret, Matching: e.Matching})
		}
		return a.PublishLexicon(ctx, tx, in.Body.IncidentID, drafts)
	})
	post(a, operation{path: "/lexicon/approve", id: "approve-lexicon", room: room, summary: "Approve entries to stay; not by who published them"}, func(ctx context.Context, tx *store.Tx, in *idsBody) ([]lexicon.Entry, error) {
		return a.Lexicon.Approve(ctx, tx, in.Body.IDs...)
	})
	post(a, operation{path: "/lexicon/approve-source", id: "approve-lexicon-source", room: room, summary: "Approve all that still waits of one source, such as an import; not by who imported it"}, func(ctx context.Context, tx *store.Tx, in *sourceBody) (LexiconImported, error) {
		out, err := a.Lexicon.ApproveSource(ctx, tx, in.Body.Source)
		return LexiconImported{in.Body.Source, len(out)}, err
	})
	prepared(a, operation{path: "/lexicon/import", id: "import-lexicon", room: room, summary: "Import a lexicon file"}, func(actor store.Actor, in *lexiconImportBody) ([]lexicon.Draft, error) {
		if err := identity.Require(actor, "lexicon.publish"); err != nil {
			return nil, err // before a stranger's file is read
		}
		return a.Lexicon.Parse(in.Body.Format, []byte(in.Body.Text))
	}, func(ctx context.Context, tx *store.Tx, _ *lexiconImportBody, drafts []lexicon.Draft) (LexiconImported, error) {
		source, added, err := a.ImportLexicon(ctx, tx, drafts)
		return LexiconImported{source, len(added)}, err
	})
	post(a, operation{path: "/lexicon/{id}/retire", id: "retire-lexicon", room: room, summary: "Ask to retire an entry; needs a second person"}, func(ctx context.Context, tx *store.Tx, in *reasonBody) (identity.SecondSignature, error) {
		return a.Lexicon.AskRetire(ctx, tx, in.ID, in.Body.Reason)
	})
	post(a, operation{path: "/lexicon/{id}/matching", id: "change-lexicon-matching", room: room, summary: "Change how an entry is matched: the new way holds at once, the old one until a second person agrees"}, func(ctx context.Context, tx *store.Tx, in *matchingBody) (lexicon.Changed, error) {
		return a.ChangeLexiconMatching(ctx, tx, in.ID, in.Body.Matching, in.Body.Reason)
	})
	a.plans()
}
