package doctor_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/app/doctor"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
)

// installation is a real one that ran once and was stopped, with a way to reach staff.
type installation struct {
	t *testing.T
	o doctor.Options
}

func install(t *testing.T, database string) *installation {
	t.Helper()
	dir := t.TempDir()
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(hook.Close)
	in := &installation{t: t, o: doctor.Options{App: app.Options{DataDir: dir + "/data", KeysDir: dir + "/keys", OutsideDir: dir + "/outside", Database: database,
		Listen: "127.0.0.1:0", GatewayListen: "127.0.0.1:0", Webhook: hook.URL, AllowPrivateWebhooks: true, WebhookSecret: strings.Repeat("s", 32)}, Private: map[string]string{}}}
	in.o.Room = func(string) (uint64, uint64, error) { return 100 << 30, 200 << 30, nil }
	in.o.Get = func(context.Context, *http.Client, string) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(`{"checks":[]}`))}, nil
	}
	_, stop := in.run()
	stop()
	return in
}

// copy is one like it in folders of its own.
func (in *installation) copy(t *testing.T) *installation {
	t.Helper()
	c := &installation{t: t, o: in.o}
	c.o.Private = map[string]string{}
	dir := t.TempDir()
	for _, f := range []*string{&c.o.App.DataDir, &c.o.App.KeysDir, &c.o.App.OutsideDir} {
		to := filepath.Join(dir, filepath.Base(*f))
		c.must(os.CopyFS(to, os.DirFS(*f)))
		c.must(filepath.WalkDir(to, func(path string, d fs.DirEntry, err error) error { // CopyFS makes them for everybody
			if err != nil {
				return err
			}
			return os.Chmod(path, map[bool]os.FileMode{true: 0o700, false: 0o600}[d.IsDir()])
		}))
		*f = to
	}
	return c
}

// run serves until stop.
func (in *installation) run() (a *app.App, stop func()) {
	in.t.Helper()
	a, err := app.New(in.t.Context(), in.o.App)
	if err != nil {
		in.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- a.Run(context.Background()) }()
	for range 400 { // until it says that it is ready
		if res, err := http.Get(a.URL() + "/readyz"); err == nil {
			res.Body.Close()
			var nodes int
			_ = a.House.Store.Read().NewRaw("SELECT COUNT(*) FROM gateway g, bundle_state b WHERE g.effective AND g.revision = b.revision").Scan(in.t.Context(), &nodes)
			if res.StatusCode == http.StatusOK && nodes > 0 {
				return a, func() {
					a.Stop()
					if err := <-done; err != nil {
						in.t.Error(err)
					}
				}
			}
		}
		time.Sleep(25 * time.Millisecond)
	}
	in.t.Fatal("it does not become ready")
	return nil, nil
}

// sql changes the database past the store.
func (in *installation) sql(statements ...string) {
	in.t.Helper()
	db, err := store.OpenSQLite(in.t.Context(), filepath.Join(in.o.App.DataDir, store.MainFile), store.Relaxed, 1)
	if err != nil {
		in.t.Fatal(err)
	}
	defer db.Close()
	for _, s := range append([]string{"PRAGMA foreign_keys = 0"}, statements...) {
		if _, err := db.ExecContext(in.t.Context(), s); err != nil {
			in.t.Fatalf("%s: %v", s, err)
		}
	}
}

// serving holds the folder as a server would.
func (in *installation) serving() {
	in.t.Helper()
	release, err := app.Alone(in.o.App.DataDir)
	if err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(func() { release() })
	in.sql(fmt.Sprintf("UPDATE gateway SET last_seen_ms = %d", time.Now().UnixMilli()))
}

func (in *installation) must(err error) {
	in.t.Helper()
	if err != nil {
		in.t.Fatal(err)
	}
}

