package gateway

import (
	"bytes"
	"unicode/utf8"
)

// event is one chunk of a streamed answer, read without building it: where its texts stand, and nothing
// else but what filtering needs. All positions are in json. It is reused from chunk to chunk.
type event struct {
	json    []byte
	spans   []span
	finish  []finishAt
	seen    []int // indexes of the choices in it
	labels  []byte
	usageIn int64
	usageAt int64
	usage   bool
	scratch []byte
	scanner scanner // here so that it does not cost an allocation each time
}

// span is a string with text: json[from:to] with its quotes.
type span struct {
	from, to int
	key      chanKey
	text     string
}

type finishAt struct {
	choice   int
	from, to int // the string without quotes
}

// scan reads a chunk and reports whether it is sure: the JSON is strict, every name is known, appears
// once and is written without escapes, and no string stands anywhere but where we look. If it is not
// sure the event must be decoded in full, see canonicalChunk; e is then of no use.
func (e *event) scan(data []byte) (sure bool) {
	e.json = data
	e.spans, e.finish, e.seen, e.labels = e.spans[:0], e.finish[:0], e.seen[:0], e.labels[:0]
	e.usage, e.usageIn, e.usageAt = false, 0, 0
	if !utf8.Valid(data) {
		return false
	}
	p := &e.scanner
	*p = scanner{b: data, e: e}
	p.chunk()
	p.blank()
	return !p.lost && p.i == len(data)
}

// scanner is a strict JSON reader for the one shape we know. lost means: not sure, or no JSON.
type scanner struct {
	b    []byte
	i    int
	lost bool
	e    *event
}

func (p *scanner) blank() {
	for p.i < len(p.b) {
		switch p.b[p.i] {
		case ' ', '\n', '\t', '\r':
			p.i++
		default:
			return
		}
	}
}

func (p *scanner) peek() byte {
	p.blank()
	if p.i < len(p.b) {
		return p.b[p.i]
	}
	return 0
}

func (p *scanner) want(c byte) {
	if p.peek() != c {
		p.lost = true
		return
	}
	p.i++
}

// str reads a string and gives its inside; escaped tells whether there are escapes in it.
func (p *scanner) str() (inside []byte, escaped bool) {
	p.want('"')
	if p.lost {
		return nil, false
	}
	from := p.i
	for p.i < len(p.b) {
		switch c := p.b[p.i]; {
		case c == '"':
			p.i++
			return p.b[from : p.i-1], escaped
		case c == '\\':
			escaped = true
			p.i += 2
		case c < 0x20:
			p.lost = true
			return nil, false
		default:
			p.i++
		}
	}
	p.lost = true
	return nil, false
}

// object reads the members; each must use one bit of seen, so that a name cannot come twice.
func (p *scanner) object(member func(p *scanner, name []byte) (bit uint)) {
	p.want('{')
	var seen uint
	for first := true; !p.lost; first = false {
		c := p.peek()
		if c == '}' && first {
			p.i++
			return
		}
		name, escaped := p.str()
		p.want(':')
		if p.lost || escaped {
			p.lost = true
			return
		}
		bit := member(p, name)
		if bit == 0 || seen&bit != 0 {
			p.lost = true
			return
		}
		seen |= bit
		switch p.peek() {
		case ',':
			p.i++
		case '}':
			p.i++
			return
		default:
			p.lost = true
		}
	}
}

func (p *scanner) array(item func(p *scanner)) {
	p.want('[')
	for first := true; !p.lost; first = false {
		if p.peek() == ']' && first {
			p.i++
			return
		}
		item(p)
		switch p.peek() {
		case ',':
			p.i++
		case ']':
			p.i++
			return
		default:
			p.lost = true
		}
	}
}

func (p *scanner) null() bool {
	if p.peek() == 'n' {
		if !bytes.HasPrefix(p.b[p.i:], []byte("null")) {
			p.lost = true
			return false
		}
		p.i += 4
		return true
	}
	return false
}

// natural reads a whole number that is not negative and has no exponent.
func (p *scanner) natural() int64 {
	p.blank()
	from := p.i
	var n int64
	for p.i < len(p.b) && p.b[p.i] >= '0' && p.b[p.i] <= '9' {
		n = n*10 + int64(p.b[p.i]-'0')
		p.i++
	}
	if size := p.i - from; size == 0 || size > 15 || size > 1 && p.b[from] == '0' {
		p.lost = true
	}
	return n
}

// label reads a string that is a name of the machine's making, not text.
func (p *scanner) label() {
	s, escaped := p.str()
	if p.lost || escaped || !isLabel(s) {
		p.lost = true
		return
	}
	p.e.labels = append(append(p.e.labels, s...), ' ')
}

func isLabel(s []byte) bool {
	if len(s) > 128 {
		return false
	}
	for _, c := range s {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		case c == '-', c == '_', c == '.', c == ':', c == '/', c == '@', c == '+', c == '=':
		default:
			return false
		}
	}
	return true
}

