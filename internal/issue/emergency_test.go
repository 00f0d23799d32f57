package issue_test

import (
	"context"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/fakeca"
	"github.com/certfleet/certfleet/internal/store"
)

// TestAnEmergencyIsOrderedForExactlyTheSameNames adds a name to a certificate at
// the moment at which its CA wants it renewed at once.
func TestAnEmergencyIsOrderedForExactlyTheSameNames(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{}, func(f *fleet) {
		c := f.want(certfleet.LaneNew, "a.example")[0]
		f.live(time.Minute)
		now := f.certificate(c.ID)
		first := now.VersionID
		more, err := certfleet.ParseNames([]string{"a.example", "b.example"})
		if err != nil {
			f.Fatal(err)
		}
		now.Names = more
		f.tx(func(ctx context.Context, tx *store.Tx) error { return tx.ReplaceCertificate(ctx, now, "operator") })
		f.now(certfleet.LaneEmergency, c)
		f.live(time.Minute)
		list, _, err := f.db.Orders(f.Context(), store.OrderFilter{CertificateID: c.ID, Limit: 10})
		if err != nil || len(list) != 3 {
			f.Fatalf("%d orders, %v; want the first, the emergency's and the one for the new name", len(list), err)
		}
		if o := list[1]; len(o.Names) != 1 || o.Replaces != first || o.State != certfleet.OrderIssued {
			f.Errorf("in the emergency it asks for %v in place of version %d, and is %s; want the same name in place of %d", o.Names, o.Replaces, o.State, first)
		}
		if o := list[0]; len(o.Names) != 2 || o.Lane != certfleet.LaneWaiting || o.State != certfleet.OrderIssued {
			f.Errorf("afterwards it asks for %v in lane %s, and is %s; want both", o.Names, o.Lane, o.State)
		}
		f.unbroken()
	})
}
