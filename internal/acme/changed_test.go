package acme_test

import (
	"context"
	"crypto"
	"errors"
	"testing"

	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/pebble"
)

// TestARefusedSignatureIsMadeAgainByTheNewKey has the account's key change behind the
// back of who signs; the CA is asked twice at most, and never without another key.
func TestARefusedSignatureIsMadeAgainByTheNewKey(t *testing.T) {
	k := start(t, pebble.Options{}, nil)
	old, fresh, broken := k.register(newKey(t)), newKey(t), errors.New("the store is away")
	if err := k.client.Rollover(t.Context(), old, fresh); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what     string
		now      crypto.Signer
		err      error
		requests int
		good     bool
	}{{"changed", fresh, nil, 2, true}, {"the same", nil, nil, 1, false}, {"unknown", nil, broken, 1, false}} {
		acct, before := old, len(k.seen("order"))
		acct.Changed = func(_ context.Context, refused crypto.Signer) (crypto.Signer, error) {
			if refused != old.Key {
				t.Errorf("%s: asked about another key than the one that signed", c.what)
			}
			return c.now, c.err
		}
		_, err := k.client.NewOrder(t.Context(), acct, acme.OrderRequest{Names: names(t, "new.example")})
		if n := len(k.seen("order")) - before; n != c.requests || (err == nil) != c.good {
			t.Errorf("%s: %d requests, %v; want %d", c.what, n, err, c.requests)
		}
		if c.err != nil && (!errors.Is(err, broken) || !errors.Is(err, acme.ErrUnsent)) {
			t.Errorf("%s: %v; want why, and that no order was opened", c.what, err)
		}
		if c.now == nil && c.err == nil && !acme.Is(err, "malformed") {
			t.Errorf("%s: %v; want the CA's refusal", c.what, err)
		}
	}
}

// TestAChallengeIsNotAnsweredByAnotherKey because what is presented is by the first.
func TestAChallengeIsNotAnsweredByAnotherKey(t *testing.T) {
	k := start(t, pebble.Options{}, nil)
	acct, fresh := k.register(newKey(t)), newKey(t)
	o, err := k.client.NewOrder(t.Context(), acct, acme.OrderRequest{Names: names(t, "shown.example")})
	if err != nil {
		t.Fatal(err)
	}
	z, err := k.client.GetAuthorization(t.Context(), acct, o.Authorizations[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := k.client.Rollover(t.Context(), acct, fresh); err != nil {
		t.Fatal(err)
	}
	acct.Changed = func(context.Context, crypto.Signer) (crypto.Signer, error) { return fresh, nil }
	if _, err := k.client.Answer(t.Context(), acct, z.Challenges[0].URL); !acme.Is(err, "malformed") {
		t.Errorf("it says: %v; want the CA's refusal", err)
	}
	if z, err := k.client.GetAuthorization(t.Context(), acct, z.URL); err != nil || z.Status != "pending" {
		t.Errorf("the authorization is %+v, %v; want it pending", z, err)
	}
}
