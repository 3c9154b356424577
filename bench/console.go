package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/fengsui/fengsui/e2e/browser"
	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// What the full instance holds (issue 3), and the near-empty one that it is held against: about a page of each.
var (
	fullFolder = filling{anomalies: 10_000, incidents: 1000, moments: 5000}
	bareFolder = filling{anomalies: 60, incidents: 55, moments: 60}
)

const consoleViewer = "commander" // who reads all that is measured

// consolePart measures the pages of the console in a browser, in front of a server whose folder is full and one whose
// folder is nearly empty.
func consolePart(ctx context.Context, b *bench) (_ []table, err error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return nil, err
	}
	scripts := filepath.Join(root, "e2e", "browser")
	chromium, err := browser.Ready(ctx, scripts)
	if err != nil {
		return nil, absent{err}
	}
	bin, err := b.server(ctx)
	if err != nil {
		return nil, err
	}
	var upstream string
	model, err := start(ctx, b.log, "upstream", nil, &upstream)
	if err != nil {
		return nil, err
	}
	defer model.stop()
	dir := filepath.Join(b.dir, "console")
	task := consoleTask{Runs: b.runs, Account: consoleViewer, Password: seedPassword}
	var took []time.Duration
	for _, f := range []struct {
		name string
		filling
	}{{"full", fullFolder}, {"near-empty", bareFolder}} {
		b.say("       console, filling the folder %s", f.name)
		at := time.Now()
		s, err := seed(ctx, place{dir: filepath.Join(dir, f.name)}, f.filling, upstream, at)
		if err != nil {
			return nil, fmt.Errorf("filling the folder %s: %w", f.name, err)
		}
		took = append(took, time.Since(at))
		held, err := whatIsThere(ctx, f.name, s)
		if err != nil {
			return nil, err
		}
		srv, err := serveFolder(ctx, b.log, bin, s.Dir)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, srv.stop()) }()
		held.URL = srv.url
		task.Instances = append(task.Instances, held)
	}
	found, err := walk(ctx, b.log, scripts, chromium, filepath.Join(dir, "task.json"), task)
	if err != nil {
		return nil, err
	}
	return found.tables(b.runs, took[0]), nil
}

// absent is a part that cannot be measured here, because something it needs is missing.
type absent struct{ error }

func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	return strings.TrimSpace(string(out)), err
}

// The task of speed.mjs.
type (
	consoleTask struct {
		Runs      int                `json:"runs"`
		Account   string             `json:"account"`
		Password  string             `json:"password"`
		Instances []*consoleInstance `json:"instances"`
	}
	consoleInstance struct {
		Name      string        `json:"name"`
		URL       string        `json:"url"`
		Incidents int           `json:"incidents"` // not closed
		Busy      consoleBusy   `json:"busy"`
		Lists     []consoleList `json:"lists"`
	}
	consoleBusy struct {
		ID      string `json:"id"`
		Number  string `json:"number"`
		Moments int    `json:"moments"`
		Alike   int    `json:"alike"` // incidents whose number has this one in it, such as a test's
	}
	consoleList struct {
		Name   string          `json:"name"`
		Menu   string          `json:"menu"`
		Label  string          `json:"label"`
		Path   string          `json:"path"`
		Total  int             `json:"total"` // -1: grows by itself
		Search []consoleSearch `json:"search,omitzero"`
		Filter *consoleFilter  `json:"filter,omitzero"`
	}
	consoleSearch struct {
		Q     string `json:"q"`
		Total int    `json:"total"`
	}
	consoleFilter struct {
		Title string `json:"title"`
		Group string `json:"group"`
		Value string `json:"value"`
		Total int    `json:"total"`
	}
)

