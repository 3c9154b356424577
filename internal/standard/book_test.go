package standard

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode"
)

func load(t *testing.T) *Book {
	t.Helper()
	b, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// shipped copies the embedded rule files so that a test can damage one of them.
func shipped(t *testing.T) fstest.MapFS {
	t.Helper()
	out := fstest.MapFS{}
	entries, err := fs.ReadDir(embedded, "data")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		raw, err := fs.ReadFile(embedded, "data/"+e.Name())
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = &fstest.MapFile{Data: raw}
	}
	return out
}

// visit calls f for every value of type T inside v, with the path to it.
func visit[T any](v reflect.Value, path string, f func(path string, x T)) {
	if v.Type() == reflect.TypeFor[T]() {
		f(path, valueOf[T](v))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			visit(v.Field(i), path+"."+v.Type().Field(i).Name, f)
		}
	case reflect.Slice:
		for i := range v.Len() {
			visit(v.Index(i), fmt.Sprintf("%s[%d]", path, i), f)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			visit(v.Elem(), path, f)
		}
	}
}

// valueOf copies a struct of strings and bools out of a field that may be unexported.
func valueOf[T any](v reflect.Value) T {
	var out T
	o := reflect.ValueOf(&out).Elem()
	for i := range v.NumField() {
		switch v.Field(i).Kind() {
		case reflect.String:
			o.Field(i).SetString(v.Field(i).String())
		case reflect.Bool:
			o.Field(i).SetBool(v.Field(i).Bool())
		}
	}
	return out
}

func TestEveryFactHasEditionClauseAndSource(t *testing.T) {
	b := load(t)
	known, cited := map[string]bool{}, map[string]bool{}
	for _, e := range b.Editions() {
		known[e.ID] = true
	}
	n := 0
	visit(reflect.ValueOf(*b), "book", func(path string, c Cite) {
		n++
		cited[c.Edition] = true
		if !known[c.Edition] || c.Clause == "" || !sourceMark.MatchString(c.Source) {
			t.Errorf("%s: %+v", path, c)
		}
		if c.Verified && (strings.HasPrefix(c.Source, "K") || c.Source == "I" || strings.Contains(c.Source, "draft")) {
			t.Errorf("%s: verified although the source is %s", path, c.Source)
		}
	})
	if n < 300 {
		t.Errorf("only %d citations seen: the walk misses facts", n)
	}
	for id := range known {
		if !cited[id] {
			t.Errorf("edition %s is pinned but nothing cites it", id)
		}
	}
}

// A fact type without a Cite would slip past the walk above.
func TestEveryFactTypeCarriesACitation(t *testing.T) {
	for _, f := range []any{Type{}, Subtype{}, SubtypeMap{}, Category{}, Subclass{}, RiskGroup{}, Risk{}, Factor{}, FactorLevel{}, Table{},
		Cell{}, Measure{}, LevelPolicy{}, Number{}, CACGradeDef{}, Scope{}, Indicator{}, IndicatorCell{}, Reporter{}, Hop{},
		Recipient{}, Channel{}, ItemSet{}, Item{}, Rule{}} {
		field, ok := reflect.TypeOf(f).FieldByName("Cite")
		if !ok || field.Type != reflect.TypeFor[Cite]() {
			t.Errorf("%T has no Cite", f)
		}
	}
}

func TestEveryNameIsThereInChineseAndEnglish(t *testing.T) {
	b := load(t)
	n := 0
	visit(reflect.ValueOf(*b), "book", func(path string, name Name) {
		n++
		if strings.TrimSpace(name.ZH) == "" || strings.TrimSpace(name.EN) == "" {
			t.Errorf("%s: %+v", path, name)
		}
		if strings.ContainsFunc(name.EN, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
			t.Errorf("%s: English holds Chinese: %q", path, name.EN)
		}
		if name.ZH != "APT" && !strings.ContainsFunc(name.ZH, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
			t.Errorf("%s: Chinese holds no Chinese: %q", path, name.ZH)
		}
	})
	if n < 250 {
		t.Errorf("only %d names seen: the walk misses facts", n)
	}
}

func TestTheCountsAreThoseOfTheStandards(t *testing.T) {
	b := load(t)
	sizes := func(n int, of func(i int) int) (out []int) {
		for i := range n {
			out = append(out, of(i))
		}
		return out
	}
	types, cats, groups := b.Types(), b.Categories(), b.RiskGroups()
	for _, c := range []struct {
		what      string
		got, want []int
	}{
		{"subtypes a type", sizes(len(types), func(i int) int { return len(types[i].Subtypes) }), []int{5, 3, 4, 1}},
		{"subclasses a category", sizes(len(cats), func(i int) int { return len(cats[i].Subclasses) }), []int{10, 21, 12, 8, 5, 8, 3, 3, 5, 1}},
		{"risks a group", sizes(len(groups), func(i int) int { return len(groups[i].Risks) }), []int{8, 9, 5, 7, 2}},
		{"levels a factor", sizes(3, func(i int) int { return len(b.Factors()[i].Levels) }), []int{3, 4, 4}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: got %v, want %v", c.what, c.got, c.want)
		}
	}
	for _, c := range cats {
		if c.OfficialCode != "" {
			t.Errorf("%s has the unverified code %q", c.ID, c.OfficialCode)
		}
	}
}

