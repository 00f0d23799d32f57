package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

func TestWhatWaitsIsCountedByLane(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		early := now.Add(-time.Hour)
		c, err := db.Certificate(t.Context(), f.cert.ID)
		if err != nil {
			t.Fatal(err)
		}
		c.Lane, c.DueAt = certfleet.LaneRoutine, early
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveCertificate(ctx, c) })
		list, err := db.LaneWaits(t.Context(), now, 10)
		if err != nil || len(list) != 1 || list[0].Lane != certfleet.LaneRoutine || list[0].N != 1 || !list[0].Oldest.Equal(early) {
			t.Errorf("waiting: %+v: %v", list, err)
		}
		if list, err := db.LaneWaits(t.Context(), early.Add(-time.Second), 10); err != nil || len(list) != 0 {
			t.Errorf("before anything is due: %+v: %v", list, err)
		}
	})
}

func TestTheOldestDueWorkOfAKind(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.WantDeliveries(ctx, &f.version) })
		for _, c := range []struct {
			kind string
			at   time.Time
			want bool
		}{{"deliveries", now, true}, {"deliveries", now.Add(-time.Hour), false}, {"orders", now, true}, {"orders", now.Add(-100 * 24 * time.Hour), false},
			{"raises", now, false}, {"parked", now, false}, {"cleanups", now.Add(-100 * 24 * time.Hour), false}, {"windows", now.Add(-100 * 24 * time.Hour), false}, {"retention", now, false}} {
			got, err := db.OldestDue(t.Context(), c.kind, c.at)
			if err != nil || got.IsZero() == c.want || got.After(c.at) {
				t.Errorf("%s at %s: since %s: %v", c.kind, c.at, got, err)
			}
		}
	})
}

func TestFailedDeliveriesAreListed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.WantDeliveries(ctx, &f.version) })
		if list, err := db.FailedDeliveries(t.Context(), 1, 10); err != nil || len(list) != 0 {
			t.Errorf("nothing failed, and it lists %+v: %v", list, err)
		}
		d := deliveryOf(t, db, f.version.ID)
		d.State, d.Problem, d.Advice = certfleet.DeliveryFailed, "no route", "open the port"
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveDelivery(ctx, d) })
		list, err := db.FailedDeliveries(t.Context(), 1, 10)
		if err != nil || len(list) != 1 || list[0].ID != d.ID || list[0].Advice != "open the port" || list[0].Target == "" {
			t.Errorf("lists %+v: %v", list, err)
		}
	})
}

func TestALeaseIsTwoMinutesUnlessToldOtherwise(t *testing.T) {
	if got := storetest.SQLite(t).Lease(); got != 2*time.Minute {
		t.Errorf("a claim holds %s", got)
	}
	db, err := store.Open(t.Context(), t.TempDir()+"/s.db", store.Options{Lease: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if got := db.Lease(); got != time.Second {
		t.Errorf("a claim holds %s, want a second", got)
	}
}
