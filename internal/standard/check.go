package standard

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// checker gathers the faults of a set of rule files. Copies made by at share the list.
type checker struct {
	file   string
	root   *checker
	faults []error
	known  map[string]bool // edition ids
}

var (
	sourceMark = regexp.MustCompile(`^(G|P[0-9]+(-draft|-fragments)?|K[+-]?|I)$`)
	finalMark  = regexp.MustCompile(`^(G|P[0-9]+)$`)
	idShape    = regexp.MustCompile(`^[a-z0-9_]+(\.[a-z0-9_]+)*$`)
	riskShape  = regexp.MustCompile(`^A\.[1-9](\.[a-z])?$`)
)

func (c *checker) base() *checker {
	if c.root != nil {
		return c.root
	}
	return c
}

// at returns the same checker, speaking about one file.
func (c *checker) at(file string) *checker { return &checker{file: file, root: c.base()} }

func (c *checker) fail(field, format string, args ...any) {
	b := c.base()
	b.faults = append(b.faults, &DataError{File: c.file, Field: field, Problem: fmt.Sprintf(format, args...)})
}

func (c *checker) err() error { return errors.Join(c.base().faults...) }

func (c *checker) require(ok bool, field, format string, args ...any) {
	if !ok {
		c.fail(field, format, args...)
	}
}

func (c *checker) name(field string, n Name) {
	c.require(strings.TrimSpace(n.ZH) != "", field+".zh", "is missing")
	c.require(strings.TrimSpace(n.EN) != "", field+".en", "is missing")
}

func (c *checker) cite(field string, s Cite) {
	c.require(s.Edition != "", field+".edition", "is missing")
	c.require(s.Edition == "" || c.base().known[s.Edition], field+".edition", "%q is not in %s", s.Edition, fileEditions)
	c.require(strings.TrimSpace(s.Clause) != "", field+".clause", "is missing")
	c.source(field, s.Source, s.Verified)
}

func (c *checker) source(field, source string, verified bool) {
	if !sourceMark.MatchString(source) {
		c.fail(field+".source", "%q is not a mark (G, P1, P1-draft, P1-fragments, K, K+, K-, I)", source)
		return
	}
	c.require(!verified || finalMark.MatchString(source), field+".verified", "cannot be true for source %s", source)
}

// ids checks shape and uniqueness of a list of ids.
func (c *checker) ids(seen map[string]bool, field, id string, shape *regexp.Regexp) {
	c.require(shape.MatchString(id), field+".id", "%q is not an id", id)
	c.require(!seen[id], field+".id", "%q is used twice", id)
	seen[id] = true
}

func (c *checker) editions(list []Edition) {
	c.base().known = map[string]bool{}
	at := c.at(fileEditions)
	at.require(len(list) > 0, "editions", "is empty")
	for i, e := range list {
		f := fmt.Sprintf("editions[%d]", i)
		at.require(strings.TrimSpace(e.ID) != "", f+".id", "is missing")
		at.require(!c.base().known[e.ID], f+".id", "%q is used twice", e.ID)
		c.base().known[e.ID] = true
		at.name(f+".name", e.Name)
		at.source(f, e.Source, e.Verified)
		if e.InForce != "" {
			_, err := time.Parse(time.DateOnly, e.InForce)
			at.require(err == nil, f+".in_force", "%q is not a date like 2025-11-01", e.InForce)
		}
	}
}
