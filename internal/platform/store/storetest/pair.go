package storetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Pair is a private PostgreSQL with a standby that has every commit before it is acknowledged, as a failover that loses
// nothing needs. Both listen on the loopback; what goes wrong is an error, because a test breaks them on purpose.
type Pair struct {
	dir, programs string
	as            *syscall.Credential

	mu      sync.Mutex
	primary *postmaster
	standby *postmaster // nil between a failover and Rebuild
	made    int
}

type postmaster struct {
	data, port string
	cmd        *exec.Cmd
	ended      chan struct{}
}

// StartPair makes and starts them, with an empty database; they end with the test.
func StartPair(t testing.TB, database string) *Pair {
	t.Helper()
	programs, err := bin()
	if err != nil {
		t.Fatal(err)
	}
	as, err := unprivileged()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "fengsui-pp-")
	if err != nil {
		t.Fatal(err)
	}
	p := &Pair{dir: dir, programs: programs, as: as}
	t.Cleanup(func() {
		for _, m := range []*postmaster{p.primary, p.standby} {
			if m != nil && m.cmd != nil {
				_ = m.stop(syscall.SIGQUIT)
			}
		}
		os.RemoveAll(dir)
	})
	if as != nil {
		if err := os.Chown(dir, int(as.Uid), int(as.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	p.primary = &postmaster{data: p.folder(), port: freePort(t)}
	if err := p.do("initdb", "-D", p.primary.data, "-U", "fengsui", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := p.Exec(ctx, "postgres", "CREATE DATABASE "+database); err != nil {
		t.Fatal(err)
	}
	if err := p.Rebuild(ctx); err != nil {
		t.Fatal(err)
	}
	return p
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func (p *Pair) folder() string { p.made++; return filepath.Join(p.dir, fmt.Sprint("data", p.made)) }

func (p *Pair) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(p.programs, name), args...)
	c.Dir, c.Env = p.dir, []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: p.as}
	return c
}

func (p *Pair) do(name string, args ...string) error {
	if out, err := p.command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

// Address is where the primary listens.
func (p *Pair) Address() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return "127.0.0.1:" + p.primary.port
}

// URL is the address of a database of the primary.
func (p *Pair) URL(database string) string { return URLAt(p.Address(), database) }

// Standby is the address of a database of the standby, which only reads.
func (p *Pair) Standby(database string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return URLAt("127.0.0.1:"+p.standby.port, database)
}

// URLAt is the address of a database of a server on the loopback.
func URLAt(address, database string) string {
	return "postgres://fengsui@" + address + "/" + database + "?sslmode=disable"
}

// Exec runs statements at the primary as its superuser.
func (p *Pair) Exec(ctx context.Context, database string, statements ...string) error {
	c, err := pgx.Connect(ctx, p.URL(database))
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	for _, s := range statements {
		if _, err := c.Exec(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// Start starts the primary and waits until it answers.
func (p *Pair) Start() error { return p.run(p.primary) }

func (p *Pair) run(m *postmaster) error {
	log, err := os.OpenFile(m.data+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	args := []string{"-D", m.data}
	for _, s := range []string{"listen_addresses=127.0.0.1", "port=" + m.port, "unix_socket_directories=", "max_connections=200", "shared_buffers=64MB", "wal_keep_size=256MB", "hot_standby=on"} {
		args = append(args, "-c", s)
	}
	m.cmd = p.command("postgres", args...)
	m.cmd.Stdout, m.cmd.Stderr = log, log
	if err := m.cmd.Start(); err != nil {
		return err
	}
	cmd, ended := m.cmd, make(chan struct{})
	m.ended = ended
	go func() { _ = cmd.Wait(); close(ended) }()
	for range 1500 {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		c, err := pgx.Connect(ctx, URLAt("127.0.0.1:"+m.port, "postgres"))
		if err == nil {
			c.Close(ctx)
		}
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ended:
			said, _ := os.ReadFile(m.data + ".log")
			return fmt.Errorf("PostgreSQL ended: %s", said[max(0, len(said)-2000):])
		case <-time.After(20 * time.Millisecond):
		}
	}
	return errors.New("PostgreSQL does not answer")
}

// Stop ends the primary: SIGINT is its fast stop, SIGQUIT its immediate one, SIGKILL kills it with all its processes.
func (p *Pair) Stop(how syscall.Signal) error { return p.primary.stop(how) }

func (m *postmaster) stop(how syscall.Signal) error {
	select {
	case <-m.ended:
		return nil
	default:
	}
	if how == syscall.SIGKILL {
		for _, pid := range children(m.cmd.Process.Pid) {
			defer func() { _ = syscall.Kill(pid, syscall.SIGKILL) }()
		}
	}
	if err := m.cmd.Process.Signal(how); err != nil {
		return err
	}
	select {
	case <-m.ended:
		return nil
	case <-time.After(time.Minute):
		return fmt.Errorf("PostgreSQL does not end by %v", how)
	}
}

func children(pid int) (out []int) {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, f := range strings.Fields(string(raw)) {
		if n, err := strconv.Atoi(f); err == nil {
			out = append(out, n)
		}
	}
	return out
}

// KillBackend kills -9 the process behind one of the connections; the server then ends all the others and recovers.
func (p *Pair) KillBackend(ctx context.Context, pick func(n int) int) error {
	c, err := pgx.Connect(ctx, p.URL("postgres"))
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	rows, err := c.Query(ctx, "SELECT pid FROM pg_stat_activity WHERE application_name = 'fengsui' ORDER BY pid")
	if err != nil {
		return err
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil || len(pids) == 0 {
		return errors.Join(err, errors.New("there is no connection"))
	}
	return syscall.Kill(pids[pick(len(pids))], syscall.SIGKILL)
}

// Failover kills the primary and promotes the standby, which is the primary when it returns.
func (p *Pair) Failover(ctx context.Context) error {
	if p.standby == nil {
		return errors.New("there is no standby")
	}
	if err := p.primary.stop(syscall.SIGKILL); err != nil {
		return err
	}
	c, err := pgx.Connect(ctx, URLAt("127.0.0.1:"+p.standby.port, "postgres"))
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	var promoted bool
	if err := c.QueryRow(ctx, "SELECT pg_promote(true, 30)").Scan(&promoted); err != nil || !promoted {
		return errors.Join(err, fmt.Errorf("promoted: %v", promoted))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	os.RemoveAll(p.primary.data)
	p.primary, p.standby = p.standby, nil
	return nil
}

// Rebuild gives the primary a new standby, and has commits wait for it from then on.
func (p *Pair) Rebuild(ctx context.Context) error {
	s := &postmaster{data: p.folder(), port: strconv.Itoa(0)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	_, s.port, _ = net.SplitHostPort(l.Addr().String())
	l.Close()
	host, port, _ := net.SplitHostPort(p.Address())
	if err := p.do("pg_basebackup", "-D", s.data, "-R", "-X", "stream", "-c", "fast", "--no-sync", "-d", fmt.Sprintf("host=%s port=%s user=fengsui application_name=standby", host, port)); err != nil {
		return err
	}
	// What the primary waits for is in the copy, too; promoted, it would wait for itself.
	conf, err := os.OpenFile(filepath.Join(s.data, "postgresql.auto.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = conf.WriteString("\nsynchronous_standby_names = ''\n")
	if err := errors.Join(err, conf.Close()); err != nil {
		return err
	}
	if err := p.run(s); err != nil {
		return err
	}
	p.standby = s
	if err := p.Exec(ctx, "postgres", "ALTER SYSTEM SET synchronous_standby_names = 'standby'", "SELECT pg_reload_conf()"); err != nil {
		return err
	}
	c, err := pgx.Connect(ctx, p.URL("postgres"))
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	for state := ""; state != "sync"; {
		if err := c.QueryRow(ctx, "SELECT COALESCE((SELECT sync_state FROM pg_stat_replication WHERE application_name = 'standby'), '')").Scan(&state); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}
