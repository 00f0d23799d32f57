package issue_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/fakeca"
	"github.com/certfleet/certfleet/internal/intake"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/work"
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

// TestACompromisedKeyIsRevokedEvenWhereItsOrderWasUnderWay says that a key is out
// when the request for it has left.
func TestACompromisedKeyIsRevokedEvenWhereItsOrderWasUnderWay(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{}, func(f *fleet) {
		c := f.want(certfleet.LaneNew, "leaky.example")[0]
		ctx := context.WithoutCancel(f.Context())
		var out int64
		r, _ := f.node("b", func(place string) {
			if place != "finalized" || out != 0 {
				return
			}
			o, err := f.db.LiveOrder(ctx, c.ID, certfleet.SlotECDSA)
			if err != nil {
				f.Fatal(err)
			}
			key, err := f.db.Key(ctx, o.KeyID)
			if err != nil {
				f.Fatal(err)
			}
			p, err := intake.Room{DB: f.db}.Compromise(ctx, key, time.Time{})
			if err != nil {
				f.Fatal(err)
			}
			out = key.ID
			if err := f.room.Replace(ctx, p.ID, time.Now()); err != nil { // another node is fast, and finds nothing yet
				f.Fatal(err)
			}
		})
		f.work.Kinds = slices.Clone(f.work.Kinds)
		for i, k := range f.work.Kinds {
			if k.Name == work.Orders(f.db, "", nil).Name {
				f.work.Kinds[i] = work.Orders(f.db, f.work.Owner, r.Step)
			}
		}
		f.live(5 * time.Minute)
		list, _, err := f.db.Versions(f.Context(), store.VersionFilter{CertificateID: c.ID, Limit: 10})
		if err != nil || out == 0 || len(list) != 2 || list[1].KeyID != out || list[1].RevokedAt.IsZero() || list[0].KeyID == out || !list[0].RevokedAt.IsZero() {
			f.Errorf("key %d was out; versions %+v, %v: want the one with it revoked, and one with another key", out, list, err)
		}
		if got := f.stands(1); got != "done [revoked:1]" {
			f.Errorf("the campaign is %s", got)
		}
	})
}
