// Package samples gives tests the public sets they replay. The sets are no part
// of this repository.
package samples

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Texts gives fields of each row of a public set, as many as there are, or skips
// the test where the sets are not there. FENGSUI_SAMPLES names their folder;
// without it ../shared/data beside the repository does. Nothing of them may be
// printed.
func Texts(t testing.TB, name string, fields ...string) []string {
	t.Helper()
	f, err := os.Open(filepath.Join(folder(), name+".jsonl.gz"))
	if err != nil {
		t.Skipf("the public set %s is not here; FENGSUI_SAMPLES names the folder", name)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	in := bufio.NewScanner(z)
	in.Buffer(nil, 1<<24)
	for in.Scan() {
		var row map[string]any
		if err := json.Unmarshal(in.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		for _, field := range fields {
			if s, ok := row[field].(string); ok {
				out = append(out, s)
			}
		}
	}
	if err := in.Err(); err != nil {
		t.Fatal(err)
	}
	if len(out) == 0 {
		t.Fatalf("%s has no %v", name, fields)
	}
	return out
}

func folder() string {
	if dir := os.Getenv("FENGSUI_SAMPLES"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	for err == nil && dir != filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	return filepath.Join(dir, "..", "shared", "data")
}