// wrong lists what is not in order, sorted, without the prefix.
func (in *installation) wrong() []string {
	in.t.Helper()
	rep, err := doctor.Examine(in.t.Context(), in.o, locale.EN)
	in.must(err)
	out, worst := []string{}, doctor.OK
	for _, f := range rep.Findings {
		if strings.Contains(f.Found+f.Do, "[doctor.") || strings.Contains(f.Found+f.Do, "{") {
			in.t.Errorf("words are missing: %+v", f)
		}
		if f.State == doctor.OK {
			continue
		}
		if f.Do == "" {
			in.t.Errorf("nothing is said about what to do: %+v", f)
		}
		if f.State == doctor.Bad || worst == doctor.OK {
			worst = f.State
		}
		out = append(out, strings.TrimPrefix(f.Key, "doctor."))
	}
	if rep.State != worst {
		in.t.Errorf("the whole is %s, the worst finding %s", rep.State, worst)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// certificate writes one with its key, good from and until so many hours from now.
func (in *installation) certificate(from, until int) (cert, key string) {
	in.t.Helper()
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	in.must(err)
	now := time.Now()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"},
		NotBefore: now.Add(time.Duration(from) * time.Hour), NotAfter: now.Add(time.Duration(until) * time.Hour)}, &x509.Certificate{Subject: pkix.Name{CommonName: "x"}}, &priv.PublicKey, priv)
	in.must(err)
	raw, err := x509.MarshalPKCS8PrivateKey(priv)
	in.must(err)
	dir := in.t.TempDir()
	cert, key = dir+"/c.pem", dir+"/k.pem"
	in.must(os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	in.must(os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), 0o600))
	return cert, key
}

const row = `INSERT INTO due (id, kind, object_kind, object_id, incident_kind, due_ms, next_ms, state, set_ms) VALUES ('d1', 'x', 'x', 'x', 'real', %d, %d, '%s', 1)`

const message = `INSERT INTO outbox (id, idem_key, channel, class, recipient, lang, incident_kind, object_kind, object_id, template, args, state, queued_ms, next_ms)
	VALUES ('%s', '%s', 'mail', 'staff', 'duty', 'zh', 'test', '%s', '%s', 'channel.test', '[]', '%s', %d, 1)`

const channel = `INSERT INTO channel (id, name, kind, class, simulated, shown, carries, state, asked_by, since_ms) VALUES ('c1', 'mail', 'mail', 'staff', FALSE, 'x', '[]', 'active', 'p', 1)`

