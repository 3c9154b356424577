package sdk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/simulate"
)

const oldestNode = 18

// TestTheOfficialNodeClientThroughTheGateway runs node/*.test.mjs. A machine
// without Node fails it: a check that is left out in silence proves nothing.
func TestTheOfficialNodeClientThroughTheGateway(t *testing.T) {
	const missing = "the check of the Node client needs Node.js 18 or newer with npm in PATH; on Debian: apt-get install nodejs npm"
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	version, err := exec.CommandContext(ctx, "node", "--version").Output()
	if err != nil {
		t.Fatal(missing)
	}
	major, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(string(version)), "v"), ".")
	if n, err := strconv.Atoi(major); err != nil || n < oldestNode {
		t.Fatalf("%s (found %s)", missing, strings.TrimSpace(string(version)))
	}
	if _, err := exec.LookPath("npm"); err != nil {
		t.Fatal(missing)
	}
	installNodeClient(ctx, t)

	h := build(t, simulate.Options{})
	words, err := json.Marshal(map[string]string{
		"masked": maskedTerm, "blocked": blockedTerm, "replaced": replacedTerm, "replacement": replacement,
		"identity": simulate.SpecimenIdentityNumber, "card": simulate.SpecimenBankCardNumber, "refusedCode": refusedEndpoint,
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, "node", "--test", "gateway.test.mjs")
	cmd.Dir = "node"
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = append(os.Environ(),
		"FENGSUI_GATEWAY="+h.gateway, "FENGSUI_KEY="+h.guarded, "FENGSUI_OPEN_KEY="+h.open,
		"FENGSUI_UPSTREAM="+h.upstream, "FENGSUI_UPSTREAM_KEY="+upstreamKey, "FENGSUI_FAULTS="+h.faults, "FENGSUI_WORDS="+string(words))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("node --test: %v\n%s", err, out)
	}
	// node --test is content with no test at all.
	if !strings.Contains(string(out), "pass ") || strings.Contains(string(out), "pass 0") {
		t.Fatalf("no test ran:\n%s", out)
	}
	if h.model.Calls() == nil {
		t.Error("the Node client never reached the model")
	}
}

// installNodeClient runs npm ci unless what is installed is what the lock file
// says, so that a second run works without a network.
func installNodeClient(ctx context.Context, t *testing.T) {
	t.Helper()
	lock, err := os.ReadFile(filepath.Join("node", "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(lock)
	want, stamp := hex.EncodeToString(sum[:]), filepath.Join("node", "node_modules", ".installed-lock")
	if have, err := os.ReadFile(stamp); err == nil && string(have) == want {
		return
	}
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	cmd.Dir = "node"
	cmd.WaitDelay = 5 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm ci could not install the Node client; it needs the npm registry, or node_modules from an earlier run: %v\n%s", err, out)
	}
	if err := os.WriteFile(stamp, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The lock file is committed: it must name packages and hashes, not a download host.
func TestTheLockFileNamesNoHost(t *testing.T) {
	lock, err := os.ReadFile(filepath.Join("node", "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(lock), "://") || strings.Contains(string(lock), `"resolved"`) || !strings.Contains(string(lock), `"integrity"`) {
		t.Error("node/package-lock.json must be written with --omit-lockfile-registry-resolved")
	}
}
