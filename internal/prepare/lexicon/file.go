package lexicon

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
)

//go:embed data/starter.tsv
var starterTSV []byte

// Limits of a file.
const (
	maxFile    = 16 << 20
	maxEntries = 50_000
)

// columns of a TSV file; the header line must name exactly these, in this order, and may name one more.
const (
	columns  = "term\taction\trisk\ttopic\tcontexts\tstrict_only"
	matching = "matching"
)

// StarterSource marks what ships with Fengsui.
const StarterSource = "starter"

// Parse reads a library file. format is "tsv" (header line as in columns; contexts are separated by
// "|", strict_only is true or false; a last column matching may follow, as in inspect.ParseMatching; lines that begin with # are left out) or "json" (an array of
// objects with the names of Draft; an unknown or doubled name is an error). Errors name the line or
// the number of the entry, never its text.
func (l *Library) Parse(format string, raw []byte) ([]Draft, error) {
	if len(raw) > maxFile {
		return nil, fault.Invalid("file", "lexicon.file_too_large", "max", maxFile)
	}
	if !utf8.Valid(raw) {
		return nil, fault.Invalid("file", "lexicon.not_utf8")
	}
	raw = bytes.TrimPrefix(raw, []byte("\ufeff"))
	var drafts []Draft
	var err error
	switch format {
	case "tsv":
		drafts, err = l.parseTSV(string(raw))
	case "json":
		if err := json.Unmarshal(raw, &drafts, json.RejectUnknownMembers(true)); err != nil {
			return nil, fault.Invalid("file", "lexicon.bad_json").Because(scrub(err))
		}
		var wrong int
		if drafts, wrong, err = l.checkAll(drafts); err != nil {
			return nil, atEntry(err, wrong)
		}
	default:
		return nil, fault.Invalid("format", "error.unknown_value", "value", format, "valid", "tsv, json")
	}
	if err != nil {
		return nil, err
	}
	switch {
	case len(drafts) == 0:
		return nil, fault.Invalid("file", "lexicon.file_empty")
	case len(drafts) > maxEntries:
		return nil, fault.Invalid("file", "lexicon.too_many", "max", maxEntries)
	}
	return drafts, nil
}

// scrub keeps where the JSON is wrong and drops what stood there.
func scrub(err error) error {
	var sem *json.SemanticError
	if errors.As(err, &sem) {
		return fmt.Errorf("at byte %d, %s", sem.ByteOffset, sem.JSONPointer)
	}
	return errors.New("malformed JSON")
}

func (l *Library) parseTSV(text string) ([]Draft, error) {
	var drafts []Draft
	var lines []int // of drafts
	seen := map[string]int{}
	want := 0 // columns, once the header was read
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if want == 0 {
			if line != columns && line != columns+"\t"+matching {
				return nil, fault.Invalid(at(n), "lexicon.bad_header", "columns", strings.ReplaceAll(columns, "\t", " ⇥ "), "more", matching)
			}
			want = strings.Count(line, "\t") + 1
			continue
		}
		cells := strings.Split(line, "\t")
		if len(cells) != want {
			return nil, fault.Invalid(at(n), "lexicon.bad_columns", "count", len(cells), "want", want)
		}
		if cells[5] != "true" && cells[5] != "false" {
			return nil, fault.Invalid(at(n)+".strict_only", "error.unknown_value", "value", cells[5], "valid", "true, false")
		}
		d := Draft{Term: cells[0], Action: cells[1], Risk: cells[2], Topic: cells[3], StrictOnly: cells[5] == "true"}
		if cells[4] != "" {
			d.Contexts = strings.Split(cells[4], "|")
		}
		if want > strings.Count(columns, "\t")+1 {
			var err error
			if d.Matching, err = inspect.ParseMatching(strings.TrimSpace(cells[want-1])); err != nil {
				return nil, fault.Invalid(at(n)+"."+matching, "lexicon.bad_matching", "value", cells[want-1]).Because(err)
			}
		}
		d, err := l.tidy(d)
		if err != nil {
			return nil, at2(err, at(n))
		}
		if first, twice := seen[d.fingerprint()]; twice {
			return nil, fault.Invalid(at(n), "lexicon.twice", "line", first)
		}
		seen[d.fingerprint()] = n + 1
		drafts, lines = append(drafts, d), append(lines, n)
	}
	if wrong, err := compiles(drafts); err != nil {
		return nil, at2(err, at(lines[wrong]))
	}
	return drafts, nil
}

