package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

func TestNextDueIsTheEarliestOfAll(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		if at, err := db.NextDue(ctx); err != nil || !at.IsZero() {
			t.Fatalf("an empty store is due at %v, %v", at, err)
		}
		f := newFleet(t, db)
		at := func(m int) time.Time { return now.Add(time.Duration(m) * time.Minute) }
		var d *certfleet.Delivery
		var ch *certfleet.StoredChallenge
		for _, c := range []struct {
			what string
			do   func(ctx context.Context, tx *store.Tx) error
			want time.Time
		}{
			{"the certificate", func(ctx context.Context, tx *store.Tx) error {
				f.order.DueAt, f.cert.DueAt = at(90), at(60)
				if err := tx.SaveCertificate(ctx, &f.cert); err != nil {
					return err
				}
				return tx.SaveOrder(ctx, &f.order)
			}, at(60)},
			{"the renewal information", func(ctx context.Context, tx *store.Tx) error {
				f.version.ARIPollAt = at(50)
				return tx.SaveVersion(ctx, &f.version)
			}, at(50)},
			{"the delivery", func(ctx context.Context, tx *store.Tx) error { return tx.WantDeliveries(ctx, &f.version) }, now},
			{"a held delivery at the end of its lease", func(ctx context.Context, tx *store.Tx) error {
				d = deliveryOf(t, db, f.version.ID)
				return tx.ClaimDelivery(ctx, d, "node:a", at(40))
			}, at(40)},
			{"the order", func(ctx context.Context, tx *store.Tx) error {
				f.order.DueAt = at(20)
				return tx.SaveOrder(ctx, &f.order)
			}, at(20)},
			{"a held order at the end of its lease", func(ctx context.Context, tx *store.Tx) error {
				return tx.ClaimOrder(ctx, &f.order, "node:a", at(30))
			}, at(30)},
			{"a challenge to take away", func(ctx context.Context, tx *store.Tx) error {
				a := &certfleet.Authorization{OrderID: f.order.ID, URL: "a", Name: f.cert.Names[0], Status: "valid"}
				if err := tx.SeeAuthorization(ctx, a); err != nil {
					return err
				}
				ch = &certfleet.StoredChallenge{OrderID: f.order.ID, AuthorizationID: a.ID, Type: certfleet.HTTP01, Name: a.Name, Token: "tok", KeyAuth: "tok.key"}
				if err := tx.IntendChallenge(ctx, ch); err != nil {
					return err
				}
				return tx.CleanAgain(ctx, ch.ID, at(10), "not yet")
			}, at(10)},
			{"everything held or done", func(ctx context.Context, tx *store.Tx) error {
				f.order.State = certfleet.OrderIssued
				if err := tx.SaveOrder(ctx, &f.order); err != nil {
					return err
				}
				return tx.Cleaned(ctx, ch.ID)
			}, at(40)},
		} {
			write(t, db, c.do)
			if got, err := db.NextDue(ctx); err != nil || !got.Equal(c.want) {
				t.Errorf("%s: next due %v, %v; want %v", c.what, got, err, c.want)
			}
		}
	})
}

func TestDueListsStopAtNow(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		ctx := t.Context()
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			f.version.ARIPollAt = now
			if err := tx.SaveVersion(ctx, &f.version); err != nil {
				return err
			}
			return tx.WantDeliveries(ctx, &f.version)
		})
		ch := f.addChallenge(t, db, certfleet.DNS01, "tok")
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.CleanLater(ctx, f.order.ID) })
		count := func(at time.Time) string {
			certs, e1 := db.DueCertificates(ctx, at, 10)
			orders, e2 := db.DueOrders(ctx, at, 10)
			deliveries, e3 := db.DueDeliveries(ctx, at, 10)
			polls, e4 := db.DuePolls(ctx, at, 10)
			cleanups, e5 := db.DueCleanups(ctx, at, 10)
			for _, err := range []error{e1, e2, e3, e4, e5} {
				if err != nil {
					t.Fatal(err)
				}
			}
			if is, err := db.CleanUpDue(ctx, ch.ID, at); err != nil || is != (len(cleanups) == 1) {
				t.Errorf("at %v the challenge itself is due: %v, %v; listed are %+v", at, is, err, cleanups)
			}
			return fmt.Sprint(len(certs), len(orders), len(deliveries), len(polls), len(cleanups))
		}
		if got := count(now.Add(-time.Millisecond)); got != "0 0 0 0 0" {
			t.Errorf("a moment before: %s are due", got)
		}
		if got := count(now); got != "1 1 1 1 1" {
			t.Errorf("now: %s are due, want one of each", got)
		}
		f.order.Manual = true
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.Cleaned(ctx, ch.ID); err != nil {
				return err
			}
			return tx.SaveOrder(ctx, &f.order)
		})
		if got := count(now); got != "1 0 1 1 0" {
			t.Errorf("with a manual order and a cleaned challenge: %s are due", got)
		}
	})
}

