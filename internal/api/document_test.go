package api_test

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/api"
)

var update = flag.Bool("update", false, "write testdata/operations.txt anew")

// rooms are the tags of the API, which are the words of the menu.
var rooms = map[string]bool{"containment": true, "drill": true, "govern": true, "identity": true, "improve": true, "incident": true, "monitor": true, "prepare": true, "record": true, "service": true, "status": true}

func TestTheOperationsAreThoseThatWereAgreed(t *testing.T) {
	ops, err := api.Operations()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	seen := map[string]bool{}
	for _, o := range ops {
		if o.ID == "" || seen[o.ID] || o.Summary == "" || !rooms[o.Room] || !strings.HasPrefix(o.Path, "/api/v1/") {
			t.Errorf("%+v", o)
		}
		seen[o.ID] = true
		out.WriteString(o.Room + " " + o.ID + " " + o.Method + " " + o.Path + "\n")
	}
	const golden = "testdata/operations.txt"
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("the operations are not those of %s; if clients were told of the change, run the test with -update.\n%s", golden, firstDifference(string(want), out.String()))
	}
}

func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for k := range max(len(x), len(y)) {
		if k >= len(x) || k >= len(y) || x[k] != y[k] {
			return "from line " + strings.Join(x[min(k, len(x)-1):min(k+1, len(x))], "") + " on"
		}
	}
	return ""
}

func TestTheDocumentIsOpenAPI31AndWhole(t *testing.T) {
	b := newBench(t)
	a := b.call(t, "", "GET", "/openapi.json", "")
	if a.status != 200 || !json.Valid([]byte(a.body)) {
		t.Fatalf("%d", a.status)
	}
	var doc struct {
		OpenAPI string `json:"openapi"`
		Info    struct{ Title, Version string }
		Paths   map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Tags        []string
			Summary     string
			Security    []map[string][]string
			Responses   map[string]any
			Parameters  []struct{ Name, In string }
		}
		Components struct {
			SecuritySchemes map[string]struct{ Type, Scheme string }
			Schemas         map[string]any
		}
	}
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1") || doc.Info.Title == "" || doc.Info.Version == "" || doc.Components.SecuritySchemes["token"].Scheme != "bearer" || doc.Components.SecuritySchemes["session"].Type != "apiKey" {
		t.Errorf("%s %+v", doc.OpenAPI, doc.Info)
	}
	ops, err := api.Operations()
	if err != nil {
		t.Fatal(err)
	}
	public := map[string]bool{"submit-complaint": true, "complaint-status": true, "login-ways": true, "login-password": true, "login-passkey-begin": true, "login-passkey-finish": true}
	n := 0
	for path, item := range doc.Paths {
		for method, o := range item {
			n++
			if o.OperationID == "" || len(o.Tags) != 1 || o.Summary == "" || len(o.Responses) == 0 {
				t.Errorf("%s %s: %+v", method, path, o)
			}
			if public[o.OperationID] != (len(o.Security) == 0) {
				t.Errorf("%s: security %v", o.OperationID, o.Security)
			}
			for _, p := range strings.Split(path, "/") {
				if name, ok := strings.CutPrefix(p, "{"); ok {
					name = strings.TrimSuffix(name, "}")
					found := false
					for _, q := range o.Parameters {
						found = found || q.Name == name && q.In == "path"
					}
					if !found {
						t.Errorf("%s does not declare {%s}", o.OperationID, name)
					}
				}
			}
		}
	}
	if n != len(ops) {
		t.Errorf("%d operations in the document, %d in the list", n, len(ops))
	}
	// Every reference leads somewhere.
	for _, part := range strings.Split(a.body, `"$ref":"#/components/schemas/`)[1:] {
		if name, _, _ := strings.Cut(part, `"`); doc.Components.Schemas[name] == nil {
			t.Errorf("the schema %s is missing", name)
		}
	}
	if spec, err := b.app.Spec(); err != nil || !json.Valid(spec) {
		t.Error(err)
	}
}
