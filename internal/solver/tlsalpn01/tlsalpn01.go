// Package tlsalpn01 answers tls-alpn-01 challenges (RFC 8737, RFC 8738 for IP
// addresses) and speaks no other protocol.
package tlsalpn01

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

// Protocol is the ALPN name of the challenge (RFC 8737 section 6.2).
const Protocol = "acme-tls/1"

const lookupTimeout = 5 * time.Second

// Solver is the tls-alpn-01 solver. Present and CleanUp do nothing, because
// the commit that puts the challenge on its order is what presents it.
type Solver struct{}

// Present does nothing; the commit of the challenge was it.
func (*Solver) Present(context.Context, certfleet.Challenge) ([]byte, error) { return nil, nil }

// CleanUp does nothing; the end of the order is it.
func (*Solver) CleanUp(context.Context, certfleet.Challenge, []byte) error { return nil }

// Lookup finds the key authorization of the open challenge for a name (an
// address in its usual text form); ok is false when there is none.
type Lookup func(ctx context.Context, name string) (keyAuth string, ok bool, err error)

// TLSConfig answers challenge handshakes and fails every other.
func TLSConfig(lookup Lookup) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS12, // RFC 8737 section 3
		NextProtos:             []string{Protocol},
		SessionTicketsDisabled: true,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return answer(hello, lookup)
		},
	}
}

// Asks reports whether a handshake is a challenge: acme-tls/1 is the only
// protocol it offers (RFC 8737 section 3).
func Asks(hello *tls.ClientHelloInfo) bool {
	return slices.Equal(hello.SupportedProtos, []string{Protocol})
}

func answer(hello *tls.ClientHelloInfo, lookup Lookup) (*tls.Certificate, error) {
	if !Asks(hello) {
		return nil, fmt.Errorf("handshake offers %q, not %s alone", hello.SupportedProtos, Protocol)
	}
	name, err := nameOf(hello.ServerName)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(hello.Context(), lookupTimeout)
	defer cancel()
	keyAuth, ok, err := lookup(ctx, name.String())
	switch {
	case err != nil:
		return nil, fmt.Errorf("look up the challenge for %s: %w", name, err)
	case !ok:
		return nil, fmt.Errorf("no challenge is open for %s", name)
	}
	return Certificate(name, keyAuth)
}

// nameOf reads the server name, which for an address is its reverse name (RFC 8738 section 6).
func nameOf(sni string) (certfleet.Name, error) {
	if sni == "" {
		return certfleet.Name{}, fmt.Errorf("handshake names no server")
	}
	host := strings.ToLower(strings.TrimSuffix(sni, "."))
	if strings.HasSuffix(host, ".arpa") {
		ip, err := fromReverse(host)
		if err != nil {
			return certfleet.Name{}, err
		}
		host = ip.String()
	}
	return certfleet.ParseName(host)
}
