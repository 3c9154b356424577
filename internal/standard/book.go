// Package standard holds the rules that an emergency response follows as data, and pure functions on them: the
// taxonomy, grading, the second scale of the CAC measures, and the obligations to report.
//
// Every fact carries its edition, its clause and whether the official text confirmed it. The data files are embedded;
// LoadFS reads the same files from elsewhere, so a new edition needs no code. A Book never changes after loading and
// is safe for concurrent use; everything it returns is the caller's own copy. Nothing here does I/O or reads a clock.
package standard

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

//go:embed data/*.yaml
var embedded embed.FS

// Name is one thing's name in Chinese and English. Both are always present.
type Name struct {
	ZH string `yaml:"zh" json:"zh"`
	EN string `yaml:"en" json:"en"`
}

// Cite says where a fact comes from. Source is a mark: G (printed in the guide), Pn (page n found), Pn-draft or
// Pn-fragments (not the final text), K, K+, K- (general knowledge), I (our inference). Verified is true only for G and Pn.
type Cite struct {
	Edition  string `json:"edition"`
	Clause   string `json:"clause"`
	Verified bool   `json:"verified"`
	Source   string `json:"source"`
}

// Edition is one text at one version. InForce is a date (2006-01-02, China) or empty where the text names none.
type Edition struct {
	ID       string `yaml:"id" json:"id"`
	Name     Name   `yaml:"name" json:"name"`
	InForce  string `yaml:"in_force" json:"in_force"`
	Verified bool   `yaml:"verified" json:"verified"`
	Source   string `yaml:"source" json:"source"`
}

// Reason is a translation key with its arguments, and the sentence already rendered from the rule files.
type Reason struct {
	Key  string            `json:"key"`
	Args map[string]string `json:"args,omitempty"`
	ZH   string            `json:"zh"`
	EN   string            `json:"en"`
}

// Book is one loaded, checked set of rule files.
type Book struct {
	digest      string
	editions    []Edition
	taxonomy    taxonomy
	grading     gradingRules
	policy      policyRules
	cac         cacRules
	obligations obligationRules
}

// DataError is a fault in a rule file. Field is a path such as "tables[1].rows[0].cells[3].working", or empty when the
// file as a whole is at fault.
type DataError struct {
	File, Field, Problem string
}

func (e *DataError) Error() string {
	if e.Field == "" {
		return e.File + ": " + e.Problem
	}
	return e.File + ": " + e.Field + ": " + e.Problem
}

// InputError is a fault in what a caller asked. Valid lists the values that would do, as far as they can be listed.
type InputError struct {
	Field, Value, Problem string
	Valid                 []string
}

func (e *InputError) Error() string {
	var s strings.Builder
	s.WriteString(e.Field + ": ")
	if e.Value != "" {
		fmt.Fprintf(&s, "%q: ", e.Value)
	}
	s.WriteString(e.Problem)
	if len(e.Valid) > 0 {
		s.WriteString("; valid: " + strings.Join(e.Valid, ", "))
	}
	return s.String()
}

const (
	fileEditions    = "editions.yaml"
	fileTypes       = "guide_types.yaml"
	fileCategories  = "gbt20986.yaml"
	fileRisks       = "risks.yaml"
	fileGrading     = "grading.yaml"
	filePolicy      = "policy.yaml"
	fileCAC         = "cac.yaml"
	fileObligations = "obligations.yaml"
)

// Load reads the rule files that ship inside the binary.
func Load() (*Book, error) {
	sub, err := fs.Sub(embedded, "data")
	if err != nil {
		return nil, err
	}
	return LoadFS(sub)
}

