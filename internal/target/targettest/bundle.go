// Package targettest is the suite that every target passes.
package targettest

import (
	"sync"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
)

// authority signs all bundles of a test run; making one costs a key.
var authority = sync.OnceValues(func() (*pki.CA, error) { return pki.NewCA("targettest", time.Now()) })

// Bundle makes a version of a certificate with a fresh key. Later versions live
// longer, as renewals do.
func Bundle(t testing.TB, certificate string, version int64, names ...string) certfleet.Bundle {
	t.Helper()
	ca, err := authority()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := certfleet.ParseNames(names)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := ca.IssueServer(names, time.Hour+time.Duration(version)*time.Minute, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	chain, err := pki.ParseChain(issued.ChainPEM)
	if err != nil {
		t.Fatal(err)
	}
	return certfleet.Bundle{Certificate: certificate, Version: version, Names: parsed, ChainPEM: issued.ChainPEM,
		KeyPEM: issued.KeyPEM, Fingerprint: pki.Fingerprint(chain[0]), NotAfter: chain[0].NotAfter}
}
