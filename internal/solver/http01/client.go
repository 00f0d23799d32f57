package http01

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Client is the address that a request came from: the peer's own, or, as long
// as that is a trusted proxy, the one that proxy says it got the request from.
// So the right-most address that is not trusted wins, and nobody outside can
// choose it.
func Client(r *http.Request, trusted []netip.Prefix) string {
	at, ok := parseAddr(r.RemoteAddr)
	if !ok {
		return r.RemoteAddr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		next, ok := parseAddr(hop)
		if !ok || !within(at, trusted) {
			break
		}
		at = next
	}
	return at.String()
}

// parseAddr reads an address with or without a port, and brackets.
func parseAddr(s string) (netip.Addr, bool) {
	s = strings.TrimSpace(s)
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap(), true
	}
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return a.Unmap(), err == nil
}

func within(a netip.Addr, prefixes []netip.Prefix) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a.WithZone("")) })
}
