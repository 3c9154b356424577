package browser

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fengsui/fengsui/e2e/npm"
)

// TestTheConsoleInARealBrowser runs desk.test.mjs, panels.test.mjs and walk.test.mjs, each on an instance of its own, two at a
// time. What is missing fails it: a check that is left out in silence proves nothing.
func TestTheConsoleInARealBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("walks the console for minutes")
	}
	node(t, 8*time.Minute, "--test", "--test-concurrency=2", "--test-reporter=spec", "desk.test.mjs", "panels.test.mjs", "walk.test.mjs")
}

// TestScreens takes a picture of every page into the folder that make screens names.
func TestScreens(t *testing.T) {
	to := os.Getenv("FENGSUI_SCREENS")
	if to == "" {
		t.Skip("make screens asks for it")
	}
	node(t, 15*time.Minute, "screens.mjs", to)
}

// TestTheLockFileNamesNoHost: it is kept here, and must name packages and hashes, not a download host.
func TestTheLockFileNamesNoHost(t *testing.T) { npm.LockNamesNoHost(t, ".") }

// node runs a script with the built binary and a browser at hand.
func node(t *testing.T, limit time.Duration, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	chromium, err := Ready(ctx, ".")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	bin := filepath.Join(dir, "fengsui")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", bin, "github.com/fengsui/fengsui/cmd/fengsui").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.CommandContext(ctx, "node", args...)
	cmd.WaitDelay = 10 * time.Second
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Env = append(os.Environ(), "FENGSUI_BIN="+bin, "FENGSUI_DATA="+filepath.Join(dir, "data"), "FENGSUI_CHROMIUM="+chromium)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("node %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	// node --test is content with no test at all.
	if args[0] == "--test" && (!strings.Contains(string(out), "pass ") || strings.Contains(string(out), "pass 0\n")) {
		t.Fatalf("no test ran:\n%s", out)
	}
	t.Logf("%s", out)
}
