package locale_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/fengsui/fengsui/internal/platform/locale"
)

func read(files map[string]string) (*locale.Catalog, error) {
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys["c/"+name] = &fstest.MapFile{Data: []byte(text)}
	}
	return locale.LoadFS(fsys, "c")
}

const good = "a.b:\n  zh: 有 {n}\n  en: There is {n}\n"

func TestACatalogIsReadStrictly(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"a key twice in one file":  {"a.yaml": good + good},
		"a key in two files":       {"a.yaml": good, "b.yaml": good},
		"no Chinese":               {"a.yaml": "a.b:\n  en: x\n"},
		"no English":               {"a.yaml": "a.b:\n  zh: x\n"},
		"empty English":            {"a.yaml": "a.b:\n  zh: x\n  en: \"\"\n"},
		"an unknown language":      {"a.yaml": "a.b:\n  zh: x\n  en: x\n  fr: x\n"},
		"a language in other case": {"a.yaml": "a.b:\n  zh: x\n  EN: x\n"},
		"a language twice":         {"a.yaml": "a.b:\n  zh: x\n  en: x\n  en: y\n"},
		"a text without languages": {"a.yaml": "a.b: x\n"},
		"a list":                   {"a.yaml": "- a\n"},
		"no YAML":                  {"a.yaml": "a.b: [\n"},
		"an empty key":             {"a.yaml": "\"\":\n  zh: x\n  en: x\n"},
	} {
		if _, err := read(files); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	c, err := read(map[string]string{"a.yaml": good, "b.yaml": "c.d:\n  zh: 丙\n  en: C\n", "not.txt": "- nothing"})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(c.Keys(), " "); got != "a.b c.d" || !c.Has("a.b") || c.Has("a") {
		t.Error(got)
	}
}

func TestASentenceIsSaidInItsLanguageWithItsValues(t *testing.T) {
	c, err := read(map[string]string{"a.yaml": good})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []struct {
		lang locale.Lang
		key  string
		args []any
		want string
	}{
		{locale.ZH, "a.b", []any{"n", 3}, "有 3"},
		{locale.EN, "a.b", []any{"n", 3}, "There is 3"},
		{"fr", "a.b", []any{"n", 3}, "有 3"},
		{locale.EN, "a.b", nil, "There is {n}"},
		{locale.EN, "a.b", []any{"m", 1, "n", "x", "odd"}, "There is x"},
		{locale.EN, "no.such", []any{"n", 3}, "[no.such]"},
	} {
		if got := c.Say(s.lang, s.key, s.args...); got != s.want {
			t.Errorf("%s %s: %q, want %q", s.lang, s.key, got, s.want)
		}
	}
}

// What a user wrote must not be able to name a placeholder of the sentence that quotes it.
func TestAValueNamesNoPlaceholder(t *testing.T) {
	c, err := read(map[string]string{"a.yaml": "a.b:\n  zh: \"{value}（{valid}）\"\n  en: \"{value} ({valid})\"\n"})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Say(locale.EN, "a.b", "value", "{valid}", "valid", "x"); got != "{valid} (x)" {
		t.Error(got)
	}
}

// A code is said in words where the sentence names their list; one without words stays.
func TestACodeIsSaidInTheWordsOfItsList(t *testing.T) {
	c, err := read(map[string]string{"a.yaml": "a.b:\n  zh: 没有“{field:thing}”\n  en: no {field:thing}\nthing.order_id: {zh: 指令, en: order}\n"})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []struct {
		lang        locale.Lang
		field, want string
	}{{locale.ZH, "order_id", "没有“指令”"}, {locale.EN, "order_id", "no order"}, {locale.EN, "张三", "no 张三"}, {locale.EN, "{field:thing}", "no {field:thing}"}} {
		if got := c.Say(s.lang, "a.b", "field", s.field); got != s.want {
			t.Errorf("%s: %q, want %q", s.field, got, s.want)
		}
	}
}

// What is not found is called by its name, never by the name of a parameter.
func TestEverythingThatCanBeMissingHasItsWords(t *testing.T) {
	c, err := locale.Load()
	if err != nil {
		t.Fatal(err)
	}
	field := regexp.MustCompile(`(?:Missing\([^\n]*[eE]rr[^\n,]*, |"error\.not_found", "field", |Visible\(ctx, [^\n"]*)"([a-z_]+)"`)
	found := 0
	err = filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		raw, err := os.ReadFile(path)
		for _, m := range field.FindAllSubmatch(raw, -1) {
			found++
			if !c.Has("thing." + string(m[1])) {
				t.Errorf("%s: %s has no words", path, m[1])
			}
		}
		return err
	})
	if err != nil || found < 40 {
		t.Error(err, found)
	}
}

func TestTheLanguageIsChineseUnlessEnglishComesFirst(t *testing.T) {
	for in, want := range map[string]locale.Lang{"": locale.ZH, "zh-CN,en;q=0.8": locale.ZH, "en-US,en;q=0.9": locale.EN, " EN": locale.EN, "en": locale.EN, "fr,en": locale.ZH, "de": locale.ZH, ",en": locale.ZH} {
		if got := locale.Parse(in); got != want {
			t.Errorf("%q: %s", in, got)
		}
	}
}

func TestTheCatalogThatShipsLoads(t *testing.T) {
	c, err := locale.Load()
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Keys()) < 50 {
		t.Errorf("%d keys", len(c.Keys()))
	}
}
