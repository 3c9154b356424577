// Package outgoing is the one door for connections that Fengsui itself opens: upstreams, webhooks,
// guard models, evaluation targets. It keeps an address that somebody configured, or that a name was
// made to resolve to, from reaching the machine's own or its cloud's inner addresses (SSRF).
package outgoing

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"github.com/fengsui/fengsui/internal/platform/fault"
)

// Guard says which addresses may be dialled. The zero value lets public unicast addresses through.
type Guard struct {
	AllowPrivate bool           // also loopback, RFC 1918, unique local and shared (RFC 6598) addresses
	Allow        []netip.Prefix // exceptions, such as one internal network; never for link-local, metadata or multicast
}

// metadata services of clouds that are not link-local; those at 169.254.x.x and fe80:: are covered by their range.
var metadata = []netip.Addr{
	netip.MustParseAddr("100.100.100.200"), // Alibaba Cloud
	netip.MustParseAddr("192.0.0.192"),     // Oracle Cloud (old)
	netip.MustParseAddr("168.63.129.16"),   // Azure wire server
	netip.MustParseAddr("fd00:ec2::254"),   // AWS over IPv6
}

var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // RFC 1122 "this network"
	netip.MustParsePrefix("192.0.0.0/24"),    // RFC 6890
	netip.MustParsePrefix("192.88.99.0/24"),  // RFC 7526, 6to4 relay
	netip.MustParsePrefix("198.18.0.0/15"),   // RFC 2544
	netip.MustParsePrefix("192.0.2.0/24"),    // RFC 5737
	netip.MustParsePrefix("198.51.100.0/24"), //
	netip.MustParsePrefix("203.0.113.0/24"),  //
	netip.MustParsePrefix("240.0.0.0/4"),     // RFC 1112, broadcast with it
	netip.MustParsePrefix("64:ff9b::/96"),    // RFC 6052 NAT64: carries any IPv4 address
	netip.MustParsePrefix("64:ff9b:1::/48"),  // RFC 8215
	netip.MustParsePrefix("100::/64"),        // RFC 6666
	netip.MustParsePrefix("2001::/32"),       // RFC 4380 Teredo
	netip.MustParsePrefix("2001:db8::/32"),   // RFC 3849
	netip.MustParsePrefix("2002::/16"),       // RFC 3056 6to4: carries any IPv4 address
	netip.MustParsePrefix("fec0::/10"),       // RFC 3879
}

var shared = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598

// Permits says whether an address may be dialled.
func (g Guard) Permits(addr netip.Addr) error {
	a := addr.Unmap().WithZone("")
	refused := fault.Forbidden("outgoing.refused", "address", a.String())
	if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast() || a.IsInterfaceLocalMulticast() {
		return refused
	}
	for _, m := range metadata {
		if a == m {
			return refused
		}
	}
	for _, p := range g.Allow {
		if p.Contains(a) {
			return nil
		}
	}
	for _, p := range special {
		if p.Contains(a) {
			return refused
		}
	}
	if a.IsLoopback() || a.IsPrivate() || shared.Contains(a) {
		if g.AllowPrivate {
			return nil
		}
		return refused
	}
	return nil
}

// control runs after the name was resolved and before the connection is opened, so that a name which
// resolves differently the second time cannot slip through.
func (g Guard) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return fault.Forbidden("outgoing.refused", "address", network)
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fault.Forbidden("outgoing.refused", "address", address)
	}
	return g.Permits(ap.Addr())
}

// Dialer dials what the guard permits.
func (g Guard) Dialer() *net.Dialer {
	return &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second, ControlContext: g.control}
}

// Transport is an HTTP transport through the guard: no proxy from the environment, because a proxy
// would resolve names where the guard cannot see, and no transparent decompression.
func (g Guard) Transport() *http.Transport {
	return &http.Transport{
		DialContext:           g.Dialer().DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConns:          1024,
		MaxIdleConnsPerHost:   256,
		DisableCompression:    true,
		ForceAttemptHTTP2:     true,
	}
}

// Client follows no redirect: an answer that points elsewhere is the caller's to judge.
func (g Guard) Client(timeout time.Duration) *http.Client {
	return &http.Client{
		Transport:     g.Transport(),
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
