package notify_test

import (
	"bufio"
	"context"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/notify"
)

func marked(kind string, lang locale.Lang, s string) bool {
	want := map[string]string{due.KindDrill: notify.DrillMark, due.KindTest: notify.TestMark}[kind]
	if want == "" {
		return !strings.HasPrefix(s, notify.DrillMark+"DRILL") && !strings.HasPrefix(s, notify.TestMark+"TEST")
	}
	if lang == locale.EN {
		want += strings.ToUpper(kind)
	}
	return strings.HasPrefix(s, want)
}

func TestWhateverATemplateSaysEveryMessageOfADrillBeginsWithItsMark(t *testing.T) {
	st := open(t, clock.NewFake(start))
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringMatching(`[a-z【】演练 {}\n]{1,20}`)
		say := func(label string) string { b, _ := json.Marshal(text.Draw(rt, label)); return string(b) }
		yaml := "t.x.subject: {zh: " + say("zh subject") + ", en: " + say("en subject") + "}\n" +
			"t.x.body: {zh: " + say("zh body") + ", en: " + say("en body") + "}\n"
		c, err := locale.LoadFS(fstest.MapFS{"c/t.yaml": {Data: []byte(yaml)}}, "c")
		if err != nil {
			rt.Fatal(err)
		}
		m := hello("")
		n++
		m.IdemKey = strings.Repeat("k", n)
		m.Template = "t.x"
		m.Lang = rapid.SampledFrom([]locale.Lang{locale.ZH, locale.EN}).Draw(rt, "lang")
		m.IncidentKind = rapid.SampledFrom([]string{due.KindReal, due.KindDrill, due.KindTest, due.KindBackfill}).Draw(rt, "kind")
		m.Args = []notify.Arg{notify.Label("a", rapid.StringMatching(`[a-z{}【】]{1,10}`).Draw(rt, "label"))}
		f := expect(t, m.IdemKey)
		queue(t, st, m)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			notify.NewDeliverer(st, directory(t, phone(f)), c, notify.Options{}).Run(ctx)
		}()
		until(t, "the message leaves", func() bool { return len(f.sent()) == 1 })
		until(t, "its receipt is kept", func() bool { return len(list(t, st, notify.Filter{States: []notify.State{notify.Pending}})) == 0 })
		cancel()
		<-done
		r := f.sent()[0]
		if !marked(m.IncidentKind, m.Lang, r.Subject()) || !marked(m.IncidentKind, m.Lang, r.Body()) || strings.ContainsAny(r.Subject(), "\r\n") {
			rt.Fatalf("%s %s: %q, %q", m.IncidentKind, m.Lang, r.Subject(), r.Body())
		}
	})
}

func TestAnArgumentCannotNameAPlaceholderOfTheText(t *testing.T) {
	st := open(t, clock.NewFake(start))
	f := expect(t, "k")
	m := hello("k")
	m.Args[0] = notify.Label("service", "{count}{level}")
	queue(t, st, m)
	deliver(t, st, directory(t, phone(f)), notify.Options{})
	until(t, "the message leaves", func() bool { return len(f.sent()) == 1 })
	if s := f.sent()[0].Subject(); s != "｛count｝｛level｝ 需要关注" {
		t.Fatalf("%q", s)
	}
}

// The text of a message is set in one function; this holds the package to it, so that the property
// above speaks for every channel and for the pager.
func TestTheTextOfAMessageIsMadeInOnePlaceOnly(t *testing.T) {
	fset := token.NewFileSet()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	writes := map[string]int{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			isText := func(s string) bool { return s == "subject" || s == "body" }
			ast.Inspect(fn, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.AssignStmt:
					for _, l := range n.Lhs {
						if s, ok := l.(*ast.SelectorExpr); ok && isText(s.Sel.Name) {
							writes[fn.Name.Name]++
						}
					}
				case *ast.CompositeLit:
					id, ok := n.Type.(*ast.Ident)
					if !ok || id.Name != "Rendered" {
						return true
					}
					for _, e := range n.Elts {
						kv, ok := e.(*ast.KeyValueExpr)
						if !ok {
							t.Errorf("%s: Rendered without field names", fset.Position(n.Pos()))
							continue
						}
						if k, ok := kv.Key.(*ast.Ident); ok && isText(k.Name) {
							writes[fn.Name.Name]++
						}
					}
				}
				return true
			})
		}
	}
	if len(writes) != 1 || writes["seal"] != 2 {
		t.Fatalf("the text is written in %v", writes)
	}
}

func TestEveryTranslationKeyInThisPackageHasItsText(t *testing.T) {
	c, err := locale.Load()
	if err != nil {
		t.Fatal(err)
	}
	files, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		for s := bufio.NewScanner(f); s.Scan(); {
			for _, part := range strings.Split(s.Text(), `"`) {
				if strings.HasPrefix(part, "notify.") && !strings.HasSuffix(part, ".") && part != "notify.page" && !strings.Contains(part, " ") {
					seen++
					if !c.Has(part) {
						t.Errorf("%s: no text for %s", name, part)
					}
				}
			}
		}
		f.Close()
	}
	if seen < 10 {
		t.Fatalf("only %d keys were found: the test looks in the wrong place", seen)
	}
	for _, k := range []string{"subject", "body", "source.due", "source.outbox", "source.cycle", "source.audit",
		"reason." + due.ReasonNoAttempt, "reason." + due.ReasonFailing, "reason." + due.ReasonGivenUp, "reason." + due.ReasonStale, "reason." + due.ReasonUnreadable} {
		if !c.Has("notify.page." + k) {
			t.Errorf("no text for notify.page.%s", k)
		}
	}
}
