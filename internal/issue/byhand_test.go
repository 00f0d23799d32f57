package issue_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/fakeca"
	"github.com/certfleet/certfleet/internal/intake"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/work"
)

// byHand opens an order of a certificate that advances by request only.
func (f *fleet) byHand(c *certfleet.Certificate) int64 {
	f.Helper()
	o, err := f.room.Draft(f.Context(), f.certificate(c.ID))
	if err != nil {
		f.Fatal(err)
	}
	o.Manual = true
	f.tx(func(ctx context.Context, tx *store.Tx) error { return tx.AddOrder(ctx, o) })
	return o.ID
}

// stepTo steps an order until its CA says so of it.
func (f *fleet) stepTo(id int64, status string) *certfleet.Order {
	f.Helper()
	for range 10 {
		o, err := f.db.Order(f.Context(), id)
		if err != nil {
			f.Fatal(err)
		}
		if o.CAStatus == status && (status != "valid" || !o.Live()) {
			return o
		}
		if err := work.StepOnce(f.Context(), f.db, "hand", id, f.room.Step); err != nil {
			f.Fatal(err)
		}
	}
	f.Fatalf("order %d is not %s after ten steps", id, status)
	return nil
}

func (f *fleet) told(kind string) (msgs string) {
	f.Helper()
	list, _, err := f.db.Events(f.Context(), store.EventFilter{Limit: 500})
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range list {
		if e.Kind == kind {
			msgs += e.Msg + "\n"
		}
	}
	return msgs
}

// TestAnOrderByHandKeepsNoCampaignOpen lets an order by hand hold a key that is out,
// and its request be at the CA already.
func TestAnOrderByHandKeepsNoCampaignOpen(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{IssueDelay: 10 * time.Second}, func(f *fleet) {
		f.policy.Spec.KeyCycle = certfleet.KeyGlobalWeekly
		f.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SavePolicy(ctx, f.policy) })
		issued := f.want(certfleet.LaneNew, "issued.example")[0]
		f.live(time.Minute)
		hand := f.want(certfleet.LaneNew, "hand.example")[0]
		id := f.byHand(hand)
		o := f.stepTo(id, "processing")
		v, err := f.db.Version(f.Context(), f.certificate(issued.ID).VersionID)
		if err != nil || o.KeyID != v.KeyID {
			t.Fatalf("the order holds key %d, the version %d: %v", o.KeyID, v.KeyID, err)
		}
		key, err := f.db.Key(f.Context(), v.KeyID)
		if err != nil {
			t.Fatal(err)
		}
		p, err := intake.Room{DB: f.db}.Compromise(context.WithoutCancel(f.Context()), key, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		f.live(10 * time.Minute)
		if got := f.stands(p.ID); got != "done [revoked:1]" {
			t.Errorf("while nobody steps the order it is %s", got)
		}
		if got := f.told("replacement.done"); !strings.Contains(got, "orders that advance by hand ("+"2)") {
			t.Errorf("it says %q", got)
		}
		f.stepTo(id, "valid")
		f.live(10 * time.Minute)
		if got := f.stands(p.ID); got != "done [revoked:2]" {
			t.Errorf("when the order has brought its version it is %s", got)
		}
		if now, err := f.db.Version(f.Context(), f.certificate(hand.ID).VersionID); err != nil || now.KeyID == key.ID || !now.RevokedAt.IsZero() {
			t.Errorf("in use is %+v, %v", now, err)
		}
	})
}

// TestACertificateThatWaitsForAnOrderByHandIsLeftAside replaces what an issuer has
// signed while a person is renewing one of it.
func TestACertificateThatWaitsForAnOrderByHandIsLeftAside(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{}, func(f *fleet) {
		c := f.want(certfleet.LaneNew, "a.example", "hand.example")
		f.live(time.Minute)
		id := f.byHand(c[1])
		p := f.campaign(func(s *certfleet.ReplacementSpec) { s.Revoke = true })
		f.live(10 * time.Minute)
		if got := f.stands(p.ID); got != "done [revoked:1 skipped:1]" {
			t.Errorf("while nobody steps the order it is %s", got)
		}
		items, err := f.db.ReplacementItems(f.Context(), p.ID, certfleet.ItemSkipped, 0, 10)
		if err != nil || len(items) != 1 || !strings.Contains(items[0].Problem, "advances by hand") {
			t.Errorf("left aside: %+v, %v", items, err)
		}
		f.stepTo(id, "valid")
		f.turn(p.ID, certfleet.ReplacementRunning)
		f.live(10 * time.Minute)
		if got := f.stands(p.ID); got != "done [revoked:2]" {
			t.Errorf("taken up again it is %s", got)
		}
	})
}
