package notify

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/locale"
)

// Rendered is a message as it leaves. Its text can be made in one place only, which puts the mark of a
// drill in front; other packages can read it and nothing more.
type Rendered struct {
	to            string
	subject, body string
	lang          locale.Lang
	idemKey       string
	incidentKind  string
	objectKind    string
	objectID      string
	template      string
	atMs          int64
}

// Recipient is whom the message is for; personal data, never logged.
func (r Rendered) Recipient() string { return r.to }

// Subject is one line.
func (r Rendered) Subject() string { return r.subject }

// Body is plain text.
func (r Rendered) Body() string { return r.body }

// Lang is the language of subject and body.
func (r Rendered) Lang() locale.Lang { return r.lang }

// IdemKey is the same each time this message is sent.
func (r Rendered) IdemKey() string { return r.idemKey }

// IncidentKind is real, drill, test or backfill.
func (r Rendered) IncidentKind() string { return r.incidentKind }

// Object is what the message is about.
func (r Rendered) Object() (kind, id string) { return r.objectKind, r.objectID }

// Template is the translation key of the text.
func (r Rendered) Template() string { return r.template }

// AtMs is when the message was queued, UTC milliseconds.
func (r Rendered) AtMs() int64 { return r.atMs }

// The marks that no template can leave out, in either language.
const (
	DrillMark = "【演练】"
	TestMark  = "【测试】"
)

// seal is the one maker of Rendered.
func seal(r Rendered, subject, body string) Rendered {
	mark := map[string]string{due.KindDrill: DrillMark, due.KindTest: TestMark}[r.incidentKind]
	if mark != "" && r.lang == locale.EN {
		mark += map[string]string{due.KindDrill: "DRILL: ", due.KindTest: "TEST: "}[r.incidentKind]
	}
	// A template that already carries the mark does not carry it twice.
	subject, body = strings.TrimPrefix(subject, mark), strings.TrimPrefix(body, mark)
	oneLine := strings.NewReplacer("\r", " ", "\n", " ")
	r.subject = mark + oneLine.Replace(subject)
	r.body = mark + body
	return r
}

// render makes the text of a queued message. An error is permanent: a text or a term is missing.
// A link, unless it is "", is how the recipient acknowledges.
func render(c *locale.Catalog, it Item, link string) (Rendered, error) {
	var args []Arg
	if err := json.Unmarshal([]byte(it.Args), &args); err != nil {
		return Rendered{}, fmt.Errorf("arguments of %s: %w", it.Template, err)
	}
	tail := ""
	if link != "" {
		tail = "\n" + c.Say(it.Lang, "notify.acknowledge", "link", link)
	}
	return compose(c, Rendered{
		to: it.Recipient, lang: it.Lang, idemKey: it.IdemKey, incidentKind: it.IncidentKind,
		objectKind: it.ObjectKind, objectID: it.ObjectID, template: it.Template, atMs: it.QueuedMs,
	}, args, tail)
}

func compose(c *locale.Catalog, r Rendered, args []Arg, tail string) (Rendered, error) {
	var fill []any
	for _, a := range args {
		s, err := a.say(c, r.lang)
		if err != nil {
			return Rendered{}, err
		}
		fill = append(fill, a.Name, s)
	}
	for _, part := range []string{".subject", ".body"} {
		if !c.Has(r.template + part) {
			return Rendered{}, fmt.Errorf("no text for %s", r.template+part)
		}
	}
	return seal(r, c.Say(r.lang, r.template+".subject", fill...), c.Say(r.lang, r.template+".body", fill...)+tail), nil
}