// ways of breaking an installation, and what is to be found then, all of it.
func ways() map[string]struct {
	wreck func(*installation)
	finds []string
} {
	now := time.Now().UnixMilli()
	is := func(finds ...string) []string { return finds }
	type way = struct {
		wreck func(*installation)
		finds []string
	}
	data := func(in *installation) string { return in.o.App.DataDir }
	return map[string]way{
		"the configuration cannot be read": {func(in *installation) { in.o.Config, in.o.ConfigErr = "f.yaml", fmt.Errorf("unknown key") }, is("config_unreadable")},
		"a password in the address":        {func(in *installation) { in.o.App.Database = "postgres://u:" + "p@127.0.0.1:1/x" }, is("database_unreadable", "password_in_address")},
		"a secret that everybody reads": {func(in *installation) {
			p := in.t.TempDir() + "/s"
			in.must(os.WriteFile(p, nil, 0o644))
			in.o.Private["webhook.secret_file"] = p
		}, is("file_open")},
		"a secret file that is gone": {func(in *installation) { in.o.Private["webhook.secret_file"] = in.t.TempDir() + "/none" }, is("file_unreadable")},
		"no data folder":             {func(in *installation) { in.o.App.DataDir = in.t.TempDir() + "/none" }, is("folder_missing")},
		"a file for a folder":        {func(in *installation) { in.o.App.DataDir += "/fengsui.db" }, is("folder_is_file")},
		"a folder open to others":    {func(in *installation) { in.must(os.Chmod(data(in), 0o755)) }, is("folder_open")},
		"little room":                {func(in *installation) { in.room(900 << 20) }, is("space_little")},
		"no room":                    {func(in *installation) { in.room(9 << 20) }, is("space_none")},
		"a disk that fills": {func(in *installation) {
			f, err := os.Create(data(in) + "/telemetry/20260101.db")
			in.must(err)
			in.must(f.Truncate(1 << 30))
			in.must(f.Close())
			in.room(10 << 30)
		}, is("space_soon")},
		"files of another user": {func(in *installation) {
			if os.Getuid() != 0 {
				in.t.Skip("only root gives files away")
			}
			in.must(os.Chown(data(in)+"/fengsui.db", 65534, 65534))
		}, is("folder_foreign")},
		"an expired certificate": {func(in *installation) { in.o.App.NodeTLS.Cert, in.o.App.NodeTLS.Key = in.certificate(-48, -24) }, is("tls_expired")},
		"one that expires soon":  {func(in *installation) { in.o.App.NodeTLS.Cert, in.o.App.NodeTLS.Key = in.certificate(-48, 24*10) }, is("tls_soon")},
		"one of tomorrow":        {func(in *installation) { in.o.App.NodeTLS.Cert, in.o.App.NodeTLS.Key = in.certificate(24, 24*300) }, is("tls_not_yet")},
		"a key of another certificate": {func(in *installation) {
			in.o.App.NodeTLS.Cert, _ = in.certificate(-1, 24*300)
			_, in.o.App.NodeTLS.Key = in.certificate(-1, 24*300)
		}, is("tls_unreadable")},
		"an authority without a certificate": {func(in *installation) {
			in.o.App.NodeTLS.ClientCA = in.t.TempDir() + "/ca"
			in.must(os.WriteFile(in.o.App.NodeTLS.ClientCA, []byte("none"), 0o600))
		}, is("tls_unreadable")},
		"no keys": {func(in *installation) { in.o.App.KeysDir = in.t.TempDir() + "/none" }, is("keys_missing")},
		"keys in the data folder": {func(in *installation) {
			in.must(os.Rename(in.o.App.KeysDir, data(in)+"/keys"))
			in.o.App.KeysDir = data(in) + "/keys"
		}, is("keys_inside")},
		"keys that others read": {func(in *installation) { in.must(os.Chmod(in.o.App.KeysDir, 0o750)) }, is("keys_unreadable")},
		"keys of another instance": {func(in *installation) {
			in.o.App.KeysDir = in.t.TempDir() + "/keys"
			_, err := secret.Open(in.o.App.KeysDir)
			in.must(err)
		}, is("keys_foreign", "record_signer_missing")},
		"a signing key that is gone": {func(in *installation) {
			all, err := filepath.Glob(in.o.App.KeysDir + "/record-signer-*")
			in.must(err)
			for _, f := range all {
				in.must(os.Remove(f))
			}
		}, is("record_signer_missing")},
		"a server that does not answer": {func(in *installation) {
			in.serving()
			in.o.Get = func(context.Context, *http.Client, string) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }
		}, is("serving_silent")},
		"a server that is not ready": {func(in *installation) { in.serving(); in.ready(503, `{"name":"store","ok":false,"error":"full"}`) }, is("serving_unready")},
		"a server with a note":       {func(in *installation) { in.serving(); in.ready(200, `{"name":"modules","ok":true,"note":"old"}`) }, is("serving_notes")},
		"a port that is taken": {func(in *installation) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			in.must(err)
			in.t.Cleanup(func() { l.Close() })
			in.o.App.Listen = l.Addr().String()
		}, is("port")},
		"gateways without TLS": {func(in *installation) { in.o.App.NodeListen = "0.0.0.0:0" }, is("node_needs_tls")},
		"no database":          {func(in *installation) { in.must(os.Remove(data(in) + "/fengsui.db")) }, is("database_unreadable")},
		"a database that is none": {func(in *installation) {
			in.must(os.WriteFile(data(in)+"/fengsui.db", make([]byte, 8192), 0o600))
		}, is("database_unreadable")},
		"a database that is broken inside": {func(in *installation) {
			in.o.Thorough = true
			in.sql("PRAGMA writable_schema = ON", "UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE name = 'due') WHERE name = 'outbox'")
		}, is("sqlite_broken")},
		"a folder that was moved to PostgreSQL": {func(in *installation) {
			in.must(store.Place{Host: "db", Port: "5432", Database: "x"}.Remember(data(in)))
		}, is("database_unreadable")},
		"a schema that is too new": {func(in *installation) {
			in.sql("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)", "UPDATE schema_need SET oldest = 99999")
		}, is("schema_newer")},
		"a schema that is newer": {func(in *installation) {
			in.sql("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)")
		}, is("schema_beside")},
		"a schema that is older": {func(in *installation) {
			in.sql(fmt.Sprint("DELETE FROM goose_db_version WHERE version_id = ", store.Schema()))
		}, is("schema_older")},
		"a clock that was set back": {func(in *installation) { in.o.Clock = clock.NewFake(time.Now().Add(-time.Hour)) }, is("clock_back")},
		"a node that was killed":    {func(in *installation) { in.sql("UPDATE node SET left_ms = 0, seen_ms = seen_ms - 60000") }, is("nodes_gone")},
		"a node that is behind": {func(in *installation) {
			in.sql(fmt.Sprintf("UPDATE node SET left_ms = 0, seen_ms = %d", now+60000), "UPDATE module_need SET version = 99 WHERE module = 'due'")
		}, is("nodes_behind")},
		"an upgrade half done": {func(in *installation) {
			in.sql(fmt.Sprintf("UPDATE node SET left_ms = 0, seen_ms = %d", now+60000), "INSERT INTO node SELECT 'b', first_ms, started_ms, seen_ms, left_ms, version, 1, modules FROM node")
		}, is("nodes_mixed")},
		"a tail without a checkpoint": {func(in *installation) {
			in.sql("DELETE FROM record_checkpoints WHERE size = (SELECT MAX(size) FROM record_checkpoints)")
		}, is("record_tail")},
		"a server that signs no more": {func(in *installation) {
			in.serving()
			in.sql("DELETE FROM record_checkpoints WHERE size = (SELECT MAX(size) FROM record_checkpoints)", "UPDATE record_entries SET at_ms = at_ms - 3600000")
		}, is("record_unsigned")},
		"a record that was altered": {func(in *installation) {
			in.o.Thorough = true
			in.sql("UPDATE record_entries SET actor = 'somebody' WHERE idx = 3")
		}, is("record_broken")},
		"no checkpoints outside": {func(in *installation) { in.must(os.RemoveAll(in.o.App.OutsideDir)) }, is("outside_missing")},
		"checkpoints among the data": {func(in *installation) {
			in.must(os.Rename(in.o.App.OutsideDir, data(in)+"/outside"))
			in.o.App.OutsideDir = data(in) + "/outside"
		}, is("outside_inside")},
		"a checkpoint file cut short": {func(in *installation) {
			in.must(os.Truncate(in.o.App.OutsideDir+"/record.jsonl", 10))
		}, is("outside_behind", "outside_damaged")},
		"a database that was set back": {func(in *installation) {
			in.sql("UPDATE record_head SET size = size - 1")
		}, is("outside_ahead")},
		"a gateway that is lost": {func(in *installation) { in.serving(); in.sql("UPDATE gateway SET last_seen_ms = 1") }, is("gateways_lost")},
		"a gateway that is behind": {func(in *installation) {
			in.serving()
			in.sql("UPDATE bundle_state SET revision = revision + 1")
		}, is("gateways_behind")},
		"a gateway without effect": {func(in *installation) { in.serving(); in.sql("UPDATE gateway SET effective = FALSE") }, is("gateways_idle")},
		"no gateway": {func(in *installation) {
			in.serving()
			in.sql("DELETE FROM gateway", "INSERT INTO service (id, operator_id, name, kind, model_name, created_ms) VALUES ('s', 'o', 'n', 'real', 'm', 1)")
		}, is("gateways_none")},
		"a clock that nobody handled": {func(in *installation) { in.sql(fmt.Sprintf(row, now-300000, now-300000, "pending")) }, is("due_late")},
		"a clock that was given up":   {func(in *installation) { in.sql(fmt.Sprintf(row, now-300000, now-300000, "failed")) }, is("due_given_up")},
		"a message that waits":        {func(in *installation) { in.sql(fmt.Sprintf(message, "m", "m", "x", "x", "pending", now-300000)) }, is("outbox_late")},
		"a message that failed":       {func(in *installation) { in.sql(fmt.Sprintf(message, "m", "m", "x", "x", "failed", now-300000)) }, is("outbox_stuck")},
		"nobody is reached":           {func(in *installation) { in.o.App.Webhook = "" }, is("channels_none")},
		"a channel never tested":      {func(in *installation) { in.sql(channel) }, is("channels_untested")},
		"a channel that failed its test": {func(in *installation) {
			in.sql(channel, fmt.Sprintf(message, "m1", "m1", "channel", "c1", "sent", 1), fmt.Sprintf(message, "m2", "m2", "channel", "c1", "refused", 2))
		}, is("channels_failed", "outbox_stuck")},
		"a channel that passed": {func(in *installation) {
			in.o.App.Webhook = ""
			in.sql(channel, fmt.Sprintf(message, "m1", "m1", "channel", "c1", "sent", 2))
		}, is()},
	}
}

