package work_test

import (
	"context"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/trial"
	"github.com/certfleet/certfleet/internal/work"
)

// TestAClaimIsGivenBackAfterAnOutage, not only when its lease ends.
func TestAClaimIsGivenBackAfterAnOutage(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	srv := storetest.OwnServer(t)
	db := openStore(t, srv.URL())
	o := wanted(t, db)
	back := make(chan struct{})
	next := time.Now().Add(time.Hour)
	step := func(context.Context, *certfleet.Order) (time.Time, error) {
		go func() {
			defer close(back)
			srv.Restart(t, true, 3*time.Second)
		}()
		trial.Until(t, "be gone", func() (bool, string) { return db.Ping(t.Context()) != nil, "it answers" })
		return next, nil
	}
	if err := work.Orders(db, work.OwnerName(), step).Do(t.Context(), o.ID); err != nil {
		t.Error(err)
	}
	<-back
	if got := order(t, db, o.ID); got.Owner != "" || !got.LeaseUntil.IsZero() || got.DueAt.Sub(next).Abs() > time.Second {
		t.Errorf("it is held by %q until %s, and due at %s", got.Owner, got.LeaseUntil, got.DueAt)
	}
}
