package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fengsui/fengsui/internal/api"
)

// CallCmd calls one operation of the API. Parameters are name=value; a value that is valid JSON and
// not a plain string is sent as JSON, so that numbers, lists and objects can be given.
type CallCmd struct {
	Operation string   `arg:"" optional:"" help:"Operation id, such as assess-level; without one, all are listed."`
	Params    []string `arg:"" optional:"" help:"name=value …"`
	Server    string   `help:"Address of Fengsui." default:"http://127.0.0.1:8080" env:"FENGSUI_SERVER"`
	Token     string   `help:"API token." env:"FENGSUI_TOKEN"`
	Lang      string   `help:"zh or en." default:"zh" enum:"zh,en"`
	IdemKey   string   `help:"Idempotency-Key: repeating the call changes nothing."`
}

// Run lists the operations or calls one, and prints the answer as JSON.
func (c *CallCmd) Run(ctx context.Context, out io.Writer) error {
	ops, err := api.Operations()
	if err != nil {
		return err
	}
	if c.Operation == "" {
		room := ""
		for _, o := range ops {
			if o.Room != room {
				room = o.Room
				fmt.Fprintf(out, "%s\n", room)
			}
			fmt.Fprintf(out, "  %-24s %s  [%s]\n", o.ID, o.Summary, strings.Join(o.Params(), " "))
		}
		return nil
	}
	i := slices.IndexFunc(ops, func(o api.Op) bool { return o.ID == c.Operation })
	if i < 0 {
		return fmt.Errorf("there is no operation %q; `fengsui call` lists them", c.Operation)
	}
	req, err := c.request(ctx, ops[i])
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: 60 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode >= 400 {
		var p api.Problem
		if json.Unmarshal(raw, &p) == nil && p.Detail != "" {
			key := p.Key
			if p.Field != "" {
				key = p.Field + ": " + key
			}
			return fmt.Errorf("%s (%d %s)", p.Detail, p.Status, key)
		}
		return fmt.Errorf("%s: %s", resp.Status, raw)
	}
	var pretty bytes.Buffer
	if json.Indent(&pretty, raw, "", "  ") != nil {
		pretty.Write(raw)
	}
	fmt.Fprintln(out, strings.TrimSpace(pretty.String()))
	return nil
}

func (c *CallCmd) request(ctx context.Context, o api.Op) (*http.Request, error) {
	path, query, body := o.Path, url.Values{}, map[string]any{}
	for _, p := range c.Params {
		name, value, ok := strings.Cut(p, "=")
		if !ok {
			return nil, fmt.Errorf("%q is not name=value", p)
		}
		switch {
		case strings.Contains(path, "{"+name+"}"):
			path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(value))
		case o.Query[name]:
			query.Set(name, value)
		case o.Body[name] != "":
			v, err := typed(value, o.Body[name])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			body[name] = v
		default:
			return nil, fmt.Errorf("%s has no parameter %q; it has %s", o.ID, name, strings.Join(o.Params(), ", "))
		}
	}
	if i := strings.Index(path, "{"); i >= 0 {
		return nil, fmt.Errorf("%s needs %s=…", o.ID, strings.Trim(path[i:strings.Index(path, "}")+1], "{}"))
	}
	var reader io.Reader
	if len(o.Body) > 0 {
		js, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(js)
	}
	u := strings.TrimRight(c.Server, "/") + path
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, o.Method, u, reader)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept-Language", c.Lang)
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	if c.IdemKey != "" {
		req.Header.Set("Idempotency-Key", c.IdemKey)
	}
	return req, nil
}

// typed gives a value the type its field has; @file reads the value from a file.
func typed(value, kind string) (any, error) {
	if name, ok := strings.CutPrefix(value, "@"); ok {
		raw, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		value = string(raw)
	}
	line := 1
	for text := range strings.Lines(value) {
		if !utf8.ValidString(text) { // JSON would put U+FFFD in its place
			return nil, fmt.Errorf("line %d: not valid UTF-8", line)
		}
		line++
	}
	if kind == "string" {
		return value, nil
	}
	var v any
	if json.Unmarshal([]byte(value), &v) == nil {
		return v, nil
	}
	if kind == "array" {
		return strings.Split(value, ","), nil
	}
	return value, nil
}
