package tlsalpn01

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Reverse is the name under which an address is asked for: in-addr.arpa (RFC
// 1034) or ip6.arpa (RFC 3596), without a trailing dot.
func Reverse(ip netip.Addr) string {
	if ip.Is4() {
		parts := strings.Split(ip.String(), ".")
		slices.Reverse(parts)
		return strings.Join(parts, ".") + ".in-addr.arpa"
	}
	digits := strings.Split(strings.ReplaceAll(ip.StringExpanded(), ":", ""), "")
	slices.Reverse(digits)
	return strings.Join(digits, ".") + ".ip6.arpa"
}

// fromReverse is the inverse of Reverse. It accepts that one form alone.
func fromReverse(host string) (netip.Addr, error) {
	var ip netip.Addr
	if four, ok := strings.CutSuffix(host, ".in-addr.arpa"); ok {
		parts := strings.Split(four, ".")
		slices.Reverse(parts)
		ip, _ = netip.ParseAddr(strings.Join(parts, "."))
	} else if six, ok := strings.CutSuffix(host, ".ip6.arpa"); ok {
		digits := strings.Split(six, ".")
		slices.Reverse(digits)
		ip, _ = netip.ParseAddr(grouped(digits))
	}
	if !ip.IsValid() || Reverse(ip) != host {
		return netip.Addr{}, fmt.Errorf("server name %q is not the reverse name of an address", host)
	}
	return ip, nil
}

// grouped writes 32 hexadecimal digits in groups of four.
func grouped(digits []string) string {
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && i%4 == 0 {
			b.WriteByte(':')
		}
		b.WriteString(d)
	}
	return b.String()
}
