package acme_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/trial"
)

// kit is a CA, a client of it, and a web server that answers http-01.
type kit struct {
	*testing.T
	ca      *pebble.CA
	client  *acme.Client
	answers sync.Map // path to key authorization

	mu        sync.Mutex
	exchanges []certfleet.Exchange // under mu
}

func start(t *testing.T, o pebble.Options, log *slog.Logger) *kit {
	t.Helper()
	k := &kit{T: t}
	if o.HTTPPort == 0 {
		o.HTTPPort = k.serveHTTP01()
	}
	ca, err := pebble.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ca.Close(); err != nil {
			t.Error(err)
		}
	})
	k.ca = ca
	k.client = k.newClient(log)
	return k
}

// newClient is another client of the same CA, such as after a restart.
func (k *kit) newClient(log *slog.Logger) *acme.Client {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(k.ca.TrustPEM)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, IdleConnTimeout: 10 * time.Second}
	k.Cleanup(tr.CloseIdleConnections)
	return acme.New(acme.Options{DirectoryURL: k.ca.DirectoryURL, HTTP: &http.Client{Transport: tr}, Log: log, Record: k.record})
}

func (k *kit) record(_ context.Context, x certfleet.Exchange) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.exchanges = append(k.exchanges, x)
}

// seen are the exchanges of one kind so far.
func (k *kit) seen(kind string) []certfleet.Exchange {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(k.exchanges), func(x certfleet.Exchange) bool { return kind != "" && x.Kind != kind })
}

func (k *kit) serveHTTP01() (port int) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		k.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, ok := k.answers.Load(r.URL.Path)
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Write([]byte(v.(string)))
	})}
	go srv.Serve(ln)
	k.Cleanup(func() { srv.Close() })
	return ln.Addr().(*net.TCPAddr).Port
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (k *kit) register(key crypto.Signer) acme.Account {
	k.Helper()
	info, err := k.client.Register(k.Context(), key, acme.Registration{Contact: []string{"mailto:tls@example.com"}, TermsAgreed: true})
	if err != nil {
		k.Fatal(err)
	}
	return acme.Account{URL: info.URL, Key: key}
}

func names(t testing.TB, list ...string) []certfleet.Name {
	t.Helper()
	out, err := certfleet.ParseNames(list)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// present makes one challenge visible.
func (k *kit) present(acct acme.Account, z acme.Authorization, ch acme.Challenge) {
	k.Helper()
	auth, err := acme.KeyAuthorization(ch.Token, acct.Key)
	if err != nil {
		k.Fatal(err)
	}
	c := certfleet.Challenge{Type: ch.Type, Name: z.Name, Token: ch.Token, KeyAuth: auth}
	switch ch.Type {
	case certfleet.HTTP01:
		k.answers.Store(certfleet.ChallengePath+ch.Token, auth)
	case certfleet.DNS01:
		k.ca.AddTXT(c.DNSName(), c.DNSValue())
	default:
		k.Fatalf("no way to present %s", ch.Type)
	}
}

// prove answers every open authorization of an order by one challenge type.
func (k *kit) prove(acct acme.Account, o acme.Order, by certfleet.ChallengeType) {
	k.Helper()
	for _, url := range o.Authorizations {
		z := k.authorization(acct, url)
		if z.Status == "valid" {
			continue
		}
		i := slices.IndexFunc(z.Challenges, func(c acme.Challenge) bool { return c.Type == by })
		if i < 0 {
			k.Fatalf("%s offers no %s", z.Name, by)
		}
		k.present(acct, z, z.Challenges[i])
		if _, err := k.client.Answer(k.Context(), acct, z.Challenges[i].URL); err != nil {
			k.Fatal(err)
		}
		if z = k.settled(acct, url); z.Status != "valid" {
			k.Fatalf("%s is %s: %v", z.Name, z.Status, problemOf(z))
		}
	}
}

func problemOf(z acme.Authorization) error {
	for _, ch := range z.Challenges {
		if ch.Problem != nil {
			return ch.Problem
		}
	}
	return nil
}

func (k *kit) authorization(acct acme.Account, url string) acme.Authorization {
	k.Helper()
	z, err := k.client.GetAuthorization(k.Context(), acct, url)
	if err != nil {
		k.Fatal(err)
	}
	return z
}

// settled waits until an authorization is no longer pending.
func (k *kit) settled(acct acme.Account, url string) acme.Authorization {
	k.Helper()
	var z acme.Authorization
	trial.Until(k, "a verdict", func() (bool, string) {
		z = k.authorization(acct, url)
		return z.Status != "pending", z.Status
	})
	return z
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

// finish finalizes a proved order and downloads its chains.
func (k *kit) finish(acct acme.Account, o acme.Order, key crypto.Signer) [][]byte {
	k.Helper()
	ctx, url := k.Context(), o.URL
	o, err := k.client.Finalize(ctx, acct, o.Finalize, csr(k, key, o.Names))
	for end := time.Now().Add(trial.Patience); err == nil && o.Status == "processing" && time.Now().Before(end); {
		time.Sleep(2 * time.Millisecond)
		o, err = k.client.GetOrder(ctx, acct, url)
	}
	if err != nil || o.Status != "valid" {
		k.Fatalf("order is %q: %v", o.Status, err)
	}
	chains, err := k.client.Certificate(ctx, acct, o.Certificate)
	if err != nil {
		k.Fatal(err)
	}
	return chains
}

// issue is the whole way; it returns the leaf and its chains.
func (k *kit) issue(acct acme.Account, req acme.OrderRequest, by certfleet.ChallengeType) (*x509.Certificate, [][]byte) {
	k.Helper()
	o, err := k.client.NewOrder(k.Context(), acct, req)
	if err != nil {
		k.Fatal(err)
	}
	k.prove(acct, o, by)
	chains := k.finish(acct, o, newKey(k))
	return leafOf(k, chains[0]), chains
}

func parseChain(t testing.TB, chain []byte) []*x509.Certificate {
	t.Helper()
	var out []*x509.Certificate
	for block, rest := pem.Decode(chain); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

func leafOf(t testing.TB, chain []byte) *x509.Certificate { t.Helper(); return parseChain(t, chain)[0] }

// verifies checks a chain against the CA's roots and returns the root it ends in.
func (k *kit) verifies(chain []byte, host string) *x509.Certificate {
	k.Helper()
	certs := parseChain(k, chain)
	roots, middle := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(k.ca.RootsPEM())
	for _, c := range certs[1:] {
		middle.AddCert(c)
	}
	paths, err := certs[0].Verify(x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: middle})
	if err != nil {
		k.Fatalf("verify %s: %v", host, err)
	}
	return paths[0][len(paths[0])-1]
}

// path is the CA's resource behind a URL, as Pebble lays them out.
func path(r *http.Request, prefix string) bool { return strings.HasPrefix(r.URL.Path, prefix) }
