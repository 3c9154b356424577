package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/monitor/gatelink"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
)

func (p *patient) config() {
	switch {
	case p.ConfigErr != nil:
		p.bad("config", "doctor.config_unreadable", "file", p.Config, "why", p.ConfigErr)
		return
	case p.Config != "":
		p.ok("config", "doctor.config", "file", p.Config)
	}
	if u, err := url.Parse(p.App.Database); err == nil && u.User != nil {
		if _, has := u.User.Password(); has {
			p.warn("config", "doctor.password_in_address")
		}
	}
}

// private looks at the files that hold a secret.
func (p *patient) private() {
	for _, option := range slices.Sorted(maps.Keys(p.Private)) {
		path := p.Private[option]
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) && option == "gateway.join" && p.Gateway != nil && gatelink.Joined(p.Gateway.StateDir) {
			continue // a token that was used is best thrown away
		}
		if err != nil {
			p.bad("files", "doctor.file_unreadable", "option", option, "file", path, "why", err)
			continue
		}
		st, err := f.Stat()
		f.Close()
		switch {
		case err != nil:
			p.bad("files", "doctor.file_unreadable", "option", option, "file", path, "why", err)
		case st.Mode().Perm()&0o007 != 0:
			p.bad("files", "doctor.file_open", "option", option, "file", path, "mode", st.Mode().Perm())
		default:
			p.ok("files", "doctor.file", "option", option, "file", path)
		}
	}
}

// folder looks at a data or state folder and says whether it is there.
func (p *patient) folder(dir string) bool {
	st, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.bad("folder", "doctor.folder_missing", "folder", dir)
		return false
	case err != nil:
		p.bad("folder", "doctor.folder_unreadable", "folder", dir, "why", err)
		return false
	case !st.IsDir():
		p.bad("folder", "doctor.folder_is_file", "folder", dir)
		return false
	}
	const rwx = 7
	if err := syscall.Access(dir, rwx); err != nil {
		p.bad("folder", "doctor.folder_unreadable", "folder", dir, "why", err)
		return false
	}
	if st.Mode().Perm()&0o077 != 0 {
		p.warn("folder", "doctor.folder_open", "folder", dir, "mode", st.Mode().Perm())
	}
	if foreign := othersFiles(dir, st); len(foreign) > 0 {
		p.bad("folder", "doctor.folder_foreign", "folder", dir, "count", len(foreign), "file", foreign[0])
	} else {
		p.ok("folder", "doctor.folder", "folder", dir)
	}
	return true
}

// othersFiles are those that do not belong to the folder's owner: what a command left that was run as another user.
func othersFiles(dir string, of fs.FileInfo) (out []string) {
	owner, ok := of.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // gone meanwhile, or it is not ours to see
		}
		if st, err := d.Info(); err == nil {
			if s, ok := st.Sys().(*syscall.Stat_t); ok && s.Uid != owner.Uid {
				out = append(out, path)
			}
		}
		return nil
	})
	return out
}

const (
	mib = 1 << 20
	// Below these a commit may fail within hours, or now.
	littleRoom, noRoom = 1024 * mib, 256 * mib
	daysAhead          = 14
)

// space looks at the disks. Folders on one disk are one finding.
func (p *patient) space(dirs ...string) {
	seen := map[uint64]bool{}
	for _, dir := range dirs {
		for ; dir != "/" && dir != "."; dir = filepath.Dir(dir) { // what is not there yet will be made on the disk of its parent
			if _, err := os.Stat(dir); err == nil {
				break
			}
		}
		st, err := os.Stat(dir)
		if err != nil {
			continue
		}
		if s, ok := st.Sys().(*syscall.Stat_t); ok {
			if seen[uint64(s.Dev)] {
				continue
			}
			seen[uint64(s.Dev)] = true
		}
		free, total, err := p.Room(dir)
		if err != nil {
			p.warn("space", "doctor.space_unknown", "folder", dir, "why", err)
			continue
		}
		args := []any{"folder", dir, "free", free / mib, "percent", free * 100 / max(total, 1)}
		daily := dayOfTelemetry(filepath.Join(dir, "telemetry"))
		switch {
		case free < noRoom:
			p.bad("space", "doctor.space_none", args...)
		case free < littleRoom:
			p.warn("space", "doctor.space_little", args...)
		case daily > 0 && free/daily < daysAhead:
			p.warn("space", "doctor.space_soon", append(args, "days", free/daily, "daily", daily/mib)...)
		default:
			p.ok("space", "doctor.space", args...)
		}
	}
}

