package cli

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/app/doctor"
	"github.com/fengsui/fengsui/internal/app/support"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// canaries stand for what must never leave: a key, a token, a prompt, names, a telephone number, an address, a password.
var canaries = []string{"sk" + "-Canary0Key1", "fst" + "-canarytoken", "测试违禁词甲", "王小鸟", "Zhang Kanari", "zhangkanari", "13800138000", "kanari.example.com", "pa55-kanari", "kanari-path"}

const allCanaries = "sk" + "-Canary0Key1 fst" + "-canarytoken 测试违禁词甲 王小鸟 Zhang Kanari zhangkanari 13800138000 https://kanari.example.com/?x=pa55-kanari"

// unpack gives the files of an archive by name.
func unpack(t *testing.T, archive []byte) map[string]string {
	t.Helper()
	gz, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for r := tar.NewReader(gz); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimPrefix(h.Name, "fengsui-support/")] = string(raw)
	}
}

// found lists the canaries that are in an archive, in clear or as JSON writes them.
func found(files map[string]string) (out []string) {
	for name, text := range files {
		for _, c := range canaries {
			escaped := strings.Trim(fmt.Sprintf("%+q", c), `"`)
			if strings.Contains(strings.ToLower(text), strings.ToLower(c)) || strings.Contains(text, escaped) || strings.Contains(name, c) {
				out = append(out, name+": "+c)
			}
		}
	}
	slices.Sort(out)
	return out
}

func packed(t *testing.T, args ...string) map[string]string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "s.tar.gz")
	var out, errs bytes.Buffer
	if code := Main(append([]string{"support", "--lang", "en", "--out", file}, args...), &out, &errs); code != 0 {
		t.Fatalf("%d %s%s", code, &out, &errs)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return unpack(t, raw)
}

// plant writes the canaries into every text of every table, into a row of each at least.
func plant(t *testing.T, data string) (columns int) {
	t.Helper()
	db, err := store.OpenSQLite(t.Context(), filepath.Join(data, store.MainFile), store.Relaxed, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	do := func(q string, args ...any) error { _, err := db.ExecContext(t.Context(), q, args...); return err }
	if err := errors.Join(do("PRAGMA foreign_keys = 0"), do("PRAGMA ignore_check_constraints = 1")); err != nil {
		t.Fatal(err)
	}
	var tables []string
	if err := db.NewRaw("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name <> 'goose_db_version'").Scan(t.Context(), &tables); err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		var cols []struct{ Name, Type string }
		if err := db.NewRaw("SELECT name, type FROM pragma_table_info(?)", table).Scan(t.Context(), &cols); err != nil {
			t.Fatal(err)
		}
		var names, values []string
		for _, c := range cols {
			v := "1"
			if c.Type == "TEXT" {
				v = "'" + allCanaries + "'"
				if c.Name == "modules" || c.Name == "editions" || c.Name == "carries" {
					v = `'{}'`
				} else if do(fmt.Sprintf("UPDATE OR IGNORE %q SET %q = %q || ' %s'", table, c.Name, c.Name, allCanaries)) == nil {
					columns++
				}
			}
			names, values = append(names, `"`+c.Name+`"`), append(values, v)
		}
		_ = do(fmt.Sprintf("INSERT OR IGNORE INTO %q (%s) VALUES (%s)", table, strings.Join(names, ","), strings.Join(values, ","))) // a trigger may not let it
	}
	if err := do(`CREATE TABLE "kanari-path 王小鸟" (x TEXT)`); err != nil {
		t.Fatal(err)
	}
	return columns
}

