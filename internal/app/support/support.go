// Package support packs what somebody elsewhere needs to help with an installation, into one archive without secrets and without
// content. It is made of what is known to be harmless: figures, states, codes, and words of our own. A name, a path, an address or a text
// that people wrote is not searched for and taken out; it is never put in.
package support

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/app/doctor"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/health"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/node"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
)

// Options say of what.
type Options struct {
	Doctor     doctor.Options
	Lang       locale.Lang
	Settings   map[string]any // what is configured: switches, figures and whether something is set; no text
	Log        string         // a file of the server's log; "" = none
	Goroutines bool           // ask a running server for where its goroutines stand
}

// File is one file of the archive.
type File struct {
	Name  string `json:"name"`
	Bytes int    `json:"bytes"`
	Note  string `json:"note,omitempty"` // why it is not there
}

// Pack writes the archive (.tar.gz) and says what is in it. What cannot be had is noted and left out: an installation that needs support
// is one in which something fails.
func Pack(ctx context.Context, o Options, out io.Writer) ([]File, error) {
	if o.Doctor.Clock == nil {
		o.Doctor.Clock = clock.System()
	}
	catalog, err := locale.Load()
	if err != nil {
		return nil, err
	}
	p := &packer{Options: o, catalog: catalog}
	for _, part := range []struct {
		name string
		make func(context.Context) ([]byte, error)
	}{
		{"doctor.json", p.doctor}, {"versions.json", p.versions}, {"settings.json", p.settings}, {"database.json", p.database}, {"files.json", p.files},
		{"metrics.txt", p.metrics}, {"ready.json", p.ready}, {"log.txt", p.log}, {"goroutines.txt", p.goroutines},
	} {
		content, err := part.make(ctx)
		f := File{Name: part.name, Bytes: len(content)}
		switch {
		case err != nil:
			f.Note = strings.Join(p.phrases(err.Error()), "; ")
			if f.Note == "" {
				f.Note = "failed"
			}
		case content == nil:
			f.Note = "not asked for, or not of this role"
		default:
			p.contents = append(p.contents, content)
		}
		p.list = append(p.list, f)
	}
	return p.list, p.write(out)
}

type packer struct {
	Options
	catalog  *locale.Catalog
	list     []File
	contents [][]byte // of those without a note
}

func (p *packer) write(out io.Writer) error {
	manifest, err := encode(p.list)
	if err != nil {
		return err
	}
	gz := gzip.NewWriter(out)
	t := tar.NewWriter(gz)
	put := func(name string, content []byte) error {
		if err := t.WriteHeader(&tar.Header{Name: "fengsui-support/" + name, Mode: 0o600, Size: int64(len(content)), ModTime: p.Doctor.Clock.Now()}); err != nil {
			return err
		}
		_, err := t.Write(content)
		return err
	}
	if err := put("manifest.json", manifest); err != nil {
		return err
	}
	next := 0
	for _, f := range p.list {
		if f.Note != "" {
			continue
		}
		if err := put(f.Name, p.contents[next]); err != nil {
			return err
		}
		next++
	}
	if err := t.Close(); err != nil {
		return err
	}
	return gz.Close()
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", " ")
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}

func (p *packer) doctor(ctx context.Context) ([]byte, error) {
	rep, err := doctor.Examine(ctx, p.Doctor, p.Lang)
	if err != nil {
		return nil, err
	}
	return encode(rep.Bare())
}

func (p *packer) versions(context.Context) ([]byte, error) {
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease") // not everywhere
	return encode(map[string]any{"at_ms": clock.Ms(p.Doctor.Clock), "build": health.ReadBuild(""), "schema": store.Schema(), "os": runtime.GOOS, "arch": runtime.GOARCH,
		"cpus": runtime.NumCPU(), "kernel": strings.TrimSpace(string(kernel))})
}

func (p *packer) settings(context.Context) ([]byte, error) { return encode(p.Settings) }

// figures of the database: how many rows each table of ours has, and what stands in which state.
type figures struct {
	Engine  string           `json:"engine"`
	Version string           `json:"version"`
	Schema  int64            `json:"schema"`
	Rows    map[string]int64 `json:"rows"`
	States  map[string]int64 `json:"states"` // "due pending": 3
	Nodes   []nodeFigures    `json:"nodes"`
}

type nodeFigures struct {
	State    string `json:"state"`
	BuiltFor int64  `json:"built_for"`
	AgeMs    int64  `json:"age_ms"`
	Leases   int    `json:"leases"`
	Behind   int    `json:"behind"`
}