func (in *installation) room(free uint64) {
	in.o.Room = func(string) (uint64, uint64, error) { return free, 200 << 30, nil }
}

func (in *installation) ready(code int, checks string) {
	in.o.Get = func(context.Context, *http.Client, string) (*http.Response, error) {
		return &http.Response{StatusCode: code, Body: io.NopCloser(strings.NewReader(`{"checks":[` + checks + `]}`))}, nil
	}
}

func TestEachWayOfBreakingAnInstallationIsFoundAndNothingElse(t *testing.T) {
	first := install(t, "")
	if got := first.copy(t).wrong(); len(got) != 0 {
		t.Fatalf("before it was broken: %q", got)
	}
	for name, w := range ways() {
		t.Run(name, func(t *testing.T) {
			in := first.copy(t)
			w.wreck(in)
			slices.Sort(w.finds)
			if got := in.wrong(); !slices.Equal(got, w.finds) {
				t.Errorf("found %q, want %q", got, w.finds)
			}
		})
	}
}

func TestASoundInstallationThatServesIsFoundSoundAndItsServerIsAsked(t *testing.T) {
	in := install(t, "")
	a, stop := in.run()
	defer stop()
	in.o.App.Listen, in.o.Get = strings.TrimPrefix(a.URL(), "http://"), nil
	in.o.Thorough = true
	if got := in.wrong(); len(got) != 0 {
		t.Errorf("found %q", got)
	}
	in.o.App.Listen = "127.0.0.1:1"
	if got := in.wrong(); !slices.Equal(got, []string{"serving_silent"}) {
		t.Errorf("a server elsewhere than thought: %q", got)
	}
}

