package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/porttest"
	"github.com/certfleet/certfleet/internal/trial"
)

func name(t *testing.T, s string) certfleet.Name {
	t.Helper()
	n, err := certfleet.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// edge serves one certificate for hosts and remembers the server names asked for.
type edge struct {
	addr string
	leaf string // fingerprint
	mu   sync.Mutex
	sni  []string // guarded by mu
}

func serve(t *testing.T, ca *pki.CA, addr string, hosts ...string) *edge {
	t.Helper()
	issued, err := ca.IssueServer(hosts, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(issued.ChainPEM, issued.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	e := &edge{leaf: pki.Fingerprint(pair.Leaf)}
	e.addr = listen(t, addr, func(c net.Conn) {
		tls.Server(c, &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.sni = append(e.sni, h.ServerName)
			return &pair, nil
		}}).Handshake()
	})
	return e
}

// listen handles each connection until the test ends.
func listen(t *testing.T, addr string, handle func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Skipf("this machine has no %s: %v", addr, err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); handle(c) }()
		}
	}()
	return ln.Addr().String()
}

func newCA(t *testing.T) *pki.CA {
	t.Helper()
	ca, err := pki.NewCA("probe test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func TestLookSeesWhatIsServed(t *testing.T) {
	ca := newCA(t)
	e := serve(t, ca, "127.0.0.1:0", "www.example.com", "*.example.org", "192.0.2.7")
	for _, row := range []struct {
		name, sni string
		matches   bool
	}{
		{"www.example.com", "www.example.com", true},
		{"*.example.org", "certfleet-probe.example.org", true},
		{"192.0.2.7", "", true},
		{"other.example.net", "other.example.net", false},
		{"*.example.com", "certfleet-probe.example.com", false},
	} {
		seen, err := Look(t.Context(), e.addr, name(t, row.name), Options{Roots: ca.Pool()})
		if err != nil {
			t.Fatalf("%s: %v", row.name, err)
		}
		e.mu.Lock()
		asked := e.sni[len(e.sni)-1]
		e.mu.Unlock()
		if asked != row.sni {
			t.Errorf("%s: asked for %q, want %q", row.name, asked, row.sni)
		}
		if seen.Fingerprint != e.leaf || seen.Matches != row.matches || !seen.Trusted || seen.Protocol != "TLS 1.3" || len(seen.Chain) != 2 || seen.NotAfter.IsZero() || seen.Remote != e.addr {
			t.Errorf("%s: saw %+v", row.name, seen)
		}
	}
}

func TestLookShowsWhatNobodyTrusts(t *testing.T) {
	ca := newCA(t)
	e := serve(t, ca, "127.0.0.1:0", "www.example.com")
	seen, err := Look(t.Context(), e.addr, name(t, "www.example.com"), Options{Roots: x509.NewCertPool()})
	if err != nil || seen.Trusted || !strings.Contains(seen.Distrust, "unknown authority") || seen.Fingerprint != e.leaf {
		t.Errorf("saw %+v, %v", seen, err)
	}
}

func TestLookSaysWhyNothingWasServed(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	for want, addr := range map[string]string{
		"refuses connections":    fmt.Sprintf("127.0.0.1:%d", porttest.Port(t)),
		"did not answer in time": listen(t, "127.0.0.1:0", func(net.Conn) { <-stop }),
		"does not speak TLS":     listen(t, "127.0.0.1:0", func(c net.Conn) { c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")); <-stop }),
		"closed the connection":  listen(t, "127.0.0.1:0", func(c net.Conn) { c.Read(make([]byte, 4096)) }),
		"refused the handshake": listen(t, "127.0.0.1:0", func(c net.Conn) {
			tls.Server(c, &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }}).Handshake()
		}),
	} {
		start, timeout := time.Now(), trial.Patience
		if want == "did not answer in time" {
			timeout = 300 * time.Millisecond
		}
		_, err := Look(t.Context(), addr, name(t, "www.example.com"), Options{Timeout: timeout})
		if err == nil || !strings.Contains(err.Error(), want) || certfleet.KindOf(err) != certfleet.Unreachable || certfleet.AdviceOf(err) == "" {
			t.Errorf("got %v, want %q with advice", err, want)
		}
		if time.Since(start) > trial.Patience/2 {
			t.Errorf("%q took %s", want, time.Since(start))
		}
	}
}

func TestLookTellsAGuardsRefusalAsItIs(t *testing.T) {
	denied := &certfleet.Error{Kind: certfleet.Denied, Msg: "not public", Advice: "allow it"}
	_, err := Look(t.Context(), "127.0.0.1:1", name(t, "a.example.com"), Options{Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: denied}
	}})
	if certfleet.KindOf(err) != certfleet.Denied {
		t.Errorf("got %v", err)
	}
}

func TestLookAllKeepsOrderAndGoesOnAfterFailures(t *testing.T) {
	ca := newCA(t)
	e := serve(t, ca, "127.0.0.1:0", "a.example.com", "b.example.com")
	closed := fmt.Sprintf("127.0.0.1:%d", porttest.Port(t))
	names := []certfleet.Name{name(t, "a.example.com"), name(t, "b.example.com")}
	got := LookAll(t.Context(), names, []string{closed, e.addr, "probe.invalid:443"}, Options{Parallel: 2, Timeout: 10 * time.Second})
	if len(got) != 6 {
		t.Fatalf("got %d sights", len(got))
	}
	for i, s := range got {
		if s.Name != names[i/3] || (s.Err == nil) != (i%3 == 1) || (s.Err == nil && s.Fingerprint != e.leaf) {
			t.Errorf("sight %d: %s at %s: %v", i, s.Name, s.Address, s.Err)
		}
	}
}

func TestLookAllLooksAtBothFamiliesOfAHost(t *testing.T) {
	ca := newCA(t)
	v4 := serve(t, ca, "127.0.0.1:0", "a.example.com")
	_, port, _ := net.SplitHostPort(v4.addr)
	v6 := serve(t, ca, "[::1]:"+port, "a.example.com")
	both := func(context.Context, string, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("::ffff:127.0.0.1"), netip.IPv6Loopback()}, nil
	}
	want := map[string]string{"127.0.0.1:" + port: v4.leaf, "[::1]:" + port: v6.leaf}
	for _, s := range LookAll(t.Context(), []certfleet.Name{name(t, "a.example.com")}, []string{"edge.example.com:" + port}, Options{lookup: both}) {
		if s.Err != nil || want[s.Address] != s.Fingerprint {
			t.Errorf("%s: %v", s.Address, s.Err)
		}
		delete(want, s.Address)
	}
	if len(want) > 0 {
		t.Errorf("not looked at: %v", want)
	}
}

func TestAnAddressWithoutPortMeans443(t *testing.T) {
	for in, want := range map[string]string{"192.0.2.1": "192.0.2.1:443", "2001:db8::1": "[2001:db8::1]:443", "[2001:db8::1]": "[2001:db8::1]:443", "edge:8443": "edge:8443", "edge": "edge:443"} {
		if got := withPort(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
