package listing_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/listing"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
)

type thing struct {
	ID    string `bun:"id"`
	Title string `bun:"title"`
	State string `bun:"state"`
	Owner string `bun:"owner"`
}

// things is a list of which everybody sees what is not secret.
func things() listing.List[thing] {
	return listing.List[thing]{
		Table: listing.Table{From: "thing AS t", ID: "t.id", Time: "t.at_ms", Search: []string{listing.Has("t.title"), listing.Has("t.id")},
			Fields: []listing.Field{{Name: "state", Expr: "t.state", Values: []string{"open", "done"}, Facet: true}, {Name: "owner", Expr: "t.owner", Facet: true}, {Name: "title", Expr: "t.title"}}},
		Mine: func(a store.Actor) (listing.Where, error) {
			if a.ID == "nobody" {
				return nil, fault.Forbidden("identity.not_allowed")
			}
			return func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("NOT t.secret OR ?", a.IsSystem()) }, nil
		},
		Load: func(ctx context.Context, db bun.IDB, _ store.Actor, ids []string) (out []thing, err error) {
			return out, db.NewSelect().Table("thing").Column("id", "title", "state", "owner").Where("id IN (?)", bun.List(ids)).Scan(ctx, &out)
		},
		IDOf: func(t thing) string { return t.ID },
	}
}

var somebody = store.Actor{ID: "p1"}

