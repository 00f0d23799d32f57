package acme_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"crypto"
	"crypto/sha256"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/pebble"
)

func TestOrdersAreIssuedByEveryKindOfProof(t *testing.T) {
	k := start(t, pebble.Options{}, nil)
	acct := k.register(newKey(t))
	for _, row := range []struct {
		names []string
		by    certfleet.ChallengeType
		host  string
	}{
		{[]string{"www.shop.example"}, certfleet.HTTP01, "www.shop.example"},
		{[]string{"shop.example", "*.shop.example"}, certfleet.DNS01, "any.shop.example"},
		{[]string{"127.0.0.1"}, certfleet.HTTP01, "127.0.0.1"},
		{[]string{"bücher.example"}, certfleet.HTTP01, "xn--bcher-kva.example"},
	} {
		t.Run(row.host, func(t *testing.T) {
			leaf, chains := k.issue(acct, acme.OrderRequest{Names: names(t, row.names...)}, row.by)
			if err := leaf.VerifyHostname(row.host); err != nil {
				t.Error(err)
			}
			k.verifies(chains[0], row.host)
		})
	}
}

func TestWildcardAuthorizationNamesItsBase(t *testing.T) {
	k := start(t, pebble.Options{}, nil)
	acct := k.register(newKey(t))
	o, err := k.client.NewOrder(t.Context(), acct, acme.OrderRequest{Names: names(t, "*.shop.example")})
	if err != nil {
		t.Fatal(err)
	}
	if o.Status != "pending" || len(o.Names) != 1 || !o.Names[0].IsWildcard() || time.Until(o.Expires) < time.Hour {
		t.Errorf("order: %+v", o)
	}
	z := k.authorization(acct, o.Authorizations[0])
	if z.Name.String() != "shop.example" || !z.Wildcard || z.Status != "pending" {
		t.Errorf("authorization: %+v", z)
	}
}

// TestTLSALPN01IsAccepted serves the certificate of RFC 8737 section 3.
func TestTLSALPN01IsAccepted(t *testing.T) {
	var answer sync.Map
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{NextProtos: []string{"acme-tls/1"}, GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		c, _ := answer.Load(h.ServerName)
		return c.(*tls.Certificate), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for c, err := ln.Accept(); err == nil; c, err = ln.Accept() {
			c.(*tls.Conn).Handshake()
			c.Close()
		}
	}()
	k := start(t, pebble.Options{TLSPort: ln.Addr().(*net.TCPAddr).Port}, nil)
	acct := k.register(newKey(t))
	o, err := k.client.NewOrder(t.Context(), acct, acme.OrderRequest{Names: names(t, "alpn.example")})
	if err != nil {
		t.Fatal(err)
	}
	z := k.authorization(acct, o.Authorizations[0])
	ch := z.Challenges[slices.IndexFunc(z.Challenges, func(c acme.Challenge) bool { return c.Type == certfleet.TLSALPN01 })]
	auth, err := acme.KeyAuthorization(ch.Token, acct.Key)
	if err != nil {
		t.Fatal(err)
	}
	answer.Store("alpn.example", alpnCertificate(t, "alpn.example", auth))
	if _, err := k.client.Answer(t.Context(), acct, ch.URL); err != nil {
		t.Fatal(err)
	}
	if z = k.settled(acct, z.URL); z.Status != "valid" {
		t.Fatalf("tls-alpn-01 is %s: %v", z.Status, problemOf(z))
	}
	k.finish(acct, o, newKey(t))
}

