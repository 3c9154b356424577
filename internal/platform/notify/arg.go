package notify

import (
	"database/sql"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/locale"
)

// Arg fills the placeholder {Name} of a text. There is no kind for free text, on purpose: a prompt,
// an answer or a complaint cannot be put into a message.
type Arg struct {
	Name  string  `json:"name"`
	Kind  argKind `json:"kind"`
	Value string  `json:"value"`
}

type argKind string

const (
	kindID    argKind = "id"
	kindCount argKind = "count"
	kindTime  argKind = "time"
	kindTerm  argKind = "term"
	kindLink  argKind = "link"
	kindLabel argKind = "label"
)

// maxLabel is how long a label may be, in characters: a name, not a text.
const maxLabel = 64

// ID is an id or number of ours.
func ID(name, id string) Arg { return Arg{name, kindID, id} }

// Count is a quantity.
func Count(name string, n int64) Arg { return Arg{name, kindCount, strconv.FormatInt(n, 10)} }

// Time is an instant in UTC milliseconds; it is shown in Beijing time.
func Time(name string, ms int64) Arg { return Arg{name, kindTime, strconv.FormatInt(ms, 10)} }

// Term is a translation key, said in the language of the message: a level, a state, a category.
func Term(name, key string) Arg { return Arg{name, kindTerm, key} }

// Link is an http or https address of our own pages.
func Link(name, address string) Arg { return Arg{name, kindLink, address} }

// Label is a name that the operator gave to a thing of its own (a service, a plan), at most 64
// characters on one line; longer ones are cut.
func Label(name, label string) Arg {
	if r := []rune(label); len(r) > maxLabel {
		label = string(r[:maxLabel-1]) + "…"
	}
	return Arg{name, kindLabel, label}
}

var (
	argName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
	argID   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9:_.#/-]{0,95}$`)
	argTerm = regexp.MustCompile(`^[a-z0-9_]+(\.[a-zA-Z0-9_-]+)+$`)
)

func (a Arg) check() error {
	ok := argName.MatchString(a.Name)
	switch a.Kind {
	case kindID:
		ok = ok && argID.MatchString(a.Value)
	case kindCount, kindTime:
		_, err := strconv.ParseInt(a.Value, 10, 64)
		ok = ok && err == nil
	case kindTerm:
		ok = ok && argTerm.MatchString(a.Value)
	case kindLink:
		u, err := url.Parse(a.Value)
		ok = ok && err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && len(a.Value) <= 500 &&
			strings.IndexFunc(a.Value, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }) < 0
	case kindLabel:
		ok = ok && a.Value != "" && utf8.ValidString(a.Value) && utf8.RuneCountInString(a.Value) <= maxLabel &&
			strings.IndexFunc(a.Value, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }) < 0
	default:
		ok = false
	}
	if !ok {
		return fault.Invalid("args", "notify.arg_invalid", "name", a.Name)
	}
	return nil
}

// braces stop a value from naming a placeholder of the text it is put into.
var braces = strings.NewReplacer("{", "｛", "}", "｝")

func (a Arg) say(c *locale.Catalog, lang locale.Lang) (string, error) {
	switch a.Kind {
	case kindTime:
		ms, err := strconv.ParseInt(a.Value, 10, 64)
		if err != nil {
			return "", err
		}
		return time.UnixMilli(ms).In(clock.Beijing).Format("2006-01-02 15:04:05 -0700"), nil
	case kindTerm:
		if !c.Has(a.Value) {
			return "", fmt.Errorf("no text for the term %s", a.Value)
		}
		return c.Say(lang, a.Value), nil
	default:
		return braces.Replace(a.Value), nil
	}
}

// one turns an update that met no row into a not-found.
func one(res sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.NotFound("id", "notify.no_message")
	}
	return nil
}