func open(t testing.TB) *store.Store {
	t.Helper()
	st, err := store.Open(t.Context(), storetest.With(t, store.Options{Dir: t.TempDir(), Clock: clock.NewFake(time.UnixMilli(1_800_000_000_000))}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	exec(t, st, "CREATE TABLE thing (id TEXT PRIMARY KEY, at_ms BIGINT NOT NULL, title TEXT NOT NULL, state TEXT NOT NULL, owner TEXT NOT NULL, secret BOOLEAN NOT NULL DEFAULT FALSE)")
	return st
}

func exec(t testing.TB, st *store.Store, query string, args ...any) {
	t.Helper()
	if err := st.Write(context.Background(), store.System("test"), func(tx *store.Tx) error { _, err := tx.ExecContext(t.Context(), query, args...); return err }); err != nil {
		t.Fatal(err)
	}
}

func add(t testing.TB, st *store.Store, id string, at int, title, state, owner string, secret bool) {
	exec(t, st, "INSERT INTO thing (id, at_ms, title, state, owner, secret) VALUES (?, ?, ?, ?, ?, ?)", id, at, title, state, owner, secret)
}

func page(t testing.TB, st *store.Store, query string) listing.Page[thing] {
	t.Helper()
	v, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	q, err := things().Parse(v)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	p, err := things().Page(t.Context(), st.Read(), somebody, q)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return p
}

func TestOnlyTheCountsOfALongListAreKeptForAWhileAndForWhoAskedAlone(t *testing.T) {
	st := open(t)
	now, l := int64(1_000_000), things()
	l.Kept, l.NowMs = &listing.Counts{}, func() int64 { return now }
	total := func(a store.Actor, query string) int {
		v, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		q, err := l.Parse(v)
		if err != nil {
			t.Fatal(err)
		}
		p, err := l.Page(t.Context(), st.Read(), a, q)
		if err != nil {
			t.Fatal(err)
		}
		return p.Total
	}
	expect := func(when string, a store.Actor, query string, want int) {
		t.Helper()
		if n := total(a, query); n != want {
			t.Errorf("%s: %d instead of %d", when, n, want)
		}
	}
	add(t, st, "S1", 1, "one", "open", "a", false)
	expect("a short list", somebody, "", 1)
	add(t, st, "S2", 2, "two", "done", "a", false)
	expect("a short list that grew", somebody, "", 2)
	exec(t, st, fmt.Sprintf(`WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < %d) INSERT INTO thing (id, at_ms, title, state, owner) SELECT 'L' || x, x, 'long', 'open', 'b' FROM n`, listing.KeptFrom))
	expect("a long list", somebody, "", listing.KeptFrom+2)
	add(t, st, "S3", 3, "three", "done", "a", false)
	expect("a long list that grew", somebody, "", listing.KeptFrom+2)
	expect("a filter on it", somebody, "state=done", 1)
	expect("a search in it that finds little", somebody, "q=three", 1)
	expect("the same for somebody of the system", store.System("other"), "", listing.KeptFrom+3)
	now += listing.KeptMs
	expect("a while later", somebody, "", listing.KeptFrom+3)
}

func ids(list []thing) (out []string) {
	for _, x := range list {
		out = append(out, x.ID)
	}
	return out
}

func TestASearchFindsWhatHoldsEveryWordAsItIsWritten(t *testing.T) {
	st := open(t)
	for i, title := range []string{"退款 Refund 100% sure", "refund_policy", "退款政策 它's", `a "quoted" b`, "back\\slash!", "100 percent", "{?0} ?"} {
		add(t, st, fmt.Sprint("T", i), i, title, "open", "x", false)
	}
	for q, want := range map[string]string{
		"": "T6 T5 T4 T3 T2 T1 T0", "退款": "T2 T0", "款": "T2 T0", "REFUND": "T1 T0", "退款 sure": "T0", "sure   退款": "T0", "%": "T0", "_": "T1", "100%": "T0", "'": "T2", `"`: "T3", `\`: "T4", "!": "T4",
		"' OR 1=1 --": "", "t5": "T5", "?": "T6", "{?0}": "T6", "%%": "", "no such": "", "'); DROP TABLE thing; --": "",
	} {
		if got := strings.Join(ids(page(t, st, "q="+url.QueryEscape(q)).Items), " "); got != want {
			t.Errorf("%q finds %q, want %q", q, got, want)
		}
	}
	if n := page(t, st, "").Total; n != 7 {
		t.Errorf("%d are left", n)
	}
}

func TestAFacetIgnoresItsOwnFilterAndHonoursTheOthers(t *testing.T) {
	st := open(t)
	for i, x := range []struct{ state, owner string }{{"open", "a"}, {"open", "b"}, {"done", "a"}, {"done", "a"}, {"done", "c"}} {
		add(t, st, fmt.Sprint("T", i), i, "t", x.state, x.owner, false)
	}
	add(t, st, "S", 9, "t", "open", "hidden", true)
	for query, want := range map[string]string{
		"":                             "5 state[done:3 open:2] owner[a:3 b:1 c:1]",
		"state=open":                   "2 state[done:3 open:2] owner[a:1 b:1]",
		"state=open,done":              "5 state[done:3 open:2] owner[a:3 b:1 c:1]",
		"owner=a":                      "3 state[done:2 open:1] owner[a:3 b:1 c:1]",
		"owner=a,b&state=done":         "2 state[done:2 open:2] owner[a:2 c:1]",
		"owner=hidden":                 "0 state[] owner[a:3 b:1 c:1]",
		"title=other":                  "0 state[] owner[]",
		"from_ms=1&until_ms=4":         "3 state[done:2 open:1] owner[a:2 b:1]",
		"state=open&owner=c&limit=1":   "0 state[done:1] owner[a:1 b:1]",
		"q=T4":                         "1 state[done:1] owner[c:1]",
		"q=" + url.QueryEscape("' OR"): "0 state[] owner[]",
	} {
		p := page(t, st, query)
		got := fmt.Sprint(p.Total)
		for _, f := range []string{"state", "owner"} {
			var parts []string
			for _, c := range p.Facets[f] {
				parts = append(parts, fmt.Sprintf("%s:%d", c.Value, c.Count))
			}
			got += " " + f + "[" + strings.Join(parts, " ") + "]"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	all, err := things().Page(t.Context(), st.Read(), store.System("test"), listing.All())
	if err != nil || all.Total != 6 {
		t.Errorf("the control, who sees all: %d, %v", all.Total, err)
	}
}

func TestPagesNeitherLoseNorDoubleARowWhileNewOnesComeIn(t *testing.T) {
	st := open(t)
	want := []string{}
	for i := range 57 {
		id := fmt.Sprintf("A%03d", i)
		add(t, st, id, i/5, "t", "open", "x", false) // five of one instant
		want = append(want, id)
	}
	slices.Reverse(want)
	var got []string
	query, pages := "limit=4", 0
	for cursor := ""; ; pages++ {
		p := page(t, st, query+"&cursor="+url.QueryEscape(cursor))
		got = append(got, ids(p.Items)...)
		add(t, st, fmt.Sprintf("N%03d", pages), 100+pages, "t", "open", "x", false)
		exec(t, st, "UPDATE thing SET title = 'changed' WHERE id = ?", want[0])
		if cursor = p.Next; cursor == "" {
			break
		}
	}
	if !slices.Equal(got, want) || pages != 14 {
		t.Errorf("%d pages: %v", pages, got)
	}
	if p := page(t, st, "limit=1"); len(p.Items) != 1 || p.Items[0].ID[0] != 'N' {
		t.Errorf("what came in is not on the first page: %v", p.Items)
	}
}

func TestEachRowIsReadOnceEvenWhenMoreComeInMeanwhile(t *testing.T) {
	st := open(t)
	for i := range 450 {
		add(t, st, fmt.Sprintf("A%03d", i), i, "t", "open", "x", i%10 == 0)
	}
	seen := map[string]int{}
	err := things().Each(t.Context(), st.Read(), somebody, listing.All(), func(x thing) error {
		if len(seen) == 100 {
			add(t, st, "B", 1000, "t", "open", "x", false)
		}
		seen[x.ID]++
		return nil
	})
	n, err2 := things().Total(t.Context(), st.Read(), somebody, listing.All())
	if errors.Join(err, err2) != nil || len(seen) != 405 || n != 406 || seen["B"] != 0 {
		t.Errorf("%d read, %d there, %v %v", len(seen), n, err, err2)
	}
}

func TestAQuestionThatIsNoneNamesTheFieldAndWhatWouldBeRight(t *testing.T) {
	for query, want := range map[string]string{
		"state=open,gone": "state list.unknown_value value=gone values=open, done", "colour=red": "colour list.unknown_field fields=q, limit", "state=open&state=done": "state list.twice",
		"limit=201": "limit list.range max=200", "limit=x": "limit list.range", "limit=-1": "limit list.range", "from_ms=x": "from_ms list.time", "until_ms=-5": "until_ms list.time",
		"q=" + strings.Repeat("x", 10_000): "q list.long max=200", "q=%ff": "q list.text", "q=a%00b": "q list.text", "owner=%00": "owner list.text", "cursor=" + "MS4AAA": "cursor list.bad_cursor", "cursor=%25": "cursor list.bad_cursor", "cursor=" + strings.Repeat("A", 500): "cursor list.bad_cursor",
		"cursor=MTIz": "cursor list.bad_cursor", "owner=" + strings.Repeat("x,", 101): "owner list.many",
	} {
		v, _ := url.ParseQuery(query)
		_, err := things().Parse(v)
		var f *fault.Error
		if !errors.As(err, &f) {
			t.Errorf("%.40s was taken", query)
			continue
		}
		for i, part := range strings.SplitN(want, " ", 3) {
			if i == 0 && f.Field != part || !strings.Contains(err.Error(), part) {
				t.Errorf("%.40s: %v lacks %q", query, err, part)
			}
		}
	}
	if _, err := things().Page(t.Context(), open(t).Read(), store.Actor{ID: "nobody"}, listing.All()); !fault.Is(err, "identity.not_allowed") {
		t.Errorf("who may not asked and got %v", err)
	}
}
