package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
)

// now is the moment at which all these tests happen.
var now = time.Date(2026, 3, 14, 15, 9, 26, 535e6, time.UTC)

// write runs one transaction and ends the test when it does not commit.
func write(t testing.TB, db *store.DB, fn func(ctx context.Context, tx *store.Tx) error) {
	t.Helper()
	if err := try(t, db, fn); err != nil {
		t.Fatal(err)
	}
}

func try(t testing.TB, db *store.DB, fn func(ctx context.Context, tx *store.Tx) error) error {
	t.Helper()
	ctx := t.Context()
	return db.Tx(ctx, now, func(tx *store.Tx) error { return fn(ctx, tx) })
}

// name parses what the test knows to be a name.
func name(t testing.TB, s string) certfleet.Name {
	t.Helper()
	n, err := certfleet.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// fleet is one row of everything that other rows refer to.
type fleet struct {
	authority certfleet.Authority
	account   certfleet.Account
	policy    certfleet.Policy
	target    certfleet.StoredTarget
	key       certfleet.Key
	cert      certfleet.Certificate
	order     certfleet.Order
	version   certfleet.Version
}

func newFleet(t testing.TB, db *store.DB) *fleet {
	t.Helper()
	f := &fleet{
		authority: certfleet.Authority{Label: "ca", DirectoryURL: "https://ca.example/directory"},
		policy:    certfleet.Policy{Label: "default"},
		target:    certfleet.StoredTarget{Label: "edge-1", Type: "files"},
		key:       certfleet.Key{Use: "certificate", Type: certfleet.P256, SPKI: "aa00", Origin: "generated", Sealed: []byte("sealed")},
	}
	write(t, db, func(ctx context.Context, tx *store.Tx) error {
		for _, add := range []func() error{
			func() error { return tx.AddAuthority(ctx, &f.authority) },
			func() error {
				f.account = certfleet.Account{AuthorityID: f.authority.ID, Label: "us"}
				return tx.AddAccount(ctx, &f.account)
			},
			func() error { return tx.AddPolicy(ctx, &f.policy) },
			func() error { return tx.AddTarget(ctx, &f.target) },
			func() error { return tx.AddKey(ctx, &f.key) },
		} {
			if err := add(); err != nil {
				return err
			}
		}
		return nil
	})
	f.cert = *f.addCertificate(t, db, "shop", "shop.example.com")
	f.order = *f.addOrder(t, db, f.cert.ID)
	f.version = *f.addVersion(t, db, f.cert.ID, "f00d")
	return f
}

// addCertificate makes a certificate that the fleet's target is to get.
func (f *fleet) addCertificate(t testing.TB, db *store.DB, label string, names ...string) *certfleet.Certificate {
	t.Helper()
	c := &certfleet.Certificate{Label: label, PolicyID: f.policy.ID, Policy: f.policy.Label, Targets: []string{"edge-1"}, Lane: certfleet.LaneNew, DueAt: now}
	for _, n := range names {
		c.Names = append(c.Names, name(t, n))
	}
	write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.AddCertificate(ctx, c, "operator") })
	return c
}

func (f *fleet) newOrder(cert int64) *certfleet.Order {
	return &certfleet.Order{CertificateID: cert, AuthorityID: f.authority.ID, AccountID: f.account.ID, Slot: certfleet.SlotECDSA, Lane: certfleet.LaneNew}
}

func (f *fleet) addOrder(t testing.TB, db *store.DB, cert int64) *certfleet.Order {
	t.Helper()
	o := f.newOrder(cert)
	write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.AddOrder(ctx, o) })
	return o
}

func (f *fleet) addVersion(t testing.TB, db *store.DB, cert int64, fingerprint string) *certfleet.Version {
	t.Helper()
	v := &certfleet.Version{
		CertificateID: cert, OrderID: f.order.ID, KeyID: f.key.ID, Origin: "issued", Names: []certfleet.Name{name(t, "shop.example.com")},
		Serial: "5e" + fingerprint, Fingerprint: fingerprint, SPKI: "aa00", Issuer: "CN=R11", Subject: "CN=shop.example.com",
		NotBefore: now, NotAfter: now.Add(90 * 24 * time.Hour), ChainPEM: []byte("chain"), ARIID: "id." + fingerprint,
	}
	write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.AddVersion(ctx, v, nil) })
	return v
}

// deliveryOf reads the only delivery of a version.
func deliveryOf(t testing.TB, db *store.DB, version int64) *certfleet.Delivery {
	t.Helper()
	list, _, err := db.Deliveries(t.Context(), store.DeliveryFilter{VersionID: version})
	if err != nil || len(list) != 1 {
		t.Fatalf("version %d has %d deliveries, %v; want one", version, len(list), err)
	}
	return &list[0]
}

// same compares as the values print, where nil and empty are one.
func same(a, b any) bool { return fmt.Sprintf("%+v", a) == fmt.Sprintf("%+v", b) }
