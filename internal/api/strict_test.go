package api_test

import (
	"strings"
	"testing"
)

// What is not exactly a request is refused with the field at fault, and changes nothing.
func TestARequestThatIsNotExactlyOneIsRefused(t *testing.T) {
	b := newBench(t)
	good := `{"name":"n","province":"p","kind":"other"}`
	for name, c := range map[string]struct {
		body    string
		headers []string
		status  string // acceptable statuses
		field   string
	}{
		"a key twice":                  {`{"name":"a","name":"b","province":"p","kind":"other"}`, nil, "400", ""},
		"a key twice, far apart":       {`{"name":"a","province":"p","kind":"other","name":"a"}`, nil, "400", ""},
		"a key in another case":        {`{"Name":"n","province":"p","kind":"other"}`, nil, "422", "name"},
		"a key in two cases":           {`{"name":"n","Name":"m","province":"p","kind":"other"}`, nil, "422", "Name"},
		"a key with a long s":          {`{"name":"n","province":"p","kind":"other","filingſ":"[]"}`, nil, "422", "filingſ"},
		"an unknown key":               {`{"name":"n","province":"p","kind":"other","admin":true}`, nil, "422", "admin"},
		"a key is missing":             {`{"name":"n","province":"p"}`, nil, "422", "kind"},
		"a number for a text":          {`{"name":1,"province":"p","kind":"other"}`, nil, "422", "name"},
		"nothing for a text":           {`{"name":null,"province":"p","kind":"other"}`, nil, "422", "name"},
		"an unknown kind":              {`{"name":"n","province":"p","kind":"bank"}`, nil, "422", "kind"},
		"a name too long":              {`{"name":"` + strings.Repeat("长", 201) + `","province":"p","kind":"other"}`, nil, "422", "name"},
		"something behind":             {good + ` {}`, nil, "400", ""},
		"a comma too many":             {`{"name":"n","province":"p","kind":"other",}`, nil, "400", ""},
		"a comment":                    {`{"name":"n"/**/,"province":"p","kind":"other"}`, nil, "400", ""},
		"cut off":                      {good[:20], nil, "400", ""},
		"no JSON":                      {`name=n`, nil, "400", ""},
		"only blanks":                  {` `, nil, "400 422", ""},
		"a list":                       {`[` + good + `]`, nil, "422", "body"},
		"null":                         {`null`, nil, "400 422", ""},
		"broken UTF-8":                 {"{\"name\":\"\xff\xfe\",\"province\":\"p\",\"kind\":\"other\"}", nil, "400", ""},
		"half a surrogate":             {`{"name":"\ud800","province":"p","kind":"other"}`, nil, "400", ""},
		"a byte order mark":            {"\ufeff" + good, nil, "400", ""},
		"UTF-16":                       {"{\x00}\x00", nil, "400", ""},
		"very deep":                    {`{"name":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `,"province":"p","kind":"other"}`, nil, "400 422", ""},
		"a text type":                  {good, []string{"Content-Type", "text/plain"}, "415", ""},
		"a form":                       {"name=n&province=p&kind=other", []string{"Content-Type", "application/x-www-form-urlencoded"}, "415", ""},
		"YAML":                         {"name: n", []string{"Content-Type", "application/yaml"}, "415", ""},
		"compressed":                   {"\x1f\x8b\x08\x00", []string{"Content-Encoding", "gzip"}, "400 415", ""},
		"too large":                    {`{"name":"` + strings.Repeat("x", 2<<20) + `","province":"p","kind":"other"}`, nil, "413", ""},
		"an idempotency key too long":  {good, []string{"Idempotency-Key", strings.Repeat("k", 201)}, "422", "Idempotency-Key"},
		"a list that must not be none": {`{"name":"n","province":"p","kind":"other","filings":"{"}`, nil, "422", "filings"},
	} {
		t.Run(name, func(t *testing.T) {
			operators, entries := b.count(t, "SELECT COUNT(*) FROM operator"), b.count(t, "SELECT COUNT(*) FROM record_entries WHERE action LIKE 'operator%'")
			a := b.call(t, "safety_engineer", "POST", "/operators", c.body, c.headers...)
			if !strings.Contains(c.status, itoa(a.status)) {
				t.Errorf("%d, want %s: %s", a.status, c.status, a.body)
			}
			if c.field != "" && a.Field != c.field && !strings.HasPrefix(a.Field, c.field+".") {
				t.Errorf("the field at fault is %q, want %q: %s", a.Field, c.field, a.body)
			}
			if b.count(t, "SELECT COUNT(*) FROM operator") != operators || b.count(t, "SELECT COUNT(*) FROM record_entries WHERE action LIKE 'operator%'") != entries {
				t.Error("a refused request changed something")
			}
			if c.body != "" && strings.Contains(b.log.String(), "filingſ") {
				t.Error("what was sent is in the log")
			}
		})
	}
	b.must(t, b.call(t, "safety_engineer", "POST", "/operators", good), nil)
	b.must(t, b.call(t, "safety_engineer", "POST", "/operators", good, "Content-Type", "application/json; charset=utf-8"), nil)
}

func itoa(n int) string {
	return string([]byte{byte('0' + n/100), byte('0' + n/10%10), byte('0' + n%10)})
}

func TestAQueryIsReadAsStrictly(t *testing.T) {
	b := newBench(t)
	for query, status := range map[string]int{"?limit=5": 200, "?limit=-1": 422, "?limit=201": 422, "?limit=x": 422, "?colour=red": 422, "?Limit=5": 422, "?state=declared": 200, "?state=declared,closed": 200, "?state=%27%20OR%201=1--": 422, "?state=closed&state=declared": 422, "?cursor=x": 422, "?from_ms=-1": 422, "?q=%FF": 422} {
		if a := b.call(t, "auditor", "GET", "/incidents"+query, ""); a.status != status {
			t.Errorf("%s: %d, want %d: %s", query, a.status, status, a.body)
		}
	}
	for path, status := range map[string]int{"/nothing": 404, "/incidents/" + strings.Repeat("x", 65): 422, "/incidents/x": 404, "/incidents/..%2F..%2Fetc": 404, "/plans/p/versions/0/approve": 404} {
		if a := b.call(t, "auditor", "GET", path, ""); a.status != status {
			t.Errorf("%s: %d, want %d: %s", path, a.status, status, a.body)
		}
	}
	if a := b.call(t, "management", "POST", "/plans/p/versions/0/approve", ""); a.status != 422 {
		t.Errorf("version 0: %d %s", a.status, a.body)
	}
	for _, method := range []string{"PUT", "DELETE", "PATCH"} {
		if a := b.call(t, "auditor", method, "/incidents", "{}"); a.status != 404 && a.status != 405 {
			t.Errorf("%s: %d", method, a.status)
		}
	}
}

func TestErrorsSpeakTheCallersLanguage(t *testing.T) {
	b := newBench(t)
	for lang, want := range map[string]string{"": "没有找到“事件”", "zh-CN": "没有找到“事件”", "en": "Not found: incident.", "en-GB,zh;q=0.5": "Not found: incident.", "fr": "没有找到“事件”"} {
		if a := b.call(t, "auditor", "GET", "/incidents/x", "", "Accept-Language", lang); !strings.Contains(a.Detail, want) || a.Key != "error.not_found" || a.Field != "incident_id" {
			t.Errorf("%q: %s", lang, a.body)
		}
	}
	for lang, want := range map[string]string{"zh": "请先出示令牌", "en": "Please present a token"} {
		if a := b.call(t, "", "GET", "/incidents", "", "Accept-Language", lang); a.status != 401 || !strings.Contains(a.Detail, want) {
			t.Errorf("%q: %s", lang, a.body)
		}
		if a := b.call(t, "safety_engineer", "POST", "/operators", "{", "Accept-Language", lang); a.status != 400 || (lang == "en") != strings.Contains(a.Detail, "malformed") {
			t.Errorf("%q: %s", lang, a.body)
		}
		if a := b.call(t, "auditor", "GET", "/nowhere", "", "Accept-Language", lang); a.status != 404 || (lang == "en") != strings.Contains(a.Detail, "no such path") {
			t.Errorf("%q: %s", lang, a.body)
		}
	}
}

func TestAFailureOfOursHasAnIDThatIsInTheLogAndSaysNothingElse(t *testing.T) {
	b := newBench(t)
	b.exec(t, "ALTER TABLE fix RENAME TO fix_gone", "INSERT INTO incident (id, number, kind, operator_id, service_id, title, state, editions, declared_by, declared_ms) SELECT 'inc', 'IN-X', 'real', operator_id, id, 't', 'declared', '[]', 'x', 1 FROM service")
	a := b.call(t, "auditor", "GET", "/incidents/inc", "")
	if a.status != 500 || a.Key != "error.internal" || a.ID == "" || !strings.Contains(a.Detail, a.ID) || strings.Contains(a.body, "fix") || strings.Contains(a.body, "SQL") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if log := b.log.String(); !strings.Contains(log, a.ID) || !strings.Contains(log, "no such table") && !strings.Contains(log, `relation \"fix\" does not exist`) {
		t.Errorf("the log does not tell of %s: %s", a.ID, log)
	}
}

