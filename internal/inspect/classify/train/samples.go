package train

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// Line is one line of a file of samples:
//
//	{"text": "…", "label": 1, "risk": "A.2.e"}
//
// Label is 1, 0, true or false. A line with a risk answers for that risk alone;
// without one, label 1 answers for a head of its own, and label 0 says no to all.
type Line struct {
	Text string
	Yes  bool
	Risk string
}

// LineError says which field of which line is wrong. The text is never part of it.
type LineError struct {
	Line          int // from 1
	Field, Reason string
}

func (e *LineError) Error() string {
	return fmt.Sprintf("line %d: %s: %s", e.Line, e.Field, e.Reason)
}

const maxLine = 1 << 20

var riskCode = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// ReadLines reads samples, one JSON object a line. Empty lines are left out.
func ReadLines(r io.Reader) ([]Line, error) {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 0, 64<<10), maxLine)
	var lines []Line
	number := 0
	for in.Scan() {
		number++
		raw := bytes.TrimSpace(bytes.TrimPrefix(in.Bytes(), []byte("\ufeff")))
		if len(raw) == 0 {
			continue
		}
		line, err := readLine(raw)
		if err != nil {
			err.Line = number
			return nil, err
		}
		lines = append(lines, line)
	}
	if err := in.Err(); err == bufio.ErrTooLong {
		return nil, &LineError{number + 1, "text", fmt.Sprintf("the line is longer than %d bytes", maxLine)}
	} else if err != nil {
		return nil, err
	}
	if len(lines) == 0 {
		return nil, &LineError{1, "text", "there are no samples"}
	}
	return lines, nil
}

func readLine(raw []byte) (Line, *LineError) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
		return Line{}, &LineError{Field: "line", Reason: "not a JSON object"}
	}
	var line Line
	switch err := json.Unmarshal(fields["text"], &line.Text); {
	case fields["text"] == nil:
		return line, &LineError{Field: "text", Reason: "missing"}
	case err != nil:
		return line, &LineError{Field: "text", Reason: "not a string"}
	case strings.TrimSpace(line.Text) == "":
		return line, &LineError{Field: "text", Reason: "empty"}
	}
	switch label := string(fields["label"]); label {
	case "1", "true":
		line.Yes = true
	case "0", "false":
	case "":
		return line, &LineError{Field: "label", Reason: "missing"}
	default:
		return line, &LineError{Field: "label", Reason: "not 1, 0, true or false"}
	}
	if fields["risk"] != nil {
		if err := json.Unmarshal(fields["risk"], &line.Risk); err != nil {
			return line, &LineError{Field: "risk", Reason: "not a string"}
		}
		if line.Risk != "" && !riskCode.MatchString(line.Risk) {
			return line, &LineError{Field: "risk", Reason: "letters, digits, dots, underscores and hyphens, at most 64"}
		}
	}
	for name := range fields {
		if name != "text" && name != "label" && name != "risk" {
			return line, &LineError{Field: name, Reason: "unknown; there are text, label and risk"}
		}
	}
	return line, nil
}

// Heads gives a head for each risk that some line says yes to, in the order in
// which they come, and one called without for lines that say yes to no risk in
// particular.
func Heads(lines []Line, without string) []Head {
	var heads []Head
	seen := map[string]bool{}
	for _, l := range lines {
		if name := l.head(without); l.Yes && !seen[name] {
			seen[name] = true
			heads = append(heads, Head{ID: name, Risk: l.Risk})
		}
	}
	return heads
}

func (l Line) head(without string) string {
	if l.Risk == "" {
		return without
	}
	return l.Risk
}

// Answers makes samples of lines: what each says to each of the heads.
func Answers(lines []Line, heads []Head, without string) []Sample {
	samples := make([]Sample, len(lines))
	for i, l := range lines {
		samples[i] = Sample{Text: l.Text, Answer: make([]int8, len(heads))}
		for h := range heads {
			switch {
			case !l.Yes && l.Risk == "":
				samples[i].Answer[h] = No
			case heads[h].ID != l.head(without):
			case l.Yes:
				samples[i].Answer[h] = Yes
			default:
				samples[i].Answer[h] = No
			}
		}
	}
	return samples
}
