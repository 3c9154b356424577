package house

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// leak is something that must never stand in a file of ours. The patterns are written so that they do not
// match themselves.
type leak struct {
	what    string
	pattern *regexp.Regexp
}

var leaks = []leak{
	{"a path of one machine", regexp.MustCompile(`(^|[\s"'(=:\x60])/((work|root)([^a-z]|$)|home/[a-z]|Users/[A-Za-z])`)},
	{"the host of a package registry", regexp.MustCompile(`(?i)(proxy\.golang|sum\.golang|goproxy\.(io|cn)|registry\.npm|npm[m]irror|deb\.debian|security\.debian)[.a-z]*`)},
	{"a private key", regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----\s*[A-Za-z0-9+/]{20}`)},
	{"a token", regexp.MustCompile(`\b(sk-(proj-)?[A-Za-z0-9]{20,}|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{30,}|xox[abpr]-[A-Za-z0-9-]{20,}|eyJ[A-Za-z0-9_-]{15,}\.eyJ[A-Za-z0-9_-]{15,})`)},
	{"a password in an address", regexp.MustCompile(`\b[a-z]+://[^\s/"'@:]+:[^\s/"'@]{3,}@[a-z0-9]`)},
}

var mail = regexp.MustCompile(`[A-Za-z0-9._%+-]+@([A-Za-z0-9-]+\.)+[A-Za-z]{2,}`)

// madeUp are domains that can belong to nobody (RFC 2606), and the ending of a unit of systemd, which looks like one.
var madeUp = regexp.MustCompile(`(?i)(@|\.)(example(\.(com|org|net|cn))?|test|invalid|localhost|service)$`)

// offices are addresses that an authority published for everybody to report to.
var offices = map[string]bool{"12387@cert.org.cn": true}

func checkLeaks(name string, content []byte) []string {
	if bytes.IndexByte(content, 0) >= 0 {
		return nil // not a text
	}
	var out []string
	at := func(offset int) string {
		return name + ":" + strconv.Itoa(1+bytes.Count(content[:offset], []byte("\n")))
	}
	for _, l := range leaks {
		for _, m := range l.pattern.FindAllIndex(content, -1) {
			out = append(out, at(m[0])+": "+l.what)
		}
	}
	for _, m := range mail.FindAllIndex(content, -1) {
		if address := string(content[m[0]:m[1]]); !madeUp.MatchString(address) && !offices[address] && !strings.HasSuffix(name, "go.sum") {
			out = append(out, at(m[0])+": a mail address that may be somebody's; use one of example.com")
		}
	}
	return out
}

func TestNoFileGivesAwayAMachineAPersonOrASecret(t *testing.T) {
	var out []string
	files := 0
	ours(t, func(name string, content []byte) {
		files++
		out = append(out, checkLeaks(name, content)...)
	})
	if files < 100 {
		t.Fatalf("only %d files were looked at", files)
	}
	sort.Strings(out)
	report(t, "nothing of a machine, a person or a secret", out)
}

func TestTheSearchForLeaksFindsEachKind(t *testing.T) {
	// Put together here, so that this file passes its own law.
	for what, s := range map[string]string{
		"a checkout":       `dir := "` + "/wo" + `rk/main"`,
		"root's home":      "see " + "/ro" + "ot/.cache",
		"somebody's home":  "cp " + "/ho" + "me/li/x .",
		"a registry":       "GOPROXY=https://proxy." + "golang.org",
		"another registry": "https://registry." + "npmjs.org/openai",
		"a key":            "-----BEGIN " + "PRIVATE KEY-----\n" + strings.Repeat("A", 40),
		"a token":          "sk-" + strings.Repeat("a1", 12),
		"a password":       "postgres://admin" + ":hunter22@" + "db",
		"an address":       "li.si@" + "corp.cn",
	} {
		if len(checkLeaks("a.md", []byte(s))) != 1 {
			t.Errorf("%s: %q", what, checkLeaks("a.md", []byte(s)))
		}
	}
	for what, s := range map[string]string{
		"a path of an API": `"/v1/chat/completions"`, "a folder named work": "the gateway's /worker and ./work",
		"an address of nobody": "duty@example.com", "an address by number": "http://127.0.0.1:8080", "a decorator": "@types/node",
		"a file that is no text": "\x00" + "li.si@" + "corp.cn",
	} {
		if got := checkLeaks("a.md", []byte(s)); len(got) != 0 {
			t.Errorf("%s: %q", what, got)
		}
	}
}

// The guide and its neighbours are under copyright: names, codes and numbers may be used, sentences not.
const (
	longestQuote = 25 // runes, counted without spaces and punctuation between lines
	leastHan     = 15 // of them; shorter foreign runs are names
)

// squeeze leaves letters, digits and punctuation: line breaks of a page are no part of a sentence.
func squeeze(s string) []rune {
	out := make([]rune, 0, len(s))
	for _, r := range s {
		if !unicode.IsSpace(r) {
			out = append(out, r)
		}
	}
	return out
}

func windows(text []rune, visit func(start int, w string)) {
	for i := 0; i+longestQuote <= len(text); i++ {
		w := text[i : i+longestQuote]
		han := 0
		for _, r := range w {
			if unicode.Is(unicode.Han, r) {
				han++
			}
		}
		if han >= leastHan {
			visit(i, string(w))
		}
	}
}

// quotes finds the runs of name's content that stand in the guarded texts, one line for each run.
func quotes(name string, content []byte, guarded map[string]bool) []string {
	if !utf8.Valid(content) {
		return nil
	}
	var out []string
	last := -2
	windows(squeeze(string(content)), func(i int, w string) {
		if guarded[w] {
			if i != last+1 {
				out = append(out, name+": “"+w+"…” is the guide's wording; say it in our own words")
			}
			last = i
		}
	})
	return out
}

func TestNoSentenceOfTheGuideIsShipped(t *testing.T) {
	texts, err := filepath.Glob(filepath.Join(root(t), "..", "shared", "reference", "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if len(texts) == 0 {
		t.Skip("the guide's text is not beside this clone (../shared/reference): whether any of it is quoted was not checked")
	}
	guarded := map[string]bool{}
	for _, p := range texts {
		raw, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		windows(squeeze(string(raw)), func(_ int, w string) { guarded[w] = true })
	}
	if len(guarded) < 1000 {
		t.Fatalf("only %d runs were read from the guide", len(guarded))
	}
	// The negative control: any run of the guide is found in a file that holds it.
	for w := range guarded {
		if len(quotes("a.md", []byte("前文。\n"+w+"\n后文。"), guarded)) == 0 {
			t.Fatal("a copied run was not found")
		}
		break
	}
	var out []string
	ours(t, func(name string, content []byte) { out = append(out, quotes(name, content, guarded)...) })
	sort.Strings(out)
	report(t, "the guide's text is not ours", out)
}

func TestTheSearchForQuotesFindsACopiedSentence(t *testing.T) {
	const sentence = "烽火台上一人举旗二人击鼓三人燃薪直到邻台回应为止方可歇息片刻再行观望" // ours, made up
	guarded := map[string]bool{}
	windows(squeeze(sentence), func(_ int, w string) { guarded[w] = true })
	for name, c := range map[string]struct {
		text  string
		found int
	}{
		"whole":              {"前文" + sentence + "后文", 1},
		"over two lines":     {sentence[:30] + "\n  " + sentence[30:], 1},
		"a short part of it": {sentence[:60], 0},
		"our own words":      {"台上的人先举旗，再击鼓，最后点火；邻台回应后可以休息，然后继续观察四周的动静与来人", 0},
	} {
		if got := quotes("a.md", []byte(c.text), guarded); len(got) != c.found {
			t.Errorf("%s: %q", name, got)
		}
	}
}
