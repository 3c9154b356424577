package cli

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/api"
)

func TestAConfigurationFileIsReadStrictly(t *testing.T) {
	for name, c := range map[string]struct{ text, wrong string }{
		"known keys":      {"listen: 127.0.0.1:1\nupstream:\n  allow_private: true\n", ""},
		"unknown key":     {"listne: 127.0.0.1:1\n", "listne"},
		"unknown sub-key": {"webhook:\n  uri: http://x\n", "uri"},
		"doubled key":     {"listen: a\nlisten: b\n", "listen"},
		"other case":      {"Listen: a\n", "Listen"},
		"not a mapping":   {"- a\n", ""},
		"wrong type":      {"upstream:\n  allow_private: often\n", "allow_private"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "fengsui.yaml")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := ReadConfig(path)
			if name == "known keys" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.wrong) || !strings.Contains(err.Error(), path) {
				t.Errorf("%v does not name %q and the file", err, c.wrong)
			}
		})
	}
}

func TestACommandSaysWhatIsWrongInOneLine(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().String()
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"unknown operation":  {[]string{"call", "make-tea"}, "make-tea"},
		"unknown parameter":  {[]string{"call", "me", "x=1"}, `"x"`},
		"not name=value":     {[]string{"call", "assess-level", "id"}, "name=value"},
		"missing path value": {[]string{"call", "get-incident"}, "id=…"},
		"unknown rung":       {[]string{"grade", "--importance", "huge", "--harm", "一般"}, "importance"},
		"no data folder":     {[]string{"person", "add", "--data", filepath.Join(t.TempDir(), "none"), "--name", "x", "--roles", "engineer"}, "--data"},
		"file not there":     {[]string{"call", "submit-complaint", "text=@/no/such/file"}, "/no/such/file"},
		"file not in UTF-8":  {[]string{"call", "import-lexicon", "format=tsv", "text=@" + wordsFile(t, "甲\n\xbc\n")}, "text: line 2: not valid UTF-8"},
		"private upstream":   {[]string{"serve", "--data", filepath.Join(t.TempDir(), "data"), "--upstream", "http://127.0.0.1:8000/v1"}, "--allow-private-upstream"},
		"local upstream":     {[]string{"serve", "--lang", "en", "--data", filepath.Join(t.TempDir(), "data"), "--upstream", "http://LocalHost.:8000/v1"}, "add --allow-private-upstream"},
		"metadata upstream":  {[]string{"serve", "--allow-private-upstream", "--data", filepath.Join(t.TempDir(), "data"), "--upstream", "http://169.254.169.254/v1"}, "169.254.169.254"},
		"desk's port taken":  {[]string{"serve", "--data", filepath.Join(t.TempDir(), "data"), "--listen", taken}, "用 --listen 换"},
		"gateway's too":      {[]string{"serve", "--data", filepath.Join(t.TempDir(), "data"), "--listen", "127.0.0.1:0", "--gateway-listen", taken}, "用 --gateway-listen 换"},
		"model's too":        {[]string{"demo", "--lang", "en", "--data", filepath.Join(t.TempDir(), "data"), "--model-listen", taken}, "choose another one with --model-listen"},
		"unknown command":    {[]string{"fly"}, "fly"},
		"unreachable server": {[]string{"call", "me", "--server", "http://127.0.0.1:1"}, "127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			if code := Main(c.args, &out, &errs); code == 0 {
				t.Error("exit code 0")
			}
			if !strings.Contains(errs.String(), c.want) {
				t.Errorf("%q does not say %q", errs.String(), c.want)
			}
		})
	}
}

func TestEveryOperationCanBeCalledFromTheCommandLine(t *testing.T) {
	ops, err := api.Operations()
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := Main([]string{"call"}, &out, &errs); code != 0 {
		t.Fatal(errs.String())
	}
	if len(ops) < 80 {
		t.Errorf("only %d operations", len(ops))
	}
	for _, o := range ops {
		if !strings.Contains(out.String(), "  "+o.ID+" ") {
			t.Errorf("%s is not listed", o.ID)
		}
	}
}
