package tlsalpn01

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/trial"
)

var _ certfleet.Solver = (*Solver)(nil)

const keyAuth = "token.thumbprint"

type hit struct {
	name, client string
	known        bool
}

func start(t *testing.T, known ...string) (addr string, hits chan hit, stop func() error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	hits = make(chan hit, 8)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	lookup := func(_ context.Context, name string) (string, bool, error) {
		if name == "broken.example.org" {
			return "", false, errors.New("database is locked")
		}
		for _, k := range known {
			if k == name {
				return keyAuth, true, nil
			}
		}
		return "", false, nil
	}
	go func() {
		done <- Serve(ctx, ln, lookup, func(name, client string, known bool) { hits <- hit{name, client, known} })
	}()
	stop = func() error { cancel(); err := <-done; done <- nil; return err }
	t.Cleanup(func() { stop() })
	return ln.Addr().String(), hits, stop
}

func shakeHands(addr, sni string, protocols ...string) (*x509.Certificate, error) {
	d := tls.Dialer{Config: &tls.Config{ServerName: sni, NextProtos: protocols, InsecureSkipVerify: true}}
	conn, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(trial.Patience))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return nil, errors.New("the connection stayed open after the handshake")
	}
	state := conn.(*tls.Conn).ConnectionState()
	if state.NegotiatedProtocol != Protocol {
		return nil, errors.New("negotiated " + state.NegotiatedProtocol)
	}
	return state.PeerCertificates[0], nil
}

func TestAnswerIsWhatTheRFCAsksFor(t *testing.T) {
	for name, sni := range map[string]string{
		"www.example.org": "www.example.org",
		"192.0.2.7":       "7.2.0.192.in-addr.arpa",
		"2001:db8::1":     "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
	} {
		addr, hits, _ := start(t, name)
		leaf, err := shakeHands(addr, sni, Protocol)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature); err != nil {
			t.Errorf("%s: not self-signed: %v", name, err)
		}
		checkNames(t, leaf, name)
		checkIdentifier(t, leaf)
		if got := <-hits; got != (hit{name, "127.0.0.1", true}) {
			t.Errorf("%s: hit %+v", name, got)
		}
	}
}

func checkNames(t *testing.T, leaf *x509.Certificate, name string) {
	t.Helper()
	var got string
	switch {
	case len(leaf.DNSNames) == 1 && len(leaf.IPAddresses) == 0:
		got = leaf.DNSNames[0]
	case len(leaf.DNSNames) == 0 && len(leaf.IPAddresses) == 1:
		got = leaf.IPAddresses[0].String()
	}
	if _, isIP := netip.ParseAddr(name); got != name || (isIP == nil) != (len(leaf.IPAddresses) == 1) {
		t.Errorf("%s: names are %q and %v", name, leaf.DNSNames, leaf.IPAddresses)
	}
}

func checkIdentifier(t *testing.T, leaf *x509.Certificate) {
	t.Helper()
	sum := sha256.Sum256([]byte(keyAuth))
	want := append([]byte{4, 32}, sum[:]...) // an OCTET STRING of 32 bytes
	for _, e := range leaf.Extensions {
		if e.Id.String() == "1.3.6.1.5.5.7.1.31" {
			if !e.Critical || !bytes.Equal(e.Value, want) {
				t.Errorf("acmeIdentifier is critical %v, %x", e.Critical, e.Value)
			}
			return
		}
	}
	t.Error("the certificate has no acmeIdentifier")
}

func TestOtherHandshakesFail(t *testing.T) {
	addr, hits, _ := start(t, "www.example.org")
	for _, c := range []struct {
		what, sni string
		protocols []string
		hit       string
	}{
		{"no ALPN", "www.example.org", nil, "www.example.org"},
		{"another protocol", "www.example.org", []string{"h2"}, "www.example.org"},
		{"more than the challenge", "www.example.org", []string{Protocol, "h2"}, "www.example.org"},
		{"a name without challenge", "other.example.org", []string{Protocol}, "other.example.org"},
		{"a failing lookup", "broken.example.org", []string{Protocol}, "broken.example.org"},
		{"no name", "", []string{Protocol}, ""},
		{"half a reverse name", "2.0.192.in-addr.arpa", []string{Protocol}, ""},
	} {
		if _, err := shakeHands(addr, c.sni, c.protocols...); err == nil {
			t.Errorf("%s: the handshake succeeded", c.what)
		}
		select {
		case got := <-hits:
			if got.known || got.name != c.hit {
				t.Errorf("%s: hit %+v, want unknown %q", c.what, got, c.hit)
			}
		case <-time.After(trial.Patience):
			t.Errorf("%s: no hit was told", c.what)
		}
	}
}

func TestReverseNamesRoundTrip(t *testing.T) {
	for _, s := range []string{"192.0.2.7", "10.0.0.1", "2001:db8::1", "::1", "fe80::abcd"} {
		ip := netip.MustParseAddr(s)
		if back, err := fromReverse(Reverse(ip)); err != nil || back != ip {
			t.Errorf("%s became %s, then %v, %v", s, Reverse(ip), back, err)
		}
	}
	for _, s := range []string{"ip6.arpa", ".in-addr.arpa", "1.2.3.4.5.in-addr.arpa", "01.2.0.192.in-addr.arpa", "a.ip6.arpa", "1.ip6.arpa.in-addr.arpa"} {
		if ip, err := fromReverse(s); err == nil {
			t.Errorf("%q was read as %v", s, ip)
		}
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	addr, _, stop := start(t)
	silent, err := net.Dial("tcp", addr) // holds a handshake open
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	begin := time.Now()
	if err := stop(); err != nil || time.Since(begin) > trial.Patience/2 {
		t.Errorf("Serve took %v to end, %v", time.Since(begin), err)
	}
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("the listener is still open")
	}
}

func TestServeSaysWhyItStopped(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if err := Serve(t.Context(), ln, nil, nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed listener gave %v", err)
	}
}
