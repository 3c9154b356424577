package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// event is one line of go test -json; see go doc test2json and go help buildjson.
type event struct {
	Action     string
	Package    string
	ImportPath string // of build-output and build-fail
	Test       string
	Elapsed    float64 // seconds
	Output     string
}

// tally counts top-level tests and keeps the output of a test until its fate is known.
type tally struct {
	w                       io.Writer
	logs                    bool
	passed, failed, skipped int
	open                    map[string]bool     // packages that began and did not end
	output                  map[string][]string // by package and test
	skips, failures         []string
	broken                  int // packages that failed without a failing test: build, panic, time-out
	pkgFailed               map[string]bool
	pkgTests                map[string]int
}

func newTally(w io.Writer, logs bool) *tally {
	return &tally{w: w, logs: logs, open: map[string]bool{}, output: map[string][]string{}, pkgFailed: map[string]bool{}, pkgTests: map[string]int{}}
}

func (t *tally) read(r io.Reader) error {
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) != nil || e.Action == "" {
				fmt.Fprint(t.w, line) // go test says some things in plain words
			} else {
				t.take(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (t *tally) take(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "start":
		t.open[e.Package] = true
	case "build-output":
		fmt.Fprint(t.w, e.Output)
	case "output":
		t.output[key] = append(t.output[key], e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			t.endPackage(e)
		} else {
			t.endTest(e)
		}
		delete(t.output, key)
	}
}

func (t *tally) endTest(e event) {
	top := !strings.Contains(e.Test, "/")
	if top {
		t.pkgTests[e.Package]++
	}
	lines := t.output[e.Package+" "+e.Test]
	switch e.Action {
	case "pass":
		if top {
			t.passed++
		}
		if said := spoken(lines); t.logs && len(said) > 0 {
			fmt.Fprintf(t.w, "%s:\n%s", e.Test, strings.Join(said, ""))
		}
	case "fail":
		t.pkgFailed[e.Package] = true
		if top {
			t.failed++
			t.failures = append(t.failures, e.Test+" in "+e.Package)
		}
		fmt.Fprint(t.w, strings.Join(lines, ""))
	case "skip":
		if top {
			t.skipped++
		}
		t.skips = append(t.skips, fmt.Sprintf("%s in %s: %s", e.Test, e.Package, strings.TrimSpace(strings.Join(spoken(lines), ""))))
	}
}

func (t *tally) endPackage(e event) {
	delete(t.open, e.Package)
	switch {
	case e.Action == "fail":
		if !t.pkgFailed[e.Package] {
			t.broken++
			t.failures = append(t.failures, e.Package+" as a whole")
		}
		// What belongs to no test, or to tests that never ended: a panic, a time-out, a leak found at the end.
		for key, lines := range t.output {
			if pkg, test, _ := strings.Cut(key, " "); pkg == e.Package && test != "" {
				fmt.Fprint(t.w, strings.Join(lines, ""))
				delete(t.output, key)
			}
		}
		fmt.Fprint(t.w, strings.Join(t.output[e.Package+" "], ""))
	case t.pkgTests[e.Package] > 0:
		fmt.Fprintf(t.w, "ok    %-60s %3d tests %6.1fs\n", e.Package, t.pkgTests[e.Package], e.Elapsed)
	default:
		// Packages without tests are left out: they are no news.
	}
}

// close prints the rest and the closing line, and reports whether all is well.
func (t *tally) close() bool {
	for pkg := range t.open {
		t.broken++
		t.failures = append(t.failures, pkg+" did not end")
	}
	for _, s := range t.skips {
		fmt.Fprintln(t.w, "skipped", s)
	}
	for _, f := range t.failures {
		fmt.Fprintln(t.w, "failed", f)
	}
	ran := t.passed + t.failed
	if ran == 0 {
		fmt.Fprintln(t.w, "no test ran")
	}
	fmt.Fprintf(t.w, "%d passed, %d failed, %d skipped\n", t.passed, t.failed+t.broken, t.skipped)
	return t.failed+t.broken == 0 && ran > 0
}

// spoken is what the test itself said, without the lines of the test runner.
func spoken(lines []string) []string {
	var out []string
	for _, l := range lines {
		s := strings.TrimSpace(l)
		if s == "" || strings.HasPrefix(s, "=== ") || strings.HasPrefix(s, "--- ") {
			continue
		}
		out = append(out, l)
	}
	return out
}
