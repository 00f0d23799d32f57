package app_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/pki"
)

// offline speaks with a fleet's API inside the process.
func offline(f *fleet) *client.Client {
	return client.New("http://offline", client.Options{HTTP: &http.Client{Transport: f.Offline("user:test")}})
}

// accountKey is a fresh private key in PEM form.
func accountKey(t *testing.T) string {
	t.Helper()
	key, err := pki.GenerateKey(certfleet.P256)
	if err != nil {
		t.Fatal(err)
	}
	pem, err := pki.MarshalKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem)
}

func TestAKeyWithoutAnAccountIsNotRegisteredByAnImport(t *testing.T) {
	t.Parallel()
	f := start(t, pebble.Options{})
	c := offline(f)
	_, err := c.AddAccount(t.Context(), client.NewAccount{Label: "moved", Authority: "pebble", Key: accountKey(t), Agree: true})
	if certfleet.KindOf(err) != certfleet.NotFound || !strings.Contains(certfleet.AdviceOf(err), "accounts new") {
		t.Errorf("got %v, advice %q; want that the CA knows no such account", err, certfleet.AdviceOf(err))
	}
	all, err := c.Accounts(t.Context())
	if err != nil || len(all) != 1 {
		t.Errorf("after a refused import there are %d accounts, %v; want the one from before", len(all), err)
	}
}

func TestAnImportedAccountIsFoundByItsKey(t *testing.T) {
	t.Parallel()
	f := start(t, pebble.Options{})
	c := offline(f)
	key := accountKey(t)
	signer, err := pki.ParseKey(certfleet.Secret(key))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := f.Issue.ClientOf(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	made, err := ca.Register(t.Context(), signer, acme.Registration{TermsAgreed: true})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.AddAccount(t.Context(), client.NewAccount{Label: "moved", Authority: "pebble", Key: key})
	if err != nil || got.URL != made.URL || got.State != "valid" {
		t.Errorf("got %+v, %v; want %s", got, err, made.URL)
	}
}

func TestAnAccountTheCARefusedIsAskedForAgain(t *testing.T) {
	t.Parallel()
	f := start(t, pebble.Options{})
	c := offline(f)
	n := client.NewAccount{Label: "second", Authority: "pebble", Contact: []string{"tls@certfleet.test"}}
	if _, err := c.AddAccount(t.Context(), n); certfleet.KindOf(err) != certfleet.Denied || !strings.Contains(certfleet.AdviceOf(err), "--agree") {
		t.Errorf("without agreement: %v, advice %q", err, certfleet.AdviceOf(err))
	}
	n.Agree, n.Contact = true, []string{"other@certfleet.test"}
	got, err := c.AddAccount(t.Context(), n)
	if err != nil || got.State != "valid" || len(got.Contact) != 1 || got.Contact[0] != "mailto:other@certfleet.test" {
		t.Errorf("with agreement: %+v, %v", got, err)
	}
	n.Contact = []string{"third@certfleet.test"}
	if _, err := c.AddAccount(t.Context(), n); certfleet.KindOf(err) != certfleet.Conflict {
		t.Errorf("a registered account with other content: %v, want a conflict", err)
	}
}
