package store_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

func TestNamesThatAnotherLiveOrderIsForAreKnown(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		twin := f.addOrder(t, db, f.addCertificate(t, db, "twin", "shop.example.com", "*.example.com").ID)
		asked := []certfleet.Name{name(t, "shop.example.com"), name(t, "*.example.com"), name(t, "other.example.com")}
		also := func() []string {
			t.Helper()
			list, err := db.AlsoOrdered(t.Context(), &f.order, asked)
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(list)
			return list
		}
		if got := also(); !slices.Equal(got, []string{"*.example.com", "shop.example.com"}) {
			t.Errorf("beside a live order: %v", got)
		}
		second := certfleet.Account{AuthorityID: f.authority.ID, Label: "second"}
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.AddAccount(ctx, &second); err != nil {
				return err
			}
			twin.AccountID = second.ID
			return tx.SaveOrder(ctx, twin)
		})
		if got := also(); len(got) != 0 {
			t.Errorf("beside an order of another account: %v", got)
		}
		twin.AccountID, twin.State = f.account.ID, certfleet.OrderIssued
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveOrder(ctx, twin) })
		if got := also(); len(got) != 0 {
			t.Errorf("beside an order that has ended: %v", got)
		}
		if list, err := db.AlsoOrdered(t.Context(), &f.order, nil); err != nil || len(list) != 0 {
			t.Errorf("of no names: %v, %v", list, err)
		}
	})
}

func TestAChallengeOfTwoOrdersIsSharedWhileTheOtherLives(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		first := f.addChallenge(t, db, certfleet.DNS01, "tok")
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.Answered(ctx, first.ID, "processing") })
		mine := f.order
		f.order = *f.addOrder(t, db, f.addCertificate(t, db, "twin", "shop.example.com", "more.example.com").ID)
		second := f.addChallenge(t, db, certfleet.DNS01, "tok")
		other := f.addChallenge(t, db, certfleet.DNS01, "another")
		if !second.AnsweredAt.Equal(now) || !other.AnsweredAt.IsZero() {
			t.Errorf("answered %s and %s; want the first order's answer known, and none of the other token", second.AnsweredAt, other.AnsweredAt)
		}
		shared := func() bool {
			t.Helper()
			is, err := db.ChallengeShared(t.Context(), first)
			if err != nil {
				t.Fatal(err)
			}
			return is
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.CleanLater(ctx, mine.ID) })
		if !shared() {
			t.Error("while the other order shows it, it is not shared")
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.CleanAgain(ctx, first.ID, now.Add(time.Minute), "another order shows it too")
		})
		if due, err := db.DueCleanups(t.Context(), now, 10); err != nil || len(due) != 0 {
			t.Errorf("due: %+v, %v", due, err)
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.CleanLater(ctx, f.order.ID) })
		if shared() {
			t.Error("when both have ended it is still shared")
		}
	})
}
