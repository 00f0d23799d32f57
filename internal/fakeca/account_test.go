package fakeca_test

import (
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/fakeca"
)

func TestAccountsLiveAsTheRFCSays(t *testing.T) {
	k := start(t, fakeca.Options{})
	ctx := t.Context()
	if again, err := k.client.Register(ctx, k.acct.Key, acme.Registration{TermsAgreed: true}); err != nil || again.URL != k.acct.URL || !again.Existing {
		t.Errorf("registered again: %+v, %v", again, err)
	}
	_, err := k.client.Register(ctx, newKey(t), acme.Registration{})
	refused(t, err, "userActionRequired")
	_, err = k.client.Register(ctx, newKey(t), acme.Registration{TermsAgreed: true, Contact: []string{"tel:1"}})
	refused(t, err, "unsupportedContact")
	_, err = k.client.Find(ctx, newKey(t))
	refused(t, err, "accountDoesNotExist")
	if info, err := k.client.UpdateContact(ctx, k.acct, []string{"mailto:ops@example.com"}); err != nil || info.Contact[0] != "mailto:ops@example.com" {
		t.Errorf("contact %v, %v", info.Contact, err)
	}
	if _, err := k.client.Deactivate(ctx, k.acct); err != nil {
		t.Fatal(err)
	}
	_, err = k.client.NewOrder(ctx, k.acct, acme.OrderRequest{Names: names(t, "a.example")})
	refused(t, err, "unauthorized")
	_, err = k.client.Find(ctx, k.acct.Key)
	refused(t, err, "unauthorized")
}

func TestAnAccountKeepsItsURLWithANewKey(t *testing.T) {
	k := start(t, fakeca.Options{})
	other, fresh, old := k.register(), newKey(t), k.acct
	if err := k.client.Rollover(t.Context(), k.acct, fresh); err != nil {
		t.Fatal(err)
	}
	k.acct.Key = fresh
	k.issue(acme.OrderRequest{Names: names(t, "a.example")})
	_, err := k.client.NewOrder(t.Context(), old, acme.OrderRequest{Names: names(t, "b.example")})
	refused(t, err, "malformed")
	if info, err := k.client.Find(t.Context(), fresh); err != nil || info.URL != old.URL {
		t.Errorf("found %+v, %v", info, err)
	}
	err = k.client.Rollover(t.Context(), k.acct, other.Key)
	refused(t, err, "conflict")
}

func TestAnExternalAccountBindingIsRequiredAndUsedOnce(t *testing.T) {
	secret := []byte("0123456789abcdef0123456789abcdef")
	k := start(t, fakeca.Options{EAB: map[string][]byte{"kid-1": secret}})
	try := func(eab *acme.EAB) error {
		_, err := k.client.Register(t.Context(), newKey(t), acme.Registration{TermsAgreed: true, EAB: eab})
		return err
	}
	refused(t, try(nil), "externalAccountRequired")
	refused(t, try(&acme.EAB{KeyID: "kid-2", HMAC: secret}), "unauthorized")
	refused(t, try(&acme.EAB{KeyID: "kid-1", HMAC: secret[1:]}), "unauthorized")
	if err := try(&acme.EAB{KeyID: "kid-1", HMAC: secret}); err != nil {
		t.Error(err)
	}
	refused(t, try(&acme.EAB{KeyID: "kid-1", HMAC: secret}), "unauthorized")
}

func TestRevocation(t *testing.T) {
	k := start(t, fakeca.Options{})
	ctx := t.Context()
	leaf, _ := k.issue(acme.OrderRequest{Names: names(t, "a.example")})
	refused(t, k.client.Revoke(ctx, k.acct, leaf.Raw, 9), "badRevocationReason")
	stranger := k.register()
	refused(t, k.client.Revoke(ctx, stranger, leaf.Raw, 0), "unauthorized")
	refused(t, k.client.RevokeWithKey(ctx, newKey(t), leaf.Raw, 0), "unauthorized")

	owner := k.acct
	k.acct = stranger
	k.issue(acme.OrderRequest{Names: names(t, "a.example")}) // now it holds a valid authorization
	if err := k.client.Revoke(ctx, stranger, leaf.Raw, 4); err != nil {
		t.Error(err)
	}
	refused(t, k.client.Revoke(ctx, owner, leaf.Raw, 0), "alreadyRevoked")
	w, err := k.client.RenewalInfo(ctx, ariID(t, leaf))
	if err != nil || !w.End.Equal(t0.Add(-30*time.Minute)) {
		t.Errorf("the window of a revoked certificate ends at %s, %v", w.End, err)
	}
}

func TestACompromisedKeyIsNeverCertifiedAgain(t *testing.T) {
	k := start(t, fakeca.Options{})
	key := newKey(t)
	finalize := func(name string) (acme.Order, error) {
		o := k.order(acme.OrderRequest{Names: names(t, name)})
		k.answer(o)
		return k.client.Finalize(t.Context(), k.acct, o.Finalize, csr(t, key, o.Names))
	}
	o, err := finalize("a.example")
	if err != nil {
		t.Fatal(err)
	}
	chains, err := k.client.Certificate(t.Context(), k.acct, o.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.client.RevokeWithKey(t.Context(), key, parse(t, chains[0])[0].Raw, 1); err != nil {
		t.Fatal(err)
	}
	_, err = finalize("b.example")
	refused(t, err, "badPublicKey")
}
