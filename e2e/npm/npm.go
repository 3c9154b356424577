// Package npm gives a test the packages that a lock file names. It is for tests alone.
package npm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Install runs npm ci in dir unless what is installed there is what the lock file says, so that a second run
// works without a network.
func Install(ctx context.Context, t *testing.T, dir string) {
	t.Helper()
	sum := sha256.Sum256(lock(t, dir))
	want, stamp := hex.EncodeToString(sum[:]), filepath.Join(dir, "node_modules", ".installed-lock")
	if have, err := os.ReadFile(stamp); err == nil && string(have) == want {
		return
	}
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	cmd.Dir, cmd.WaitDelay = dir, 5*time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm ci could not install what %s names; it needs the npm registry, or node_modules from an earlier run: %v\n%s", filepath.Join(dir, "package-lock.json"), err, out)
	}
	if err := os.WriteFile(stamp, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// LockNamesNoHost fails where the lock file of dir, which is committed, names a download host: it must name
// packages and hashes.
func LockNamesNoHost(t *testing.T, dir string) {
	t.Helper()
	text := string(lock(t, dir))
	if strings.Contains(text, "://") || strings.Contains(text, `"resolved"`) || !strings.Contains(text, `"integrity"`) {
		t.Errorf("%s must be written with --omit-lockfile-registry-resolved", filepath.Join(dir, "package-lock.json"))
	}
}

func lock(t *testing.T, dir string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