func TestSubtypesAreFoundByIDWithTheirClause(t *testing.T) {
	b := load(t)
	for id, want := range map[string]string{
		"content.illegal": "4.2.1 a)", "content.false": "4.2.1 b)", "content.incitement": "4.2.1 c)", "content.rights": "4.2.1 d)",
		"content.discrimination": "4.2.1 e)", "data.leak": "4.2.2 a)", "data.tampering": "4.2.2 b)", "data.poisoning": "4.2.2 c)",
		"attack.model_tampering": "4.2.3 a)", "attack.dos": "4.2.3 b)", "attack.exploit": "4.2.3 c)",
		"attack.social_engineering": "4.2.3 d)", "other": "4.2.4",
	} {
		s, ok := b.Subtype(id)
		if !ok || s.Cite.Clause != want || !s.Cite.Verified {
			t.Errorf("%s: %v %+v", id, ok, s.Cite)
		}
		if s.Map.Cite.Verified {
			t.Errorf("%s: our own map is called verified", id)
		}
	}
	if _, ok := b.Subtype("content"); ok {
		t.Error("a type was found as a subtype")
	}
	if s, _ := b.Subtype("attack.social_engineering"); s.Map.Category != "gbt20986.data" {
		t.Errorf("social engineering belongs to data security in GB/T 20986, got %s", s.Map.Category)
	}
	if r, ok := b.Risk("A.2.e"); !ok || r.Name.ZH != "性别歧视内容" {
		t.Errorf("A.2.e: %v %+v", ok, r)
	}
}

func TestWhatABookReturnsIsACopy(t *testing.T) {
	b := load(t)
	b.Types()[0].Subtypes[0].Map.Risks[0] = "x"
	b.Categories()[0].Subclasses[0].ID = "x"
	b.RiskGroups()[0].Risks[0].ID = "x"
	b.Factors()[0].Levels[0].ID = "x"
	*b.Tables()[1].Rows[0].Cells[3].WorkingCite = Cite{}
	b.Tables()[0].Rows[0].Cells[0].Level = 4
	b.Levels()[0].May[0] = "x"
	b.Indicators()[3].Cells[0].Scope[0] = "x"
	b.Reporters()[0].NextHops[0].To[0] = "x"
	b.Rules()[0].Trigger.Levels[0] = 4
	b.Editions()[0].ID = "x"
	o, _ := b.Obligations(Facts{})
	o[0].Rule.Chain[0] = "x"
	if !reflect.DeepEqual(b, load(t)) {
		t.Error("changing a returned value changed the book")
	}
}

func TestTheDigestFollowsEveryByteOfTheRules(t *testing.T) {
	files := shipped(t)
	a, err := LoadFS(files)
	if err != nil {
		t.Fatal(err)
	}
	if a.Digest() != load(t).Digest() {
		t.Error("equal files, different digests")
	}
	files[fileRisks].Data = append(files[fileRisks].Data, "# a remark\n"...)
	b, err := LoadFS(files)
	if err != nil {
		t.Fatal(err)
	}
	if a.Digest() == b.Digest() {
		t.Error("a changed file left the digest unchanged")
	}
}

