//go:build torture

package gates

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// stop runs fengsui gateway stop and gives what it said, and whether it succeeded.
func stop(t *testing.T, token any, state string) (said string, ok bool) {
	t.Helper()
	js, err := json.Marshal(token)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "token.json")
	if err := os.WriteFile(file, js, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(binary, "gateway", "stop", "--lang", "en", "--token", file, "--data", state).CombinedOutput()
	return string(out), err == nil
}

type sealed struct {
	ID    string         `json:"id"`
	Token map[string]any `json:"token"`
}

func TestASealedTokenTakesAServiceOfflineWithoutControlAndOnlyControlBringsItBack(t *testing.T) {
	h := open(t)
	g := h.join(t, "edge-1", h.node)
	other := h.join(t, "edge-2", h.node)
	var void, token sealed
	h.call(t, "POST", "/services/"+h.service+"/stop-token", nil, &void)
	h.call(t, "POST", "/services/"+h.service+"/stop-token", nil, &token) // the one before is void
	time.Sleep(500 * time.Millisecond)
	if said, ok := stop(t, void, g.dir); ok || !strings.Contains(said, "refuses this token") {
		t.Errorf("a void token: %s", said)
	}
	s := h.stream(t, g.url, "hi")
	until(t, "words", func() bool { return s.words.Load() > 5 })
	h.control.Kill()
	forged := sealed{token.ID, map[string]any{}}
	for k, v := range token.Token {
		forged.Token[k] = v
	}
	forged.Token["signature"] = void.Token["signature"]
	if said, ok := stop(t, forged, g.dir); ok || !strings.Contains(said, "refuses this token") {
		t.Errorf("a forged token: %s", said)
	}
	if code, _ := chat(g.url, h.key); code != 200 {
		t.Fatal("a refused token took the service offline")
	}
	if said, ok := stop(t, token, g.dir); !ok || !strings.Contains(said, "offline on this gateway") {
		t.Fatalf("%s", said)
	}
	told := time.Now().UnixMicro()
	select {
	case <-s.done:
	case <-time.After(5 * time.Second):
		t.Fatal("a stream goes on")
	}
	if s.last.Load() > told {
		t.Error("words after the command had said that the service is offline")
	}
	g.p.Kill()
	g.start(t)
	until(t, "the door", func() bool {
		code, body := chat(g.url, h.key)
		return code == 503 && strings.Contains(body, "service_offline")
	})
	if code, _ := chat(other.url, h.key); code != 200 {
		t.Error("the token binds where it was not used")
	}

	h.serve(t)
	var orders struct {
		Items []struct {
			ID, Rung, State, Cause string
			IncidentID             string `json:"incident_id"`
		}
	}
	until(t, "control's order", func() bool { h.call(t, "GET", "/orders", nil, &orders); return len(orders.Items) == 1 })
	o := orders.Items[0]
	if o.Rung != "service_offline" || o.State != "in_force" || o.Cause != "anomaly" || o.IncidentID != "" {
		t.Errorf("%+v", o)
	}
	until(t, "both gateways", func() bool { return h.proof(t, o.ID).Acknowledged })
	if code, body := chat(other.url, h.key); code != 503 {
		t.Errorf("the other gateway: %d %s", code, body)
	}
	until(t, "the token to be spent", func() bool {
		left, _ := filepath.Glob(filepath.Join(g.dir, "stops", token.ID+".json"))
		return len(left) == 0
	})
	h.call(t, "POST", "/orders/"+o.ID+"/undo", map[string]any{"reason": "a test"}, nil)
	until(t, "the service to be back by control's word", func() bool { a, _ := chat(g.url, h.key); b, _ := chat(other.url, h.key); return a == 200 && b == 200 })
	if said, ok := stop(t, token, g.dir); ok || !strings.Contains(said, "refuses this token") {
		t.Errorf("a spent token: %s", said)
	}
}
