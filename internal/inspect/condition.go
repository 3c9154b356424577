package inspect

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxParts      = 8   // parts of one condition
	maxCount      = 200 // times that a part may ask for
	sentenceReach = 64  // symbols, where a part says sentence and no width
)

// condition is a compiled [Rule.When].
type condition struct {
	parts []part
	nodes []node // the last is the whole
	// ahead is how many symbols behind the hit it can take until all is
	// decided, back how far before the hit is looked.
	ahead, back int
	sentences   bool
}

// part asks how often something stands near the hit.
type part struct {
	operand       string
	set           int
	count         int
	before, after int // symbols on either side that are looked at
	sentence      bool
	late          int // symbols until it is certain that the operand stands there
}

// node joins parts: op is one of those below, a and b are nodes, or a is a part.
type node struct {
	op   nodeOp
	a, b int
}

type nodeOp uint8

const (
	isPart nodeOp = iota
	isNot
	isAnd
	isOr
)

// answer is what is known of a part or a condition so far.
type answer int8

const (
	no   answer = -1
	open answer = 0
	yes  answer = 1
)

// value joins the answers of the parts as far as they decide the whole.
func (c *condition) value(answers *[maxParts]answer) answer {
	return c.at(len(c.nodes)-1, answers)
}

func (c *condition) at(i int, answers *[maxParts]answer) answer {
	switch n := c.nodes[i]; n.op {
	case isPart:
		return answers[n.a]
	case isNot:
		return -c.at(n.a, answers)
	case isAnd:
		return min(c.at(n.a, answers), c.at(n.b, answers))
	default:
		return max(c.at(n.a, answers), c.at(n.b, answers))
	}
}

// parseCondition reads a condition. The error is one sentence without a word
// of what was looked for.
func parseCondition(text string) (*condition, error) {
	p := &conditionParser{rest: text, c: &condition{}}
	p.next()
	if p.either(); p.err == nil && p.token != "" {
		p.fail("something stands behind the end")
	}
	if p.err != nil {
		return nil, p.err
	}
	return p.c, nil
}

type conditionParser struct {
	c     *condition
	rest  string
	token string
	err   error
	depth int
}

func (p *conditionParser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format+fmt.Sprintf(" (part %d)", len(p.c.parts)+1), args...)
	}
	p.token, p.rest = "", ""
}

// next takes a bracket, a quoted text or a word.
func (p *conditionParser) next() {
	p.rest = strings.TrimLeft(p.rest, " \t\n")
	n := 0
	switch {
	case p.rest == "":
	case p.rest[0] == '(' || p.rest[0] == ')':
		n = 1
	case p.rest[0] == '"':
		quoted, err := strconv.QuotedPrefix(p.rest)
		if err != nil {
			p.fail("a quotation mark has no other")
			return
		}
		n = len(quoted)
	default:
		if n = strings.IndexAny(p.rest, " \t\n()"); n < 0 {
			n = len(p.rest)
		}
	}
	p.token, p.rest = p.rest[:n], p.rest[n:]
}

func (p *conditionParser) take(word string) bool {
	if p.token != word {
		return false
	}
	p.next()
	return true
}

func (p *conditionParser) node(op nodeOp, a, b int) int {
	p.c.nodes = append(p.c.nodes, node{op, a, b})
	return len(p.c.nodes) - 1
}

func (p *conditionParser) either() int {
	n := p.both()
	for p.take("or") {
		n = p.node(isOr, n, p.both())
	}
	return n
}

func (p *conditionParser) both() int {
	n := p.one()
	for p.take("and") {
		n = p.node(isAnd, n, p.one())
	}
	return n
}

func (p *conditionParser) one() int {
	if p.depth++; p.depth > 4*maxParts {
		p.fail("nested too deeply")
		return 0
	}
	defer func() { p.depth-- }()
	switch {
	case p.take("not"):
		return p.node(isNot, p.one(), 0)
	case p.take("("):
		n := p.either()
		if !p.take(")") {
			p.fail("a bracket is not closed")
		}
		return n
	}
	return p.part()
}

func (p *conditionParser) part() int {
	q := part{count: 1}
	if times, ok := strings.CutSuffix(p.token, "x"); ok {
		if n, err := strconv.Atoi(times); err == nil {
			if n < 1 || n > maxCount {
				p.fail("a count must be 1 to %d", maxCount)
			}
			q.count = n
			p.next()
		}
	}
	switch p.token {
	case "", ")", "and", "or", "within", "in", "before", "after":
		p.fail("a name is missing")
	}
	q.operand = p.token
	p.next()
	width, side := 0, ""
	for p.err == nil {
		switch {
		case p.take("within"):
			n, err := strconv.Atoi(p.token)
			if err != nil || n < 1 || n > MaxReach {
				p.fail("within must be 1 to %d symbols", MaxReach)
			}
			width = n
			p.next()
			continue
		case p.take("in"):
			if !p.take("sentence") {
				p.fail("after in stands sentence")
			}
			q.sentence = true
			continue
		case side == "" && (p.token == "before" || p.token == "after"):
			side = p.token
			p.next()
			continue
		}
		break
	}
	if width == 0 && q.sentence {
		width = sentenceReach
	}
	if width == 0 {
		p.fail("within or in sentence is missing")
	}
	if side != "after" {
		q.before = width
	}
	if side != "before" {
		q.after = width
	}
	if len(p.c.parts) == maxParts {
		p.fail("a condition has at most %d parts", maxParts)
	}
	p.c.parts = append(p.c.parts, q)
	p.c.back, p.c.ahead = max(p.c.back, q.before), max(p.c.ahead, q.after)
	p.c.sentences = p.c.sentences || q.sentence
	return p.node(isPart, len(p.c.parts)-1, 0)
}

// String writes a part in one way.
func (q *part) String() string {
	out := q.operand
	if q.count > 1 {
		out = fmt.Sprintf("%dx %s", q.count, out)
	}
	out += fmt.Sprintf(" within %d", max(q.before, q.after))
	if q.sentence {
		out += " in sentence"
	}
	switch {
	case q.after == 0:
		out += " before"
	case q.before == 0:
		out += " after"
	}
	return out
}

// quoted gives the text of an operand that is one, or says that it is none.
func quoted(operand string) (string, bool) {
	text, err := strconv.Unquote(operand)
	return text, err == nil && strings.HasPrefix(operand, `"`) && utf8.ValidString(text)
}
