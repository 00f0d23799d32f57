package store_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// TestALaneLetsOthersPassForAWhile has orders that wait for long beside ones that
// have just come.
func TestALaneLetsOthersPassForAWhile(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			f.order.Manual = true
			return tx.SaveOrder(ctx, &f.order)
		})
		want := []string{
			"emergency 0s", "expiring 48h0m0s", "expiring 0s", // whenever they come
			"backfill 1h0m0s", "waiting 2m0s", "routine 12m0s", "waiting 0s", "new 2m0s", "new 0s", "routine 0s", "backfill 2m0s", "backfill 0s",
		}
		for i, j := range []int{5, 3, 11, 0, 7, 2, 9, 1, 10, 6, 4, 8} {
			c := f.addCertificate(t, db, fmt.Sprint("c", i), fmt.Sprintf("c%d.example.net", i))
			o := f.newOrder(c.ID)
			o.Lane, o.DueAt = waited(t, want[j])
			write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.AddOrder(ctx, o) })
		}
		for _, limit := range []int{20, 4} {
			list, err := db.DueOrders(t.Context(), now, limit)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, o := range list {
				got = append(got, fmt.Sprint(o.Lane, " ", now.Sub(o.DueAt)))
			}
			if want := want[:min(limit, len(want))]; !slices.Equal(got, want) {
				t.Errorf("at most %d go in the order\n%q, want\n%q", limit, got, want)
			}
		}
	})
}

func TestAnOrderGoesOnAmongTheExpiringWhenLittleIsLeft(t *testing.T) {
	for _, c := range []struct {
		what   string
		slot   certfleet.SlotKind
		lane   certfleet.Lane
		urgent time.Time
		want   certfleet.Lane
	}{
		{"in good time", certfleet.SlotECDSA, certfleet.LaneRoutine, now.Add(time.Minute), certfleet.LaneRoutine},
		{"little is left", certfleet.SlotECDSA, certfleet.LaneRoutine, now, certfleet.LaneExpiring},
		{"an emergency stays one", certfleet.SlotECDSA, certfleet.LaneEmergency, now, certfleet.LaneEmergency},
		{"a first one has no life", certfleet.SlotECDSA, certfleet.LaneNew, time.Time{}, certfleet.LaneNew},
		{"a backup has a life of its own", certfleet.SlotBackup, certfleet.LaneRoutine, now, certfleet.LaneRoutine},
	} {
		t.Run(c.what, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				f := newFleet(t, db)
				cert := f.addCertificate(t, db, "left", "left.example.net")
				o := f.newOrder(cert.ID)
				o.Slot, o.Lane = c.slot, c.lane
				write(t, db, func(ctx context.Context, tx *store.Tx) error {
					cert.UrgentAt = c.urgent
					if err := tx.SaveCertificate(ctx, cert); err != nil {
						return err
					}
					return tx.AddOrder(ctx, o)
				})
				write(t, db, func(ctx context.Context, tx *store.Tx) error {
					return tx.ClaimOrder(ctx, o, "node", now.Add(time.Minute))
				})
				write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.ReleaseOrder(ctx, o.ID, "node", now) })
				if got, err := db.Order(t.Context(), o.ID); err != nil || got.Lane != c.want {
					t.Errorf("it goes on in lane %s: %v, want %s", got.Lane, err, c.want)
				}
			})
		})
	}
}

// waited reads a lane and since when.
func waited(t *testing.T, s string) (lane certfleet.Lane, since time.Time) {
	t.Helper()
	var word, ago string
	if _, err := fmt.Sscan(s, &word, &ago); err != nil {
		t.Fatal(err)
	}
	d, err := time.ParseDuration(ago)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(certfleet.Lanes, func(l certfleet.Lane) bool { return l.String() == word })
	return certfleet.Lanes[at], now.Add(-d)
}
