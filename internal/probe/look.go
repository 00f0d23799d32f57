// Package probe answers what a name serves, at an address, right now.
package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
)

// Timeout is how long one look may take when Options say nothing.
const Timeout = 10 * time.Second

// Options say how to look. The zero value is good.
type Options struct {
	// Timeout bounds one look, connecting included; zero means Timeout.
	Timeout time.Duration
	// Roots are what a chain is checked against; nil means the system's.
	Roots *x509.CertPool
	// Dial connects; nil means the network as it is.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Parallel bounds how many looks LookAll takes at a time; zero means 8.
	Parallel int
	// Resolvers are asked for the addresses of names, as host:port; empty means the
	// system's.
	Resolvers []string

	lookup func(ctx context.Context, network, host string) ([]netip.Addr, error) // nil means the system's resolver
}

// Seen is what a name serves at an address.
type Seen struct {
	Name        certfleet.Name
	Address     string // as asked for, with a port
	Remote      string // the IP address and port that answered
	ServerName  string // as sent in the handshake (SNI), empty for an IP address
	Fingerprint string // SHA-256 of the leaf, lower-case hex
	Chain       []*x509.Certificate
	NotAfter    time.Time
	Matches     bool   // the leaf is for the name
	Trusted     bool   // the chain leads to a root and is valid now
	Distrust    string // why it is not trusted
	Protocol    string // such as "TLS 1.3"
	At          time.Time
	Took        time.Duration
}

// Leaf is the certificate served.
func (s Seen) Leaf() *x509.Certificate { return s.Chain[0] }

// Look makes one TLS handshake with addr ("host:port", or a host for port 443)
// for name and says what was served. A chain that nobody trusts is seen like
// any other; an error means that nothing was served, and why.
func Look(ctx context.Context, addr string, name certfleet.Name, o Options) (Seen, error) {
	ctx, cancel := context.WithTimeout(ctx, o.timeout())
	defer cancel()
	seen := Seen{Name: name, Address: withPort(addr), ServerName: serverName(name), At: time.Now().UTC()}
	state, remote, err := handshake(ctx, seen.Address, seen.ServerName, o)
	seen.Took, seen.Remote = time.Since(seen.At), remote
	if err != nil {
		return seen, explain(seen, err)
	}
	if len(state.PeerCertificates) == 0 {
		return seen, explain(seen, errNothing)
	}
	seen.read(state, o.Roots)
	return seen, nil
}

func (o Options) timeout() time.Duration {
	if o.Timeout > 0 {
		return o.Timeout
	}
	return Timeout
}

func (o Options) dial(ctx context.Context, addr string) (net.Conn, error) {
	if o.Dial != nil {
		return o.Dial(ctx, "tcp", addr)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", addr)
}

func handshake(ctx context.Context, addr, sni string, o Options) (tls.ConnectionState, string, error) {
	raw, err := o.dial(ctx, addr)
	if err != nil {
		return tls.ConnectionState{}, "", err
	}
	defer raw.Close()
	// Looking is not trusting: read judges the chain afterwards, and old
	// protocols are looked at too, so that they can be named.
	c := tls.Client(raw, &tls.Config{ServerName: sni, InsecureSkipVerify: true, MinVersion: tls.VersionTLS10})
	err = c.HandshakeContext(ctx)
	return c.ConnectionState(), raw.RemoteAddr().String(), err
}

func (s *Seen) read(state tls.ConnectionState, roots *x509.CertPool) {
	s.Chain = state.PeerCertificates
	leaf := s.Chain[0]
	s.Fingerprint, s.NotAfter = pki.Fingerprint(leaf), leaf.NotAfter.UTC()
	s.Protocol = tls.VersionName(state.Version)
	s.Matches = leaf.VerifyHostname(hostFor(s.Name)) == nil
	between := x509.NewCertPool()
	for _, c := range s.Chain[1:] {
		between.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: s.At})
	if s.Trusted = err == nil; err != nil {
		s.Distrust = strings.TrimPrefix(err.Error(), "x509: ")
	}
}

// made is the label that stands for the star of a wildcard.
const made = "certfleet-probe."

// hostFor is the host by which name is looked at: itself, or a made-up one
// under a wildcard.
func hostFor(name certfleet.Name) string {
	if name.IsWildcard() {
		return made + name.Base()
	}
	return name.String()
}

// serverName is empty for an IP address: RFC 6066 section 3 has none for it.
func serverName(name certfleet.Name) string {
	if name.IsIP() {
		return ""
	}
	return hostFor(name)
}

func withPort(addr string) string {
	if _, _, err := net.SplitHostPort(addr); err == nil {
		return addr
	}
	return net.JoinHostPort(strings.Trim(addr, "[]"), "443")
}
