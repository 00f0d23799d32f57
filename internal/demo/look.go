package demo

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
)

// lookTime bounds one handshake.
const lookTime = 5 * time.Second

// proof is what a handshake of the demo's own showed for one name. Unlike the
// manager's probe it trusts nothing but the CA's root, as a browser would.
type proof struct {
	name     string
	serial   string
	notAfter time.Time
	root     string
	protocol string
	err      error
}

// look makes a handshake with the edge for every name that was served.
func (d *demo) look(ctx context.Context) {
	for _, t := range d.fleet.tracks {
		d.prove(ctx, t)
	}
}

func (d *demo) prove(ctx context.Context, t *track) {
	t.proofs = nil
	for _, name := range t.names {
		t.proofs = append(t.proofs, handshake(ctx, d.addrOf(t), name, d.ca.RootsPEM()))
	}
}

// addrOf is where a certificate is served.
func (d *demo) addrOf(t *track) string {
	if t.target == "agent" {
		return d.beside.service.addr
	}
	return d.edge.addr
}

// handshake connects as a client that trusts rootsPEM alone, and checks the name.
func handshake(ctx context.Context, addr, name string, rootsPEM []byte) proof {
	p := proof{name: name}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(rootsPEM)
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	dialer := tls.Dialer{NetDialer: &net.Dialer{}, Config: &tls.Config{RootCAs: roots, ServerName: hostFor(name), MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		p.err = fmt.Errorf("handshake for %s: %w", name, err)
		return p
	}
	defer conn.Close()
	state := conn.(*tls.Conn).ConnectionState()
	leaf, chain := state.PeerCertificates[0], state.VerifiedChains[0]
	p.serial, p.notAfter = pki.Serial(leaf), leaf.NotAfter
	p.root, p.protocol = chain[len(chain)-1].Subject.CommonName, tls.VersionName(state.Version)
	return p
}

// hostFor is a host that a name covers.
func hostFor(name string) string {
	if base, ok := strings.CutPrefix(name, "*."); ok {
		return "any." + base
	}
	return name
}

// proofOf is what was seen of a name, zero if nothing was.
func (t *track) proofOf(name string) proof {
	for _, p := range t.proofs {
		if p.name == name {
			return p
		}
	}
	return proof{name: name}
}

// shows reports whether a handshake for the name showed this run's version.
func (t *track) shows(name string) bool {
	p := t.proofOf(name)
	return p.err == nil && t.version != nil && p.serial == t.version.Serial
}

// missing says which names were not seen, nil when all were that should be.
func (f *fleet) missing() error {
	var names []string
	silent := false
	for _, t := range f.tracks {
		silent = silent || t.fails && t.failed.IsZero()
		for _, name := range t.names {
			if !t.fails && !t.shows(name) {
				names = append(names, name+" ("+t.why(name)+")")
			}
		}
	}
	switch {
	case len(names) > 0:
		return &certfleet.Error{Kind: certfleet.Internal, Msg: "not seen in a handshake: " + strings.Join(names, "; "), Advice: "look at " + logFile + " in the demo's folder, and run the demo again with --dir DIR to keep it"}
	case silent:
		return &certfleet.Error{Kind: certfleet.Internal, Msg: "the name that must fail did not fail yet", Advice: "look at " + logFile + " in the demo's folder, and run the demo again with --dir DIR to keep it"}
	}
	return nil
}

// why says what stands between a name and its handshake.
func (t *track) why(name string) string {
	p := t.proofOf(name)
	switch {
	case t.problem != "":
		return t.state() + ": " + t.problem
	case t.stage < served:
		return t.state() + ", no further within the time"
	case p.err != nil:
		return p.err.Error()
	}
	return "another serial is served: " + p.serial
}
