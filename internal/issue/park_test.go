package issue_test

import (
	"context"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/preflight"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// age moves the failures of a certificate so far happened into the past.
func (h *house) age(c *certfleet.Certificate, by time.Duration) {
	h.Helper()
	h.tx(func(ctx context.Context, tx *store.Tx) error {
		list, _, err := tx.Orders(ctx, store.OrderFilter{CertificateID: c.ID, State: "failed", Limit: 100})
		for i := range list {
			list[i].FinishedAt = list[i].FinishedAt.Add(-by)
			if err == nil {
				err = tx.SaveOrder(ctx, &list[i])
			}
		}
		return err
	})
}

// TestANameThatLeftUsIsParkedWatchedAndRearmed follows one certificate from its
// failures to its parking and back.
func TestANameThatLeftUsIsParkedWatchedAndRearmed(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	r, s := h.room(nil), &sky{}
	r.Preflight = s.look
	s.show("left.example", gone("left.example"))
	c := h.want("left", "stays.example", "left.example")
	for i := range 4 { // many at once are a bad hour, not a parting
		if _, cert := h.end(r, c); cert.State != certfleet.Active || cert.Failures != i+1 {
			t.Fatalf("after failure %d it is %s, %d failures", i+1, cert.State, cert.Failures)
		}
	}
	h.age(c, 25*time.Hour)
	_, cert := h.end(r, c)
	if wait := time.Until(cert.DueAt); cert.State != certfleet.Parked || wait < 5*time.Hour || wait > 24*time.Hour || cert.Problem == "" {
		t.Fatalf("after 5 failures over a day it is %s, due in %v, %q", cert.State, wait, cert.Problem)
	}
	if d := h.domain("left.example"); d.ParkedAt.IsZero() || d.ParkedReason == "" {
		t.Errorf("left.example says %q since %s", d.ParkedReason, d.ParkedAt)
	}
	if d := h.domain("stays.example"); !d.ParkedAt.IsZero() {
		t.Errorf("stays.example is parked too: %q", d.ParkedReason)
	}

	watch := func() *certfleet.Certificate {
		t.Helper()
		h.tx(func(ctx context.Context, tx *store.Tx) error {
			now, err := tx.Certificate(ctx, c.ID)
			if err != nil {
				return err
			}
			now.DueAt = tx.Now().Add(-time.Millisecond)
			return tx.SaveCertificate(ctx, now)
		})
		if err := r.Watch(t.Context(), c.ID, time.Now()); err != nil {
			t.Fatal(err)
		}
		return h.certificate(c.ID)
	}
	if cert = watch(); cert.State != certfleet.Parked || time.Until(cert.DueAt) < 5*time.Hour {
		t.Errorf("still gone: %s, due %s", cert.State, cert.DueAt)
	}
	s.show("left.example", preflight.Finding{Class: preflight.DNS, Seen: "SERVFAIL", Advice: "repair"})
	if cert = watch(); cert.State != certfleet.Parked {
		t.Error("a name server that answers nothing was taken for the name's return")
	}
	if n := len(h.wire.orders()); n != 0 {
		t.Errorf("%d orders went to the CA", n)
	}

	s.show("left.example", preflight.Finding{Class: preflight.PortClosed, Seen: "shut from here", Advice: "open it"})
	if cert = watch(); cert.State != certfleet.Active || cert.DueAt.After(time.Now()) || cert.Lane != certfleet.LaneNew || cert.Failures != 0 {
		t.Fatalf("back again: %s, due %s, lane %s", cert.State, cert.DueAt, cert.Lane)
	}
	if d := h.domain("left.example"); !d.ParkedAt.IsZero() || d.ParkedReason != "" {
		t.Errorf("left.example is parked still: %q", d.ParkedReason)
	}
	if o, cert := h.end(r, c); o.State != certfleet.OrderIssued || cert.Problem != "" {
		t.Errorf("its order is %s, problem %q", o.State, cert.Problem)
	}
}

// TestOnlyAPartingParks has failures as many and as long that are no parting.
func TestOnlyAPartingParks(t *testing.T) {
	t.Parallel()
	for what, last := range map[string]preflight.Finding{
		"CAA forbids":       {Class: preflight.Forbidden, Seen: "no CA may", Advice: "allow it", Certain: true},
		"DNSSEC is broken":  {Class: preflight.DNSSEC, Seen: "bogus", Advice: "repair it", Certain: true},
		"a private address": {Class: preflight.PortClosed, Seen: "10.0.0.1", Advice: "publish it", Certain: true},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := build(t, storetest.SQLite(t), pebble.Options{})
			r, s := h.room(nil), &sky{}
			r.Preflight = s.look
			s.show("here.example", last)
			c := h.want("here.example")
			for range 5 {
				h.end(r, c)
				h.age(c, 25*time.Hour)
			}
			if _, cert := h.end(r, c); cert.State != certfleet.Active {
				t.Errorf("it is %s after %d failures", cert.State, cert.Failures)
			}
		})
	}
}

func (h *house) domain(name string) *certfleet.Domain {
	h.Helper()
	n, err := certfleet.ParseName(name)
	if err != nil {
		h.Fatal(err)
	}
	d, err := h.db.Domain(h.Context(), 1, n)
	if err != nil {
		h.Fatal(err)
	}
	return d
}
