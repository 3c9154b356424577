package storetest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Archived is a private PostgreSQL that archives its log of changes, as docs/operations/postgresql.md sets one up, so that it can be
// restored to a point in time.
type Archived struct {
	Server
	programs string
	as       *syscall.Credential
	data     string
	run      *exec.Cmd
}

// StartArchived makes and starts one; it ends with the test.
func StartArchived(t testing.TB) *Archived {
	t.Helper()
	programs, err := bin()
	if errors.Is(err, errMissing) && testing.Short() {
		t.Skip(Missing)
	}
	if err != nil {
		t.Fatal(err)
	}
	as, err := unprivileged()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "fengsui-pa-")
	if err != nil {
		t.Fatal(err)
	}
	a := &Archived{Server: Server{dir}, programs: programs, as: as, data: filepath.Join(dir, "data")}
	t.Cleanup(func() { a.Kill(t); os.RemoveAll(dir) })
	if as != nil {
		if err := os.Chown(dir, int(as.Uid), int(as.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	a.do(t, "/bin/mkdir", filepath.Join(dir, "archive"))
	a.do(t, filepath.Join(programs, "initdb"), "-D", a.data, "-U", "fengsui", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	a.start(t)
	return a
}

func (a *Archived) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(name, args...)
	c.Dir, c.Env = a.socket, []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: a.as}
	return c
}

func (a *Archived) do(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := a.command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", filepath.Base(name), err, out)
	}
}

func (a *Archived) start(t testing.TB, settings ...string) {
	t.Helper()
	args := []string{"-D", a.data}
	for _, s := range append([]string{"listen_addresses=", "unix_socket_directories=" + a.socket, "wal_level=replica", "archive_mode=on",
		"archive_command=cp %p " + a.socket + "/archive/%f", "fsync=off"}, settings...) {
		args = append(args, "-c", s)
	}
	a.run = a.command(filepath.Join(a.programs, "postgres"), args...)
	if err := a.run.Start(); err != nil {
		t.Fatal(err)
	}
	for range 1500 {
		if a.ask("SELECT NOT pg_is_in_recovery()") == "true" {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("PostgreSQL did not start")
}

// ask gives the one value of a query as a text; "" if there is no answer.
func (a *Archived) ask(query string) (value string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, a.URL("postgres"))
	if err != nil {
		return ""
	}
	defer c.Close(ctx) //nolint:errcheck // nothing hangs on it
	if err := c.QueryRow(ctx, "SELECT ("+query+")::text").Scan(&value); err != nil {
		return ""
	}
	return value
}

// Base takes the base backup from which RestoreTo begins.
func (a *Archived) Base(t testing.TB) {
	t.Helper()
	a.do(t, filepath.Join(a.programs, "pg_basebackup"), "-D", filepath.Join(a.socket, "base"), "-h", a.socket, "-U", "fengsui", "--checkpoint=fast")
}

// Now is the server's time, with nothing committed in the moments around it.
func (a *Archived) Now(t testing.TB) string {
	t.Helper()
	time.Sleep(50 * time.Millisecond)
	defer time.Sleep(50 * time.Millisecond)
	return a.ask("SELECT clock_timestamp()")
}

// Archive waits until what was committed is in the archive.
func (a *Archived) Archive(t testing.TB) {
	t.Helper()
	a.ask("SELECT pg_create_restore_point('test')") // else an idle log is not switched
	segment := a.ask("SELECT pg_walfile_name(pg_switch_wal())")
	for range 1500 {
		if _, err := os.Stat(filepath.Join(a.socket, "archive", segment)); err == nil && segment != "" {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("nothing was archived")
}

// Kill ends it without warning; what it has not archived is as good as lost.
func (a *Archived) Kill(testing.TB) {
	if a.run == nil {
		return
	}
	syscall.Kill(-a.run.Process.Pid, syscall.SIGKILL) //nolint:errcheck // it may have ended
	a.run.Wait()                                      //nolint:errcheck // by the signal
	a.run = nil
}

// RestoreTo puts the base backup in place and plays the archive up to a time.
func (a *Archived) RestoreTo(t testing.TB, at string) {
	t.Helper()
	a.data = filepath.Join(a.socket, "restored")
	a.do(t, "/bin/cp", "-a", filepath.Join(a.socket, "base"), a.data)
	a.do(t, "/usr/bin/touch", filepath.Join(a.data, "recovery.signal"))
	a.start(t, "restore_command=cp "+a.socket+"/archive/%f %p", "recovery_target_time="+at, "recovery_target_action=promote")
}
