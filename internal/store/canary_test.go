package store_test

import (
	"context"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// becomes brings a delivery to a state.
func becomes(t *testing.T, db *store.DB, version, target int64, state certfleet.DeliveryState) {
	t.Helper()
	d := at(t, db, version, target)
	d.State, d.Problem = state, ""
	write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveDelivery(ctx, d) })
}

func TestACanaryAtWhichNobodyLooksIsPassedWhenItHoldsTheVersion(t *testing.T) {
	for what, row := range map[string]struct {
		probe []string
		proof certfleet.Proof
		free  bool
	}{
		"no address":         {nil, certfleet.ProofAll, true},
		"an empty list":      {[]string{}, certfleet.ProofAll, true},
		"no proof is wanted": {[]string{"192.0.2.1:443"}, certfleet.ProofNone, true},
		"it is looked at":    {[]string{"192.0.2.1:443"}, certfleet.ProofAll, false},
	} {
		t.Run(what, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				f := newFleet(t, db)
				g := f.group(t, db)
				g[0].Probe, g[0].Proof = row.probe, row.proof
				g[1].Canary = true
				write(t, db, func(ctx context.Context, tx *store.Tx) error {
					for i := range 2 {
						if err := tx.SaveTarget(ctx, &g[i]); err != nil {
							return err
						}
					}
					return nil
				})
				becomes(t, db, f.version.ID, g[0].ID, certfleet.DeliveryApplied)
				becomes(t, db, f.version.ID, g[1].ID, certfleet.DeliveryServed)
				var n int64
				write(t, db, func(ctx context.Context, tx *store.Tx) (err error) {
					n, err = tx.FreeHeld(ctx, f.version.ID, &g[1])
					return err
				})
				if n > 0 != row.free {
					t.Errorf("the other canary was seen: freed %d", n)
				}
				becomes(t, db, f.version.ID, g[2].ID, certfleet.DeliverySuperseded)
				write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.WantMissingDeliveries(ctx, &f.version) })
				if d := at(t, db, f.version.ID, g[2].ID); d.Held == row.free {
					t.Errorf("a member that came later: %+v", d)
				}
			})
		})
	}
}

func TestWhatWaitsForACanaryIsAssignedToNobody(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		g := f.group(t, db)
		ctx := t.Context()
		waits := func(i int) int {
			list, err := db.Assignments(ctx, g[i].ID, 10)
			if err != nil {
				t.Fatal(err)
			}
			_, err = db.Assigned(ctx, g[i].ID, f.version.ID)
			if (err == nil) != (len(list) == 1) {
				t.Errorf("listed are %d, and asking for it: %v", len(list), err)
			}
			return len(list)
		}
		if canary, member := waits(0), waits(1); canary != 1 || member != 0 {
			t.Errorf("assigned to the canary %d, to a member %d; want 1 and 0", canary, member)
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.FreeHeld(ctx, f.version.ID, &g[0])
			return err
		})
		if got := waits(1); got != 1 {
			t.Errorf("after the canary was passed %d are assigned to a member", got)
		}
	})
}

func TestARolledBackVersionIsAssignedNoMore(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		g := f.group(t, db)
		ctx := t.Context()
		d := at(t, db, f.version.ID, g[0].ID)
		d.State, d.ServedAt = certfleet.DeliveryServed, now
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveDelivery(ctx, d) })
		bad := f.addVersion(t, db, f.cert.ID, "bad")
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.WantDeliveries(ctx, bad) })
		failed := at(t, db, bad.ID, g[0].ID)
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if _, err := tx.RollBack(ctx, failed); err != nil {
				return err
			}
			failed.State = certfleet.DeliveryFailed
			return tx.SaveDelivery(ctx, failed)
		})
		list, err := db.Assignments(ctx, g[0].ID, 10)
		if err != nil || len(list) != 1 || list[0].VersionID != f.version.ID {
			t.Errorf("assigned are %+v, %v; want the older version alone", list, err)
		}
		if _, err := db.Assigned(ctx, g[0].ID, bad.ID); certfleet.KindOf(err) != certfleet.NotFound {
			t.Errorf("the version that was rolled back is assigned: %v", err)
		}
		if here, err := db.DeliveryHere(ctx, 0, g[0].ID, f.cert.Label); err != nil || here.VersionID != f.version.ID {
			t.Errorf("wanted here is %+v, %v; want the older version", here, err)
		}
	})
}
