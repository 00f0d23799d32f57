package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// TestAParkedCertificateIsDueForALookAndNotForAnOrder tells the two lists apart.
func TestAParkedCertificateIsDueForALookAndNotForAnOrder(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		list := func(at time.Time) (orders, looks int) {
			due, err := db.DueCertificates(t.Context(), at, 10)
			parked, err2 := db.DueParked(t.Context(), at, 10)
			if err != nil || err2 != nil {
				t.Fatal(err, err2)
			}
			return len(due), len(parked)
		}
		if o, l := list(now); o != 1 || l != 0 {
			t.Errorf("active: %d orders and %d looks are due", o, l)
		}
		f.cert.State, f.cert.DueAt = certfleet.Parked, now
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveCertificate(ctx, &f.cert) })
		if o, l := list(now); o != 0 || l != 1 {
			t.Errorf("parked: %d orders and %d looks are due", o, l)
		}
		if o, l := list(now.Add(-time.Millisecond)); o != 0 || l != 0 {
			t.Errorf("parked, a moment before: %d orders and %d looks are due", o, l)
		}
	})
}
