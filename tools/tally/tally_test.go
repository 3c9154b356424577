package main

import (
	"strings"
	"testing"
)

func TestSilenceIsNotSuccess(t *testing.T) {
	const pass = `{"Action":"start","Package":"p"}
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:1: 3 kills\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
`
	for _, c := range []struct {
		name, in string
		ok       bool
		want     []string
		not      []string
	}{
		{"a passing test", pass + `{"Action":"pass","Package":"p"}`, true, []string{"ok    p", "1 passed, 0 failed, 0 skipped"}, []string{"3 kills"}},
		{"no test at all", `{"Action":"start","Package":"p"}` + "\n" + `{"Action":"skip","Package":"p"}`, false, []string{"no test ran", "0 passed, 0 failed"}, nil},
		{"nothing said", "", false, []string{"no test ran"}, nil},
		{"only skips", `{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:1: no guide here\n"}` + "\n" + `{"Action":"skip","Package":"p","Test":"TestA"}`, false,
			[]string{"skipped TestA in p: a_test.go:1: no guide here", "0 passed, 0 failed, 1 skipped"}, nil},
		{"a failing test keeps its output", `{"Action":"output","Package":"p","Test":"TestB","Output":"lost a row\n"}` + "\n" + `{"Action":"fail","Package":"p","Test":"TestB"}` + "\n" + `{"Action":"fail","Package":"p"}`, false,
			[]string{"lost a row", "failed TestB in p", "0 passed, 1 failed"}, nil},
		{"a package that does not build", pass + `{"Action":"build-output","ImportPath":"q","Output":"q.go:1: undefined\n"}` + "\n" + `{"Action":"fail","Package":"q"}` + "\n" + `{"Action":"pass","Package":"p"}`, false,
			[]string{"q.go:1: undefined", "failed q as a whole", "1 passed, 1 failed"}, nil},
		{"a package that never ends", pass, false, []string{"p did not end", "1 passed, 1 failed"}, nil},
		{"plain words of go test", pass + `{"Action":"pass","Package":"p"}` + "\nno such tool\n", true, []string{"no such tool"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			tl := newTally(&out, false)
			if err := tl.read(strings.NewReader(c.in)); err != nil {
				t.Fatal(err)
			}
			if ok := tl.close(); ok != c.ok {
				t.Errorf("ok is %v; printed:\n%s", ok, out.String())
			}
			for _, w := range c.want {
				if !strings.Contains(out.String(), w) {
					t.Errorf("%q is not in\n%s", w, out.String())
				}
			}
			for _, w := range c.not {
				if strings.Contains(out.String(), w) {
					t.Errorf("%q is in\n%s", w, out.String())
				}
			}
		})
	}
}

func TestLogsOfPassingTestsAreShownOnRequest(t *testing.T) {
	var out strings.Builder
	tl := newTally(&out, true)
	in := `{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:1: 3 kills\n"}` + "\n" + `{"Action":"pass","Package":"p","Test":"TestA"}`
	if err := tl.read(strings.NewReader(in)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "3 kills") {
		t.Errorf("the log is missing:\n%s", out.String())
	}
}
