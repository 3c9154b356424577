// Package placeholder puts names in place of personal data on the way to a
// model, and the data back in place of the names on the way home.
//
//	m := placeholder.New()
//	m.Avoid(everyTextOfTheRequest...)
//	sent := m.Cover(text, spans, placeholder.Own) // 请打⟦手机号1⟧
//	...
//	back := m.NewRestorer(placeholder.Plain)
//	for piece := range answer {
//		show(back.Write(piece))
//	}
//	show(back.Close())
//
// The same data has the same placeholder in all texts of a request, so that a
// model can tell two numbers apart and one from itself. A placeholder that
// stands in a text already is never given, so that nobody can write one and have
// somebody else's data put in its place. The map lives as long as the value and
// is written nowhere.
//
// A [Restorer] holds back the longest suffix that may still grow into one of
// its placeholders, bytes of a character that was cut included, and nothing
// else. A model that changes a placeholder, say its brackets, gets it passed on
// as it wrote it.
package placeholder

import (
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The brackets around a placeholder: rare in any text, and one token each in few vocabularies, so that a model copies them.
const (
	open = "⟦"
	shut = "⟧"
)

// Span is a run of a text, in bytes, and the word for what stands there.
type Span struct {
	Start, End int
	Label      string
}

// Map gives placeholders for one request. It is not safe for concurrent use,
// but its restorers read it only: make them when all texts are covered.
type Map struct {
	names   map[string]string // placeholder by label and data
	data    map[string]datum  // by placeholder
	sorted  []string          // placeholders
	last    map[string]int    // number given last, by label
	avoid   map[string]bool   // what stands between brackets in the texts, with them
	longest int               // bytes of a placeholder
}

type datum struct {
	text string
	own  bool
}

// Whose says whether who reads the answer gave the data.
type Whose bool

const (
	// Own data is put back wherever its placeholder stands.
	Own Whose = true
	// Others' data, say of an operator's instructions, is not shown to a reader.
	Others Whose = false
)

// Most is how many different data one map gives placeholders. The rest is covered by asterisks.
const Most = 1000

// New makes an empty map.
func New() *Map {
	return &Map{names: map[string]string{}, data: map[string]datum{}, last: map[string]int{}, avoid: map[string]bool{}}
}

// Avoid names texts in which no placeholder that is given later may stand.
// Call it with all of them before the first is covered.
func (m *Map) Avoid(texts ...string) {
	for _, t := range texts {
		for begun, at := -1, 0; at+len(open) <= len(t); {
			next := strings.IndexByte(t[at:], open[0]) // shut begins with it too
			if next < 0 {
				break
			}
			at += next
			switch {
			case strings.HasPrefix(t[at:], open):
				begun = at
			case begun >= 0 && strings.HasPrefix(t[at:], shut):
				m.avoid[t[begun:at+len(shut)]], begun = true, -1
			}
			at++
		}
	}
}

// Len is how many different data have a placeholder.
func (m *Map) Len() int { return len(m.data) }

// Cover puts placeholders in place of spans. Where spans overlap, their union
// is covered, under the label of the one that starts first (of those, the
// longest). Spans outside the text are left out. Data that was covered once as
// Own is the reader's in all texts.
func (m *Map) Cover(text string, spans []Span, whose Whose) string {
	spans = union(spans, len(text))
	if len(spans) == 0 {
		return text
	}
	var out strings.Builder
	at := 0
	for _, s := range spans {
		out.WriteString(text[at:s.Start])
		out.WriteString(m.name(s.Label, text[s.Start:s.End], whose))
		at = s.End
	}
	out.WriteString(text[at:])
	return out.String()
}

func union(spans []Span, length int) (out []Span) {
	sorted := make([]Span, 0, len(spans))
	for _, s := range spans {
		if s.Start >= 0 && s.Start < s.End && s.End <= length {
			sorted = append(sorted, s)
		}
	}
	sort.SliceStable(sorted, func(i, j int) bool {
		if sorted[i].Start != sorted[j].Start {
			return sorted[i].Start < sorted[j].Start
		}
		return sorted[i].End > sorted[j].End
	})
	for _, s := range sorted {
		if n := len(out); n > 0 && s.Start < out[n-1].End {
			out[n-1].End = max(out[n-1].End, s.End)
			continue
		}
		out = append(out, s)
	}
	return out
}

func (m *Map) name(label, data string, whose Whose) string {
	key := label + "\x00" + data
	if have, ok := m.names[key]; ok {
		if whose == Own {
			m.data[have] = datum{data, true}
		}
		return have
	}
	if len(m.data) == Most {
		return strings.Repeat("*", utf8.RuneCountInString(data))
	}
	for {
		m.last[label]++
		name := open + label + strconv.Itoa(m.last[label]) + shut
		if m.taken(name) {
			continue
		}
		m.names[key], m.data[name] = name, datum{data, bool(whose)}
		at, _ := slices.BinarySearch(m.sorted, name)
		m.sorted = slices.Insert(m.sorted, at, name)
		m.longest = max(m.longest, len(name))
		return name
	}
}

func (m *Map) taken(name string) bool {
	_, given := m.data[name] // label "a1" and 1, label "a" and 11
	return given || m.avoid[name]
}

// Form is what kind of text data is put back into.
type Form uint8

const (
	// Plain is text for a reader, as it is: with own data only.
	Plain Form = iota
	// JSON is the inside of JSON strings, such as arguments of a tool, which
	// work with all the data: its quotes, backslashes and control characters
	// are escaped.
	JSON
)

// Restore puts the data back into a whole text.
func (m *Map) Restore(form Form, text string) string {
	r := m.NewRestorer(form)
	return r.Write(text) + r.Close()
}

// Restorer puts data back into a text that comes in pieces.
type Restorer struct {
	m    *Map
	form Form
	held string
}

// NewRestorer begins a text.
func (m *Map) NewRestorer(form Form) *Restorer { return &Restorer{m: m, form: form} }

// Write takes a piece and gives what can go out. What comes out in all does
// not depend on where the text was cut.
func (r *Restorer) Write(piece string) string {
	if len(r.m.data) == 0 || r.held == "" && strings.IndexByte(piece, open[0]) < 0 {
		return piece
	}
	text := r.held + piece
	r.held = ""
	var out strings.Builder
	for {
		at := strings.IndexByte(text, open[0])
		if at < 0 {
			out.WriteString(text)
			return out.String()
		}
		out.WriteString(text[:at])
		text = text[at:]
		name, more := r.begins(text)
		switch {
		case name != "":
			if d := r.m.data[name]; d.own || r.form == JSON {
				out.WriteString(r.put(d.text))
			} else {
				out.WriteString(name)
			}
			text = text[len(name):]
		case more:
			r.held = text
			return out.String()
		default:
			out.WriteByte(text[0])
			text = text[1:]
		}
	}
}

// begins gives the placeholder that text begins with, or whether it may be the
// beginning of one.
func (r *Restorer) begins(text string) (name string, more bool) {
	if n := min(len(text), len(open)); text[:n] != open[:n] {
		return "", false
	}
	end := strings.Index(text[:min(len(text), r.m.longest)], shut)
	if end >= 0 {
		name = text[:end+len(shut)]
		if _, ok := r.m.data[name]; ok {
			return name, false
		}
		return "", false
	}
	if len(text) >= r.m.longest {
		return "", false
	}
	at, _ := slices.BinarySearch(r.m.sorted, text)
	return "", at < len(r.m.sorted) && strings.HasPrefix(r.m.sorted[at], text)
}

// Close gives what is held at the end of the text.
func (r *Restorer) Close() string {
	rest := r.held
	r.held = ""
	return rest
}

const hex = "0123456789abcdef"

func (r *Restorer) put(data string) string {
	if r.form == Plain {
		return data
	}
	var out strings.Builder
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case c == '"' || c == '\\':
			out.WriteByte('\\')
			out.WriteByte(c)
		case c < 0x20:
			out.WriteString(`\u00`)
			out.WriteByte(hex[c>>4])
			out.WriteByte(hex[c&15])
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}
