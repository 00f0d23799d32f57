package config

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/certfleet/certfleet"
)

// Off is the address of a listener that is not wanted.
const Off Address = "off"

// Address is where to listen, host:port; the host may be empty for all.
type Address string

// On reports whether there is to be a listener.
func (a Address) On() bool { return a != "" && a != Off }

// Loopback reports whether only this machine can reach the address.
func (a Address) Loopback() bool {
	host, _, err := net.SplitHostPort(string(a))
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// UnmarshalText reads host:port, or off.
func (a *Address) UnmarshalText(b []byte) error {
	s := string(b)
	*a = Address(s)
	if s == "" || *a == Off {
		return nil
	}
	_, port, err := net.SplitHostPort(s)
	if _, e := strconv.ParseUint(port, 10, 16); err != nil || e != nil {
		return invalid("write host:port, such as 127.0.0.1:7443 or :80, or off", "%q is not an address to listen on", s)
	}
	return nil
}

// Reference is where a secret is: file:PATH or env:NAME. It is never the secret.
type Reference string

// Split takes a reference apart, into file or env and what follows.
func (r Reference) Split() (scheme, rest string) {
	scheme, rest, _ = strings.Cut(string(r), ":")
	return scheme, rest
}

// UnmarshalText reads a reference; an error does not repeat what may be a secret.
func (r *Reference) UnmarshalText(b []byte) error {
	*r = Reference(b)
	scheme, rest := r.Split()
	if len(b) == 0 || (scheme == "file" || scheme == "env") && rest != "" {
		return nil
	}
	*r = ""
	return invalid("write file:/path/to/secret or env:NAME; a secret itself never stands here", "this is not a reference to a secret")
}

// Size is a number of bytes.
type Size int64

var sizeUnits = []struct {
	suffix string
	bytes  float64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1}}

// UnmarshalText reads a number with a unit (512KiB, 1MiB); bytes without one.
func (z *Size) UnmarshalText(b []byte) error {
	s := strings.TrimSpace(string(b))
	for _, u := range sizeUnits {
		number, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !(n >= 0 && n*u.bytes < math.MaxInt64) {
			break
		}
		*z = Size(n * u.bytes)
		return nil
	}
	return invalid("write a number with a unit, such as 512KiB or 1MiB", "%q is not a size", s)
}

// Prefixes are networks, or single addresses.
type Prefixes []netip.Prefix

// Contains reports whether ip is in one of the networks.
func (p Prefixes) Contains(ip netip.Addr) bool {
	for _, network := range p {
		if network.Contains(ip.Unmap()) {
			return true
		}
	}
	return false
}

// Strings are the networks as text.
func (p Prefixes) Strings() []string {
	var out []string
	for _, network := range p {
		out = append(out, network.String())
	}
	return out
}

func parsePrefix(s string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(s); err == nil {
		ip = ip.Unmap().WithZone("")
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, invalid("write a network such as 10.0.0.0/8, or one address", "%q is not a network", s)
	}
	if p != p.Masked() {
		return p, invalid("write "+p.Masked().String()+", or one address without a slash", "%q has bits set beyond its length", s)
	}
	return p, nil
}

func invalid(advice, format string, args ...any) *certfleet.Error {
	return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf(format, args...), Advice: advice}
}
