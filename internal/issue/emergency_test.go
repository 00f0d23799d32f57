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

// TestAWindowThatIsLearnedPutsNoEmergencyOff asks for a certificate and its backup
// before their CA was asked for the windows of their versions.
func TestAWindowThatIsLearnedPutsNoEmergencyOff(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{}, func(f *fleet) {
		f.policy.Spec.Backup = &certfleet.BackupSpec{Authority: f.auth.Label}
		f.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SavePolicy(ctx, f.policy) })
		c := f.want(certfleet.LaneNew, "first.example")[0]
		f.live(time.Minute)
		f.tx(func(ctx context.Context, tx *store.Tx) error { // as they are before they were ever learned
			list, _, err := tx.Versions(ctx, store.VersionFilter{CertificateID: c.ID})
			for i := range list {
				if list[i].ARIStart, list[i].ARIEnd, list[i].ARIAt, list[i].ARIPollAt = (time.Time{}), (time.Time{}), (time.Time{}), tx.Now(); err == nil {
					err = tx.SaveVersion(ctx, &list[i])
				}
			}
			return err
		})
		p := f.campaign(func(*certfleet.ReplacementSpec) {})
		if err := f.room.Replace(f.Context(), p.ID, time.Now()); err != nil {
			f.Fatal(err)
		}
		polls, err := f.db.DuePolls(f.Context(), time.Now(), 10)
		if err != nil || len(polls) != 2 {
			f.Fatalf("%d windows are to be learned, %v", len(polls), err)
		}
		for _, v := range polls {
			if err := f.room.PollARI(f.Context(), v.ID, time.Now()); err != nil {
				f.Fatal(err)
			}
		}
		if got := f.certificate(c.ID); got.DueAt.After(time.Now()) || got.Lane != certfleet.LaneEmergency {
			f.Errorf("it is due %s in lane %s (%s), and was asked for now", got.DueAt, got.Lane, got.DueReason)
		}
		if b, err := f.db.BackupOf(f.Context(), c.ID); err != nil || b.DueAt.After(time.Now()) || b.Lane != certfleet.LaneEmergency {
			f.Errorf("its backup is due %s in lane %s (%s), %v", b.DueAt, b.Lane, b.DueReason, err)
		}
		f.live(time.Minute)
		if got := f.stands(p.ID); got != "done [replaced:2]" {
			f.Errorf("the campaign is %s", got)
		}
	})
}
