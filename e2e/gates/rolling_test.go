//go:build torture

package gates

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Two gateways of one host share a listening socket, as systemd gives one to several services (Sockets=): what one
// stops to accept the other takes.
func TestGatewaysAreRestartedOneAfterTheOtherWithoutARefusedRequest(t *testing.T) {
	h := open(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	l.Close() // only the processes accept
	var gates []*gate
	for _, name := range []string{"edge-1", "edge-2"} {
		g := &gate{name: name, dir: filepath.Join(h.dir, name), url: address, ops: free(t), inherited: []*os.File{socket}}
		g.args = []string{"serve", "--role", "gateway", "--data", g.dir, "--listen", g.ops, "--gateway-listen", "fd:3", "--control", "http://" + h.node, "--join", h.invite(t, name), "--allow-private-upstream", "--drain", "20s"}
		g.start(t)
		gates = append(gates, g)
	}
	ready := func(g *gate) {
		t.Helper()
		until(t, g.name+" to be ready", func() bool { return status("http://"+g.ops+"/readyz") == 200 && h.effective(t, g.name) })
	}
	for _, g := range gates {
		ready(g)
	}
	var asked, failed atomic.Int64
	var first sync.Once
	stop := make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond) // 200 a second
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			asking.Go(func() {
				asked.Add(1)
				if code, body := chat(address, h.key); code != 200 {
					failed.Add(1)
					first.Do(func() { t.Errorf("refused: %d %s", code, body) })
				}
			})
		}
	})
	var streams []*stream
	for _, g := range gates {
		for range 6 {
			streams = append(streams, h.stream(t, address, "short"))
		}
		g.p.Term()
		select {
		case <-g.p.Done:
		case <-time.After(25 * time.Second):
			t.Fatalf("%s does not end", g.name)
		}
		g.start(t)
		ready(g)
	}
	close(stop)
	asking.Wait()
	for _, s := range streams {
		<-s.done
		if s.words.Load() != 100 || !strings.Contains(s.end, "[DONE]") {
			t.Errorf("a stream that was open ended after %d words: %s", s.words.Load(), s.end)
		}
	}
	t.Logf("%d requests over two restarts, %d failed", asked.Load(), failed.Load())
	if asked.Load() < 500 || failed.Load() > 0 {
		t.Errorf("%d of %d requests failed", failed.Load(), asked.Load())
	}
}

func TestAStreamThatOutlivesTheDrainIsCutAndAnOrderReachesOneThatIsDraining(t *testing.T) {
	h := open(t)
	g := h.join(t, "edge-1", h.node, "--drain", "15s")
	s := h.stream(t, g.url, "hi")
	until(t, "words", func() bool { return s.words.Load() > 5 })
	began := time.Now()
	g.p.Term()
	before := s.words.Load()
	until(t, "words while draining", func() bool { return s.words.Load() > before+20 })
	id := h.offline(t)
	until(t, "the acknowledgement", func() bool { return len(h.proof(t, id).Acks) == 1 })
	select {
	case <-s.done:
	case <-time.After(2 * time.Second):
		t.Error("an order does not reach a stream that is draining")
	}
	<-g.p.Done
	if time.Since(began) > 12*time.Second {
		t.Error("with nothing open the drain goes on to its limit")
	}

	other := open(t)
	g = other.join(t, "edge-1", other.node, "--drain", "2s")
	s = other.stream(t, g.url, "hi")
	until(t, "words", func() bool { return s.words.Load() > 5 })
	g.p.Term()
	select {
	case <-g.p.Done:
	case <-time.After(10 * time.Second):
		t.Fatal("the drain has no end")
	}
	<-s.done
}
