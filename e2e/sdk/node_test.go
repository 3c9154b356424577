package sdk

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fengsui/fengsui/e2e/npm"
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
	npm.Install(ctx, t, "node")

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

// The lock file is committed: it must name packages and hashes, not a download host.
func TestTheLockFileNamesNoHost(t *testing.T) { npm.LockNamesNoHost(t, "node") }
