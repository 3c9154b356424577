package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// machine says where the figures come from; without it they mean nothing.
type machine struct {
	Cores      int    `json:"cores"`
	CPU        string `json:"cpu,omitzero"`
	OS         string `json:"os"`
	Go         string `json:"go"`
	Filesystem string `json:"filesystem,omitzero"` // of the temporary data: decides what a sync costs
	Load       string `json:"load,omitzero"`       // what else ran: load average over one minute at the start
	LoadEnd    string `json:"load_end,omitzero"`   // and at the end, this program's own load included
	Commit     string `json:"commit,omitzero"`
	Date       string `json:"date"`
}

func lookAround(ctx context.Context, dir string, now time.Time) machine {
	m := machine{Cores: runtime.NumCPU(), OS: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(), Date: now.Format("2006-01-02 15:04 MST")}
	if raw, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range bytes.Lines(raw) {
			if name, value, ok := bytes.Cut(line, []byte(":")); ok && strings.TrimSpace(string(name)) == "model name" {
				m.CPU = strings.TrimSpace(string(value))
				break
			}
		}
	}
	m.Load = loadAverage()
	m.Filesystem = filesystem(dir)
	if out, err := exec.CommandContext(ctx, "git", "rev-parse", "--short", "HEAD").Output(); err == nil {
		m.Commit = strings.TrimSpace(string(out))
	}
	return m
}

func (m machine) String() string {
	s := fmt.Sprintf("%d cores", m.Cores)
	if m.CPU != "" {
		s += " (" + m.CPU + ")"
	}
	s += ", " + m.OS + ", " + m.Go
	for _, x := range []struct{ name, value string }{{"data on", m.Filesystem}, {"load at the start", m.Load}, {"at the end", m.LoadEnd}, {"commit", m.Commit}} {
		if x.value != "" {
			s += ", " + x.name + " " + x.value
		}
	}
	return s + ", " + m.Date
}

// loadAverage is how many tasks ran or waited to, on average over the last minute; "" where nobody tells.
func loadAverage() string {
	raw, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(raw), " ")
	return first
}

// Numbers of statfs(2).
var filesystems = map[int64]string{0xef53: "ext4", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x01021994: "tmpfs (a sync costs nothing)", 0x794c7630: "overlayfs", 0x6969: "nfs"}

func filesystem(dir string) string {
	var s syscall.Statfs_t
	if syscall.Statfs(dir, &s) != nil {
		return ""
	}
	if name, ok := filesystems[int64(s.Type)]; ok {
		return name
	}
	return fmt.Sprintf("filesystem %#x", s.Type)
}

// needFiles says in one sentence what is missing if a process cannot open that many files. Go raises the soft
// limit to the hard one by itself.
func needFiles(n uint64) error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	if l.Cur < n && l.Max >= n {
		l.Cur = l.Max
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
			return fmt.Errorf("raise the limit of open files to %d: %w", l.Max, err)
		}
	}
	if l.Cur < n {
		return fmt.Errorf("a process may open %d files and this needs %d: raise the hard limit (ulimit -Hn) or choose fewer streams with -streams", l.Cur, n)
	}
	return nil
}

// spent is the processor time of this process so far.
func spent() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
