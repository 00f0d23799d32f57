package dial

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"

	"github.com/certfleet/certfleet"
)

// Guard decides which addresses may be reached on behalf of data. Its zero
// value allows public addresses alone.
type Guard struct{ allow []netip.Prefix }

// NewGuard allows, beside public addresses, those within the given prefixes
// ("10.1.0.0/16") and single addresses ("127.0.0.1").
func NewGuard(allow []string) (*Guard, error) {
	g := &Guard{}
	for _, s := range allow {
		p, err := parsePrefix(s)
		if err != nil {
			return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("%q is not a network", s), Advice: "write an address or a prefix, such as 10.1.0.0/16 or fd00::/8", Err: err}
		}
		g.allow = append(g.allow, p)
	}
	return g, nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		return p.Masked(), err
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// Check answers an Error of kind Denied for an address that is neither public
// nor allowed.
func (g *Guard) Check(ip netip.Addr) error {
	ip = ip.Unmap().WithZone("")
	for _, p := range g.allow {
		if p.Contains(ip) {
			return nil
		}
	}
	if isPublic(ip) {
		return nil
	}
	return &certfleet.Error{Kind: certfleet.Denied, Msg: fmt.Sprintf("address %s is not public", ip), Advice: "allow its network in the configuration if it is meant to be reached"}
}

// Dial connects to a TCP or UDP address. Every address that a name resolves to
// is checked when it is connected to, so that a second answer of the resolver
// changes nothing.
func (g *Guard) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: ConnectTimeout, ControlContext: g.control}
	return d.DialContext(ctx, network, addr)
}

func (g *Guard) control(_ context.Context, network, addr string, _ syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") && !strings.HasPrefix(network, "udp") {
		return &certfleet.Error{Kind: certfleet.Denied, Msg: fmt.Sprintf("network %q is not reached from here", network), Advice: "use a tcp or udp address"}
	}
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return fmt.Errorf("check address %q: %w", addr, err)
	}
	return g.Check(ap.Addr())
}

// Client is an HTTP client that connects through Dial, follows few redirects
// and none from https to http, uses no proxy (it would hide the address from
// the guard), and is bounded in time and size. Trust is a private root pool,
// nil for the system's.
func (g *Guard) Client(trust *x509.CertPool) *http.Client {
	t := &http.Transport{
		DialContext:            g.Dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: trust},
		TLSHandshakeTimeout:    ConnectTimeout,
		ResponseHeaderTimeout:  HeaderTimeout,
		IdleConnTimeout:        RequestTimeout,
		MaxIdleConnsPerHost:    4,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
	}
	return &http.Client{Transport: bounded{t}, Timeout: RequestTimeout, CheckRedirect: checkRedirect}
}

func checkRedirect(r *http.Request, via []*http.Request) error {
	switch {
	case len(via) > MaxRedirects:
		return fmt.Errorf("stopped after %d redirects", MaxRedirects)
	case r.URL.Scheme != "https" && r.URL.Scheme != "http":
		return fmt.Errorf("redirect to scheme %q refused", r.URL.Scheme)
	case r.URL.Scheme == "http" && via[len(via)-1].URL.Scheme == "https":
		return fmt.Errorf("redirect from https to http refused")
	}
	return nil
}

// bounded limits the body of every response.
type bounded struct{ next *http.Transport }

// RoundTrip is next's, with a limited body.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err == nil {
		resp.Body = LimitBody(resp.Body, MaxBody)
	}
	return resp, err
}

// CloseIdleConnections is called by http.Client.CloseIdleConnections.
func (b bounded) CloseIdleConnections() { b.next.CloseIdleConnections() }
