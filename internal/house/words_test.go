package house

import (
	"slices"
	"sort"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/locale"
)

// Where a string becomes a translation key.
func keySinks() []sink {
	const fault, notify, loc = "internal/platform/fault", "internal/platform/notify", "internal/platform/locale"
	return []sink{
		{pkg: fault, name: "Invalid", arg: 1},
		{pkg: fault, name: "NotFound", arg: 1},
		{pkg: fault, name: "Conflict", arg: 1},
		{pkg: fault, name: "Forbidden", arg: 0},
		{pkg: fault, name: "Unauthenticated", arg: 0},
		{pkg: fault, name: "Unavailable", arg: 0},
		{pkg: fault, name: "Is", arg: 1},
		{pkg: fault, name: "Error", field: "Key"},
		{pkg: notify, name: "Term", arg: 1},
		{pkg: loc, name: "Say", arg: 1},
		{pkg: "internal/cli", name: "say", arg: 0, closure: true},
		{pkg: "internal/app/doctor", name: "ok", arg: 1},
		{pkg: "internal/app/doctor", name: "warn", arg: 1},
		{pkg: "internal/app/doctor", name: "bad", arg: 1},
		{pkg: "internal/platform/record", name: "Report", field: "Verdict"},
		{pkg: "internal/platform/record", name: "Finding", field: "Key"},
	}
}

// Where a string becomes the name of a message, which has a subject and a body.
func templateSinks() []sink {
	return []sink{
		{pkg: "internal/platform/notify", name: "Message", field: "Template"},
		{pkg: "internal/respond/containment", name: "Page", field: "Key"},
	}
}

// What is wrong comes with what to do about it.
func remedySinks() []sink {
	return []sink{{pkg: "internal/app/doctor", name: "warn", arg: 1}, {pkg: "internal/app/doctor", name: "bad", arg: 1}}
}

// checkWords holds what reaches sinks to a vocabulary. Packages in own are where the sinks are defined and
// pass on what they are given.
func checkWords(files []goFile, sinks []sink, own []string, suffixes []string, words []string) []string {
	uses, untold := trace(files, sinks)
	var out []string
	for _, u := range untold {
		mine := false
		for _, o := range own {
			mine = mine || strings.HasPrefix(u, o+"/")
		}
		if !mine {
			out = append(out, u)
		}
	}
	for _, u := range uses {
		for _, s := range suffixes {
			known := slices.Contains(words, u.value+s)
			if u.begin {
				known = slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, u.value) && strings.HasSuffix(w, s) })
			}
			if !known {
				out = append(out, u.at+": “"+u.value+s+"” is not known")
			}
		}
	}
	sort.Strings(out)
	return slices.Compact(out)
}

func catalogKeys(t *testing.T) []string {
	t.Helper()
	c, err := locale.Load() // fails on a key without zh or en
	if err != nil {
		t.Fatal(err)
	}
	return c.Keys()
}

func TestEveryTranslationKeyInTheCodeHasItsSentence(t *testing.T) {
	files, keys := goFiles(t), catalogKeys(t)
	own := []string{"internal/platform/fault", "internal/platform/notify", "internal/platform/locale"}
	uses, _ := trace(files, keySinks())
	if len(uses) < 100 {
		t.Fatalf("only %d keys were found in the code: the search misses them", len(uses))
	}
	report(t, "translations", checkWords(files, keySinks(), own, []string{""}, keys))
	report(t, "remedies", checkWords(files, remedySinks(), own, []string{".do"}, keys))
	report(t, "messages", checkWords(files, templateSinks(), own, []string{".subject", ".body"}, keys))
}

func TestEveryTextSpeaksBothLanguages(t *testing.T) {
	for name, file := range map[string]string{
		"no English":      "a.b:\n  zh: 有\n",
		"no Chinese":      "a.b:\n  en: There is\n",
		"an unknown name": "a.b:\n  zh: 有\n  en: There is\n  fr: Il y a\n",
	} {
		if _, err := locale.LoadFS(fstest.MapFS{"c/a.yaml": {Data: []byte(file)}}, "c"); err == nil {
			t.Errorf("a text with %s was taken", name)
		}
	}
	c, err := locale.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range c.Keys() {
		zh, en := c.Say(locale.ZH, key), c.Say(locale.EN, key)
		if a, b := placeholders(zh), placeholders(en); !slices.Equal(a, b) {
			t.Errorf("%s: Chinese has the placeholders %q, English %q", key, a, b)
		}
	}
}

