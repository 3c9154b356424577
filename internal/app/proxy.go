package app

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// behind tells everything below who the client is, in RemoteAddr. Without trusted proxies that is the peer,
// whatever it says of others. Through one, it is the last address of X-Forwarded-For that is none of them: each
// proxy adds whom it heard at the right, and what stands further left is the client's own word.
func behind(trusted []netip.Prefix, next http.Handler) http.Handler {
	if len(trusted) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if client := clientOf(trusted, r.RemoteAddr, r.Header.Values("X-Forwarded-For")); client != "" {
			own := *r // the server keeps the request that it made
			own.RemoteAddr = net.JoinHostPort(client, "0")
			r = &own
		}
		next.ServeHTTP(w, r)
	})
}

// clientOf gives the client's address, or "" where the peer is the client.
func clientOf(trusted []netip.Prefix, peer string, forwarded []string) (client string) {
	at, err := netip.ParseAddrPort(peer)
	if err != nil {
		return ""
	}
	ours := func(a netip.Addr) bool {
		return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	hop := at.Addr().Unmap().WithZone("")
	hops := strings.Split(strings.Join(forwarded, ","), ",")
	for i := len(hops) - 1; i >= 0 && ours(hop); i-- {
		said := strings.TrimSpace(hops[i])
		a, err := netip.ParseAddr(said)
		if p, bad := netip.ParseAddrPort(said); bad == nil { // some proxies add the port
			a, err = p.Addr(), nil
		}
		if err != nil {
			break // what a proxy of ours could not name is nobody; it stays the last one known
		}
		hop = a.Unmap().WithZone("")
		client = hop.String()
	}
	return client
}
