package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/platform/health"
)

// held says whether a process serves the folder. The lock is shared for the time of the look.
func held(dir string) bool {
	f, err := os.Open(filepath.Join(dir, app.LockFile))
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// serve asks the process that serves the folder, if there is one, how it is.
func (p *patient) serve(ctx context.Context, dir, listen string) {
	p.serving = held(dir)
	p.rep.Serving = p.serving
	if !p.serving {
		p.ok("serving", "doctor.not_serving")
		return
	}
	address, client := p.App.TLS.Reach(listen)
	res, err := p.Get(ctx, client, address+"/readyz")
	if err != nil {
		p.bad("serving", "doctor.serving_silent", "address", address, "why", err)
		return
	}
	defer res.Body.Close()
	var ready struct{ Checks []health.Result }
	if err := json.NewDecoder(res.Body).Decode(&ready); err != nil {
		p.bad("serving", "doctor.serving_silent", "address", address, "why", err)
		return
	}
	var failing, notes []string
	for _, c := range ready.Checks {
		if !c.OK {
			failing = append(failing, c.Name+": "+c.Error)
		} else if c.Note != "" {
			notes = append(notes, c.Name+": "+c.Note)
		}
	}
	switch {
	case len(failing) > 0 || res.StatusCode != http.StatusOK:
		p.bad("serving", "doctor.serving_unready", "address", address, "checks", strings.Join(failing, "; "))
	case len(notes) > 0:
		p.warn("serving", "doctor.serving_notes", "address", address, "checks", strings.Join(notes, "; "))
	default:
		p.ok("serving", "doctor.serving", "address", address)
	}
}

// ports sees whether the next start would get its addresses.
func (p *patient) ports(ctx context.Context) {
	want := map[string]string{"listen": p.App.Listen}
	if !p.App.ControlOnly {
		want["gateway-listen"] = p.App.GatewayListen
	}
	if p.App.NodeListen != "" {
		want["node-listen"] = p.App.NodeListen
		host, _, _ := net.SplitHostPort(p.App.NodeListen)
		if ip := net.ParseIP(host); p.App.NodeTLS.Cert == "" && (ip == nil || !ip.IsLoopback()) && host != "localhost" {
			p.bad("ports", "doctor.node_needs_tls", "address", p.App.NodeListen)
		}
	}
	p.free(ctx, want)
}

func (p *patient) free(ctx context.Context, want map[string]string) {
	fine := true
	for flag, address := range want {
		if strings.HasPrefix(address, "fd:") {
			continue
		}
		l, err := app.Listen(ctx, address, flag)
		if err != nil {
			fine = false
			p.bad("ports", "doctor.port", "why", err)
			continue
		}
		l.Close()
	}
	if fine {
		p.ok("ports", "doctor.ports")
	}
}
