// Package npm gives a test or a measurement the packages that a lock file names. It is for these alone.
package npm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Install is Fetch for a test, which fails without them.
func Install(ctx context.Context, t *testing.T, dir string) {
	t.Helper()
	if err := Fetch(ctx, dir); err != nil {
		t.Fatal(err)
	}
}

// Fetch runs npm ci in dir unless what is installed there is what the lock file says, so that a second run
// works without a network.
func Fetch(ctx context.Context, dir string) error {
	file := filepath.Join(dir, "package-lock.json")
	locked, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(locked)
	want, stamp := hex.EncodeToString(sum[:]), filepath.Join(dir, "node_modules", ".installed-lock")
	if have, err := os.ReadFile(stamp); err == nil && string(have) == want {
		return nil
	}
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	cmd.Dir, cmd.WaitDelay = dir, 5*time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci could not install what %s names; it needs the npm registry, or node_modules from an earlier run: %w\n%s", file, err, out)
	}
	return os.WriteFile(stamp, []byte(want), 0o644)
}

// LockNamesNoHost fails where the lock file of dir, which is committed, names a download host: it must name
// packages and hashes.
func LockNamesNoHost(t *testing.T, dir string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	if strings.Contains(text, "://") || strings.Contains(text, `"resolved"`) || !strings.Contains(text, `"integrity"`) {
		t.Errorf("%s must be written with --omit-lockfile-registry-resolved", filepath.Join(dir, "package-lock.json"))
	}
}