func TestLookingChangesNoFile(t *testing.T) {
	in := install(t, "")
	root := filepath.Dir(in.o.App.DataDir)
	look := func(what string) {
		t.Helper()
		before := tree(t, root)
		in.wrong()
		if after := tree(t, root); before != after {
			t.Errorf("%s:\n%s\nbecame\n%s", what, before, after)
		}
	}
	look("a stopped installation")
	// As a kill leaves it: the log of the database is not folded in.
	db, err := store.OpenSQLite(t.Context(), filepath.Join(in.o.App.DataDir, store.MainFile), store.Relaxed, 1)
	in.must(err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), "UPDATE bundle_state SET changed_ms = changed_ms + 1")
	in.must(err)
	look("one with a log")
	before := tree(t, root)
	in.must(os.WriteFile(in.o.App.DataDir+"/new", nil, 0o600))
	if tree(t, root) == before {
		t.Error("a new file would not have been seen")
	}
}

// tree is every file with what it holds, without SQLite's shared memory, in which readers note that they read.
func tree(t *testing.T, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "-shm") {
			return err
		}
		raw, err := os.ReadFile(path)
		st, err2 := d.Info()
		if err != nil || err2 != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %s %d %x\n", strings.TrimPrefix(path, root), st.Mode(), st.Sys().(*syscall.Stat_t).Uid, sha256.Sum256(raw))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestOnPostgreSQLTheServersSettingsAreJudged(t *testing.T) {
	forgetful := storetest.Database(t, t.TempDir())
	in := install(t, forgetful)
	if got := in.wrong(); !slices.Equal(got, []string{"postgres_forgets", "postgres_no_archive"}) {
		t.Errorf("a server that does not sync: %q", got)
	}
	sql := func(s string) {
		in.t.Helper()
		db, err := store.Reader(t.Context(), in.o.App.DataDir, forgetful)
		in.must(err)
		defer db.Close()
		in.must(write(t.Context(), db, s))
	}
	sql(fmt.Sprintf(row, 1, 1, "failed"))
	in.o.Clock = clock.NewFake(time.Now().Add(-time.Hour))
	if got := in.wrong(); !slices.Equal(got, []string{"clock_apart", "clock_back", "due_given_up", "postgres_forgets", "postgres_no_archive"}) {
		t.Errorf("with its clock an hour behind: %q", got)
	}
	in.o.App.Database = "postgres://x@127.0.0.1:1/x"
	if got := in.wrong(); !slices.Equal(got, []string{"database_unreadable"}) {
		t.Errorf("without a server: %q", got)
	}
	in.o.App.Database = ""
	if got := in.wrong(); !slices.Equal(got, []string{"database_unreadable"}) {
		t.Errorf("with --database forgotten: %q", got)
	}
}