func TestATokenIsAskedForInEveryWayItCanBeMissing(t *testing.T) {
	b := newBench(t)
	token := b.tokens["auditor"]
	for name, header := range map[string]string{"none": "", "no scheme": token, "another scheme": "Basic " + token, "empty": "Bearer ", "wrong": "Bearer fst-x", "a gateway key's form": "Bearer fsk-" + token[4:], "twice": "Bearer Bearer " + token} {
		if a := b.call(t, "", "GET", "/me", "", "Authorization", header); a.status != 401 {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	for _, header := range []string{"Bearer " + token, "bearer " + token, "BEARER  " + token} {
		if a := b.call(t, "", "GET", "/me", "", "Authorization", header); a.status != 200 || !strings.Contains(a.body, b.person["auditor"]) {
			t.Errorf("%q: %d", header[:8], a.status)
		}
	}
	b.exec(t, "UPDATE token SET revoked_ms = 1")
	if a := b.call(t, "auditor", "GET", "/me", ""); a.status != 401 || a.Key != "identity.bad_token" {
		t.Errorf("revoked: %d %s", a.status, a.Key)
	}
}

func TestWhatTheSchemaFindsIsSaidInTheCallersLanguage(t *testing.T) {
	b := newBench(t)
	for body, want := range map[string][2]string{
		`{"name":"n","province":"p"}`:                                               {"kind 未填写", "kind is missing"},
		`{"name":"n","province":"p","kind":"bank"}`:                                 {"kind 须为其中之一", "kind must be one of: "},
		`{"name":1,"province":"p","kind":"other"}`:                                  {"name 须为文本", "name must be a text"},
		`{"name":"n","province":"p","kind":"other","admin":1}`:                      {"admin 不是这个接口的字段", "admin is no field"},
		`{"name":"` + strings.Repeat("长", 201) + `","province":"p","kind":"other"}`: {"name 最长 200 个字符", "name must have at most 200 characters"},
	} {
		for i, lang := range []string{"zh", "en"} {
			if a := b.call(t, "safety_engineer", "POST", "/operators", body, "Accept-Language", lang); a.status != 422 || !strings.Contains(a.Detail, want[i]) {
				t.Errorf("%s %.60s: %s", lang, body, a.Detail)
			}
		}
	}
}