func alpnCertificate(t *testing.T, name, keyAuth string) *tls.Certificate {
	t.Helper()
	sum := sha256.Sum256([]byte(keyAuth))
	value, err := asn1.Marshal(sum[:])
	if err != nil {
		t.Fatal(err)
	}
	key := newKey(t)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{name},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}, Critical: true, Value: value}}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestProfileDecidesTheLifetime(t *testing.T) {
	k := start(t, pebble.Options{Profiles: map[string]time.Duration{"classic": 90 * 24 * time.Hour, "shortlived": 160 * time.Hour}}, nil)
	acct := k.register(newKey(t))
	dir, err := k.client.Directory(t.Context())
	if err != nil || len(dir.Meta.Profiles) != 2 || dir.Meta.TermsOfService == "" || dir.RenewalInfo == "" {
		t.Fatalf("directory %+v: %v", dir, err)
	}
	leaf, _ := k.issue(acct, acme.OrderRequest{Names: names(t, "short.example"), Profile: "shortlived"}, certfleet.HTTP01)
	if life := leaf.NotAfter.Sub(leaf.NotBefore).Round(time.Minute); life != 160*time.Hour {
		t.Errorf("shortlived lives %s", life)
	}
	_, err = k.client.NewOrder(t.Context(), acct, acme.OrderRequest{Names: names(t, "short.example"), Profile: "gone"})
	if !acme.Is(err, "invalidProfile") {
		t.Errorf("unknown profile: %v", err)
	}
}

func TestEveryChainIsDownloaded(t *testing.T) {
	k := start(t, pebble.Options{AlternateRoots: 2, ChainLength: 2}, nil)
	acct := k.register(newKey(t))
	_, chains := k.issue(acct, acme.OrderRequest{Names: names(t, "chains.example")}, certfleet.HTTP01)
	roots := map[string]bool{}
	for _, c := range chains {
		roots[k.verifies(c, "chains.example").Subject.CommonName] = true
	}
	if len(chains) != 3 || len(roots) != 3 {
		t.Errorf("%d chains to %d roots, want 3 to 3", len(chains), len(roots))
	}
}

func TestAccountKeysOfEveryTypeSign(t *testing.T) {
	k := start(t, pebble.Options{}, nil)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsa2048, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{"p256": newKey(t), "p384": p384, "rsa2048": rsa2048} {
		acct := k.register(key)
		for range 20 { // an integer with leading zeros comes once in 256 signatures
			if _, err := k.client.AccountInfo(t.Context(), acct); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}

func TestFailedProofSaysWhyWithoutTheToken(t *testing.T) {
	k := start(t, pebble.Options{}, nil)
	acct := k.register(newKey(t))
	o, err := k.client.NewOrder(t.Context(), acct, acme.OrderRequest{Names: names(t, "fails.example")})
	if err != nil {
		t.Fatal(err)
	}
	z := k.authorization(acct, o.Authorizations[0])
	ch := z.Challenges[slices.IndexFunc(z.Challenges, func(c acme.Challenge) bool { return c.Type == certfleet.HTTP01 })]
	if _, err := k.client.Answer(t.Context(), acct, ch.URL); err != nil {
		t.Fatal(err)
	}
	z = k.settled(acct, z.URL)
	p, _ := problemOf(z).(*acme.Problem)
	if z.Status != "invalid" || p == nil || p.Name() != "unauthorized" {
		t.Fatalf("status %s, problem %v", z.Status, p)
	}
	if want := "404"; !containsAll(p.Error(), want, "fails.example") || containsAll(p.Error(), ch.Token) {
		t.Errorf("problem is %q, want %s and the name in it, and no token", p, want)
	}
	if o, err = k.client.GetOrder(t.Context(), acct, o.URL); err != nil || o.Status != "invalid" || o.Problem == nil {
		t.Errorf("order %q with %v: %v", o.Status, o.Problem, err)
	}
}

func TestDeactivatedAuthorizationEndsItsOrder(t *testing.T) {
	k := start(t, pebble.Options{}, nil)
	acct := k.register(newKey(t))
	o, err := k.client.NewOrder(t.Context(), acct, acme.OrderRequest{Names: names(t, "given-up.example")})
	if err != nil {
		t.Fatal(err)
	}
	z, err := k.client.DeactivateAuthorization(t.Context(), acct, o.Authorizations[0])
	if err != nil || z.Status != "deactivated" {
		t.Fatalf("%q: %v", z.Status, err)
	}
	if o, err = k.client.GetOrder(t.Context(), acct, o.URL); err != nil || o.Status != "invalid" {
		t.Errorf("order is %q: %v", o.Status, err)
	}
}
