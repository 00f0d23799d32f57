package intake

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

type kit struct {
	t  *testing.T
	db *store.DB
	Room
}

func newKit(t *testing.T) *kit {
	t.Helper()
	db := storetest.SQLite(t)
	k := &kit{t: t, db: db, Room: Room{DB: db}}
	f := api.Fleet{
		Authorities: []api.Authority{{Label: "ca", DirectoryURL: "https://ca.test/dir"}},
		Accounts:    []api.FleetAccount{{Authority: "ca"}},
		Policies:    []api.Policy{{Label: "default", PolicySpec: api.PolicySpec{Authorities: []string{"ca"}}}, {Label: "dns", PolicySpec: api.PolicySpec{Authorities: []string{"ca"}, Challenge: "dns-01"}}},
		Targets:     []api.Target{{Label: "edge", Type: "files"}, {Label: "mail", Type: "files"}},
	}
	_, err := k.ApplyFleet(t.Context(), f, false)
	k.must(err)
	return k
}

func (k *kit) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatalf("%v (%s)", err, certfleet.AdviceOf(err))
	}
}

func (k *kit) change(fn func(ctx context.Context, tx *store.Tx) error) {
	k.t.Helper()
	k.must(k.db.Tx(k.t.Context(), time.Now(), func(tx *store.Tx) error { return fn(k.t.Context(), tx) }))
}

func (k *kit) add(n api.NewCertificate) *certfleet.Certificate {
	k.t.Helper()
	r, err := k.Add(k.t.Context(), n, "operator")
	k.must(err)
	return r.Certificate
}

// issue gives a certificate a version as an order would have.
func (k *kit) issue(c *certfleet.Certificate, fingerprint string) *certfleet.Version {
	k.t.Helper()
	now := time.Now()
	v := &certfleet.Version{CertificateID: c.ID, Names: c.Names, Origin: "issued", Fingerprint: fingerprint, NotBefore: now, NotAfter: now.Add(90 * 24 * time.Hour), ARIPollAt: now}
	k.change(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.AddVersion(ctx, v, nil); err != nil {
			return err
		}
		for _, n := range c.Names {
			if err := tx.FillSlot(ctx, certfleet.Slot{Name: n, Kind: certfleet.SlotECDSA, VersionID: v.ID}); err != nil {
				return err
			}
		}
		c.VersionID, c.NotAfter = v.ID, v.NotAfter
		if err := tx.SaveCertificate(ctx, c); err != nil {
			return err
		}
		return tx.WantDeliveries(ctx, v)
	})
	return v
}

// serves is the version that a name serves, zero for none.
func (k *kit) serves(name string) int64 {
	k.t.Helper()
	n, err := certfleet.ParseName(name)
	k.must(err)
	slots, err := k.db.SlotsOf(k.t.Context(), 0, n)
	k.must(err)
	if len(slots) == 0 {
		return 0
	}
	return slots[0].VersionID
}

// deliveries are the states of a certificate's deliveries by target.
func (k *kit) deliveries(c *certfleet.Certificate) map[string]certfleet.DeliveryState {
	k.t.Helper()
	list, _, err := k.db.Deliveries(k.t.Context(), store.DeliveryFilter{CertificateID: c.ID})
	k.must(err)
	out := map[string]certfleet.DeliveryState{}
	for _, d := range list {
		out[d.Target] = d.State
	}
	return out
}

func TestARemovedCertificateHandsItsNamesOn(t *testing.T) {
	k := newKit(t)
	other := k.add(api.NewCertificate{Label: "other", Names: []string{"a.example.com"}})
	c := k.add(api.NewCertificate{Label: "c", Names: []string{"a.example.com", "b.example.com"}, Targets: []string{"edge"}})
	old := k.issue(other, "01")
	v := k.issue(c, "02")
	if k.serves("a.example.com") != v.ID {
		t.Fatal("the test is wrong: a is not served by the certificate to remove")
	}
	_, err := k.Remove(t.Context(), c.ID)
	k.must(err)
	if a, b := k.serves("a.example.com"), k.serves("b.example.com"); a != old.ID || b != 0 {
		t.Errorf("a serves %d, want %d; b serves %d, want none", a, old.ID, b)
	}
	if d := k.deliveries(c); d["edge"] != certfleet.DeliverySuperseded {
		t.Errorf("deliveries %v go on", d)
	}
	if v, _ := k.db.Version(t.Context(), v.ID); !v.ARIPollAt.IsZero() {
		t.Error("the CA is still asked when to renew it")
	}
	if next, err := k.db.NextDue(t.Context()); err != nil || time.Until(next) > time.Minute {
		t.Errorf("next due %s: %v", next, err) // the other one is still new
	}
}

