package dial

import "net/netip"

// notPublic are the special-purpose blocks of RFC 6890 and its registries that
// netip has no question for.
var notPublic = prefixes(
	"0.0.0.0/8",       // this network, RFC 791
	"100.64.0.0/10",   // carrier-grade NAT, RFC 6598
	"192.0.0.0/24",    // protocol assignments, RFC 6890
	"192.0.2.0/24",    // documentation, RFC 5737
	"198.18.0.0/15",   // benchmarks, RFC 2544
	"198.51.100.0/24", // documentation, RFC 5737
	"203.0.113.0/24",  // documentation, RFC 5737
	"240.0.0.0/4",     // reserved and broadcast, RFC 1112
	"64:ff9b:1::/48",  // local translation, RFC 8215
	"100::/64",        // discard, RFC 6666
	"2001::/23",       // Teredo and other protocol assignments, RFC 2928
	"2001:db8::/32",   // documentation, RFC 3849
	"3fff::/20",       // documentation, RFC 9637
	"5f00::/16",       // segment routing, RFC 9602
	"fec0::/10",       // site local, RFC 3879
)

// These two carry an IPv4 address, which is what is really reached.
var (
	nat64  = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052: the last four bytes
	sixTo4 = netip.MustParsePrefix("2002::/16")    // RFC 3056: bytes two to five
)

func prefixes(in ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(in))
	for i, s := range in {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// isPublic reports whether ip is an ordinary address of the internet. Loopback,
// link-local (with the clouds' metadata service), multicast and unspecified
// addresses are not global unicast.
func isPublic(ip netip.Addr) bool {
	b := ip.As16()
	switch {
	case !ip.IsGlobalUnicast() || ip.IsPrivate():
		return false
	case nat64.Contains(ip):
		return isPublic(netip.AddrFrom4([4]byte(b[12:])))
	case sixTo4.Contains(ip):
		return isPublic(netip.AddrFrom4([4]byte(b[2:6])))
	}
	for _, p := range notPublic {
		if p.Contains(ip) {
			return false
		}
	}
	// An IPv4-compatible address (RFC 4291 section 2.5.5.1) is long deprecated.
	return !ip.Is6() || [12]byte(b[:12]) != [12]byte{}
}
