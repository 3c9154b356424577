//go:build torture

// Package process runs Fengsui as processes of its own, for the tests that end them as they end in the world.
package process

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Build builds the binary into a folder.
func Build(dir string, tags ...string) (bin string, err error) {
	bin = filepath.Join(dir, "fengsui")
	out, err := exec.Command("go", "build", "-tags", strings.Join(tags, ","), "-o", bin, "github.com/fengsui/fengsui/cmd/fengsui").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return bin, nil
}

// Main runs the tests of a package with the binary built where bin says, and gives the exit code.
func Main(m *testing.M, bin *string) int {
	dir, err := os.MkdirTemp("", "fengsui-e2e-")
	if err == nil {
		defer os.RemoveAll(dir)
		*bin, err = Build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

var given sync.Map // addresses that Free gave

// Free is an address of the loopback that nobody listens on. It is below the ports that the kernel gives out by itself, so that
// nobody gets it before its process listens there.
func Free(t testing.TB) string {
	t.Helper()
	for range 1000 {
		at := fmt.Sprintf("127.0.0.1:%d", 12_000+rand.IntN(20_000))
		if _, before := given.LoadOrStore(at, true); before {
			continue
		}
		if l, err := net.Listen("tcp", at); err == nil {
			l.Close()
			return at
		}
	}
	t.Fatal("no address is free")
	return ""
}

// Process is one that runs. It ends with the process that started it.
type Process struct {
	Cmd  *exec.Cmd
	Done chan struct{} // closed when it has ended

	mu   sync.Mutex
	said []byte
}

// kept is how much of what a process says is kept, in bytes.
const kept = 256 << 10

// Run starts a program with inherited files.
func Run(files []*os.File, env []string, bin string, args ...string) (*Process, error) {
	p := &Process{Cmd: exec.Command(bin, args...), Done: make(chan struct{})}
	p.Cmd.Stdout, p.Cmd.Stderr, p.Cmd.ExtraFiles = p, p, files
	p.Cmd.Env = append(os.Environ(), env...)
	p.Cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.Cmd.Start(); err != nil {
		return nil, err
	}
	go func() { _ = p.Cmd.Wait(); close(p.Done) }()
	return p, nil
}

// Start is Run for a process that is killed when the test ends, and whose last words are shown if that failed.
func Start(t testing.TB, files []*os.File, bin string, args ...string) *Process {
	t.Helper()
	p, err := Run(files, nil, bin, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if said := p.Said(); t.Failed() {
			t.Logf("%v said:\n%s", args[:min(5, len(args))], said[max(0, len(said)-3000):])
		}
	})
	return p
}

// Write keeps what the process says.
func (p *Process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said = append(p.said, b...)
	if len(p.said) > 2*kept {
		p.said = append([]byte(nil), p.said[len(p.said)-kept:]...)
	}
	return len(b), nil
}

// Said is what it said last.
func (p *Process) Said() string { p.mu.Lock(); defer p.mu.Unlock(); return string(p.said) }

// Kill ends it at once, as kill -9 does.
func (p *Process) Kill() { _ = p.Cmd.Process.Kill(); <-p.Done }

// Term asks it to end.
func (p *Process) Term() { _ = p.Cmd.Process.Signal(syscall.SIGTERM) }

// Ended says whether it has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.Done:
		return true
	default:
		return false
	}
}

// Until looks until something holds.
func Until(t testing.TB, what string, within time.Duration, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not in time: " + what)
		}
	}
}
