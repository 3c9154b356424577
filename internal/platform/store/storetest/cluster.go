package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// clusterVar hands the cluster of a test process to the processes that it starts, or that of a whole run to all.
const clusterVar = "FENGSUI_TEST_POSTGRES"

// Missing is what is said where PostgreSQL is not installed.
const Missing = "PostgreSQL 15 or newer is missing (the tests start a private one): run 'scripts/need postgres' as root, or put initdb and postgres in PATH, then run this again"

// template is the database that new ones are copied from: the schema is there already.
const template = "fengsui_template"

// Server is a private PostgreSQL that listens on a socket in a folder of its own.
type Server struct{ socket string }

var cluster struct {
	once sync.Once
	s    Server
	err  error
}

// Cluster is the PostgreSQL of this test process, started when it is first asked for. It ends, and its files go, with the
// process, however that ends. Without PostgreSQL the test fails, but is left out under -short.
func Cluster(t testing.TB) Server {
	t.Helper()
	cluster.once.Do(func() {
		if dir := os.Getenv(clusterVar); dir != "" {
			cluster.s = Server{dir}
			return
		}
		if cluster.s, cluster.err = Start(false); cluster.err == nil {
			cluster.err = os.Setenv(clusterVar, cluster.s.socket)
		}
	})
	if errors.Is(cluster.err, errMissing) && testing.Short() {
		t.Skip(Missing)
	}
	if cluster.err != nil {
		t.Fatal(cluster.err)
	}
	return cluster.s
}

var errMissing = errors.New(Missing)

// bin finds the newest PostgreSQL: in PATH, or where Debian puts it.
func bin() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	slices.SortFunc(found, func(a, b string) int { return majorOf(a) - majorOf(b) })
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	p, err := exec.LookPath("postgres")
	if err != nil {
		return "", errMissing
	}
	if p, err = filepath.EvalSymlinks(p); err != nil {
		return "", err
	}
	return filepath.Dir(p), nil
}

func majorOf(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return n
}

// keeper starts the server and outlives this process by as long as it takes to end it: its standard input is a pipe
// that closes when this process ends, also by kill -9. The first argument is the folder, the others the command.
const keeper = `dir=$1; shift; "$@" >>"$dir/log" 2>&1 & p=$!; cat >/dev/null; kill -QUIT $p; wait $p; rm -rf "$dir"`

// Start makes and starts a PostgreSQL of its own; durable is whether it syncs its commits to the disk, and more are settings
// of its own. PostgreSQL refuses to run as root, so it then runs as the user postgres, or nobody.
func Start(durable bool, more ...string) (Server, error) {
	programs, err := bin()
	if err != nil {
		return Server{}, err
	}
	as, err := unprivileged()
	if err != nil {
		return Server{}, err
	}
	dir, err := os.MkdirTemp("/tmp", "fengsui-pg-") // a socket's path must be short
	if err != nil {
		return Server{}, err
	}
	if as != nil {
		if err := os.Chown(dir, int(as.Uid), int(as.Gid)); err != nil {
			return Server{}, err
		}
	}
	data := filepath.Join(dir, "data")
	command := func(name string, args ...string) *exec.Cmd {
		c := exec.Command(name, args...)
		c.Dir, c.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: as}
		return c
	}
	if out, err := command(filepath.Join(programs, "initdb"), "-D", data, "-U", "fengsui", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync").CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		return Server{}, fmt.Errorf("initdb: %w: %s", err, out)
	}
	settings := []string{"listen_addresses=", "unix_socket_directories=" + dir, "max_connections=400", "shared_buffers=32MB", "autovacuum_naptime=5min"}
	if !durable {
		settings = append(settings, "fsync=off", "full_page_writes=off", "synchronous_commit=off")
	}
	args := []string{"-c", keeper, "keeper", dir, filepath.Join(programs, "postgres"), "-D", data}
	for _, s := range append(settings, more...) {
		args = append(args, "-c", s)
	}
	keep := command("/bin/sh", args...)
	ours, theirs, err := os.Pipe()
	if err != nil {
		return Server{}, err
	}
	keep.Stdin = ours
	if err := keep.Start(); err != nil {
		return Server{}, err
	}
	ours.Close()
	kept = append(kept, theirs) // else it would be closed when it is collected
	s := Server{dir}
	for range 600 {
		if err = s.try(); err == nil {
			return s, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	said, _ := os.ReadFile(filepath.Join(dir, "log"))
	theirs.Close()
	return Server{}, fmt.Errorf("PostgreSQL did not start: %w: %s", err, said)
}

var kept []*os.File

func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(err1, err2)
}

// Socket is the folder of the socket on which it listens.
func (s Server) Socket() string { return s.socket }

// URL is the address of a database of this server.
func (s Server) URL(name string) string {
	return "postgres://fengsui@/" + name + "?host=" + s.socket
}

func (s Server) try() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	return c.Close(ctx)
}

// Exec runs a statement as its superuser.
func (s Server) Exec(t testing.TB, database, statement string) {
	t.Helper()
	ctx := context.Background()
	c, err := pgx.Connect(ctx, s.URL(database))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	if _, err := c.Exec(ctx, statement); err != nil {
		t.Fatalf("%s: %v", strings.SplitN(statement, "\n", 2)[0], err)
	}
}

func (s Server) exists(t testing.TB, database string) (yes bool) {
	t.Helper()
	ctx := context.Background()
	c, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	if err := c.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)", database).Scan(&yes); err != nil {
		t.Fatal(err)
	}
	return yes
}

// create makes a database with the schema in it. It is called with the lock held.
func (s Server) create(t testing.TB, name string) {
	t.Helper()
	ctx := context.Background()
	c, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	// Several test processes may share the server: one makes the template.
	if _, err := c.Exec(ctx, "SELECT pg_advisory_lock(1)"); err != nil {
		t.Fatal(err)
	}
	if !s.exists(t, template) {
		s.Exec(t, "postgres", "CREATE DATABASE "+template)
		dir, err := os.MkdirTemp("", "fengsui-template-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		st, err := store.Open(ctx, store.Options{Dir: dir, Database: s.URL(template), Clock: clock.System()})
		if err != nil {
			t.Fatal(err)
		}
		st.Close()
	}
	if _, err := c.Exec(ctx, "CREATE DATABASE "+name+" TEMPLATE "+template+""); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(ctx, "SELECT pg_advisory_unlock(1)"); err != nil {
		t.Fatal(err)
	}
}

func (s Server) open(t testing.TB, name string) *bun.DB {
	t.Helper()
	config, err := pgx.ParseConfig(s.URL(name))
	if err != nil {
		t.Fatal(err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	return bun.NewDB(stdlib.OpenDB(*config), pgdialect.New())
}

// copy replaces what the database at the second address holds by what the first holds.
func (s Server) copy(t testing.TB, from, to string) {
	t.Helper()
	programs, err := bin()
	if err != nil {
		t.Fatal(err)
	}
	dump, err := exec.Command(filepath.Join(programs, "pg_dump"), "--clean", "--if-exists", "--no-owner", from).Output()
	if err != nil {
		t.Fatalf("pg_dump: %v", err)
	}
	into := exec.Command(filepath.Join(programs, "psql"), "-q", "-v", "ON_ERROR_STOP=1", to)
	into.Stdin = bytes.NewReader(dump)
	if out, err := into.CombinedOutput(); err != nil {
		t.Fatalf("psql: %v: %s", err, out)
	}
}
