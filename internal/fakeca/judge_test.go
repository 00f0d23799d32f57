package fakeca_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"github.com/certfleet/certfleet/internal/fakeca"
)

// TestAnotherClientGetsACertificateToo drives the CA by a client that was not
// written with it in mind, bad nonces included.
func TestAnotherClientGetsACertificateToo(t *testing.T) {
	secret := []byte("0123456789abcdef0123456789abcdef")
	ca := fakeca.New(fakeca.Options{
		URL: "https://judged.test", EAB: map[string][]byte{"kid-1": secret}, ValidationDelay: 20 * time.Millisecond,
		Faults: []fakeca.Fault{{Kind: fakeca.BadNonce, Share: 0.2, Times: 2}},
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c := &acme.Client{Directory: ca.DirectoryURL(), HTTPClient: &http.Client{Transport: ca.RoundTripper()}, PollInterval: 10 * time.Millisecond}
	account := acme.Account{PrivateKey: newKey(t), TermsOfServiceAgreed: true, Contact: []string{"mailto:tls@example.com"}}
	if err := account.SetExternalAccountBinding(ctx, c, acme.EAB{KeyID: "kid-1", MACKey: b64.EncodeToString(secret)}); err != nil {
		t.Fatal(err)
	}
	account, err := c.NewAccount(ctx, account)
	if err != nil {
		t.Fatal(err)
	}

	first := judged(ctx, t, c, account, acme.Order{Identifiers: []acme.Identifier{{Type: "dns", Value: "a.example"}, {Type: "dns", Value: "*.a.example"}}})
	leaf := parse(t, first[0].ChainPEM)[0]
	if len(first) != 2 || len(leaf.DNSNames) != 2 {
		t.Fatalf("%d chains for %v", len(first), leaf.DNSNames)
	}
	info, err := c.GetRenewalInfo(ctx, leaf)
	if err != nil || info.SuggestedWindow.Start.IsZero() {
		t.Fatalf("%+v, %v", info, err)
	}
	again := acme.Order{Identifiers: []acme.Identifier{{Type: "dns", Value: "a.example"}}, Profile: "shortlived", Replaces: info.UniqueIdentifier}
	judged(ctx, t, c, account, again)
	if _, err := c.NewOrder(ctx, account, again); err == nil {
		t.Error("replaced twice")
	}

	account, err = c.AccountKeyRollover(ctx, account, newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.RevokeCertificate(ctx, account, leaf, account.PrivateKey, acme.ReasonSuperseded); err != nil {
		t.Error(err)
	}
	if reason, is := ca.Revoked(leaf.SerialNumber.Text(16)); !is || reason != acme.ReasonSuperseded {
		t.Errorf("revoked: %v, for reason %d", is, reason)
	}
	if _, err := c.GetAccount(ctx, account); err != nil {
		t.Error(err)
	}
}

func judged(ctx context.Context, t *testing.T, c *acme.Client, account acme.Account, req acme.Order) []acme.Certificate {
	t.Helper()
	o, err := c.NewOrder(ctx, account, req)
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range o.Authorizations {
		z, err := c.GetAuthorization(ctx, account, url)
		if err != nil {
			t.Fatal(err)
		}
		if z.Status == acme.StatusValid {
			continue
		}
		if _, err := c.InitiateChallenge(ctx, account, z.Challenges[0]); err != nil {
			t.Fatal(err)
		}
		if z, err = c.PollAuthorization(ctx, account, z); err != nil || z.Status != acme.StatusValid {
			t.Fatalf("%s, %v", z.Status, err)
		}
	}
	var list []string
	for _, id := range req.Identifiers {
		list = append(list, id.Value)
	}
	if o, err = c.GetOrder(ctx, account, o); err != nil {
		t.Fatal(err)
	}
	if o, err = c.FinalizeOrder(ctx, account, o, csr(t, newKey(t), names(t, list...))); err != nil {
		t.Fatal(err)
	}
	chains, err := c.GetCertificateChain(ctx, account, o.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	return chains
}
