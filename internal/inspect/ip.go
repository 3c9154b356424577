package inspect

import (
	"bytes"
	"net/netip"
)

// ipSymbols: the longest IPv6 address, with an IPv4 address at its end, and a
// dot or colon of the sentence behind it.
const ipSymbols = 45 + 1

// findIP gives the address in a run of letters, digits, dots and colons.
// Addresses that name nobody (0, 127, 255 and the short ones of IPv6) do not
// count. A version number of four parts looks the same as an address.
func findIP(run []byte) (from, to int) {
	for to = len(run); to > 0 && run[to-1] == '.'; to-- {
	}
	run = run[:to]
	host, port, colon := bytes.Cut(run, []byte{':'})
	if validIPv4(host) && len(port) <= 5 && allDigits(port) {
		return 0, len(host)
	}
	if !colon || bytes.Count(run, []byte{':'}) < 2 {
		return 0, 0
	}
	if n := len(run); n > 1 && run[n-1] == ':' && run[n-2] != ':' {
		run = run[:n-1]
	}
	if len(run) <= shortestToken || !bytes.ContainsAny(run, "0123456789") {
		return 0, 0
	}
	if addr, err := netip.ParseAddr(string(run)); err != nil || !addr.Is6() {
		return 0, 0
	}
	return 0, len(run)
}

func validIPv4(text []byte) bool {
	if len(text) < 7 || len(text) > 15 {
		return false
	}
	parts, value, size := 1, 0, 0
	for _, c := range text {
		switch {
		case c == '.' && size > 0:
			if parts == 1 && (value == 0 || value == 127 || value == 255) {
				return false
			}
			parts++
			value, size = 0, 0
		case '0' <= c && c <= '9' && (size == 0 || value > 0):
			size++
			if value = value*10 + int(c-'0'); value > 255 {
				return false
			}
		default:
			return false
		}
	}
	return parts == 4 && size > 0
}

func ipPossible(run []byte) bool {
	group := 0
	for _, c := range run {
		switch {
		case c == '.' || c == ':':
			group = 0
		case 'g' <= c && c <= 'z':
			return false
		default:
			if group++; group > 5 { // of a port; a group of an address has four
				return false
			}
		}
	}
	return true
}
