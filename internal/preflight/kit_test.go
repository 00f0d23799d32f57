package preflight

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/dnsq"
	"github.com/certfleet/certfleet/internal/porttest"
	"github.com/certfleet/certfleet/internal/solver/solvertest"
	"github.com/certfleet/certfleet/internal/trial"
)

// lab is a small internet on loopback: a name server for example.org, and web
// servers at the addresses 127.0.0.2 and up.
type lab struct {
	testing.TB
	dns  *solvertest.DNS
	deps Deps
}

func newLab(t testing.TB, records ...string) *lab {
	t.Helper()
	d := solvertest.Serve(t, append(append(solvertest.Zone("example.org.", 1), "org. 60 IN SOA a.org. b.org. 1 60 60 60 60"), records...)...)
	guard, err := dial.NewGuard([]string{"127.0.0.0/16"})
	if err != nil {
		t.Fatal(err)
	}
	r := &dnsq.Resolver{Servers: []string{d.Addr()}, Port: d.Port, Timeout: 5 * time.Second, Dial: guard.Dial}
	return &lab{t, d, Deps{DNS: r, Dial: guard.Dial, HTTPPort: porttest.Port(t), HTTPSPort: porttest.Port(t)}}
}

// hasty is the lab for a server that says nothing.
func (l *lab) hasty() *lab {
	out := *l
	r := l.deps.DNS
	out.deps.DNS = &dnsq.Resolver{Servers: r.Servers, Port: r.Port, Timeout: 300 * time.Millisecond, Dial: r.Dial}
	return &out
}

// web serves plain HTTP at an address.
func (l *lab) web(addr string, h http.HandlerFunc) {
	l.serve(addr, l.deps.HTTPPort, func(ln net.Listener) net.Listener { return ln }, h)
}

// secure serves HTTPS with a certificate that expired long ago.
func (l *lab) secure(addr string, h http.HandlerFunc, protocols ...string) {
	config := &tls.Config{Certificates: []tls.Certificate{expired(l)}, NextProtos: protocols}
	l.serve(addr, l.deps.HTTPSPort, func(ln net.Listener) net.Listener { return tls.NewListener(ln, config) }, h)
}

func (l *lab) serve(addr string, port int, wrap func(net.Listener) net.Listener, h http.HandlerFunc) {
	l.Helper()
	ln := l.listen(addr, port)
	s := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(wrap(ln)) }()
	l.Cleanup(func() { s.Close(); <-done })
}

func (l *lab) listen(addr string, port int) net.Listener {
	l.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(addr, strconv.Itoa(port)))
	if err != nil {
		l.Fatal(err)
	}
	return ln
}

func expired(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(1, 0), NotAfter: time.Unix(1e9, 0), DNSNames: []string{"other.test"}}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func ping(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != certfleet.ChallengePath+"ping" || r.Host != strings.Split(r.Host, ":")[0] {
		http.Error(w, "not the request of a CA: "+r.Host+r.URL.Path, http.StatusTeapot)
		return
	}
	io.WriteString(w, pong+"\n")
}

// ask is a look at a name with a challenge type.
func (l *lab) ask(name string, typ certfleet.ChallengeType, more ...func(*Question)) Report {
	l.Helper()
	q := Question{Name: parse(l, name), Challenge: typ}
	for _, change := range more {
		change(&q)
	}
	begin := time.Now()
	r := Look(l.Context(), q, l.deps)
	if took := time.Since(begin); took > lookTime+trial.Patience/2 {
		l.Errorf("the look at %s took %v", name, took)
	}
	return r
}

func parse(t testing.TB, name string) certfleet.Name {
	t.Helper()
	n, err := certfleet.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// expect is one finding that a report must have, or none when class is empty.
type expect struct {
	class   Class
	certain bool
	says    string
}

func (e expect) check(t testing.TB, r Report) {
	t.Helper()
	if e.class == "" {
		if len(r.Findings) != 0 || r.TTL != goodFor {
			t.Errorf("%s: found %+v, believed for %v; want nothing", r.Name, r.Findings, r.TTL)
		}
		return
	}
	if len(r.Findings) != 1 {
		t.Errorf("%s: %d findings, want one: %+v", r.Name, len(r.Findings), r.Findings)
		return
	}
	f := r.Findings[0]
	if f.Class != e.class || f.Certain != e.certain || !strings.Contains(f.Seen, e.says) || f.Advice == "" || r.TTL != badFor {
		t.Errorf("%s: %+v, believed for %v; want class %s, certain %v, saying %q", r.Name, f, r.TTL, e.class, e.certain, e.says)
	}
}