// LoadFS reads the eight rule files at the root of fsys. It is strict: a missing or surplus file, an unknown or
// duplicate key, a fact without clause, edition or name in both languages, a dangling id or a table that is not
// monotone is an error. All faults are returned together, joined; each is a *DataError that names file and field.
func LoadFS(fsys fs.FS) (*Book, error) {
	b := &Book{}
	c := &checker{}
	editions := struct {
		Editions []Edition `yaml:"editions"`
	}{}
	cats := struct {
		Categories []Category `yaml:"categories"`
	}{}
	risks := struct {
		Groups []RiskGroup `yaml:"groups"`
	}{}
	types := struct {
		Types []Type `yaml:"types"`
	}{}
	targets := map[string]any{
		fileEditions: &editions, fileTypes: &types, fileCategories: &cats, fileRisks: &risks,
		fileGrading: &b.grading, filePolicy: &b.policy, fileCAC: &b.cac, fileObligations: &b.obligations,
	}
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("rule files: %w", err)
	}
	for _, e := range entries {
		if targets[e.Name()] == nil {
			c.at(e.Name()).fail("", "is not a rule file")
		}
	}
	sum := sha256.New()
	for _, file := range slices.Sorted(maps.Keys(targets)) {
		raw, err := fs.ReadFile(fsys, file)
		if err != nil {
			problem := "cannot be read"
			if errors.Is(err, fs.ErrNotExist) {
				problem = "is missing"
			}
			c.at(file).fail("", "%s", problem)
			continue
		}
		fmt.Fprintf(sum, "%s %d\n", file, len(raw))
		sum.Write(raw)
		if err := decode(raw, targets[file]); err != nil {
			c.at(file).fail("", "%s", err.Error())
		}
	}
	if err := c.err(); err != nil {
		return nil, err // what was not read cannot be cross-checked
	}
	b.digest = hex.EncodeToString(sum.Sum(nil))
	b.editions = editions.Editions
	b.taxonomy = taxonomy{types: types.Types, categories: cats.Categories, groups: risks.Groups}

	c.editions(b.editions)
	b.taxonomy.check(c)
	b.policy.check(c.at(filePolicy))
	b.grading.check(c.at(fileGrading), b.policy)
	b.cac.check(c.at(fileCAC), b.obligations)
	b.obligations.check(c.at(fileObligations), b)
	if err := c.err(); err != nil {
		return nil, err
	}
	return b, nil
}

// Editions returns every edition that the book speaks for: the set to pin on an incident at awareness.
func (b *Book) Editions() []Edition { return slices.Clone(b.editions) }

// Digest is the SHA-256, in hex, over names and bytes of all rule files: two books with one digest decide alike.
func (b *Book) Digest() string { return b.digest }

// decode reads one YAML document, refusing unknown and duplicate keys, fractions, nulls and anything after it.
func decode(raw []byte, into any) error {
	if !utf8.Valid(raw) {
		return errors.New("is not UTF-8")
	}
	tree, err := parser.ParseBytes(raw, 0)
	if err != nil {
		return brief(err)
	}
	var body []*ast.DocumentNode
	for _, d := range tree.Docs {
		if d.Body != nil {
			body = append(body, d)
		}
	}
	switch {
	case len(body) == 0:
		return errors.New("is empty")
	case len(tree.Docs) > 1:
		return errors.New("holds more than one document")
	}
	var v scalars
	ast.Walk(&v, body[0].Body)
	if v.fault != nil {
		return v.fault
	}
	if err := yaml.NodeToValue(body[0].Body, into, yaml.Strict()); err != nil {
		var where yaml.Error
		if errors.As(err, &where) && where.GetToken() != nil {
			find := finder{token: where.GetToken()}
			ast.Walk(&find, body[0].Body)
			if find.path != "" {
				return fmt.Errorf("%s: %w", find.path, brief(err))
			}
		}
		return brief(err)
	}
	return nil
}

// finder turns the token of a decoding fault into the path of its node.
type finder struct {
	token *token.Token
	path  string
}

func (f *finder) Visit(n ast.Node) ast.Visitor {
	if at := n.GetToken(); at != nil && *at.Position == *f.token.Position {
		f.path = strings.TrimPrefix(n.GetPath(), "$.")
	}
	return f
}

func brief(err error) error {
	return errors.New(strings.TrimSpace(yaml.FormatError(err, false, false)))
}

// scalars finds what the decoder would coerce in silence: 1.5 becomes 1 and null becomes 0 in an int field.
type scalars struct{ fault error }

func (s *scalars) Visit(n ast.Node) ast.Visitor {
	what := ""
	switch n.(type) {
	case *ast.FloatNode:
		what = "a fraction; rule files hold whole numbers"
	case *ast.NullNode:
		what = "null or nothing where a value is due"
	}
	if what != "" && s.fault == nil {
		at := n.GetToken().Position
		s.fault = fmt.Errorf("[%d:%d] %s: %s", at.Line, at.Column, strings.TrimPrefix(n.GetPath(), "$."), what)
	}
	return s
}

// UnmarshalYAML demands all four keys: a missing "verified" must never read as a decision.
func (c *Cite) UnmarshalYAML(unmarshal func(any) error) error {
	var raw struct {
		Edition  *string `yaml:"edition"`
		Clause   *string `yaml:"clause"`
		Verified *bool   `yaml:"verified"`
		Source   *string `yaml:"source"`
	}
	if err := unmarshal(&raw); err != nil {
		return err
	}
	switch {
	case raw.Edition == nil:
		return errors.New("cite: edition is missing")
	case raw.Clause == nil:
		return errors.New("cite: clause is missing")
	case raw.Verified == nil:
		return errors.New("cite: verified is missing")
	case raw.Source == nil:
		return errors.New("cite: source is missing")
	}
	*c = Cite{Edition: *raw.Edition, Clause: *raw.Clause, Verified: *raw.Verified, Source: *raw.Source}
	return nil
}
