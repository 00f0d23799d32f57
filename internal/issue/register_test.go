package issue_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/fakeca"
	"github.com/certfleet/certfleet/internal/store"
)

func TestNewAccountsStayBelowTheLimitOfAnAddress(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{}, func(f *fleet) {
		made := 1 // the fleet's own
		var no error
		for i := range 14 {
			if err := f.registerAnother(i); err == nil {
				made++
			} else {
				no = err
			}
		}
		if made != 10 || certfleet.KindOf(no) != certfleet.Limited || certfleet.AdviceOf(no) == "" {
			f.Errorf("%d accounts were made, then %v", made, no)
		}
		free := certfleet.RetryOf(no)
		if wait := time.Until(free); wait <= 0 || wait > 18*time.Minute {
			f.Fatalf("the next is free in %s, want 18 minutes at most", wait)
		}
		time.Sleep(time.Until(free))
		if err := f.registerAnother(20); err != nil {
			f.Errorf("after the time that was named: %v", err)
		}
		f.unbroken()
	})
}

func TestAnOrderWaitsUntilItsAccountMayBeRegistered(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{}, func(f *fleet) {
		for i := range 9 {
			if err := f.registerAnother(i); err != nil {
				f.Fatal(err)
			}
		}
		f.tx(func(ctx context.Context, tx *store.Tx) error {
			list, err := tx.Accounts(ctx, 0)
			for i := range list {
				a := &list[i]
				if a.State = certfleet.AccountDeactivated; a.ID == f.acct.ID { // the others would be taken instead
					a.State, a.KeyID, a.URL = certfleet.AccountWanted, 0, ""
				}
				if err := tx.SaveAccount(ctx, a); err != nil {
					return err
				}
			}
			return err
		})
		c := f.want(certfleet.LaneNew, "one.example")[0]
		f.live(time.Minute)
		orders, err := f.db.DueOrders(f.Context(), time.Now().Add(18*time.Minute), 10)
		if err != nil || len(orders) != 1 || orders[0].ProblemType != "rateLimited" || orders[0].Advice == "" || orders[0].Attempts != 1 {
			f.Errorf("while no account may be made, the order is %+v, %v", orders, err)
		}
		f.live(20 * time.Minute)
		if f.certificate(c.ID).VersionID == 0 {
			f.Errorf("there is no certificate after the limit freed: %+v", f.certificate(c.ID))
		}
		f.unbroken()
	})
}

func TestAnAccountThatWasThereBeforeCostsNothing(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{}, func(f *fleet) {
		before := f.bucket("letsencrypt||new-accounts|")
		if before.FullAt.IsZero() {
			f.Fatal("the first account was not charged")
		}
		f.tx(func(ctx context.Context, tx *store.Tx) error {
			a, err := tx.Account(ctx, f.acct.ID)
			if err != nil {
				return err
			}
			a.State = certfleet.AccountWanted // as if the answer had been lost
			return tx.SaveAccount(ctx, a)
		})
		if err := f.room.Register(f.Context(), f.acct.ID); err != nil {
			f.Fatal(err)
		}
		if after := f.bucket("letsencrypt||new-accounts|"); !after.FullAt.Equal(before.FullAt) {
			f.Errorf("full at %s, before %s", after.FullAt, before.FullAt)
		}
	})
}

func (f *fleet) registerAnother(n int) error {
	a := &certfleet.Account{AuthorityID: f.auth.ID, Label: fmt.Sprintf("more-%d", n), AgreedAt: time.Now()}
	f.tx(func(ctx context.Context, tx *store.Tx) error { return tx.AddAccount(ctx, a) })
	return f.room.Register(f.Context(), a.ID)
}
