package house

import (
	"slices"
	"strings"
	"testing"
)

// Where a string becomes a value that people are shown, by the list of the reference it belongs to: its words
// in the catalog are under the list's name.
func valueSinks() map[string][]sink {
	const st, incident = "internal/platform/store", "internal/respond/incident"
	return map[string][]sink{
		"action.":    {{pkg: st, name: "Entry", field: "Action"}},
		"object.":    {{pkg: st, name: "Entry", field: "ObjectKind"}},
		"milestone.": {{pkg: incident, name: "Reached", arg: 3}, {pkg: incident, name: "reachedAt", arg: 3}},
	}
}

// below gives the words under a prefix, without it.
func below(words []string, prefix string) (out []string) {
	for _, w := range words {
		if rest, ok := strings.CutPrefix(w, prefix); ok {
			out = append(out, rest)
		}
	}
	return out
}

func TestEveryActionObjectAndMilestoneOfTheRecordHasWords(t *testing.T) {
	files, keys := goFiles(t), catalogKeys(t)
	// The record passes on kinds that it checks itself; the milestones of the machine are held by the API's test.
	own := []string{"internal/platform/store", "internal/platform/record", "internal/respond/incident"}
	files = slices.DeleteFunc(files, func(f goFile) bool { return !within(f.dir, "internal") })
	for prefix, sinks := range valueSinks() {
		uses, _ := trace(files, sinks)
		if len(uses) < 3 {
			t.Errorf("%s: only %d values were found in the code: the search misses them", prefix, len(uses))
		}
		report(t, "words under "+prefix, checkWords(files, sinks, own, []string{""}, below(keys, prefix)))
	}
}

func TestAnActionWithoutWordsIsFound(t *testing.T) {
	const head = "package incident\nimport \"" + module + "/internal/platform/store\"\n"
	for name, c := range map[string]struct {
		src      string
		breaches int
	}{
		"known":                {`func f(tx *store.Tx) { tx.Record(store.Entry{Action: "order.issue", ObjectKind: "order"}) }`, 0},
		"an unknown action":    {`func f(tx *store.Tx) { tx.Record(store.Entry{Action: "order.invent", ObjectKind: "order"}) }`, 1},
		"an unknown object":    {`func f(tx *store.Tx) { tx.Record(store.Entry{Action: "order.issue", ObjectKind: "thing"}) }`, 1},
		"through a helper":     {`func note(tx *store.Tx, a string) { tx.Record(store.Entry{Action: a}) }; func f(tx *store.Tx) { note(tx, "order.invent") }`, 1},
		"put together":         {`func f(tx *store.Tx, e string) { tx.Record(store.Entry{Action: "order." + e}) }`, 0},
		"of a room unheard of": {`func f(tx *store.Tx, e string) { tx.Record(store.Entry{Action: "thing." + e}) }`, 1},
		"an unknown milestone": {`func Reached(ctx, tx, id, name string) {}; func f() { Reached("", "", "", "invented") }`, 1},
	} {
		files, words, got := tree(t, map[string]string{"internal/respond/incident/a.go": head + c.src}), []string{"action.order.issue", "object.order", "milestone.aware"}, 0
		for prefix, sinks := range valueSinks() {
			got += len(checkWords(files, sinks, nil, []string{""}, below(words, prefix)))
		}
		if got != c.breaches {
			t.Errorf("%s: %d breaches", name, got)
		}
	}
}