func TestTargetsComeAndGo(t *testing.T) {
	k := newKit(t)
	c := k.add(api.NewCertificate{Names: []string{"a.example.com"}, Targets: []string{"edge"}})
	k.issue(c, "01")
	k.change(func(ctx context.Context, tx *store.Tx) error {
		d, err := tx.Delivery(ctx, 1)
		if err != nil {
			return err
		}
		d.State = certfleet.DeliveryServed
		return tx.SaveDelivery(ctx, d)
	})
	for _, step := range []struct {
		targets []string
		want    map[string]certfleet.DeliveryState
	}{
		{[]string{"edge", "mail"}, map[string]certfleet.DeliveryState{"edge": "served", "mail": "due"}},
		{[]string{"mail"}, map[string]certfleet.DeliveryState{"edge": "superseded", "mail": "due"}},
		{[]string{"mail", "edge"}, map[string]certfleet.DeliveryState{"edge": "due", "mail": "due"}},
	} {
		_, err := k.Update(t.Context(), c.ID, api.CertificateChange{Targets: &step.targets})
		k.must(err)
		if got := k.deliveries(c); got["edge"] != step.want["edge"] || got["mail"] != step.want["mail"] {
			t.Errorf("targets %v: %v, want %v", step.targets, got, step.want)
		}
	}
}

func TestADroppedNameServesNothingAndTheRestIsDue(t *testing.T) {
	k := newKit(t)
	c := k.add(api.NewCertificate{Names: []string{"a.example.com", "b.example.com"}})
	v := k.issue(c, "01")
	names := []string{"a.example.com"}
	r, err := k.Update(t.Context(), c.ID, api.CertificateChange{Names: &names})
	k.must(err)
	if k.serves("b.example.com") != 0 || k.serves("a.example.com") != v.ID {
		t.Error("the slots do not follow the names")
	}
	if r.Certificate.DueAt.After(time.Now()) || r.Certificate.DueReason != "its names changed" {
		t.Errorf("due %s: %s", r.Certificate.DueAt, r.Certificate.DueReason)
	}
}

func TestAPausedCertificateIsNeverDue(t *testing.T) {
	k := newKit(t)
	c := k.add(api.NewCertificate{Names: []string{"a.example.com"}, Paused: true})
	names := []string{"a.example.com", "b.example.com"}
	r, err := k.Update(t.Context(), c.ID, api.CertificateChange{Names: &names})
	k.must(err)
	if !r.Certificate.DueAt.IsZero() {
		t.Error("a change of names made it due")
	}
	again, err := k.Add(t.Context(), api.NewCertificate{Names: names, Label: "a.example.com"}, "operator")
	k.must(err)
	if again.Changed || again.Certificate.State != certfleet.Paused {
		t.Errorf("asking again resumed it: %+v", again)
	}
	if next, err := k.db.NextDue(t.Context()); err != nil || !next.IsZero() {
		t.Errorf("something is due at %s: %v", next, err)
	}
}

func (k *kit) order(c *certfleet.Certificate) *certfleet.Order {
	return &certfleet.Order{CertificateID: c.ID, AuthorityID: 1, AccountID: 1, Slot: certfleet.SlotECDSA, Names: c.Names, Lane: certfleet.LaneRoutine, DueAt: time.Now().Add(time.Hour)}
}

