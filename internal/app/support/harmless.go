package support

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
)

// A value that is a code of ours: short, lower case, without a digit that could be somebody's number.
var code = regexp.MustCompile(`^[a-z][a-z_.:-]{0,31}$`)

// What states, checks and log levels are called. A code that is none of them may be somebody's name.
var words = strings.Fields(`pending fired cancelled failed sent refused dismissed open assessing escalated dismissed merged declared graded responding contained ended closed
	draft in_force lapsed revoked loosened expired superseded waiting active removed serving left gone
	clock store modules telemetry drain gateway spool cycle:audit cycle:due cycle:node cycle:outbox:authority-sim cycle:outbox:platform-sim cycle:outbox:configured cycle:outbox:inbox cycle:outbox:second cycle:outbox:webhook
	debug info warn error`)

// word is a value if it is a word of ours, else a stand-in.
func word(s string) string {
	if slices.Contains(words, s) {
		return s
	}
	return "other"
}

// figure is a line of /metrics as we print it: names and label values of ours, and a number.
var figure = regexp.MustCompile(`^(fengsui|go|process)_[a-z_]+(\{([a-z_]+="[A-Za-z0-9_.:+-]{0,40}",?)*\})? [0-9.eE+-]+(NaN|Inf)?$`)

// labels whose values are ours. Those of others, such as a gateway's name, are given by people.
var label = regexp.MustCompile(`([a-z_]+)="([^"]*)"`)

var ours = []string{"le", "outcome", "quantile", "cycle", "version", "commit", "go", "state", "kind", "verdict", "route", "status"}

func keepLines(raw []byte, keep *regexp.Regexp) []byte {
	var out bytes.Buffer
	s := bufio.NewScanner(bytes.NewReader(raw))
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		line := s.Text()
		if !keep.MatchString(line) {
			continue
		}
		fine := true
		for _, m := range label.FindAllStringSubmatch(line, -1) {
			fine = fine && slices.Contains(ours, m[1])
		}
		if fine {
			out.WriteString(line + "\n")
		}
	}
	return out.Bytes()
}

// Causes that operating systems, databases and networks name, and that hold nothing of anybody's.
var causes = []string{"connection refused", "connection reset by peer", "broken pipe", "no space left on device", "disk quota exceeded", "permission denied", "no such file or directory", "too many open files", "read-only file system",
	"i/o timeout", "no route to host", "network is unreachable", "no such host", "context canceled", "context deadline exceeded", "unexpected EOF", "EOF", "database is locked", "database disk image is malformed", "file is not a database",
	"database or disk is full", "disk I/O error", "constraint failed", "certificate has expired", "certificate signed by unknown authority", "certificate is valid for", "tls: bad certificate", "tls: internal error", "password authentication failed", "too many clients already",
	"the database system is starting up", "the database system is shutting down", "terminating connection due to administrator command", "cannot execute", "in a read-only transaction", "could not serialize access", "deadlock detected",
	"lock timeout", "idle-in-transaction timeout", "use of closed network connection", "server closed", "panic", "nil pointer dereference", "index out of range", "no answer in time", "last came round", "draining"}

var sqlstate = regexp.MustCompile(`SQLSTATE ([0-9A-Z]{5})\b`)

// faults are kinds and keys of our own errors: "unavailable: store.full".
var faultKey = regexp.MustCompile(`\b(invalid|unauthenticated|forbidden|not_found|conflict|too_many|unavailable|internal)( [a-z_.-]+)?: ([a-z_]+\.[a-z_]+)`)

// phrases are what is known of an error's text; the rest of it is left out.
func (p *packer) phrases(text string) []string {
	out := []string{}
	for _, m := range faultKey.FindAllStringSubmatch(text, -1) {
		if p.catalog.Has(m[3]) {
			out = append(out, m[1]+": "+m[3])
		}
	}
	out = append(out, sqlstate.FindAllString(text, -1)...)
	for _, c := range causes {
		if strings.Contains(text, c) {
			out = append(out, c)
		}
	}
	return out
}

// What of a line of the log is kept, besides level and message.
var (
	message    = regexp.MustCompile(`^[A-Za-z](?:[A-Za-z ,;:.'-]|\b\d{1,3}\b){1,160}$`) // constants of our code, held by a test
	keptID     = regexp.MustCompile(`^[0-9A-Za-z-]{8,36}$`)
	keptTime   = regexp.MustCompile(`^\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:\d\d)$`)
	keptNumber = regexp.MustCompile(`^-?\d{1,8}(\.\d{1,6})?(ns|µs|ms|s|m|h)?$`)
)

// logTail is how much of the end of a log is looked at.
const logTail = 8 << 20

// log keeps of each line that the server wrote the time, level, message, ids that we make, numbers, and what is known of an error.
func (p *packer) log(context.Context) ([]byte, error) {
	if p.Log == "" {
		return nil, nil
	}
	f, err := os.Open(p.Log)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size() > logTail {
		if _, err := f.Seek(-logTail, io.SeekEnd); err != nil {
			return nil, err
		}
	}
	var out bytes.Buffer
	left := 0
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		kept := p.harmless(s.Text())
		if kept == nil {
			left++
			continue
		}
		line, err := json.Marshal(kept)
		if err != nil {
			return nil, err
		}
		out.Write(append(line, '\n'))
	}
	last, err := json.Marshal(map[string]int{"lines_left_out": left})
	out.Write(append(last, '\n'))
	return out.Bytes(), errors.Join(s.Err(), err)
}

// harmless is what may be shown of a line of the log; nil if it is not one of ours.
func (p *packer) harmless(line string) map[string]any {
	attrs := fields(line)
	if attrs == nil || !keptTime.MatchString(attrs["time"]) || !slices.Contains(words, strings.ToLower(attrs["level"])) || !message.MatchString(attrs["msg"]) {
		return nil
	}
	out := map[string]any{}
	for k, v := range attrs {
		switch k {
		case "time", "level", "msg":
			out[k] = v
		case "request_id", "error_id", "incident_id", "trace_id":
			if keptID.MatchString(v) {
				out[k] = v
			}
		case "err", "error", "panic":
			out[k] = p.phrases(v)
		case "status", "ms", "bytes", "attempt", "count", "times", "revision", "rows", "batch", "epoch", "sample", "segments", "days":
			if keptNumber.MatchString(v) {
				out[k] = v
			}
		}
	}
	return out
}

// fields reads a line of slog, text or JSON; nil if it is neither.
func fields(line string) map[string]string {
	out := map[string]string{}
	if strings.HasPrefix(line, "{") {
		var all map[string]any
		if json.Unmarshal([]byte(line), &all) != nil {
			return nil
		}
		for k, v := range all {
			switch v := v.(type) {
			case string:
				out[k] = v
			default:
				raw, err := json.Marshal(v)
				if err == nil {
					out[k] = string(raw)
				}
			}
		}
		return out
	}
	for line != "" {
		k, rest, ok := strings.Cut(line, "=")
		if !ok || !code.MatchString(k) {
			return nil
		}
		v := rest
		if strings.HasPrefix(rest, `"`) {
			end := 1
			for end < len(rest) && rest[end] != '"' {
				if rest[end] == '\\' {
					end++
				}
				end++
			}
			if end >= len(rest) {
				return nil
			}
			if json.Unmarshal([]byte(rest[:end+1]), &v) != nil {
				v = "" // quoted in a way that only Go has
			}
			line = strings.TrimPrefix(rest[end+1:], " ")
		} else {
			v, line, _ = strings.Cut(rest, " ")
		}
		out[k] = v
	}
	return out
}
