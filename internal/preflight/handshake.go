package preflight

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/miekg/dns"
)

// acmeTLS is the protocol that a CA negotiates (RFC 8737 section 6.2).
const acmeTLS = "acme-tls/1"

// handshake begins what a CA begins with tls-alpn-01. Without a challenge to
// answer, a right server breaks it off in its own way; what can be seen is
// whether it knows the protocol.
func (l *look) handshake(ctx context.Context, addr netip.Addr) sight {
	conn, err := l.Dial(ctx, "tcp", net.JoinHostPort(addr.String(), strconv.Itoa(l.HTTPSPort)))
	if err != nil {
		return missed(addr, err)
	}
	defer conn.Close()
	c := tls.Client(conn, &tls.Config{ServerName: serverName(l.Name), NextProtos: []string{acmeTLS}, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
	err = c.HandshakeContext(ctx)
	switch {
	case err == nil && c.ConnectionState().NegotiatedProtocol == acmeTLS:
		return sight{addr: addr, how: ours}
	case err == nil:
		return sight{addr, wrong, "speaks TLS, but not " + acmeTLS}
	case strings.Contains(err.Error(), "no application protocol"):
		return sight{addr, wrong, "refuses " + acmeTLS}
	case isAlert(err):
		return sight{addr: addr, how: ours} // it knows the protocol, and has no challenge to answer
	case errors.Is(err, io.EOF):
		return sight{addr, wrong, "ends the connection instead of a handshake"}
	}
	return sight{addr, wrong, fmt.Sprintf("makes no TLS handshake: %s", reason(err))}
}

// isAlert reports whether the other side ended the handshake with a TLS alert.
func isAlert(err error) bool {
	oe, ok := errors.AsType[*net.OpError](err)
	return ok && oe.Op == "remote error"
}

// serverName is what a CA asks for; an address goes by its name below arpa
// (RFC 8738 section 6).
func serverName(n certfleet.Name) string {
	if !n.IsIP() {
		return n.Base()
	}
	return strings.TrimSuffix(reverse(n.IP()), ".")
}

func reverse(ip netip.Addr) string {
	name, err := dns.ReverseAddr(ip.String())
	if err != nil {
		return ip.String()
	}
	return name
}
