// Package browser walks the console in a real browser: Debian's Chromium, driven by playwright-core, in front
// of a whole instance with its simulated model and team. What is walked stands in the files *.test.mjs and what they import;
// speed.mjs measures for bench.
package browser

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/fengsui/fengsui/e2e/npm"
)

const oldestNode = 20 // which the console asks for to be built

// Ready finds a browser, and installs what drives it, for the scripts in dir, which is this package's folder. The error says
// in one sentence what is missing and how to get it.
func Ready(ctx context.Context, dir string) (chromium string, err error) {
	version, err := exec.CommandContext(ctx, "node", "--version").Output()
	said := strings.TrimSpace(string(version))
	major, _, _ := strings.Cut(strings.TrimPrefix(said, "v"), ".")
	if n, bad := strconv.Atoi(major); err != nil || bad != nil || n < oldestNode {
		return "", fmt.Errorf("the console is built and walked with Node.js %d or newer with npm, and there is none in PATH (found %q); everything but the console works without", oldestNode, said)
	}
	if _, err := os.Stat(filepath.Join(dir, "..", "..", "web", "dist", "index.html")); err != nil {
		return "", fmt.Errorf("the console is not built, so there is nothing to walk: run 'make console' first")
	}
	for _, name := range []string{"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome"} {
		if chromium, err = exec.LookPath(name); err == nil {
			return chromium, npm.Fetch(ctx, dir)
		}
	}
	return "", fmt.Errorf("no Chromium in PATH: run 'scripts/need browser', or as root on Debian 'apt-get install chromium-headless-shell fonts-noto-cjk'")
}