func at(line int) string { return "line " + strconv.Itoa(line+1) }

func atEntry(err error, i int) error { return at2(err, "entries["+strconv.Itoa(i)+"]") }

// at2 puts the place of an entry before the field of a fault.
func at2(err error, place string) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	c := *f
	c.Field = strings.TrimSuffix(place+"."+f.Field, ".")
	return &c
}

// Import adds the drafts of a file, all or none, live at once for 24 h; ApproveSource by another
// person keeps them. It returns the source that names the import and what was new.
func (l *Library) Import(ctx context.Context, tx *store.Tx, drafts []Draft) (source string, added []Entry, err error) {
	source = "import:" + tx.NewID()
	if added, err = l.add(ctx, tx, source, "", drafts); err != nil || len(added) == 0 {
		return source, added, err
	}
	return source, added, due.Set(ctx, tx, due.Row{Kind: DueExpire, ObjectKind: "lexicon_source", ObjectID: source, IncidentKind: due.KindReal, DueMs: tx.NowMs + EmergencyMs})
}

var starterID = regexp.MustCompile(`^[a-z]+-\d{3}$`)

// Starter reads the library that ships: universally recognised harm only (design.md, content policy),
// few terms with contexts. The ids are stable, so that an entry that was retired stays so.
func (l *Library) Starter() ([]Entry, error) {
	var out []Entry
	ids := map[string]bool{}
	var body strings.Builder
	var keys []string
	for n, line := range strings.Split(string(starterTSV), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, rest, ok := strings.Cut(line, "\t")
		if !ok || (id != "id" && (!starterID.MatchString(id) || ids[id])) {
			return nil, fmt.Errorf("starter.tsv line %d: bad or doubled id %q", n+1, id)
		}
		ids[id] = true
		if id != "id" {
			keys = append(keys, id)
		}
		body.WriteString(rest + "\n")
	}
	drafts, err := l.Parse("tsv", []byte(body.String()))
	if err != nil {
		return nil, fmt.Errorf("starter.tsv: %w", err)
	}
	for i, d := range drafts {
		out = append(out, Entry{ID: "starter-" + keys[i], Term: d.Term, Action: d.Action, Risk: d.Risk, Topic: d.Topic, Contexts: d.Contexts, StrictOnly: d.StrictOnly,
			Source: StarterSource, State: StateLive, CreatedBy: "system:lexicon", ApprovedBy: StarterSource})
	}
	return out, nil
}

// InstallStarter puts the starter library in place once; entries that are there, retired ones too,
// stay as they are. Only a part of the system does this. It returns how many were new.
func (l *Library) InstallStarter(ctx context.Context, tx *store.Tx) (int, error) {
	if !tx.Actor.IsSystem() {
		return 0, fault.Forbidden("identity.not_allowed", "action", "lexicon.install")
	}
	entries, err := l.Starter()
	if err != nil {
		return 0, err
	}
	added := 0
	for _, e := range entries {
		e.CreatedMs = tx.NowMs
		res, err := tx.NewInsert().Model(&e).On("CONFLICT (id) DO NOTHING").Exec(ctx)
		if err != nil {
			return 0, err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return 0, err
		}
		added += int(n)
	}
	if added > 0 {
		tx.Record(store.Entry{Action: "lexicon.install", ObjectKind: "lexicon", ObjectID: StarterSource, Content: map[string]any{"entries": added}})
		tx.Touch(Topic)
	}
	return added, nil
}
