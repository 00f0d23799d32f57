package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// race lets eight owners try the same thing at once and returns who won.
func race(t *testing.T, db *store.DB, claim func(ctx context.Context, tx *store.Tx, owner string) error) []string {
	t.Helper()
	var mu sync.Mutex
	var won []string
	var lost atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		owner := fmt.Sprint("node:", i)
		wg.Go(func() {
			err := db.Tx(t.Context(), now, func(tx *store.Tx) error { return claim(t.Context(), tx, owner) })
			switch {
			case err == nil:
				mu.Lock()
				won = append(won, owner)
				mu.Unlock()
			case errors.Is(err, store.ErrStale):
				lost.Add(1)
			default:
				t.Errorf("%s: %v", owner, err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 || lost.Load() != 7 {
		t.Fatalf("%v won and %d lost; want one and seven", won, lost.Load())
	}
	return won
}

func TestClaimIsExclusive(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		ctx := t.Context()
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.WantDeliveries(ctx, &f.version) })
		until := now.Add(time.Minute)

		wonOrder := race(t, db, func(ctx context.Context, tx *store.Tx, owner string) error {
			o := f.order
			return tx.ClaimOrder(ctx, &o, owner, until)
		})
		due := deliveryOf(t, db, f.version.ID)
		wonDelivery := race(t, db, func(ctx context.Context, tx *store.Tx, owner string) error {
			d := *due
			return tx.ClaimDelivery(ctx, &d, owner, until)
		})

		o, _ := db.Order(ctx, f.order.ID)
		d, _ := db.Delivery(ctx, due.ID)
		if o.Owner != wonOrder[0] || !o.LeaseUntil.Equal(until) || d.Owner != wonDelivery[0] || !d.LeaseUntil.Equal(until) {
			t.Errorf("order is held by %q until %v, delivery by %q until %v; want %v and %v until %v", o.Owner, o.LeaseUntil, d.Owner, d.LeaseUntil, wonOrder, wonDelivery, until)
		}
		owners, err := db.Owners(ctx)
		want := slices.Compact(slices.Sorted(slices.Values(append(wonOrder, wonDelivery...))))
		if slices.Sort(owners); err != nil || !slices.Equal(owners, want) {
			t.Errorf("owners %v, %v; want %v", owners, err, want)
		}
		for at, n := range map[time.Time]int{until.Add(-time.Second): len(want), until: 0} {
			if holders, err := db.Holders(ctx, at); err != nil || len(holders) != n {
				t.Errorf("at %s %v hold claims, %v; want %d of them", at, holders, err, n)
			}
		}
	})
}

func TestFreeOwnerGivesBackWhatADeadNodeHeld(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		ctx := t.Context()
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.WantDeliveries(ctx, &f.version) })
		held := f.order
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.ClaimDelivery(ctx, deliveryOf(t, db, f.version.ID), "node:alive", now.Add(time.Hour)); err != nil {
				return err
			}
			return tx.ClaimOrder(ctx, &held, "node:dead", now.Add(time.Hour))
		})
		if list, _ := db.DueOrders(ctx, now, 10); len(list) != 0 {
			t.Fatalf("a held order is due: %+v", list)
		}
		wakes, stop := db.Wakes()
		defer stop()
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.FreeOwner(ctx, "node:dead") })
		select {
		case <-wakes:
		default:
			t.Error("freeing an owner wakes nobody")
		}
		orders, _ := db.DueOrders(ctx, now, 10)
		deliveries, _ := db.DueDeliveries(ctx, now, 10)
		if len(orders) != 1 || len(deliveries) != 0 {
			t.Errorf("%d orders and %d deliveries are due; want the dead node's order alone", len(orders), len(deliveries))
		}
		if err := try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveOrder(ctx, &held) }); !errors.Is(err, store.ErrStale) {
			t.Errorf("the dead node still writes: %v", err)
		}
	})
}

