package fakeca_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/fakeca"
)

// clock is the CA's, set by the test.
type clock struct {
	mu sync.Mutex
	at time.Time // under mu
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }

func (c *clock) pass(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.at = c.at.Add(d) }

var t0 = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// kit is a CA by a clock of its own, and a client of it.
type kit struct {
	testing.TB
	*clock
	ca     *fakeca.CA
	client *acme.Client
	acct   acme.Account
}

func start(t testing.TB, o fakeca.Options) *kit {
	t.Helper()
	k := &kit{TB: t, clock: &clock{at: t0}}
	o.Now = k.now
	k.ca = fakeca.New(o)
	k.client = acme.New(acme.Options{DirectoryURL: k.ca.DirectoryURL(), HTTP: &http.Client{Transport: k.ca.RoundTripper()}})
	if len(o.EAB) == 0 {
		k.acct = k.register()
	}
	return k
}

func (k *kit) register() acme.Account {
	k.Helper()
	key := newKey(k)
	info, err := k.client.Register(k.Context(), key, acme.Registration{Contact: []string{"mailto:tls@example.com"}, TermsAgreed: true})
	if err != nil {
		k.Fatal(err)
	}
	return acme.Account{URL: info.URL, Key: key}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func names(t testing.TB, list ...string) []certfleet.Name {
	t.Helper()
	out, err := certfleet.ParseNames(list)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func csr(t testing.TB, key crypto.Signer, list []certfleet.Name) []byte {
	t.Helper()
	req := &x509.CertificateRequest{}
	for _, n := range list {
		if n.IsIP() {
			req.IPAddresses = append(req.IPAddresses, n.IP().AsSlice())
			continue
		}
		req.DNSNames = append(req.DNSNames, n.String())
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, req, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func (k *kit) order(req acme.OrderRequest) acme.Order {
	k.Helper()
	o, err := k.client.NewOrder(k.Context(), k.acct, req)
	if err != nil {
		k.Fatal(err)
	}
	return o
}

// answer answers the first challenge of every open authorization and returns
// the authorizations as they stand then.
func (k *kit) answer(o acme.Order) []acme.Authorization {
	k.Helper()
	var out []acme.Authorization
	for _, url := range o.Authorizations {
		z := k.authorization(url)
		if z.Status == "pending" {
			if _, err := k.client.Answer(k.Context(), k.acct, z.Challenges[0].URL); err != nil {
				k.Fatal(err)
			}
			z = k.authorization(url)
		}
		out = append(out, z)
	}
	return out
}

func (k *kit) authorization(url string) acme.Authorization {
	k.Helper()
	z, err := k.client.GetAuthorization(k.Context(), k.acct, url)
	if err != nil {
		k.Fatal(err)
	}
	return z
}

// issue is the whole way of an order.
func (k *kit) issue(req acme.OrderRequest) (*x509.Certificate, [][]byte) {
	k.Helper()
	cert, chains, err := k.tryIssue(req)
	if err != nil {
		k.Fatal(err)
	}
	return cert, chains
}

func (k *kit) tryIssue(req acme.OrderRequest) (*x509.Certificate, [][]byte, error) {
	k.Helper()
	o, err := k.client.NewOrder(k.Context(), k.acct, req)
	if err != nil {
		return nil, nil, err
	}
	k.answer(o)
	if o, err = k.client.Finalize(k.Context(), k.acct, o.Finalize, csr(k, newKey(k), req.Names)); err != nil {
		return nil, nil, err
	}
	chains, err := k.client.Certificate(k.Context(), k.acct, o.Certificate)
	if err != nil {
		return nil, nil, err
	}
	return parse(k, chains[0])[0], chains, nil
}

func parse(t testing.TB, chain []byte) (out []*x509.Certificate) {
	t.Helper()
	for block, rest := pem.Decode(chain); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

// verifies checks a chain as a browser does, and names the root.
func (k *kit) verifies(chain []byte, host string) string {
	k.Helper()
	certs := parse(k, chain)
	o := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), DNSName: host, CurrentTime: k.now()}
	o.Roots.AppendCertsFromPEM(k.ca.RootsPEM())
	for _, c := range certs[1:] {
		o.Intermediates.AddCert(c)
	}
	paths, err := certs[0].Verify(o)
	if err != nil {
		k.Fatal(err)
	}
	return paths[0][len(paths[0])-1].Subject.CommonName
}

func ariID(t testing.TB, c *x509.Certificate) string {
	t.Helper()
	id, err := acme.ARIID(c)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// refused wants an error of the CA with a type.
func refused(t testing.TB, err error, kind string) {
	t.Helper()
	if !acme.Is(err, kind) {
		t.Errorf("got %v, want %s", err, kind)
	}
}

func breached(ca *fakeca.CA) (list []string) {
	for _, b := range ca.Breaches() {
		list = append(list, b.Limit)
	}
	slices.Sort(list)
	return list
}