// whatIsThere counts, by plain SQL, what the pages must show to the viewer.
func whatIsThere(ctx context.Context, name string, s *seeded) (_ *consoleInstance, err error) {
	a, err := app.Offline(ctx, app.Options{DataDir: s.Dir})
	if err != nil {
		return nil, err
	}
	defer a.Stop()
	db := a.House.Store.Read()
	count := func(query string, args ...any) (n int) {
		err = errors.Join(err, db.NewRaw("SELECT COUNT(*) FROM "+query, args...).Scan(ctx, &n))
		return n
	}
	const seen = ` NOT IN (SELECT id FROM incident WHERE restricted AND id NOT IN (SELECT x.incident_id FROM incident_access x JOIN person p ON p.id = x.person_id WHERE p.roles = '["` + consoleViewer + `"]'))`
	const open = `anomaly_id NOT IN (SELECT id FROM anomaly WHERE NOT (incident_id` + seen + `))`
	i := &consoleInstance{Name: name, Incidents: count("incident WHERE state <> 'closed' AND id" + seen), Busy: consoleBusy{ID: s.Busy}}
	err = errors.Join(err, db.NewRaw("SELECT number FROM incident WHERE id = ?", s.Busy).Scan(ctx, &i.Busy.Number))
	i.Busy.Alike = count("incident WHERE number LIKE ? AND id"+seen, "%"+i.Busy.Number+"%")
	var more error
	_, i.Busy.Moments, _, more = a.House.Timeline(ctx, store.Actor{ID: "bench", Roles: []string{consoleViewer}}, s.Busy, 0, 1)
	err = errors.Join(err, more)
	searched := func(query string, args func(q string) []any, words ...string) (out []consoleSearch) {
		for _, w := range words {
			out = append(out, consoleSearch{w, count(query, args(w)...)})
		}
		return out
	}
	like := func(q string) []any { return []any{"%" + q + "%"} }
	i.Lists = []consoleList{
		{Name: "anomalies", Menu: "menu.anomalies", Label: "menu.anomalies", Path: "/anomalies", Total: count("anomaly WHERE incident_id" + seen),
			Search: searched("anomaly WHERE incident_id"+seen+" AND service_id IN (SELECT id FROM service WHERE name LIKE ?)", like, serviceNames...),
			Filter: &consoleFilter{"anomalies.state", "anomaly.state", "dismissed", count("anomaly WHERE state = 'dismissed'")}},
		{Name: "incidents", Menu: "menu.incidents", Label: "menu.incidents", Path: "/incidents", Total: count("incident WHERE id" + seen),
			Search: searched("incident WHERE title LIKE ? AND id"+seen, like, "图书馆", "豆腐", "节气", "初学者", "生日", "口号"),
			Filter: &consoleFilter{"incidents.state", "incident.state", "closed", count("incident WHERE state = 'closed' AND id" + seen)}},
		{Name: "orders", Menu: "menu.orders", Label: "menu.orders", Path: "/orders", Total: count("disposal_order WHERE incident_id" + seen),
			Filter: &consoleFilter{"orders.state", "order.state", "lifted", count("disposal_order WHERE state = 'lifted' AND incident_id" + seen)}},
		{Name: "complaints", Menu: "menu.complaints", Label: "menu.complaints", Path: "/complaints", Total: count("complaint WHERE " + open),
			Filter: &consoleFilter{"complaints.state", "complaint.state", "answered", count("complaint WHERE state = 'answered' AND " + open)}},
		{Name: "record", Menu: "menu.record", Label: "record.entries", Path: "/record", Total: -1,
			Filter: &consoleFilter{"record.action", "action", "anomaly.dismiss", count("record_entries WHERE action = 'anomaly.dismiss'")}},
	}
	return i, err
}

// server builds the program that is measured as a process of its own.
func (b *bench) server(ctx context.Context) (string, error) {
	bin := filepath.Join(b.dir, "fengsui")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", bin, "github.com/fengsui/fengsui/cmd/fengsui").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return bin, nil
}

// served is a server on a folder, in a process of its own.
type served struct {
	cmd *exec.Cmd
	url string
}

// serveFolder starts a server on a folder; what more says comes after the arguments that it always has, so it can change them.
func serveFolder(ctx context.Context, log io.Writer, bin, dir string, more ...string) (*served, error) {
	s, err := startServer(ctx, log, bin, dir, more...)
	if err != nil {
		return nil, err
	}
	return s, s.quiet(ctx)
}