func TestReleasedOrderIsDueAgainForItsOwnerAlone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		for _, c := range []struct {
			by   string
			want int
		}{{"node:other", 0}, {"node:me", 1}} {
			o, _ := db.Order(t.Context(), f.order.ID)
			write(t, db, func(ctx context.Context, tx *store.Tx) error {
				if o.Owner == "" {
					if err := tx.ClaimOrder(ctx, o, "node:me", now.Add(time.Hour)); err != nil {
						return err
					}
				}
				return tx.ReleaseOrder(ctx, o.ID, c.by, now)
			})
			if list, err := db.DueOrders(t.Context(), now, 10); len(list) != c.want || err != nil {
				t.Errorf("released by %s: %d orders due, %v; want %d", c.by, len(list), err, c.want)
			}
		}
	})
}

func TestStaleRevisionChangesNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		ctx := t.Context()
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.WantDeliveries(ctx, &f.version) })
		d := deliveryOf(t, db, f.version.ID)
		for _, c := range []struct {
			noun string
			save func(ctx context.Context, tx *store.Tx) error
		}{
			{"account", func(ctx context.Context, tx *store.Tx) error { v := f.account; return tx.SaveAccount(ctx, &v) }},
			{"certificate", func(ctx context.Context, tx *store.Tx) error { v := f.cert; return tx.SaveCertificate(ctx, &v) }},
			{"certificate with names", func(ctx context.Context, tx *store.Tx) error {
				v := f.cert
				v.Rev++ // the case before raised it
				if err := tx.ReplaceCertificate(ctx, &v, "operator"); err != nil {
					return err
				}
				v.Rev--
				return tx.ReplaceCertificate(ctx, &v, "operator")
			}},
			{"order", func(ctx context.Context, tx *store.Tx) error { v := f.order; return tx.SaveOrder(ctx, &v) }},
			{"version", func(ctx context.Context, tx *store.Tx) error { v := f.version; return tx.SaveVersion(ctx, &v) }},
			{"target", func(ctx context.Context, tx *store.Tx) error { v := f.target; return tx.SaveTarget(ctx, &v) }},
			{"delivery", func(ctx context.Context, tx *store.Tx) error { v := *d; return tx.SaveDelivery(ctx, &v) }},
		} {
			if c.noun != "certificate with names" {
				if err := try(t, db, c.save); err != nil {
					t.Errorf("%s: the first write: %v", c.noun, err)
				}
			}
			if err := try(t, db, c.save); !errors.Is(err, store.ErrStale) || certfleet.KindOf(err) != certfleet.Conflict {
				t.Errorf("%s: the second write at the same revision: %v; want ErrStale", c.noun, err)
			}
		}
		if c, err := db.Certificate(ctx, f.cert.ID); err != nil || c.Rev != f.cert.Rev+1 {
			t.Errorf("certificate %+v, %v; want revision %d", c, err, f.cert.Rev+1)
		}
	})
}

func TestAClaimIsRenewedByItsOwnerAlone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		o := f.order
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.ClaimOrder(ctx, &o, "node:me", now.Add(time.Minute))
		})
		for owner, want := range map[string]error{"node:me": nil, "node:other": store.ErrStale} {
			err := db.Tx(t.Context(), now, func(tx *store.Tx) error {
				return tx.RenewOrder(t.Context(), o.ID, owner, now.Add(time.Hour))
			})
			if !errors.Is(err, want) {
				t.Errorf("%s renewed it: %v", owner, err)
			}
		}
		got, err := db.Order(t.Context(), o.ID)
		if err != nil || !got.LeaseUntil.Equal(now.Add(time.Hour)) || got.Rev != o.Rev {
			t.Errorf("held until %s at revision %d, %v; want an hour, and the revision %d of the claim", got.LeaseUntil, got.Rev, err, o.Rev)
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.ReleaseOrder(ctx, o.ID, "node:me", now) })
		err = db.Tx(t.Context(), now, func(tx *store.Tx) error {
			return tx.RenewOrder(t.Context(), o.ID, "node:me", now.Add(time.Hour))
		})
		if !errors.Is(err, store.ErrStale) {
			t.Errorf("a claim that was given back was renewed: %v", err)
		}
	})
}