func (p *scanner) chunk() {
	p.object(func(p *scanner, name []byte) uint {
		switch string(name) {
		case "id":
			p.label()
			return 1
		case "object":
			s, escaped := p.str()
			p.lost = p.lost || escaped || string(s) != "chat.completion.chunk"
			return 2
		case "created":
			p.natural()
			return 4
		case "model":
			p.label()
			return 8
		case "system_fingerprint":
			if !p.null() {
				p.label()
			}
			return 16
		case "service_tier":
			if !p.null() {
				p.label()
			}
			return 32
		case "choices":
			p.array((*scanner).choice)
			return 64
		case "usage":
			if !p.null() {
				p.e.usage = true
				p.numbers(0)
			}
			return 128
		}
		return 0
	})
}

func (p *scanner) choice() {
	spans, finish := len(p.e.spans), len(p.e.finish)
	index := int64(-1)
	p.object(func(p *scanner, name []byte) uint {
		switch string(name) {
		case "index":
			index = p.natural()
			return 1
		case "delta":
			p.delta()
			return 2
		case "finish_reason":
			if !p.null() {
				s, escaped := p.str()
				if p.lost || escaped || !finishWord(s) {
					p.lost = true
					return 0
				}
				p.e.finish = append(p.e.finish, finishAt{from: p.i - 1 - len(s), to: p.i - 1})
			}
			return 4
		case "logprobs":
			p.lost = !p.null() || p.lost
			return 8
		}
		return 0
	})
	if p.lost || index < 0 || index > 1024 {
		p.lost = true
		return
	}
	for _, have := range p.e.seen {
		p.lost = p.lost || have == int(index)
	}
	p.e.seen = append(p.e.seen, int(index))
	for i := spans; i < len(p.e.spans); i++ {
		p.e.spans[i].key.choice = int(index)
	}
	for i := finish; i < len(p.e.finish); i++ {
		p.e.finish[i].choice = int(index)
	}
}

func finishWord(s []byte) bool {
	if len(s) == 0 || len(s) > 40 {
		return false
	}
	for _, c := range s {
		if (c < 'a' || c > 'z') && c != '_' {
			return false
		}
	}
	return true
}

// text reads a string that is text.
func (p *scanner) text(s slot) {
	if p.null() || p.lost {
		return
	}
	p.blank()
	from := p.i
	inside, escaped := p.str()
	if p.lost {
		return
	}
	sp := span{from: from, to: p.i, key: chanKey{slot: s}}
	if escaped {
		out, ok := unescape(p.e.scratch[:0], inside)
		if !ok {
			p.lost = true
			return
		}
		p.e.scratch = out
		sp.text = string(out)
	} else {
		sp.text = string(inside)
	}
	p.e.spans = append(p.e.spans, sp)
}

func (p *scanner) delta() {
	p.object(func(p *scanner, name []byte) uint {
		switch string(name) {
		case "role":
			if !p.null() {
				s, escaped := p.str()
				p.lost = p.lost || escaped || string(s) != "assistant"
			}
			return 1
		case "content":
			p.text(slotContent)
			return 2
		case "reasoning_content":
			p.text(slotReasoningContent)
			return 4
		case "reasoning":
			p.text(slotReasoning)
			return 8
		case "refusal":
			p.text(slotRefusal)
			return 16
		case "tool_calls":
			if !p.null() {
				p.array((*scanner).toolCall)
			}
			return 32
		case "function_call":
			if !p.null() {
				p.function(slotCallName, slotCallArguments)
			}
			return 64
		}
		return 0
	})
}

func (p *scanner) toolCall() {
	from := len(p.e.spans)
	index := int64(-1)
	p.object(func(p *scanner, name []byte) uint {
		switch string(name) {
		case "index":
			index = p.natural()
			return 1
		case "id":
			p.text(slotToolID)
			return 2
		case "type":
			if !p.null() {
				s, escaped := p.str()
				p.lost = p.lost || escaped || string(s) != "function"
			}
			return 4
		case "function":
			p.function(slotToolName, slotToolArguments)
			return 8
		}
		return 0
	})
	if p.lost || index < 0 || index > 1024 {
		p.lost = true
		return
	}
	for i := from; i < len(p.e.spans); i++ {
		p.e.spans[i].key.tool = int(index)
	}
}

func (p *scanner) function(nameSlot, argSlot slot) {
	p.object(func(p *scanner, name []byte) uint {
		switch string(name) {
		case "name":
			p.text(nameSlot)
			return 1
		case "arguments":
			p.text(argSlot)
			return 2
		}
		return 0
	})
}

// numbers reads an object of numbers, nested at most three deep, and picks the two that everybody has.
func (p *scanner) numbers(depth int) {
	var names [24][]byte
	count := 0
	p.object(func(p *scanner, name []byte) uint {
		if !isToken(string(name), 64) || count == len(names) {
			return 0
		}
		for _, n := range names[:count] {
			if bytes.Equal(n, name) {
				return 0
			}
		}
		names[count] = name
		count++
		switch c := p.peek(); {
		case c == '{' && depth < 3:
			p.numbers(depth + 1)
		case c == 'n':
			p.null()
		default:
			n := p.natural()
			if depth == 0 && string(name) == "prompt_tokens" {
				p.e.usageIn = n
			}
			if depth == 0 && string(name) == "completion_tokens" {
				p.e.usageAt = n
			}
		}
		return 1 << count
	})
}