func TestASupportArchiveHoldsNothingThatWasPlantedAnywhereInAnInstallation(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kanari-path")
	data := filepath.Join(dir, "data")
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("x", "")
	instance(t, app.Options{DataDir: data}).Stop()
	if n := plant(t, data); n < 100 {
		t.Fatalf("only %d columns hold the canaries", n)
	}
	write("data/second-channel.jsonl", allCanaries)
	write("data/王小鸟 13800138000.txt", allCanaries)
	write("data/telemetry/zhangkanari.db", allCanaries)
	secret := write("s/secret", allCanaries)
	config := write("fengsui.yaml", "data: "+data+"\nnode: zhangkanari\nlisten: kanari.example.com:1\npublic_url: https://kanari.example.com\nwebhook: {url: 'https://kanari.example.com/?token=pa55-kanari', secret_file: '"+secret+"'}\n")
	now := time.Now().UTC().Format(time.RFC3339)
	log := write("log", strings.Join([]string{
		"time=" + now + ` level=ERROR msg="request failed" request_id=01J0000000000000000000000A error_id=ABCDEFGHIJ incident_id=01J0000000000000000000000B err="open ` + allCanaries + `: no space left on device (SQLSTATE 53100)"`,
		`{"time":"` + now + `","level":"WARN","msg":"message not sent","attempt":3,"channel":"王小鸟","error":"unavailable: store.full 13800138000"}`,
		"time=" + now + ` level=INFO msg="` + allCanaries + `"`,
		"time=" + now + ` level=INFO msg=fine zhangkanari=1 request_id="` + allCanaries + `" status=` + "13800138000",
		"  system_admin     http://localhost:8080/welcome/fst" + "-canarytoken", "panic: " + allCanaries}, "\n"))
	files := packed(t, "--config", config, "--log", log, "--goroutines")
	if got := found(files); len(got) > 0 {
		t.Errorf("it holds %q", got)
	}
	for name, wants := range map[string][]string{
		"doctor.json":   {`"schema"`, `"state": "bad"`, "doctor.outbox"},
		"database.json": {`"engine": "sqlite"`, `"outbox": 1`, fmt.Sprint(`"schema": `, store.Schema())},
		"settings.json": {`"webhook": true`, `"role": "all"`},
		"log.txt":       {"request failed", "01J0000000000000000000000A", "01J0000000000000000000000B", "no space left on device", "SQLSTATE 53100", `"attempt":"3"`, "unavailable: store.full", `"lines_left_out":3`},
		"files.json":    {"fengsui.db"},
		"versions.json": {`"go"`},
		"manifest.json": {`"metrics.txt"`, `"note"`},
	} {
		for _, want := range wants {
			if !strings.Contains(files[name], want) {
				t.Errorf("%s lacks %s:\n%.2000s", name, want, files[name])
			}
		}
	}
}

func TestTheSearchForCanariesFindsEachOfThemInAnArchive(t *testing.T) {
	for _, c := range canaries {
		var b bytes.Buffer
		if _, err := support.Pack(t.Context(), support.Options{Doctor: doctor.Options{App: app.Options{DataDir: t.TempDir()}}, Lang: locale.EN, Settings: map[string]any{"x": "a " + c + " b"}}, &b); err != nil {
			t.Fatal(err)
		}
		if got := found(unpack(t, b.Bytes())); len(got) == 0 {
			t.Errorf("%s was planted and not found", c)
		}
	}
}

func TestTheArchiveOfARunningServerHasItsFiguresAndWhereItsGoroutinesStand(t *testing.T) {
	data, err := os.MkdirTemp("", "fs") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(data); os.RemoveAll(data + "-keys"); os.RemoveAll(data + "-checkpoints") })
	a := instance(t, app.Options{DataDir: data})
	first, err := a.FirstService(t.Context(), app.FirstService{Upstream: "http://127.0.0.1:1/v1", Model: "zhangkanari", UpstreamKey: "sk" + "-Canary0Key1"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- a.Run(context.Background()) }()
	defer func() {
		a.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	for range 200 { // a request with a prompt, so that there is something to be shown
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.GatewayURL()+"/v1/chat/completions", strings.NewReader(`{"model":"zhangkanari","user":"13800138000","messages":[{"role":"user","content":"测试违禁词甲"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+first.Key)
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusBadGateway {
				break
			}
		}
		time.Sleep(25 * time.Millisecond)
	}
	files := packed(t, "--data", data, "--listen", strings.TrimPrefix(a.URL(), "http://"), "--goroutines")
	if got := found(files); len(got) > 0 {
		t.Errorf("it holds %q", got)
	}
	for name, want := range map[string]string{"metrics.txt": "fengsui_due_pending 0\n", "ready.json": `"cycle:due"`, "goroutines.txt": "goroutine profile: total", "doctor.json": "doctor.serving\""} {
		if !strings.Contains(files[name], want) {
			t.Errorf("%s: %.1000s", name, files[name])
		}
	}
	var list []support.File
	if err := json.Unmarshal([]byte(files["manifest.json"]), &list); err != nil || len(list) != 9 {
		t.Errorf("%v %+v", err, list)
	}
}
