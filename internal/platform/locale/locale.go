// Package locale holds every sentence that a user can see, in Chinese and in English, as data.
// The catalog is one YAML file for each area under catalog/; every key has both languages.
package locale

import (
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"sort"
	"strings"

	"github.com/goccy/go-yaml"
)

//go:embed catalog/*.yaml
var catalogFS embed.FS

// Lang is a language of the product.
type Lang string

// The languages. Chinese is the default.
const (
	ZH Lang = "zh"
	EN Lang = "en"
)

// Text is one sentence in both languages. Placeholders are written {name}, or {name:list} for a code whose words
// stand under list.<code>.
type Text struct {
	ZH string `yaml:"zh"`
	EN string `yaml:"en"`
}

// Catalog maps a translation key to its text.
type Catalog struct{ texts map[string]Text }

// Load reads the embedded catalog; an unknown field, a duplicate key or an empty translation is an error.
func Load() (*Catalog, error) { return LoadFS(catalogFS, "catalog") }

// LoadFS reads every *.yaml in dir.
func LoadFS(fsys fs.FS, dir string) (*Catalog, error) {
	c := &Catalog{texts: map[string]Text{}}
	files, err := fs.Glob(fsys, dir+"/*.yaml")
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		raw, err := fs.ReadFile(fsys, f)
		if err != nil {
			return nil, err
		}
		var m map[string]Text
		if err := yaml.UnmarshalWithOptions(raw, &m, yaml.Strict()); err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		for k, t := range m {
			if k == "" || t.ZH == "" || t.EN == "" {
				return nil, fmt.Errorf("%s: key %q lacks its name, zh or en", f, k)
			}
			if _, dup := c.texts[k]; dup {
				return nil, fmt.Errorf("%s: key %q is defined twice", f, k)
			}
			c.texts[k] = t
		}
	}
	return c, nil
}

// Has reports whether key is in the catalog.
func (c *Catalog) Has(key string) bool { _, ok := c.texts[key]; return ok }

// Text is what stands under key, with its placeholders as they are.
func (c *Catalog) Text(key string) (Text, bool) { t, ok := c.texts[key]; return t, ok }

// Keys lists all keys, sorted.
func (c *Catalog) Keys() []string {
	out := make([]string, 0, len(c.texts))
	for k := range c.texts {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// Say gives the sentence for key in lang with args (name, value, …) filled in. An unknown key is
// returned in brackets, so that it is seen rather than lost.
func (c *Catalog) Say(lang Lang, key string, args ...any) string {
	t, ok := c.texts[key]
	if !ok {
		return "[" + key + "]"
	}
	s := t.ZH
	if lang == EN {
		s = t.EN
	}
	pairs := make([]string, 0, len(args))
	for i := 0; i+1 < len(args); i += 2 {
		pairs = append(pairs, fmt.Sprintf("{%v}", args[i]), fmt.Sprint(args[i+1]))
	}
	for _, m := range worded.FindAllStringSubmatch(s, -1) {
		for i := 0; i+1 < len(args); i += 2 {
			if fmt.Sprint(args[i]) == m[1] {
				pairs = append(pairs, m[0], c.word(lang, m[2], fmt.Sprint(args[i+1])))
			}
		}
	}
	return strings.NewReplacer(pairs...).Replace(s) // in one pass: a value that looks like a placeholder stays as it is
}

var worded = regexp.MustCompile(`\{([a-z_]+):([a-z_]+)\}`)

// word is a code in words; a code without words is better shown than lost.
func (c *Catalog) word(lang Lang, list, code string) string {
	t, ok := c.texts[list+"."+code]
	switch {
	case !ok:
		return code
	case lang == EN:
		return t.EN
	default:
		return t.ZH
	}
}

// Parse picks the language from an Accept-Language header or a flag; Chinese unless English comes first.
func Parse(s string) Lang {
	first, _, _ := strings.Cut(strings.TrimSpace(strings.ToLower(s)), ",")
	if strings.HasPrefix(first, "en") {
		return EN
	}
	return ZH
}
