//go:build torture

package gates

import (
	"strings"
	"testing"
	"time"
)

func TestAnOrderEndsTheStreamsOfTwoGatewaysAndNothingComesAfterItsAcknowledgement(t *testing.T) {
	h := open(t)
	one, two := h.join(t, "edge-1", h.node), h.join(t, "edge-2", h.node)
	if h.effective(t, "gateway-1") {
		t.Error("control that has no gateway of its own says it has")
	}
	var streams []*stream
	for range 10 {
		streams = append(streams, h.stream(t, one.url, "hi"), h.stream(t, two.url, "hi"))
	}
	until(t, "words on all streams", func() bool {
		for _, s := range streams {
			if s.words.Load() < 5 {
				return false
			}
		}
		return true
	})
	asked := time.Now()
	id := h.offline(t)
	until(t, "both acknowledgements", func() bool { return h.proof(t, id).Acknowledged })
	told := time.Now().UnixMicro()
	time.Sleep(300 * time.Millisecond)
	var late, worst int64
	for i, s := range streams {
		select {
		case <-s.done:
		case <-time.After(5 * time.Second):
			t.Errorf("stream %d goes on", i)
			continue
		}
		if s.last.Load() > told {
			late++
		}
		worst = max(worst, s.last.Load()-asked.UnixMicro())
	}
	t.Logf("last word %.0f ms after the call that issued the order, over two processes and %d streams", float64(worst)/1000, len(streams))
	if late != 0 {
		t.Errorf("%d streams got words after the acknowledgement", late)
	}
	p := h.proof(t, id)
	cut := 0
	for _, a := range p.Acks {
		cut += a.StreamsCut
	}
	if len(p.Acks) != 2 || cut != len(streams) {
		t.Errorf("%+v", p)
	}
	until(t, "a probe through both", func() bool { return h.proof(t, id).Proven })
	for _, g := range []*gate{one, two} {
		if code, body := chat(g.url, h.key); code != 503 || !strings.Contains(body, "service_offline") {
			t.Errorf("%s: %d %s", g.name, code, body)
		}
		if code := status("http://" + g.ops + "/readyz"); code != 200 {
			t.Errorf("%s: /readyz %d", g.name, code)
		}
	}
}

func TestAGatewayGoesOnWhileControlIsDeadAndObeysItWhenItIsBack(t *testing.T) {
	h := open(t)
	g := h.join(t, "edge-1", h.node)
	s := h.stream(t, g.url, "hi")
	until(t, "words", func() bool { return s.words.Load() > 5 })
	h.control.Kill()
	before := s.words.Load()
	until(t, "words without control", func() bool { return s.words.Load() > before+50 })
	if code, body := chat(g.url, h.key); code != 200 {
		t.Errorf("without control: %d %s", code, body)
	}
	g.p.Kill()
	g.start(t)
	until(t, "a start without control", func() bool { code, _ := chat(g.url, h.key); return code == 200 })
	s = h.stream(t, g.url, "hi")
	h.serve(t)
	until(t, "contact", func() bool { return h.effective(t, "edge-1") })
	id := h.offline(t)
	until(t, "the acknowledgement", func() bool { return h.proof(t, id).Acknowledged })
	select {
	case <-s.done:
	case <-time.After(5 * time.Second):
		t.Error("the stream outlives the order")
	}
}

func TestWhatAGatewaySawSurvivesItsDeathAndIsCountedOnce(t *testing.T) {
	h := open(t)
	control := newLine(t, h.node)
	g := h.join(t, "edge-1", control.address())
	until(t, "the rows of the beginning", func() bool { return h.rows(t, "edge-1") >= 1 })
	begun := h.rows(t, "edge-1")
	control.set(true)
	asked := 0
	for range 3 {
		for range 10 {
			if code, body := chat(g.url, h.key); code != 200 {
				t.Fatalf("%d %s", code, body)
			}
			asked++
		}
		time.Sleep(200 * time.Millisecond) // the row of a request is made when it has ended, after the client has its answer
		g.p.Kill()
		g.start(t)
		until(t, "a start", func() bool { code, _ := chat(g.url, h.key); return code == 200 })
		asked++
	}
	if n := h.rows(t, "edge-1"); n != begun {
		t.Fatalf("control has %d rows over a line that is cut", n)
	}
	for range 4 { // whatever part of a batch gets through, and whatever answer does not
		control.set(false)
		time.Sleep(15 * time.Millisecond)
		control.set(true)
	}
	control.set(false)
	for range 200 {
		if h.rows(t, "edge-1") >= begun+asked {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	time.Sleep(time.Second)
	if n := h.rows(t, "edge-1"); n != begun+asked {
		t.Errorf("%d rows of %d requests", n-begun, asked)
	}
}

func TestAGatewayThatHearsNothingObeysItsIsolationPolicyAlsoAfterARestart(t *testing.T) {
	h := open(t)
	control := newLine(t, h.node)
	g := h.join(t, "edge-1", control.address(), "--isolation", "closed", "--contact-within", "2s")
	free := h.join(t, "edge-2", control.address(), "--contact-within", "2s")
	control.set(true)
	until(t, "the gateway to close", func() bool { code, _ := chat(g.url, h.key); return code == 503 })
	if code, _ := chat(free.url, h.key); code != 200 {
		t.Error("a gateway that is to go on does not")
	}
	if code := status("http://" + g.ops + "/readyz"); code != 503 {
		t.Errorf("/readyz of a closed gateway: %d", code)
	}
	g.p.Kill()
	g.start(t)
	until(t, "the start", func() bool { return status("http://"+g.ops+"/healthz") == 200 })
	for range 20 {
		if code, _ := chat(g.url, h.key); code == 200 {
			t.Fatal("a restart counts as contact")
		}
		time.Sleep(20 * time.Millisecond)
	}
	until(t, "control to notice", func() bool { return !h.effective(t, "edge-1") && !h.effective(t, "edge-2") })
	id := h.offline(t)
	if p := h.proof(t, id); p.Acknowledged || len(p.Missing) != 2 {
		t.Errorf("%+v", p)
	}
	control.set(false)
	until(t, "both to obey", func() bool { return h.proof(t, id).Acknowledged })
	for _, g := range []*gate{g, free} {
		if code, body := chat(g.url, h.key); code != 503 || !strings.Contains(body, "service_offline") {
			t.Errorf("%s: %d %s", g.name, code, body)
		}
	}
}

func TestARevokedGatewayClosesAndStaysClosed(t *testing.T) {
	h := open(t)
	g := h.join(t, "edge-1", h.node)
	s := h.stream(t, g.url, "hi")
	until(t, "words", func() bool { return s.words.Load() > 5 })
	h.call(t, "POST", "/gateways/edge-1/revoke", map[string]any{}, nil)
	until(t, "the gateway to close", func() bool { code, _ := chat(g.url, h.key); return code == 503 })
	select {
	case <-s.done:
	case <-time.After(5 * time.Second):
		t.Error("a stream goes on at a revoked gateway")
	}
	g.p.Kill()
	g.start(t)
	until(t, "the start", func() bool { return status("http://"+g.ops+"/healthz") == 200 })
	for range 20 {
		if code, _ := chat(g.url, h.key); code == 200 {
			t.Fatal("a revoked gateway passes after a restart")
		}
		time.Sleep(20 * time.Millisecond)
	}
}
