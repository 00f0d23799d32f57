package work_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/work"
)

// bubble tells a story in made-up time, over a store of its own.
func bubble(t *testing.T, story func(t *testing.T, db *store.DB)) {
	t.Helper()
	file := storetest.SQLiteFile(t)
	synctest.Test(t, func(t *testing.T) {
		db, err := store.Open(t.Context(), file, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		story(t, db)
	})
}

func TestAStepMayTakeLongerThanALease(t *testing.T) {
	bubble(t, func(t *testing.T, db *store.DB) {
		o := wanted(t, db)
		long := func(ctx context.Context, o *certfleet.Order) (time.Time, error) {
			for range 10 {
				time.Sleep(db.Lease() / 2)
				if due, err := db.DueOrders(ctx, time.Now(), 10); err != nil || len(due) != 0 {
					t.Errorf("others may take %d orders that are worked on: %v", len(due), err)
				}
			}
			err := db.Tx(ctx, time.Now(), func(tx *store.Tx) error { return tx.SaveOrder(ctx, o) })
			return time.Now().Add(time.Hour), err
		}
		if err := work.Orders(db, "node:a", long).Do(t.Context(), o.ID); err != nil {
			t.Errorf("the step could not commit: %v", err)
		}
		if got := order(t, db, o.ID); got.Owner != "" || !got.LeaseUntil.IsZero() {
			t.Errorf("after its step it is held by %q until %s", got.Owner, got.LeaseUntil)
		}
	})
}

func TestAStepThatLostItsClaimIsCutOff(t *testing.T) {
	bubble(t, func(t *testing.T, db *store.DB) {
		o := wanted(t, db)
		slept := func(ctx context.Context, o *certfleet.Order) (time.Time, error) {
			err := db.Tx(ctx, time.Now(), func(tx *store.Tx) error {
				if err := tx.FreeOwner(ctx, "node:a"); err != nil {
					return err
				}
				fresh, err := tx.Order(ctx, o.ID)
				if err != nil {
					return err
				}
				return tx.ClaimOrder(ctx, fresh, "node:b", time.Now().Add(time.Hour))
			})
			if err != nil {
				t.Error(err)
			}
			select {
			case <-ctx.Done():
				return time.Time{}, ctx.Err()
			case <-time.After(time.Hour):
				return time.Time{}, nil
			}
		}
		if err := work.Orders(db, "node:a", slept).Do(t.Context(), o.ID); !errors.Is(err, context.Canceled) {
			t.Errorf("the step went on: %v", err)
		}
		if got := order(t, db, o.ID); got.Owner != "node:b" {
			t.Errorf("it is held by %q", got.Owner)
		}
	})
}
