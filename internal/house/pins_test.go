package house

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
)

// required gives the version of each module that a go.mod asks for.
func required(name string, content []byte) (map[string]string, error) {
	f, err := modfile.ParseLax(name, content, nil)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, r := range f.Require {
		out[r.Mod.Path] = r.Mod.Version
	}
	return out, nil
}

// checkPins compares what we ask for with what the author of the SQLite driver built it against.
func checkPins(ours, sqlites map[string]string) string {
	const libc = "modernc.org/libc"
	switch {
	case sqlites[libc] == "":
		return "the go.mod of modernc.org/sqlite names no libc"
	case ours[libc] != sqlites[libc]:
		return "go.mod has " + libc + " " + ours[libc] + ", modernc.org/sqlite was built against " + sqlites[libc] + ": they must be the same, see its documentation"
	}
	return ""
}

// The SQLite driver is C translated to Go against one version of a translated libc; another version may
// corrupt memory. A new dependency can lift libc without a word.
func TestPinsOfSQLiteAndItsLibcAgree(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(root(t), "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	mine, err := required("go.mod", raw)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "list", "-m", "-f", "{{.GoMod}}", "modernc.org/sqlite")
	cmd.Dir = root(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	theirsAt := strings.TrimSpace(string(out))
	theirsRaw, err := os.ReadFile(theirsAt)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := required(theirsAt, theirsRaw)
	if err != nil {
		t.Fatal(err)
	}
	if breach := checkPins(mine, theirs); breach != "" {
		t.Error(breach)
	}
}

func TestPinsThatDifferAreFound(t *testing.T) {
	a := map[string]string{"modernc.org/libc": "v1.77.1"}
	for _, theirs := range []map[string]string{{"modernc.org/libc": "v1.78.0"}, {}} {
		if checkPins(a, theirs) == "" {
			t.Errorf("%v against %v was let pass", a, theirs)
		}
	}
	if breach := checkPins(a, a); breach != "" {
		t.Error(breach)
	}
}
