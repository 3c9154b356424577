package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/service"
	"github.com/fengsui/fengsui/internal/simulate"
)

// instance is one that was wired and stopped, or is stopped by the test's end.
func instance(t *testing.T, o app.Options) *app.App {
	t.Helper()
	o.Listen, o.GatewayListen, o.AllowPrivateUpstreams = "127.0.0.1:0", "127.0.0.1:0", true
	a, err := app.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Stop)
	return a
}

func TestAPersonIsAddedWithTheFoldersThatTheServerUses(t *testing.T) {
	dir := t.TempDir()
	data, keys, outside := filepath.Join(dir, "d"), filepath.Join(dir, "k"), filepath.Join(dir, "c")
	instance(t, app.Options{DataDir: data, KeysDir: keys, OutsideDir: outside}).Stop()
	config := filepath.Join(dir, "fengsui.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "data: %s\nkeys: %s\ncheckpoints: %s\n", data, keys, outside), 0o600); err != nil {
		t.Fatal(err)
	}
	untouched := func() {
		t.Helper()
		for _, suffix := range []string{"-keys", "-checkpoints"} {
			if _, err := os.Stat(data + suffix); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s was made: %v", data+suffix, err)
			}
		}
	}
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"by the configuration": {[]string{"--config", config}, 0, "token (shown once) fst-"},
		"by flags":             {[]string{"--data", data, "--keys", keys, "--checkpoints", outside}, 0, "token (shown once) fst-"},
		"a flag wins":          {[]string{"--config", config, "--keys", filepath.Join(dir, "other")}, 1, "--keys"},
		"without the keys":     {[]string{"--data", data}, 1, "请用 --keys"},
		"an unknown role":      {[]string{"--config", config, "--roles", "bogus", "--lang", "en"}, 1, "There is no role “bogus”"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			args := append([]string{"person", "add", "--name", "x"}, c.args...)
			if !strings.Contains(strings.Join(c.args, " "), "--roles") {
				args = append(args, "--roles", "engineer")
			}
			if code := Main(args, &out, &errs); code != c.code || !strings.Contains(out.String()+errs.String(), c.says) {
				t.Errorf("%d %s%s", code, &out, &errs)
			}
			untouched()
		})
	}
	var out, errs bytes.Buffer
	if code := Main([]string{"restore", "--data", filepath.Join(dir, "new"), "--from", config}, &out, &errs); code != 1 || !strings.Contains(errs.String(), "请用 --keys") {
		t.Errorf("restore without keys: %s", &errs)
	}
}

func TestACallThatIsRefusedNamesTheField(t *testing.T) {
	a := instance(t, app.Options{DataDir: filepath.Join(t.TempDir(), "data")})
	_, token, err := a.AddPerson(t.Context(), "x", "safety_engineer")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- a.Run(context.Background()) }()
	defer func() { a.Stop(); <-done }()
	words := wordsFile(t, "term\taction\trisk\ttopic\tcontexts\tstrict_only\n甲乙丙\tmask\tA.2.e\t\t\t\n")
	for name, c := range map[string]struct {
		token, lang, want string
	}{
		"in English":              {token, "en", "fengsui: Unknown value “”; valid are true, false (422 line 2.strict_only: error.unknown_value)\n"},
		"in Chinese":              {token, "zh", "fengsui: 不认识的取值“”；可用取值：true, false (422 line 2.strict_only: error.unknown_value)\n"},
		"about no field, as ever": {"", "en", "fengsui: Please present a token (Authorization header) (401 identity.unknown)\n"},
	} {
		var out, errs bytes.Buffer
		code := Main([]string{"call", "import-lexicon", "format=tsv", "text=@" + words, "--server", a.URL(), "--token", c.token, "--lang", c.lang}, &out, &errs)
		if code != 1 || errs.String() != c.want {
			t.Errorf("%s: %d %q", name, code, &errs)
		}
	}
}

func TestADemonstrationThatWasKilledAtItsFirstStartStartsAgain(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	a := instance(t, app.Options{DataDir: data})
	if _, err := a.FirstService(t.Context(), app.FirstService{Upstream: "http://127.0.0.1:1/v1", Model: simulate.DefaultModelID, Simulated: true}); err != nil {
		t.Fatal(err)
	} // killed here: the service is there, its key is lost
	c := &DemoCmd{tongue: tongue{Lang: "zh"}, Data: data}
	prepare := func() (tokens, key string) {
		t.Helper()
		file, key, err := c.prepare(context.Background(), &bytes.Buffer{}, a, "http://127.0.0.1:1")
		if err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw), key
	}
	count := func(query string, args ...any) (n int) {
		t.Helper()
		if err := a.House.Store.Read().NewRaw(query, args...).Scan(t.Context(), &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	tokens, key := prepare()
	if count("SELECT COUNT(*) FROM gateway_key WHERE hash = ? AND simulated", service.HashKey(key)) != 1 || strings.Count(tokens, "fst-") != len(demoTeam) {
		t.Errorf("no good key or tokens: %q", tokens)
	}
	if again, same := prepare(); again != tokens || same != key {
		t.Error("a start that misses nothing made new ones")
	}
	if err := os.Remove(filepath.Join(data, "demo-tokens.txt")); err != nil {
		t.Fatal(err)
	}
	if again, same := prepare(); again == tokens || strings.Count(again, "fst-") != len(demoTeam) || same != key {
		t.Error("missing tokens were not made anew")
	}
	if n := count("SELECT COUNT(*) FROM person"); n != len(demoTeam) {
		t.Errorf("%d persons", n)
	}
}

func TestAnUpstreamThatIsNotTakenOverIsSaid(t *testing.T) {
	a := instance(t, app.Options{DataDir: filepath.Join(t.TempDir(), "data")})
	for _, c := range []struct{ upstream, says string }{
		{"http://127.0.0.1:1/v1", ""}, {"http://127.0.0.1:1/v1/", ""}, {"http://127.0.0.1:2/v1", "http://127.0.0.1:1/v1; --upstream http://127.0.0.1:2/v1 changes nothing"},
	} {
		first, err := a.FirstService(t.Context(), app.FirstService{Upstream: c.upstream, Model: "m"})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := (&tongue{Lang: "en"}).kept(&out, "m", c.upstream, first); err != nil || !strings.Contains(out.String(), c.says) || (c.says == "") != (out.Len() == 0) {
			t.Errorf("%s: %q %v", c.upstream, &out, err)
		}
	}
}
