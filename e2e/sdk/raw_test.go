package sdk

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/simulate"
)

// post sends a body as it is, which no client would.
func post(t *testing.T, baseURL, key string, header map[string]string, body []byte) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(soon(t), http.MethodPost, baseURL+"/chat/completions", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	for k, v := range header {
		req.Header.Set(k, v)
	}
	hc := &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
	defer hc.CloseIdleConnections()
	resp, err := hc.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, b
}

// Two readings of one body are how a filter is walked around: the gateway must
// not choose one, it must refuse.
func TestBodiesThatCanBeReadTwoWaysAreRefusedBeforeTheUpstream(t *testing.T) {
	h := build(t, simulate.Options{})
	harmful := `[{"role":"user","content":"` + blockedTerm + `"}]`
	benign := `[{"role":"user","content":"今天天气怎么样？"}]`
	model := `"model":"fengsui-sim-1"`
	var zipped bytes.Buffer
	zw := gzip.NewWriter(&zipped)
	if _, err := zw.Write([]byte(`{` + model + `,"messages":` + harmful + `}`)); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	gz := map[string]string{"Content-Encoding": "gzip"}
	for name, tc := range map[string]struct {
		header map[string]string
		body   string
	}{
		"another letter case after":   {nil, `{` + model + `,"messages":` + harmful + `,"Messages":` + benign + `}`},
		"another letter case before":  {nil, `{` + model + `,"Messages":` + benign + `,"messages":` + harmful + `}`},
		"upper case only":             {nil, `{` + model + `,"MESSAGES":` + harmful + `}`},
		"repeated, benign last":       {nil, `{` + model + `,"messages":` + harmful + `,"messages":` + benign + `}`},
		"repeated, harmful last":      {nil, `{` + model + `,"messages":` + benign + `,"messages":` + harmful + `}`},
		"repeated by escape":          {nil, `{` + model + `,"messages":` + benign + `,"messag\u0065s":` + harmful + `}`},
		"letter that folds to k or s": {nil, `{` + model + `,"messages":` + benign + `,"meſſages":` + harmful + `}`},
		"repeated content":            {nil, `{` + model + `,"messages":[{"role":"user","content":"` + blockedTerm + `","content":"hi"}]}`},
		"content in two cases":        {nil, `{` + model + `,"messages":[{"role":"user","content":"hi","Content":"` + blockedTerm + `"}]}`},
		"repeated n":                  {nil, `{` + model + `,"n":1,"n":2,"messages":` + benign + `}`},
		"two documents":               {nil, `{` + model + `,"messages":` + benign + `}{` + model + `,"messages":` + harmful + `}`},
		"trailing bytes":              {nil, `{` + model + `,"messages":` + benign + `} x`},
		"broken UTF-8":                {nil, `{` + model + `,"messages":[{"role":"user","content":"` + blockedTerm[:4] + `"}]}`},
		"half a surrogate":            {nil, `{` + model + `,"messages":[{"role":"user","content":"\ud83d"}]}`},
		"UTF-16":                      {map[string]string{"Content-Type": "application/json; charset=utf-16"}, "\xff\xfe{\x00}\x00"},
		"byte order mark":             {nil, "\xef\xbb\xbf{" + model + `,"messages":` + benign + `}`},
		"compressed":                  {gz, zipped.String()},
		"said to be compressed":       {gz, `{` + model + `,"messages":` + benign + `}`},
		"a list":                      {nil, `[` + benign + `]`},
		"not JSON":                    {nil, `messages=` + benign},
		"empty":                       {nil, ``},
	} {
		status, b := post(t, h.gateway, h.guarded, tc.header, []byte(tc.body))
		var doc struct {
			Error struct{ Message, Type, Code string }
		}
		if err := json.Unmarshal(b, &doc); status/100 != 4 || err != nil || doc.Error.Code == "" || doc.Error.Message == "" {
			t.Errorf("%s: %d %s", name, status, b)
		}
		if strings.Contains(string(b), "违禁") {
			t.Errorf("%s: the refusal repeats the prompt", name)
		}
	}
	if n := len(h.model.Calls()); n != 0 {
		t.Errorf("%d of them reached the upstream", n)
	}
	// The controls: the benign reading alone is served, and the model itself would
	// have taken what is refused above, so the refusals are the gateway's.
	if status, b := post(t, h.gateway, h.guarded, nil, []byte(`{`+model+`,"messages":`+benign+`}`)); status != 200 {
		t.Errorf("benign: %d %s", status, b)
	}
	if status, b := post(t, h.upstream, upstreamKey, nil, []byte(`{`+model+`,"messages":`+benign+`,"messages":`+harmful+`}`)); status != 200 {
		t.Errorf("the model by itself: %d %s", status, b)
	}
}