func TestADamagedRuleFileIsRefusedByFileAndField(t *testing.T) {
	tests := map[string]struct{ file, old, new, want string }{
		"unknown key":                     {fileGrading, "higher_wins_cite:", "higher_win_cite:", `unknown field "higher_win_cite"`},
		"unknown key deep inside":         {fileGrading, "level: 1, cite", "level: 1, colour: red, cite", `unknown field "colour"`},
		"unknown key in a citation":       {fileRisks, "source: P2}", "source: P2, page: 7}", `unknown field "page"`},
		"key in other case":               {filePolicy, "- level: 1\n", "- Level: 1\n", `unknown field "Level"`},
		"duplicate key":                   {filePolicy, "    must: local_adjustment\n", "    must: local_adjustment\n    must: offline\n", "already defined"},
		"number as text":                  {filePolicy, "value: 20,", "value: twenty,", "hot_event[1].value: "},
		"fraction for a level":            {fileGrading, "level: 1, cite", "level: 1.5, cite", "tables[0].rows[0].cells[0].level"},
		"null for a level":                {fileGrading, "level: 1, cite", "level: ~, cite", "tables[0].rows[0].cells[0].level: null"},
		"bytes that are not UTF-8":        {fileRisks, "ethnic hatred", "ethnic \xff", "is not UTF-8"},
		"syntax error":                    {fileRisks, "groups:", "groups: [", fileRisks + ": ["},
		"second document":                 {fileRisks, "groups:", "---\ngroups:\n---\ngroups:", "more than one document"},
		"verified left out":               {fileRisks, "verified: true, ", "", "verified is missing"},
		"clause left out":                 {fileRisks, `clause: "A.1", `, "", "clause is missing"},
		"clause blank":                    {fileRisks, `clause: "A.1 a)"`, `clause: " "`, "groups[0].risks[0].cite.clause: is missing"},
		"edition not listed":              {fileRisks, `edition: "GB/T 45654-2025", clause: "A.1"`, `edition: "GB/T 45654-2099", clause: "A.1"`, "groups[0].cite.edition"},
		"verified by general knowledge":   {fileObligations, `verified: false, source: "K+"`, `verified: true, source: "K+"`, "verified: cannot be true for source K+"},
		"verified by a draft":             {fileCAC, `verified: false, source: "P28-draft"`, `verified: true, source: "P28-draft"`, "cannot be true for source P28-draft"},
		"source not a mark":               {fileCAC, `source: "P22"`, `source: "hearsay"`, `"hearsay" is not a mark`},
		"English name left out":           {fileRisks, `, en: "discrimination by sex"`, "", "groups[1].risks[4].name.en: is missing"},
		"risk in the wrong group":         {fileRisks, "- id: A.2.e", "- id: A.1.z", "is not in group A.2"},
		"risk twice":                      {fileRisks, "- id: A.2.e", "- id: A.2.d", `groups[1].risks[4].id: "A.2.d" is used twice`},
		"map to a risk that is not there": {fileTypes, "risks: [A.1.g, A.5.a]", "risks: [A.1.g, A.9.a]", `types[0].subtypes[1].map.risks: "A.9.a" is not a risk`},
		"map to a foreign subclass":       {fileTypes, "subclasses: [gbt20986.content.false]", "subclasses: [gbt20986.data.leak]", "is not a subclass of"},
		"map to a missing category":       {fileTypes, "category: gbt20986.other\n", "category: gbt20986.none\n", `"gbt20986.none" is not a category`},
		"cell left out":                   {fileGrading, "          - {column: minor, level: 3,", "          - {column: considerable, level: 3,", "no cell for especially_important and minor"},
		"table not monotone":              {fileGrading, "{column: especially_severe, level: 1,", "{column: especially_severe, level: 4,", "the level falls from severe to especially_severe"},
		"working level not monotone":      {fileGrading, "{column: especially_major, empty: true, working: 1,", "{column: especially_major, empty: true, working: 3,", "the level falls"},
		"empty cell without working":      {fileGrading, "empty: true, working: 3,", "empty: true,", "working: 0 is not a level"},
		"empty cell with a level":         {fileGrading, "empty: true, working: 3,", "empty: true, level: 3, working: 3,", "an empty cell has no level"},
		"empty cell in table 1":           {fileGrading, "{column: minor, level: 3, cite", "{column: minor, empty: true, working: 3, working_cite: {edition: PIPL-2021, clause: x, verified: false, source: I}, cite", "only the table of social harm"},
		"two names for two levels":        {fileGrading, `aliases: ["small"]`, `aliases: ["Severe"]`, `"severe" also names severe`},
		"reason with a stray argument":    {fileGrading, "业务损失与社会危害均为{from_loss}", "业务损失与社会危害均为{level}", "{level} is not an argument"},
		"level out of order":              {filePolicy, "- level: 2\n", "- level: 3\n", "levels[1].level: is 3 where 2 is due"},
		"milder demand at graver level":   {filePolicy, "must: feature_restriction\n    may: [offline]\n    report: at_once", "must: local_adjustment\n    may: [offline]\n    report: at_once", "demands more than level"},
		"refusal rate above one":          {filePolicy, "value: 9500", "value: 95000", "above 10000 basis points"},
		"threshold above graver one":      {fileCAC, "grade: major, at_least: 10000000,", "grade: major, at_least: 1000000000,", "is above the threshold of a graver grade"},
		"scope that is not there":         {fileCAC, "scope: [province]", "scope: [planet]", `"planet" is not a scope`},
		"hop from a stranger":             {fileCAC, "- {from: provincial_cac", "- {from: national_cac", "did not receive the report"},
		"deadline that differs":           {fileObligations, "{kind: within, ms: 14400000}", "{kind: within, ms: 14400001}", "gives 14400000 for other"},
		"within without a time":           {fileObligations, "{kind: within, ms: 14400000}", "{kind: within}", "due.ms: must be above zero"},
		"rule without trigger":            {fileObligations, "trigger: {crime_suspected: true}", "trigger: {}", "has no condition"},
		"rule to nobody":                  {fileObligations, "recipient: personal_information_authority", "recipient: nobody", `"nobody" is not a recipient`},
		"levels that the policy denies":   {fileObligations, "trigger: {levels: [1, 2, 3]}", "trigger: {levels: [1, 2]}", "policy.yaml disagree on level 3"},
		"chain in disorder":               {fileObligations, "chain: [oral, initial, supplement]", "chain: [initial, oral]", `"oral": must be a selection`},
		"counter without window":          {fileObligations, ", window_ms: 86400000", "", "window_ms"},
		"summary on the wrong clock":      {fileObligations, "clock: handling_ended\n    items: cac_summary", "clock: awareness\n    items: cac_summary", "goes with the clock handling_ended"},
		"edition with no date":            {fileEditions, `in_force: "2025-11-01"`, `in_force: "soon"`, `"soon" is not a date`},
		"edition twice":                   {fileEditions, `id: "PIPL-2021"`, `id: "GB/T 20986-2023"`, "is used twice"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			files := shipped(t)
			was := string(files[tt.file].Data)
			if !strings.Contains(was, tt.old) {
				t.Fatalf("%s does not hold %q: the test damages nothing", tt.file, tt.old)
			}
			files[tt.file].Data = []byte(strings.Replace(was, tt.old, tt.new, 1))
			b, err := LoadFS(files)
			if err == nil || b != nil {
				t.Fatal("the damage was not noticed")
			}
			var fault *DataError
			if !errors.As(err, &fault) {
				t.Fatalf("not a *DataError: %v", err)
			}
			if !strings.Contains(err.Error(), tt.file+": ") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error does not name %s and %q:\n%v", tt.file, tt.want, err)
			}
		})
	}
}