// dayOfTelemetry is the size of the largest of the newest seven days, in bytes.
func dayOfTelemetry(dir string) (most uint64) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	var days []uint64
	for _, e := range list { // sorted by name, which is the day
		if _, is := telemetry.DayOf(e.Name()); !is {
			continue
		}
		if st, err := e.Info(); err == nil {
			days = append(days, uint64(st.Size()))
		}
	}
	for _, n := range days[max(0, len(days)-7):] {
		most = max(most, n)
	}
	return most
}

// Certificates are renewed by something; one that has so little left was not.
const renewWithin, expiresSoon = 21 * 24 * time.Hour, 3 * 24 * time.Hour

func (p *patient) tls(f app.TLSFiles) {
	if f.Cert != "" || f.Key != "" {
		if pair, err := tls.LoadX509KeyPair(f.Cert, f.Key); err != nil {
			p.bad("tls", "doctor.tls_unreadable", "file", f.Cert, "why", err)
		} else if leaf, err := x509.ParseCertificate(pair.Certificate[0]); err != nil {
			p.bad("tls", "doctor.tls_unreadable", "file", f.Cert, "why", err)
		} else {
			p.expiry(f.Cert, leaf)
		}
	}
	if f.ClientCA != "" {
		p.authority(f.ClientCA)
	}
}

func (p *patient) authority(file string) {
	raw, err := os.ReadFile(file)
	if err != nil {
		p.bad("tls", "doctor.tls_unreadable", "file", file, "why", err)
		return
	}
	found := false
	for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			found = true
			p.expiry(file, c)
		}
	}
	if !found {
		p.bad("tls", "doctor.tls_unreadable", "file", file, "why", errors.New("no certificate (PEM)"))
	}
}

func (p *patient) expiry(file string, c *x509.Certificate) {
	left := c.NotAfter.Sub(p.Clock.Now())
	args := []any{"file", file, "until", c.NotAfter.UTC().Format(time.DateOnly)}
	switch {
	case left <= 0:
		p.bad("tls", "doctor.tls_expired", args...)
	case p.Clock.Now().Before(c.NotBefore):
		p.bad("tls", "doctor.tls_not_yet", "file", file, "from", c.NotBefore.UTC().Format(time.DateTime))
	case left < expiresSoon:
		p.bad("tls", "doctor.tls_soon", args...)
	case left < renewWithin:
		p.warn("tls", "doctor.tls_soon", args...)
	default:
		p.ok("tls", "doctor.tls", args...)
	}
}

// key looks at the key folder.
func (p *patient) key() {
	dir := p.App.KeysDir
	if inside(dir, p.App.DataDir) {
		p.bad("keys", "doctor.keys_inside", "folder", dir)
	}
	keys, err := secret.OpenExisting(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.bad("keys", "doctor.keys_missing", "folder", dir)
	case err != nil:
		p.bad("keys", "doctor.keys_unreadable", "folder", dir, "why", err)
	default:
		p.keys = keys
		p.ok("keys", "doctor.keys", "folder", dir)
	}
}

func inside(dir, outer string) bool {
	a, err1 := filepath.Abs(dir)
	b, err2 := filepath.Abs(outer)
	rel, err := filepath.Rel(b, a)
	return err1 == nil && err2 == nil && err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}
