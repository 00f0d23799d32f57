package store_test

import (
	"context"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

func TestACanaryIsMuteWhenNobodyWillEverProveIt(t *testing.T) {
	for what, row := range map[string]struct {
		state certfleet.DeliveryState
		probe []string
		agent bool
		mute  bool
	}{
		"handed over, nobody looks":         {certfleet.DeliverySent, nil, false, true},
		"handed over, an agent will report": {certfleet.DeliverySent, nil, true, false},
		"handed over, it is looked at":      {certfleet.DeliverySent, []string{"192.0.2.1:443"}, false, false},
		"it says that it holds it":          {certfleet.DeliveryApplied, nil, false, false},
		"not yet handed over":               {certfleet.DeliveryDue, nil, false, false},
		"it could not be reached":           {certfleet.DeliveryFailed, nil, false, false},
	} {
		t.Run(what, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				f := newFleet(t, db)
				g := f.group(t, db)
				g[0].Probe = row.probe
				write(t, db, func(ctx context.Context, tx *store.Tx) error {
					if row.agent {
						if err := tx.AddAgent(ctx, &certfleet.Agent{Label: "a", Target: g[0].Label}); err != nil {
							return err
						}
					}
					return tx.SaveTarget(ctx, &g[0])
				})
				becomes(t, db, f.version.ID, g[0].ID, row.state)
				if got, err := db.Mute(t.Context(), f.version.ID, &g[0]); err != nil || got != row.mute {
					t.Errorf("mute: %v, %v", got, err)
				}
				sung := row.state == certfleet.DeliveryApplied
				if got, err := db.Sung(t.Context(), f.version.ID, &g[0]); err != nil || got != sung {
					t.Errorf("sung: %v, %v", got, err)
				}
				var n int64
				write(t, db, func(ctx context.Context, tx *store.Tx) (err error) {
					n, err = tx.PassMute(ctx, f.version.ID, &g[0], "it is mute", "look there")
					return err
				})
				passed := row.mute || sung
				d := at(t, db, f.version.ID, g[1].ID)
				if (n == 2) != passed || d.DueAt.IsZero() == passed || (d.Problem == "it is mute") != passed || d.Advice != "" || !d.Held {
					t.Errorf("%d wait, one is %+v", n, d)
				}
			})
		})
	}
}

func TestWhatATargetWasHandedBeforeIsKnown(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		g := f.group(t, db)
		d := at(t, db, f.version.ID, g[1].ID)
		d.SentAt = now
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveDelivery(ctx, d) })
		if had, err := db.HandedBefore(t.Context(), d); err != nil || had {
			t.Errorf("its own version counts: %v, %v", had, err)
		}
		next := f.addVersion(t, db, f.cert.ID, "next")
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.WantDeliveries(ctx, next) })
		for i, want := range []bool{false, true, false} {
			if had, err := db.HandedBefore(t.Context(), at(t, db, next.ID, g[i].ID)); err != nil || had != want {
				t.Errorf("target %d: %v, %v", i, had, err)
			}
		}
	})
}
