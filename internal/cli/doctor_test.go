package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/app/doctor"
)

func TestTheDoctorSaysWhatIsWrongInBothLanguagesAndByItsExitCode(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	instance(t, app.Options{DataDir: data}).Stop()
	config := filepath.Join(dir, "fengsui.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("data: " + data + "\nlisten: 127.0.0.1:0\ngateway_listen: 127.0.0.1:0\n")
	run := func(args ...string) (int, string) {
		t.Helper()
		var out, errs bytes.Buffer
		code := Main(append([]string{"doctor", "--config", config}, args...), &out, &errs)
		return code, out.String()
	}
	// It never ran, so nothing was signed and nobody would be reached: things to see to, and none that is broken.
	if code, says := run(); code != 0 || !strings.Contains(says, "注意  channels: ") || !strings.Contains(says, "→ ") || !strings.Contains(says, "可以运行") {
		t.Errorf("%d %s", code, says)
	}
	if code, says := run("--lang", "en", "--quiet"); code != 0 || !strings.Contains(says, "warning  channels: ") || strings.Contains(says, "ok  ") {
		t.Errorf("%d %s", code, says)
	}
	if err := os.RemoveAll(data + "-keys"); err != nil {
		t.Fatal(err)
	}
	code, says := run("--json", "--lang", "en")
	var rep doctor.Report
	if err := json.Unmarshal([]byte(says), &rep); err != nil || code != 1 || rep.State != doctor.Bad {
		t.Errorf("%d %v %s", code, err, says)
	}
	write("data: " + data + "\nno_such_key: 1\n")
	if code, says := run("--data", data, "--lang", "en"); code != 1 || !strings.Contains(says, "bad  config: ") || !strings.Contains(says, "no_such_key") {
		t.Errorf("a configuration that serve refuses: %d %s", code, says)
	}
	if code, says := run("--data", data, "--role", "gateway", "--lang", "en"); code != 1 || !strings.Contains(says, "bad  control: ") {
		t.Errorf("as a gateway: %d %s", code, says)
	}
}
