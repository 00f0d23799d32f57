package acme_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/pebble"
)

func TestRefusedNoncesAreRepeatedWithTheFreshOne(t *testing.T) {
	k := start(t, pebble.Options{NonceReject: 15}, nil)
	acct := k.register(newKey(t))
	for i := range 5 {
		k.issue(acct, acme.OrderRequest{Names: names(t, fmt.Sprintf("n%d.example", i))}, certfleet.HTTP01)
	}
	refused := 0
	for _, x := range k.seen("") {
		if containsAll(x.Problem, "badNonce") {
			refused++
		}
	}
	if heads := len(k.seen("nonce")); refused == 0 || heads > 3 {
		t.Errorf("%d refusals and %d requests for a nonce; want some refusals, and fresh nonces taken from them", refused, heads)
	}
}

func TestEndlessBadNonceIsGivenUp(t *testing.T) {
	posts := 0
	k := start(t, pebble.Options{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if path(r, newOrder) {
				posts++
				says(400, `{"type":"urn:ietf:params:acme:error:badNonce","detail":"no"}`, "Replay-Nonce", fmt.Sprintf("never-%d", posts))(w, r, next)
				return
			}
			next.ServeHTTP(w, r)
		})
	}}, nil)
	acct := k.register(newKey(t))
	_, err := k.client.NewOrder(t.Context(), acct, acme.OrderRequest{Names: names(t, "never.example")})
	if !acme.Is(err, "badNonce") || posts != 13 {
		t.Errorf("%d requests, %v; want 13 and badNonce", posts, err)
	}
}

func TestDirectoryIsFetchedOnce(t *testing.T) {
	k := start(t, pebble.Options{}, nil)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := k.client.Directory(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(k.seen("directory")); n != 1 {
		t.Errorf("fetched %d times", n)
	}
	if _, err := k.client.Refresh(t.Context()); err != nil || len(k.seen("directory")) != 2 {
		t.Errorf("refresh fetched %d times in all: %v", len(k.seen("directory")), err)
	}
}

func TestRetryAfterOfObjectsIsReadInBothForms(t *testing.T) {
	k := start(t, pebble.Options{RetryAfter: 7 * time.Second}, nil)
	acct := k.register(newKey(t))
	for i := range 6 { // Pebble throws a coin for the form
		o, err := k.client.NewOrder(t.Context(), acct, acme.OrderRequest{Names: names(t, fmt.Sprintf("r%d.example", i))})
		if err != nil {
			t.Fatal(err)
		}
		k.prove(acct, o, certfleet.HTTP01)
		f, err := k.client.Finalize(t.Context(), acct, o.Finalize, csr(t, newKey(t), o.Names))
		if err != nil || f.Status != "processing" || f.RetryAfter < 6*time.Second || f.RetryAfter > 7*time.Second {
			t.Errorf("finalize: %q, retry after %s, %v", f.Status, f.RetryAfter, err)
		}
	}
}

func TestFinalizingTwiceIsToldApart(t *testing.T) {
	k := start(t, pebble.Options{}, nil)
	acct := k.register(newKey(t))
	o, err := k.client.NewOrder(t.Context(), acct, acme.OrderRequest{Names: names(t, "twice.example")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.client.Finalize(t.Context(), acct, o.Finalize, csr(t, newKey(t), o.Names)); !acme.Is(err, "orderNotReady") {
		t.Errorf("before its proof: %v", err)
	}
	k.prove(acct, o, certfleet.HTTP01)
	before := len(k.seen(""))
	if _, err = k.client.Finalize(t.Context(), acct, o.Finalize, csr(t, newKey(t), o.Names)); err != nil {
		t.Fatal(err)
	}
	if n := len(k.seen("")) - before; n != 1 {
		t.Errorf("finalize made %d requests, want 1", n)
	}
	if _, err = k.client.Finalize(t.Context(), acct, o.Finalize, csr(t, newKey(t), o.Names)); !acme.Is(err, "orderNotReady") {
		t.Errorf("second time: %v", err)
	}
}

func TestExchangesNameTheirOrder(t *testing.T) {
	k := start(t, pebble.Options{}, nil)
	acct := k.register(newKey(t))
	ctx := acme.WithOrder(t.Context(), 7, 8, 9)
	if _, err := k.client.NewOrder(ctx, acct, acme.OrderRequest{Names: names(t, "told.example")}); err != nil {
		t.Fatal(err)
	}
	x := k.seen("order")[0]
	if x.OrderID != 7 || x.AccountID != 8 || x.AuthorityID != 9 || x.Method != "POST" || x.Status != 201 || x.At.IsZero() || x.Took <= 0 || !containsAll(x.URL, newOrder) {
		t.Errorf("recorded %+v", x)
	}
}

func TestManyOrdersAtATime(t *testing.T) {
	k := start(t, pebble.Options{NonceReject: 5}, nil)
	acct := k.register(newKey(t))
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			k.issue(acct, acme.OrderRequest{Names: names(t, fmt.Sprintf("p%d.example", i))}, certfleet.HTTP01)
		})
	}
	wg.Wait()
	if n := len(k.seen("finalize")); n < 40 {
		t.Errorf("%d finalized", n)
	}
}