// startServer is serveFolder without waiting until the server is ready.
func startServer(ctx context.Context, log io.Writer, bin, dir string, more ...string) (_ *served, err error) {
	cmd := exec.CommandContext(ctx, bin, append([]string{"serve", "--data", dir, "--listen", "127.0.0.1:0", "--gateway-listen", "127.0.0.1:0", "--allow-private-upstream", "--log-level", "error"}, more...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay, cmd.Stderr = 20*time.Second, log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &served{cmd: cmd}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, after, ok := strings.Cut(lines.Text(), "http://127.0.0.1:"); ok && s.url == "" {
			s.url = "http://localhost:" + strings.Fields(after)[0]
			break
		}
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // ends with the process
	if s.url == "" {
		return nil, errors.Join(errors.New("the server does not say where it listens"), s.stop())
	}
	return s, nil
}

// quiet waits until the server is ready and has worked off what fell due between the filling and its start.
func (s *served) quiet(ctx context.Context) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	return wait(ctx, 5*time.Second)
}

func (s *served) ready(ctx context.Context) error {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/readyz", nil)
		if err != nil {
			return err
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		if err := wait(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return errors.New("the server does not become ready")
}

func (s *served) stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(20*time.Second, func() { _ = s.cmd.Process.Kill() })
	defer late.Stop()
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("the server: %w", err)
	}
	return nil
}

// What speed.mjs found.
type (
	consoleFound struct {
		Found   []consoleTime `json:"found"`
		Loads   []consoleLoad `json:"loads"`
		Browser string        `json:"browser"`
	}
	consoleTime struct {
		Instance string  `json:"instance"`
		Page     string  `json:"page"`
		Run      int     `json:"run"`
		Ready    float64 `json:"ready"`  // ms, from the last byte that was needed to usable
		Server   float64 `json:"server"` // ms, of the calls that were needed, one after the other
		Total    float64 `json:"total"`  // ms, from the click
		Task     float64 `json:"task"`   // ms, the longest that the main thread was held after the last byte; 0 under 50
		Calls    int     `json:"calls"`
	}
	consoleLoad struct {
		Instance string  `json:"instance"`
		Console  float64 `json:"console"` // bytes over the wire
		API      float64 `json:"api"`
	}
)

func walk(ctx context.Context, log io.Writer, scripts, chromium, file string, task consoleTask) (found consoleFound, err error) {
	raw, err := json.Marshal(task)
	if err != nil {
		return found, err
	}
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		return found, err
	}
	cmd := exec.CommandContext(ctx, "node", "speed.mjs", file)
	cmd.Dir, cmd.Env, cmd.Stderr, cmd.WaitDelay = scripts, append(os.Environ(), "FENGSUI_CHROMIUM="+chromium), log, 10*time.Second
	out, err := cmd.Output()
	if err != nil {
		return found, fmt.Errorf("node speed.mjs: %w", err)
	}
	return found, json.Unmarshal(out, &found)
}

// tables puts full and near-empty side by side; the ratio is taken inside each run.
func (f consoleFound) tables(runs int, filling time.Duration) []table {
	at := map[string]map[string][]consoleTime{} // by page and instance, in the order of the runs
	var pages []string
	for _, x := range f.Found {
		if at[x.Page] == nil {
			at[x.Page] = map[string][]consoleTime{}
			pages = append(pages, x.Page)
		}
		at[x.Page][x.Instance] = append(at[x.Page][x.Instance], x)
	}
	t := table{Part: "console", Title: "Console: from the last byte of its data to a usable page (goal: under 300 ms)", Keys: []string{"page"}}
	for _, p := range pages {
		s := &series{}
		full, bare := at[p]["full"], at[p]["near-empty"]
		for n, x := range full {
			s.add("usable after", "ms", x.Ready)
			if n < len(bare) {
				s.add("near-empty", "ms", bare[n].Ready)
				s.add("full ÷ near-empty", "", x.Ready/bare[n].Ready)
			} else {
				s.none("near-empty", "ms")
				s.none("full ÷ near-empty", "")
			}
			s.add("longest task", "ms", x.Task)
			if x.Calls > 0 {
				s.add("its data", "ms", x.Server)
			} else {
				s.none("its data", "ms")
			}
			s.add("from the click", "ms", x.Total)
		}
		t.Rows = append(t.Rows, row{Keys: []string{p}, Figures: s.figures()})
	}
	t.Notes = []string{
		fmt.Sprintf("%s, headless, 1280 × 800, in front of `fengsui serve` on a folder with 10,000 anomalies, 1,000 incidents and one incident of 5,000 moments, made in %.0f s through the product's own functions; near-empty: the same with %d, %d and %d.",
			"Chromium "+f.Browser, filling.Seconds(), bareFolder.anomalies, bareFolder.incidents, bareFolder.moments),
		"Usable: what must be shown is in the document, two frames have been painted and the main thread is idle. Where no data is asked for, it counts from the click. A page that shows other counts or rows than the folder holds fails the run.",
		"Its data: the requests that the page needs, from the request to the last byte, summed; the timeline is read in pages of 1,000. From the click includes loading the page's code from the browser's cache.",
		"Browser, driver and both servers share the cores. Longest task: how long the main thread was held at most after the last byte; 0 where under 50 ms.",
	}
	load := table{Part: "console", Title: "Console: first visit with an empty cache (goal: under 700 KB gzipped)", Keys: []string{"folder"}}
	for _, name := range []string{"full", "near-empty"} {
		s := &series{}
		for _, l := range f.Loads {
			if l.Instance == name {
				s.add("over the wire", "KB", (l.Console+l.API)/1000)
				s.add("of it the console", "KB", l.Console/1000)
				s.add("of it data", "KB", l.API/1000)
			}
		}
		load.Rows = append(load.Rows, row{Keys: []string{name}, Figures: s.figures()})
	}
	load.Notes = []string{"Bytes of headers and bodies as the browser counted them, until the overview was usable, by somebody who is signed in."}
	return []table{t, load}
}
