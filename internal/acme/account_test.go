package acme_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/pebble"
)

func containsAll(s string, parts ...string) bool {
	return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(s, p) })
}

func TestExternalAccountBinding(t *testing.T) {
	secret := base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("0123456789abcdef", 2)))
	k := start(t, pebble.Options{EABRequired: true, EABKeys: map[string]string{"kid-1": secret}}, nil)
	ctx := t.Context()
	dir, err := k.client.Directory(ctx)
	if err != nil || !dir.Meta.ExternalAccountRequired {
		t.Fatalf("externalAccountRequired is not said: %v", err)
	}
	reg := acme.Registration{TermsAgreed: true}
	if _, err = k.client.Register(ctx, newKey(t), reg); !acme.Is(err, "externalAccountRequired") {
		t.Errorf("without a binding: %v", err)
	}
	hmac, err := acme.ParseHMAC(secret + "=")
	if err != nil {
		t.Fatal(err)
	}
	reg.EAB = &acme.EAB{KeyID: "kid-1", HMAC: slices.Concat(hmac[:31], certfleet.Secret("x"))}
	if _, err = k.client.Register(ctx, newKey(t), reg); err == nil {
		t.Error("a wrong HMAC key was taken")
	}
	reg.EAB.HMAC = hmac
	if info, err := k.client.Register(ctx, newKey(t), reg); err != nil || info.URL == "" || info.Status != "valid" {
		t.Errorf("with the right binding: %+v: %v", info, err)
	}
}

func TestRegisteringTwiceFindsTheAccount(t *testing.T) {
	k := start(t, pebble.Options{}, nil)
	key, reg := newKey(t), acme.Registration{TermsAgreed: true}
	if _, err := k.client.Find(t.Context(), key); !acme.Is(err, "accountDoesNotExist") {
		t.Fatalf("find a stranger: %v", err)
	}
	first, err := k.client.Register(t.Context(), key, reg)
	if err != nil || first.Existing {
		t.Fatalf("%+v: %v", first, err)
	}
	second, err := k.newClient(nil).Register(t.Context(), key, reg)
	if err != nil || !second.Existing || second.URL != first.URL {
		t.Errorf("second time %+v, first %+v: %v", second, first, err)
	}
	found, err := k.client.Find(t.Context(), key)
	if err != nil || found.URL != first.URL {
		t.Errorf("found %+v: %v", found, err)
	}
}

func TestTermsMustBeAgreedTo(t *testing.T) {
	k := start(t, pebble.Options{}, nil)
	_, err := k.client.Register(t.Context(), newKey(t), acme.Registration{})
	if !acme.Is(err, "userActionRequired") {
		t.Errorf("got %v", err)
	}
}

func TestContactsAreReplaced(t *testing.T) {
	k := start(t, pebble.Options{}, nil)
	acct := k.register(newKey(t))
	want := []string{"mailto:new@example.com"}
	if _, err := k.client.UpdateContact(t.Context(), acct, want); err != nil {
		t.Fatal(err)
	}
	info, err := k.client.AccountInfo(t.Context(), acct)
	if err != nil || !slices.Equal(info.Contact, want) || info.URL != acct.URL {
		t.Errorf("account %+v: %v", info, err)
	}
	if info, err = k.client.UpdateContact(t.Context(), acct, nil); err != nil || len(info.Contact) != 0 {
		t.Errorf("contacts %v remain: %v", info.Contact, err)
	}
}

func TestDeactivatedAccountIsRefused(t *testing.T) {
	k := start(t, pebble.Options{}, nil)
	acct := k.register(newKey(t))
	if info, err := k.client.Deactivate(t.Context(), acct); err != nil || info.Status != "deactivated" {
		t.Fatalf("%+v: %v", info, err)
	}
	_, err := k.client.NewOrder(t.Context(), acct, acme.OrderRequest{Names: names(t, "late.example")})
	if !acme.Is(err, "unauthorized") {
		t.Errorf("order of a deactivated account: %v", err)
	}
}

func TestRolloverKeepsTheAccount(t *testing.T) {
	k := start(t, pebble.Options{}, nil)
	acct := k.register(newKey(t))
	next := newKey(t)
	if err := k.client.Rollover(t.Context(), acct, next); err != nil {
		t.Fatal(err)
	}
	if found, err := k.client.Find(t.Context(), next); err != nil || found.URL != acct.URL {
		t.Errorf("the new key finds %+v: %v", found, err)
	}
	if _, err := k.client.Find(t.Context(), acct.Key); !acme.Is(err, "accountDoesNotExist") {
		t.Errorf("the old key still counts: %v", err)
	}
	acct.Key = next
	if _, err := k.client.AccountInfo(t.Context(), acct); err != nil {
		t.Errorf("the new key does not sign: %v", err)
	}
	if err := k.client.Rollover(t.Context(), acct, next); err == nil {
		t.Error("rolled over to the key it has")
	}
}

func TestOrdersAreListedInPages(t *testing.T) {
	k := start(t, pebble.Options{OrdersPerPage: 3}, nil)
	key := newKey(t)
	info, err := k.client.Register(t.Context(), key, acme.Registration{TermsAgreed: true})
	if err != nil || info.Orders == "" {
		t.Fatalf("%+v: %v", info, err)
	}
	acct := acme.Account{URL: info.URL, Key: key}
	want := map[string]bool{}
	for i := range 8 {
		o, err := k.client.NewOrder(t.Context(), acct, acme.OrderRequest{Names: names(t, fmt.Sprintf("h%d.example", i))})
		if err != nil {
			t.Fatal(err)
		}
		want[o.URL] = true
	}
	pages := 0
	for page := info.Orders; page != ""; pages++ {
		urls, next, err := k.client.Orders(t.Context(), acct, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range urls {
			delete(want, u)
		}
		page = next
	}
	if pages != 3 || len(want) != 0 {
		t.Errorf("%d pages, %d orders missing; want 3 and 0", pages, len(want))
	}
}