func TestOnPostgreSQLStandbysAreJudged(t *testing.T) {
	if testing.Short() {
		t.Skip("starts two servers")
	}
	pair := storetest.StartPair(t, "x")
	in := install(t, pair.URL("x"))
	in.o.Lag = time.Second
	if got := in.wrong(); !slices.Equal(got, []string{"postgres_no_archive"}) {
		t.Errorf("with a synchronous standby: %q", got)
	}
	on := func(address, statement string) {
		t.Helper()
		db, err := store.Reader(t.Context(), in.o.App.DataDir, address)
		in.must(err)
		defer db.Close()
		_, err = db.ExecContext(t.Context(), statement)
		in.must(err)
	}
	on(pair.Standby("x"), "SELECT pg_wal_replay_pause()")
	in.must(pair.Exec(t.Context(), "x", "UPDATE bundle_state SET changed_ms = changed_ms + 1"))
	for range 200 { // until the standby has been behind for longer
		if slices.Contains(in.wrong(), "postgres_lag") {
			break
		}
		time.Sleep(50 * time.Millisecond)
		in.must(pair.Exec(t.Context(), "x", "UPDATE bundle_state SET changed_ms = changed_ms + 1"))
	}
	if got := in.wrong(); !slices.Equal(got, []string{"postgres_lag", "postgres_no_archive"}) {
		t.Errorf("with one that does not replay: %q", got)
	}
	on(pair.Standby("x"), "SELECT pg_wal_replay_resume()")
	in.must(pair.Exec(t.Context(), "postgres", "ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()"))
	for range 200 {
		if !slices.Contains(in.wrong(), "postgres_lag") {
			break
		}
		time.Sleep(50 * time.Millisecond)
		in.must(pair.Exec(t.Context(), "x", "UPDATE bundle_state SET changed_ms = changed_ms + 1"))
	}
	if got := in.wrong(); !slices.Equal(got, []string{"postgres_asynchronous", "postgres_no_archive"}) {
		t.Errorf("with one that is not synchronous: %q", got)
	}
	in.o.App.Database = pair.Standby("x")
	if got := in.wrong(); !slices.Contains(got, "postgres_standby") {
		t.Errorf("a standby in the primary's place: %q", got)
	}
}

func write(ctx context.Context, db *bun.DB, s string) error {
	_, err := db.ExecContext(ctx, "SET default_transaction_read_only = off")
	if err == nil {
		_, err = db.ExecContext(ctx, s)
	}
	return err
}

func TestAGatewayApartIsExaminedToo(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	control := "http://" + l.Addr().String()
	for name, c := range map[string]struct {
		change func(in *installation, g *app.ApartOptions)
		finds  []string
	}{
		"as it should be": {func(*installation, *app.ApartOptions) {}, []string{}},
		"not joined yet": {func(in *installation, g *app.ApartOptions) {
			in.must(os.Remove(g.StateDir + "/member.json"))
			g.JoinFile = "x"
		}, []string{"gateway_not_joined"}},
		"not joined, and no token": {func(in *installation, _ *app.ApartOptions) { in.o.Private = map[string]string{"gateway.join": "gone"} }, []string{"file_unreadable"}},
		"joined, and the token thrown away": {func(in *installation, g *app.ApartOptions) {
			in.o.Private = map[string]string{"gateway.join": "gone"}
			in.must(os.WriteFile(g.StateDir+"/member.json", []byte(`{"gateway_id":"edge-1"}`), 0o600))
		}, []string{}},
		"without a token":  {func(in *installation, g *app.ApartOptions) { in.must(os.Remove(g.StateDir + "/member.json")) }, []string{"gateway_no_token"}},
		"an open password": {func(in *installation, g *app.ApartOptions) { in.must(os.Chmod(g.StateDir+"/member.json", 0o644)) }, []string{"file_open"}},
		"no control":       {func(_ *installation, g *app.ApartOptions) { g.Controls = nil }, []string{"control_none"}},
		"control is away":  {func(_ *installation, g *app.ApartOptions) { g.Controls = []string{"http://127.0.0.1:1"} }, []string{"control_silent"}},
		"control is silent": {func(in *installation, g *app.ApartOptions) {
			release, err := app.Alone(g.StateDir)
			in.must(err)
			in.t.Cleanup(func() { release() })
			in.ready(200, "")
			in.must(os.WriteFile(g.StateDir+"/contact", fmt.Append(nil, time.Now().Add(-time.Hour).UnixMilli()), 0o600))
		}, []string{"gateway_silent"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := &app.ApartOptions{StateDir: t.TempDir() + "/state", Listen: "127.0.0.1:0", GatewayListen: "127.0.0.1:0", Controls: []string{control}}
			in := &installation{t: t, o: doctor.Options{Gateway: g}}
			in.room(100 << 30)
			in.must(os.Mkdir(g.StateDir, 0o700))
			in.must(os.WriteFile(g.StateDir+"/member.json", []byte("{}"), 0o600))
			c.change(in, g)
			if got := in.wrong(); !slices.Equal(got, c.finds) {
				t.Errorf("found %q, want %q", got, c.finds)
			}
		})
	}
}
