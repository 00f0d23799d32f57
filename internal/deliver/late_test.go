package deliver_test

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// TestADeliveryThatSomebodyWorksOnIsLeftAlone queues one twice while what is to be
// done about it changes.
func TestADeliveryThatSomebodyWorksOnIsLeftAlone(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(d *certfleet.Delivery, target *certfleet.StoredTarget){
		"as it was": func(*certfleet.Delivery, *certfleet.StoredTarget) {},
		"paused": func(d *certfleet.Delivery, target *certfleet.StoredTarget) {
			d.State, target.Paused = certfleet.DeliveryApplied, true
		},
		"looked at by none": func(d *certfleet.Delivery, target *certfleet.StoredTarget) {
			d.State, target.Probe = certfleet.DeliveryApplied, nil
		},
		"pulled":     func(_ *certfleet.Delivery, target *certfleet.StoredTarget) { target.Type = "agent" },
		"superseded": func(d *certfleet.Delivery, _ *certfleet.StoredTarget) { d.State = certfleet.DeliverySuperseded },
	} {
		t.Run(what, func(t *testing.T) {
			y := build(t, storetest.SQLite(t))
			r, d := y.room(1), y.version(y.certificate("shop.example").ID)
			change(d, y.target)
			y.tx(func(ctx context.Context, tx *store.Tx) error {
				if err := tx.SaveDelivery(ctx, d); err != nil {
					return err
				}
				if err := tx.ClaimDelivery(ctx, d, "another", time.Now().Add(time.Minute)); err != nil {
					return err
				}
				return tx.SaveTarget(ctx, y.target)
			})
			before := y.delivery(d.ID)
			if err := r.Do(t.Context(), d.ID); err != nil {
				t.Error(err)
			}
			if after := y.delivery(d.ID); !reflect.DeepEqual(before, after) || y.rack.count(d.VersionID) != 0 {
				t.Errorf("it was %+v and is %+v", before, after)
			}
		})
	}
}
