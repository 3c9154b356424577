package doctor

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/monitor/gatelink"
)

// apart looks at a gateway that is a process of its own.
func (p *patient) apart(ctx context.Context) {
	g := p.Gateway
	there := p.folder(g.StateDir)
	p.space(g.StateDir)
	p.tls(app.TLSFiles{Cert: g.Cert, Key: g.Key})
	p.tls(g.GatewayTLS)
	if g.ControlCA != "" {
		p.authority(g.ControlCA)
	}
	if there {
		p.serve(ctx, g.StateDir, g.Listen)
		p.joined()
		p.contact()
	}
	if !p.serving {
		p.free(ctx, map[string]string{"listen": g.Listen, "gateway-listen": g.GatewayListen})
	}
	p.controls(ctx)
}

// joined sees whether control has let this gateway in, and whether its credential is kept as a key is.
func (p *patient) joined() {
	path := filepath.Join(p.Gateway.StateDir, gatelink.MemberFile)
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && p.Gateway.JoinFile == "":
		p.bad("membership", "doctor.gateway_no_token")
	case errors.Is(err, fs.ErrNotExist):
		p.warn("membership", "doctor.gateway_not_joined")
	case err != nil:
		p.bad("membership", "doctor.folder_unreadable", "folder", path, "why", err)
	case st.Mode().Perm()&0o077 != 0:
		p.bad("membership", "doctor.file_open", "option", "credential", "file", path, "mode", st.Mode().Perm())
	default:
		p.ok("membership", "doctor.gateway_joined")
	}
}

// contact says how long control has been silent.
func (p *patient) contact() {
	raw, err := os.ReadFile(filepath.Join(p.Gateway.StateDir, gatelink.ContactFile))
	ms, err2 := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
	if err != nil || err2 != nil || !p.serving {
		return
	}
	// It is noted every few seconds at most.
	if silent := time.Duration(p.nowMs()-ms) * time.Millisecond; silent > time.Minute {
		p.bad("contact", "doctor.gateway_silent", "since", silent.Round(time.Second))
	} else {
		p.ok("contact", "doctor.gateway_contact")
	}
}

// controls sees whether the addresses of control take connections.
func (p *patient) controls(ctx context.Context) {
	if len(p.Gateway.Controls) == 0 {
		p.bad("control", "doctor.control_none")
	}
	for _, address := range p.Gateway.Controls {
		u, err := url.Parse(address)
		if err != nil || u.Host == "" {
			p.bad("control", "doctor.control_silent", "address", address, "why", errors.New("not an address"))
			continue
		}
		host := u.Host
		if u.Port() == "" {
			host = net.JoinHostPort(u.Hostname(), "80")
			if u.Scheme == "https" {
				host = net.JoinHostPort(u.Hostname(), "443")
			}
		}
		c, err := (&net.Dialer{Timeout: 3 * time.Second}).DialContext(ctx, "tcp", host)
		if err != nil {
			p.bad("control", "doctor.control_silent", "address", address, "why", err)
			continue
		}
		c.Close()
		p.ok("control", "doctor.control", "address", address)
	}
}