func (p *packer) database(ctx context.Context) ([]byte, error) {
	if p.Doctor.Gateway != nil {
		return nil, nil // it has none
	}
	o := p.Doctor.App.WithDefaults()
	db, err := store.Look(ctx, o.DataDir, o.Database)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	f := figures{Engine: "sqlite", Rows: map[string]int64{}, States: map[string]int64{}, Nodes: []nodeFigures{}}
	version, tables := "SELECT sqlite_version()", "SELECT name FROM sqlite_schema WHERE type = 'table'"
	if o.Database != "" {
		f.Engine, version, tables = "postgres", "SELECT current_setting('server_version_num')", "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
	}
	if err := db.QueryRowContext(ctx, version).Scan(&f.Version); err != nil {
		return nil, err
	}
	if err := db.NewRaw("SELECT MAX(version_id) FROM goose_db_version WHERE is_applied").Scan(ctx, &f.Schema); err != nil {
		return nil, err
	}
	var names []string
	if err := db.NewRaw(tables).Scan(ctx, &names); err != nil {
		return nil, err
	}
	for _, n := range names {
		if !store.Ours(n) {
			continue // a stranger's table has a stranger's name
		}
		var count int64
		if err := db.NewRaw("SELECT COUNT(*) FROM ?", bun.Ident(n)).Scan(ctx, &count); err != nil {
			return nil, err
		}
		f.Rows[n] = count
	}
	for _, table := range []string{"due", "outbox", "incident", "anomaly", "disposal_order"} {
		var rows []struct {
			State string
			N     int64
		}
		if err := db.NewRaw("SELECT state, COUNT(*) AS n FROM ? GROUP BY state", bun.Ident(table)).Scan(ctx, &rows); err != nil {
			return nil, err
		}
		for _, r := range rows {
			f.States[table+" "+word(r.State)] += r.N
		}
	}
	now := clock.Ms(p.Doctor.Clock)
	all, err := node.List(ctx, db, now)
	if err != nil {
		return nil, err
	}
	for _, n := range all {
		f.Nodes = append(f.Nodes, nodeFigures{State: n.State, BuiltFor: n.BuiltFor, AgeMs: now - n.SeenMs, Leases: len(n.Leases), Behind: len(n.Behind)})
	}
	return encode(f)
}

// files says how large what we keep is, by names of our own.
func (p *packer) files(context.Context) ([]byte, error) {
	sizes := map[string]int64{}
	err := filepath.WalkDir(p.dir(), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // what cannot be read is not counted
		}
		name := d.Name()
		if _, is := telemetry.DayOf(name); !is && !slices.Contains([]string{store.MainFile, store.MainFile + "-wal", store.PlaceFile, app.LockFile, "second-channel.jsonl"}, name) {
			name = "other"
		}
		if st, err := d.Info(); err == nil {
			sizes[name] += st.Size()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return encode(sizes)
}

// dir is the data or state folder.
func (p *packer) dir() string {
	if p.Doctor.Gateway != nil {
		return p.Doctor.Gateway.StateDir
	}
	return p.Doctor.App.WithDefaults().DataDir
}

// listen is where the running process shows its health.
func (p *packer) listen() string {
	if p.Doctor.Gateway != nil {
		return p.Doctor.Gateway.Listen
	}
	return p.Doctor.App.WithDefaults().Listen
}

func (p *packer) ask(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	files := p.Doctor.App.TLS
	if p.Doctor.Gateway != nil {
		files = app.TLSFiles{} // a gateway tells of its health by plain http
	}
	address, client := files.Reach(p.listen())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address+path, nil)
	if err != nil {
		return nil, err
	}
	return body(client.Do(req))
}

func body(res *http.Response, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return io.ReadAll(io.LimitReader(res.Body, 32<<20))
}

func (p *packer) metrics(ctx context.Context) ([]byte, error) {
	raw, err := p.ask(ctx, "/metrics")
	return keepLines(raw, figure), err
}

func (p *packer) ready(ctx context.Context) ([]byte, error) {
	raw, err := p.ask(ctx, "/readyz")
	if err != nil {
		return nil, err
	}
	var r struct {
		Checks []health.Result `json:"checks"`
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, err
	}
	out := []map[string]any{}
	for _, c := range r.Checks {
		out = append(out, map[string]any{"name": word(c.Name), "ok": c.OK, "ms": c.Ms, "error": p.phrases(c.Error), "note": c.Note != ""})
	}
	return encode(out)
}

// goroutines asks by the socket in the data folder, which whoever may enter the folder may use.
func (p *packer) goroutines(ctx context.Context) ([]byte, error) {
	if !p.Goroutines {
		return nil, nil
	}
	dir := p.dir()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, app.DiagnosticsSocket))
	}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://server/goroutines", nil)
	if err != nil {
		return nil, err
	}
	raw, err := body(c.Do(req))
	if err == nil && len(raw) == 0 {
		err = io.ErrUnexpectedEOF
	}
	return raw, err
}