func TestRenewHurriesAnOrderButNotUnderANodesHands(t *testing.T) {
	k := newKit(t)
	c := k.add(api.NewCertificate{Names: []string{"a.example.com"}})
	o := k.order(c)
	k.change(func(ctx context.Context, tx *store.Tx) error { return tx.AddOrder(ctx, o) })
	k.change(func(ctx context.Context, tx *store.Tx) error {
		return tx.ClaimOrder(ctx, o, "node", time.Now().Add(time.Minute))
	})
	r, err := k.Renew(t.Context(), c.ID, api.Renewal{})
	k.must(err)
	held, err := k.db.Order(t.Context(), o.ID)
	k.must(err)
	if r.OrderID != o.ID || held.Rev != o.Rev {
		t.Errorf("order %d, rev %d became %d: the node's next commit would be refused", r.OrderID, o.Rev, held.Rev)
	}
	k.change(func(ctx context.Context, tx *store.Tx) error {
		return tx.ReleaseOrder(ctx, o.ID, "node", time.Now().Add(time.Hour))
	})
	_, err = k.Renew(t.Context(), c.ID, api.Renewal{Emergency: true})
	k.must(err)
	if free, _ := k.db.Order(t.Context(), o.ID); free.DueAt.After(time.Now()) || free.Lane != certfleet.LaneEmergency {
		t.Errorf("the order waits until %s in lane %s", free.DueAt, free.Lane)
	}
}

func TestAManualOrderIsOpenedByRequest(t *testing.T) {
	k := newKit(t)
	k.Draft = func(_ context.Context, c *certfleet.Certificate) (*certfleet.Order, error) { return k.order(c), nil }
	r, err := k.Add(t.Context(), api.NewCertificate{Names: []string{"a.example.com"}, Manual: true}, "operator")
	k.must(err)
	o, err := k.db.Order(t.Context(), r.OrderID)
	k.must(err)
	if !o.Manual || o.State != certfleet.OrderWanted {
		t.Errorf("order %+v", o)
	}
	if due, err := k.db.DueCertificates(t.Context(), time.Now(), 9); err != nil || len(due) > 0 {
		t.Errorf("%d certificates are due besides: %v", len(due), err)
	}
	if _, err := k.Renew(t.Context(), r.Certificate.ID, api.Renewal{Manual: true}); certfleet.KindOf(err) != certfleet.Conflict || certfleet.AdviceOf(err) == "" {
		t.Errorf("a second manual order: %v", err)
	}
}

func TestAPolicyThatCannotProveANameIsRefused(t *testing.T) {
	k := newKit(t)
	_, err := k.Add(t.Context(), api.NewCertificate{Names: []string{"192.0.2.7"}, Policy: "dns"}, "operator")
	if certfleet.KindOf(err) != certfleet.Invalid || certfleet.AdviceOf(err) == "" {
		t.Errorf("an address under dns-01: %v", err)
	}
	k.add(api.NewCertificate{Names: []string{"*.example.com"}, Policy: "dns"})
}

func TestTheWriterIsWoken(t *testing.T) {
	k := newKit(t)
	wakes, stop := k.db.Wakes()
	defer stop()
	k.add(api.NewCertificate{Names: []string{"a.example.com"}})
	select {
	case <-wakes:
	default:
		t.Error("nobody hears of a certificate that is due now")
	}
}

func TestHMACKeysAreReadAsCAsWriteThem(t *testing.T) {
	want := "0123456789abcdef>?0123456789abcdef"
	for _, s := range []string{"MDEyMzQ1Njc4OWFiY2RlZj4_MDEyMzQ1Njc4OWFiY2RlZg", "MDEyMzQ1Njc4OWFiY2RlZj4/MDEyMzQ1Njc4OWFiY2RlZg=="} {
		if got, err := ParseHMAC(s); err != nil || string(got) != want {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range []string{"", "short", "not base64!!!!!!!!!!!!!!!!"} {
		if _, err := ParseHMAC(s); certfleet.AdviceOf(err) == "" {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestContactsBecomeURLs(t *testing.T) {
	got, err := CheckContact([]string{"tls@example.com", "mailto:ops@example.com"})
	if err != nil || !slices.Equal(got, []string{"mailto:tls@example.com", "mailto:ops@example.com"}) {
		t.Errorf("%v: %v", got, err)
	}
	for _, s := range []string{"nobody", "a@b?subject=x", "A <a@example.com>", "https://example.com"} {
		if _, err := CheckContact([]string{s}); certfleet.AdviceOf(err) == "" {
			t.Errorf("%q: %v", s, err)
		}
	}
}