func TestASetOfRuleFilesIsNeitherMoreNorLess(t *testing.T) {
	if _, err := LoadFS(shipped(t)); err != nil {
		t.Fatalf("control: the shipped files do not load: %v", err)
	}
	for name := range shipped(t) {
		files := shipped(t)
		delete(files, name)
		if _, err := LoadFS(files); err == nil || !strings.Contains(err.Error(), name+": is missing") {
			t.Errorf("without %s: %v", name, err)
		}
		files = shipped(t)
		files[name] = &fstest.MapFile{}
		if _, err := LoadFS(files); err == nil || !strings.Contains(err.Error(), name+": is empty") {
			t.Errorf("empty %s: %v", name, err)
		}
	}
	files := shipped(t)
	files["riskz.yaml"] = &fstest.MapFile{Data: []byte("groups: []")}
	if _, err := LoadFS(files); err == nil || !strings.Contains(err.Error(), "riskz.yaml: is not a rule file") {
		t.Errorf("surplus file: %v", err)
	}
}

func TestEveryFaultIsReportedAtOnce(t *testing.T) {
	files := shipped(t)
	files[fileRisks].Data = []byte(strings.Replace(string(shipped(t)[fileRisks].Data), `en: "promoting ethnic hatred"`, `en: ""`, 1))
	files[fileCategories].Data = []byte(strings.Replace(string(shipped(t)[fileCategories].Data), `en: "computer virus"`, `en: ""`, 1))
	_, err := LoadFS(files)
	if err == nil || !strings.Contains(err.Error(), fileRisks) || !strings.Contains(err.Error(), fileCategories) {
		t.Errorf("both files are at fault: %v", err)
	}
}

// What decodes is checked, and what passes the check can be graded: neither step may panic on any bytes.
func FuzzARuleFileNeverPanics(f *testing.F) {
	b, err := Load()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("factors: [{id: importance, levels: [{id: a, name: {zh: b, en: c}}]}]"))
	f.Add([]byte("tables: [{id: \"1\", factor: social_harm, rows: [{importance: a, cells: [{column: a, empty: true, working: 1}]}]}]"))
	f.Add([]byte("reasons: [{id: grading.reason.both_agree, text: {zh: \"{x}\", en: \"{\"}}]\n---\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r gradingRules
		if decode(data, &r) != nil {
			return
		}
		c := &checker{known: map[string]bool{"x": true}}
		if r.check(c.at(fileGrading), b.policy); c.err() != nil {
			return
		}
		for _, i := range r.factor(FactorImportance).Levels {
			for _, h := range r.factor(FactorSocialHarm).Levels {
				r.evaluate(Factors{Importance: Importance(i.ID), SocialHarm: SocialHarm(h.ID)})
			}
		}
	})
}