// placeholders lists the {names} of a text, each once, sorted.
func placeholders(s string) []string {
	var out []string
	for {
		_, rest, ok := strings.Cut(s, "{")
		if !ok {
			break
		}
		name, after, ok := strings.Cut(rest, "}")
		if !ok {
			break
		}
		out, s = append(out, name), after
	}
	sort.Strings(out)
	return slices.Compact(out)
}

func TestEveryActionThatIsAskedForIsOneThatARoleMayHave(t *testing.T) {
	const id = "internal/platform/identity"
	sinks := []sink{{pkg: id, name: "Require", arg: 1}, {pkg: id, name: "RequireOn", arg: 1}, {pkg: id, name: "Decide", arg: 1}, {pkg: id, name: "May", arg: 1}, {pkg: id, name: "SecondSignature", field: "Action"}}
	report(t, "permissions", checkWords(goFiles(t), sinks, []string{id}, []string{""}, identity.Actions()))
}

func TestTheSearchForKeysSeesThroughTheCode(t *testing.T) {
	const head = "package incident\nimport \"" + module + "/internal/platform/fault\"\nimport \"" + module + "/internal/platform/notify\"\n"
	files := func(src string) []goFile {
		return tree(t, map[string]string{"internal/respond/incident/a.go": head + src, "internal/respond/incident/b.go": "package incident\nconst gone = \"no.such\"\n"})
	}
	words := []string{"known", "state.open", "news.subject"}
	for _, c := range []struct {
		name, src string
		breaches  int
	}{
		{"a known key", `var e = fault.Invalid("f", "known")`, 0},
		{"an unknown key", `var e = fault.Invalid("f", "no.such")`, 1},
		{"the first argument where it is the key", `var e = fault.Forbidden("no.such")`, 1},
		{"a constant of another file", `var e = fault.Forbidden(gone)`, 1},
		{"a struct", `var e = &fault.Error{Key: "no.such"}`, 1},
		{"through a helper", "func bad(k string) error { return fault.Forbidden(k) }\nvar e = bad(\"no.such\")", 1},
		{"through two helpers", "func bad(k string) error { return fault.Forbidden(k) }\nfunc worse(k string) error { return bad(k) }\nvar e = worse(\"no.such\")", 1},
		{"through a method", "type T int\nfunc (T) bad(k string) error { return fault.Forbidden(k) }\nvar e = T(0).bad(\"no.such\")", 1},
		{"put together", `func f(s string) error { return fault.Forbidden("state." + s) }`, 0},
		{"put together from nothing known", `func f(s string) error { return fault.Forbidden("colour." + s) }`, 1},
		{"through a closure", "func f() error { bad := func(k string) error { return fault.Forbidden(k) }; return bad(\"no.such\") }", 1},
		{"by a variable", `func f() error { k := "known"; return fault.Forbidden(k) }`, 0},
		{"by a variable that is set twice", `func f() error { k := "known"; k = "no.such"; return fault.Forbidden(k) }`, 1},
		{"from a table", `func f() error { for _, r := range []struct{ n int; k string }{{1, "known"}, {2, "no.such"}} { return fault.Forbidden(r.k) }; return nil }`, 1},
		{"formatted", `func f(n int) error { return fault.Forbidden(fmt.Sprintf("state.%d", n)) }`, 0},
		{"formatted from nothing known", `func f(n int) error { return fault.Forbidden(fmt.Sprintf("colour.%d", n)) }`, 1},
		{"not to be told", `func f() error { k := g(); return fault.Forbidden(k) }`, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := checkWords(files(c.src), keySinks(), nil, []string{""}, words); len(got) != c.breaches {
				t.Errorf("breaches %q", got)
			}
		})
	}
	if got := checkWords(files(`var m = notify.Message{Template: "news"}`), templateSinks(), nil, []string{".subject", ".body"}, words); len(got) != 1 {
		t.Errorf("a message without a body: %q", got)
	}
}
