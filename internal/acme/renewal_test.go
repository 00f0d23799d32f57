package acme_test

import (
	"crypto/x509"
	"encoding/hex"
	"math/big"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/pebble"
)

// TestARIIDIsTheOneOfTheRFC takes the example of RFC 9773 section 4.1.
func TestARIIDIsTheOneOfTheRFC(t *testing.T) {
	akid, err := hex.DecodeString("69885b6b87464041e1b37b847ba0ae2cde01c8d4")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		akid   []byte
		serial int64
		want   string
	}{
		{akid, 0x87654321, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"},
		{akid, 0x07654321, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.B2VDIQ"},
		{nil, 1, ""},
		{akid, 0, ""},
	} {
		got, err := acme.ARIID(&x509.Certificate{AuthorityKeyId: row.akid, SerialNumber: big.NewInt(row.serial)})
		if got != row.want || (err == nil) != (row.want != "") {
			t.Errorf("serial %x: %q, %v; want %q", row.serial, got, err, row.want)
		}
	}
}

func TestRenewalOrderReplacesOnce(t *testing.T) {
	k := start(t, pebble.Options{}, nil)
	acct := k.register(newKey(t))
	req := acme.OrderRequest{Names: names(t, "again.example")}
	leaf, _ := k.issue(acct, req, certfleet.HTTP01)
	for leaf.SerialNumber.Bytes()[0]&0x80 != 0 || len(leaf.SerialNumber.Bytes()) != 8 { // Pebble compares these wrongly
		leaf, _ = k.issue(acct, req, certfleet.HTTP01)
	}
	id, err := acme.ARIID(leaf)
	if err != nil {
		t.Fatal(err)
	}
	w, err := k.client.RenewalInfo(t.Context(), id)
	if err != nil || !w.Start.Before(w.End) || w.Start.Before(leaf.NotBefore) || w.End.After(leaf.NotAfter) || w.RetryAfter != 6*time.Hour {
		t.Fatalf("window %+v: %v", w, err)
	}
	req.Replaces = id
	k.issue(acct, req, certfleet.HTTP01)

	_, err = k.client.NewOrder(t.Context(), acct, req)
	if !acme.Is(err, "alreadyReplaced") {
		t.Fatalf("second replacement: %v", err)
	}
	req.Replaces = "" // what the caller does: once more without it
	if _, err = k.client.NewOrder(t.Context(), acct, req); err != nil {
		t.Error(err)
	}
}

func TestRenewalWindowCanBeMovedByTheCA(t *testing.T) {
	k := start(t, pebble.Options{}, nil)
	acct := k.register(newKey(t))
	leaf, _ := k.issue(acct, acme.OrderRequest{Names: names(t, "moved.example")}, certfleet.HTTP01)
	id, err := acme.ARIID(leaf)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	if err := k.ca.SetRenewalInfo(leaf, begin, begin.Add(30*time.Minute), "https://ca.example/incident"); err != nil {
		t.Fatal(err)
	}
	w, err := k.client.RenewalInfo(t.Context(), id)
	if err != nil || !w.Start.Equal(begin) || !w.End.Equal(begin.Add(30*time.Minute)) || w.ExplanationURL != "https://ca.example/incident" {
		t.Errorf("window %+v: %v", w, err)
	}
	for _, bad := range []string{`{}`, `{"suggestedWindow":{"start":"2026-01-02T00:00:00Z","end":"2026-01-01T00:00:00Z"}}`, `{"suggestedWindow":{"start":"soon"}}`, `<html>`} {
		if err := k.ca.SetRenewalAnswer(leaf, bad); err != nil {
			t.Fatal(err)
		}
		if w, err := k.client.RenewalInfo(t.Context(), id); certfleet.KindOf(err) != certfleet.Unreachable {
			t.Errorf("%s gave %+v and %v", bad, w, err)
		}
	}
}

func TestRevocation(t *testing.T) {
	k := start(t, pebble.Options{}, nil)
	ctx, acct, certKey := t.Context(), k.register(newKey(t)), newKey(t)
	leaf, _ := k.issue(acct, acme.OrderRequest{Names: names(t, "one.example")}, certfleet.HTTP01)
	if err := k.client.Revoke(ctx, acct, leaf.Raw, 4); err != nil || !k.ca.Revoked(leaf) {
		t.Fatalf("revoke by account: %v", err)
	}
	if err := k.client.Revoke(ctx, acct, leaf.Raw, 4); !acme.Is(err, "alreadyRevoked") {
		t.Errorf("revoke again: %v", err)
	}
	o, err := k.client.NewOrder(ctx, acct, acme.OrderRequest{Names: names(t, "two.example")})
	if err != nil {
		t.Fatal(err)
	}
	k.prove(acct, o, certfleet.HTTP01)
	two := leafOf(t, k.finish(acct, o, certKey)[0])
	if err := k.client.RevokeWithKey(ctx, newKey(t), two.Raw, 1); err == nil {
		t.Error("a stranger's key revoked a certificate")
	}
	if err := k.client.RevokeWithKey(ctx, certKey, two.Raw, 1); err != nil || !k.ca.Revoked(two) {
		t.Errorf("revoke by its key: %v", err)
	}
	three, _ := k.issue(acct, acme.OrderRequest{Names: names(t, "three.example")}, certfleet.HTTP01)
	if err := k.ca.Revoke(three, 4); err != nil || !k.ca.Revoked(three) {
		t.Errorf("revoke by the CA: %v", err)
	}
}