func TestUrgentOrdersComeFirst(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		want := []int64{f.order.ID}
		for i, lane := range []certfleet.Lane{certfleet.LaneBackfill, certfleet.LaneEmergency} {
			c := f.addCertificate(t, db, fmt.Sprint("c", i), fmt.Sprintf("c%d.example.net", i))
			o := f.newOrder(c.ID)
			o.Lane = lane
			write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.AddOrder(ctx, o) })
			want = append(want, o.ID)
		}
		list, err := db.DueOrders(t.Context(), now, 10)
		if err != nil || len(list) != 3 || list[0].ID != want[2] || list[1].ID != want[0] || list[2].ID != want[1] {
			t.Errorf("due orders %+v, %v; want emergency, new, backfill", list, err)
		}
	})
}

func TestNewerVersionSupersedesOlderDeliveries(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		ctx := t.Context()
		second := f.addVersion(t, db, f.cert.ID, "beef")
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.WantDeliveries(ctx, &f.version) })
		first := deliveryOf(t, db, f.version.ID)
		first.Receipt, first.State = []byte("receipt"), certfleet.DeliveryServed
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.SaveDelivery(ctx, first); err != nil {
				return err
			}
			return tx.WantDeliveries(ctx, second)
		})
		old, fresh := deliveryOf(t, db, f.version.ID), deliveryOf(t, db, second.ID)
		if old.State != certfleet.DeliverySuperseded || !old.DueAt.IsZero() || fresh.State != certfleet.DeliveryDue || !fresh.DueAt.Equal(now) || fresh.Target != "edge-1" {
			t.Errorf("old delivery %+v, new %+v; want superseded and due", old, fresh)
		}
		if last, err := db.LastReceipt(ctx, f.cert.ID, f.target.ID); err != nil || string(last.Receipt) != "receipt" || last.VersionID != f.version.ID {
			t.Errorf("last receipt %+v, %v; want the first version's", last, err)
		}
		// Wanting the same again makes it due again, not twice.
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.WantDeliveries(ctx, second) })
		if again := deliveryOf(t, db, second.ID); again.ID != fresh.ID || again.Rev != fresh.Rev+1 {
			t.Errorf("wanted twice: %+v, want %d at revision %d", again, fresh.ID, fresh.Rev+1)
		}
	})
}

func TestWakesFollowTheCommitOnly(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		wakes, stop := db.Wakes()
		woken := func() bool {
			select {
			case <-wakes:
				return true
			default:
				return false
			}
		}
		refused := &certfleet.Error{Kind: certfleet.Invalid, Msg: "no"}
		if err := try(t, db, func(ctx context.Context, tx *store.Tx) error { tx.Wake(); return refused }); err != refused || woken() {
			t.Errorf("a rolled back transaction: %v; want its own error and nobody woken", err)
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.WantDeliveries(ctx, &f.version) })
		if !woken() {
			t.Error("a wanted delivery wakes nobody")
		}
		stop()
		write(t, db, func(ctx context.Context, tx *store.Tx) error { tx.Wake(); return nil })
		if woken() {
			t.Error("woken after giving the channel back")
		}
	})
}

// addChallenge makes an authorization of the fleet's order and its challenge.
func (f *fleet) addChallenge(t testing.TB, db *store.DB, typ certfleet.ChallengeType, token string) *certfleet.StoredChallenge {
	t.Helper()
	a := &certfleet.Authorization{OrderID: f.order.ID, URL: "https://ca.example/authz/" + token, Name: f.cert.Names[0], Status: "pending"}
	var ch *certfleet.StoredChallenge
	write(t, db, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.SeeAuthorization(ctx, a); err != nil {
			return err
		}
		ch = &certfleet.StoredChallenge{OrderID: f.order.ID, AuthorizationID: a.ID, Type: typ, Name: a.Name, Token: token, KeyAuth: token + ".thumb", URL: "https://ca.example/chall/" + token}
		return tx.IntendChallenge(ctx, ch)
	})
	return ch
}
