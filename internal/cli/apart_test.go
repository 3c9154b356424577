package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAGatewayThatHasJoinedStartsWithoutItsToken(t *testing.T) {
	for name, c := range map[string]struct{ member, says string }{
		"not joined":  {`{"credential":"fsg-x"}`, "gone.join with the join token cannot be read"},
		"no member":   {"", "gone.join with the join token cannot be read"},
		"joined once": {`{"credential":"fsg-x","gateway_id":"edge-1"}`, "--listen"}, // it gets as far as its ports
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if c.member != "" {
				if err := os.WriteFile(filepath.Join(dir, "member.json"), []byte(c.member), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var out, errs bytes.Buffer
			code := Main([]string{"serve", "--role", "gateway", "--lang", "en", "--data", dir, "--control", "https://127.0.0.1:1", "--join", filepath.Join(dir, "gone.join"), "--listen", "127.0.0.1:x"}, &out, &errs)
			if code != 1 || !strings.Contains(errs.String(), c.says) {
				t.Errorf("%d %s%s", code, &out, &errs)
			}
		})
	}
}
