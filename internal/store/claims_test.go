package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

func TestOneNodeAloneAsksForAWindowAndTakesAChallengeAway(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		ch := f.addChallenge(t, db, certfleet.DNS01, "tok")
		f.version.ARIPollAt = now
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.CleanLater(ctx, f.order.ID); err != nil {
				return err
			}
			return tx.SaveVersion(ctx, &f.version)
		})
		until := now.Add(2 * time.Minute)
		race(t, db, func(ctx context.Context, tx *store.Tx, _ string) error {
			v := f.version
			return tx.ClaimPoll(ctx, &v, until)
		})
		race(t, db, func(ctx context.Context, tx *store.Tx, _ string) error { return tx.ClaimCleanUp(ctx, ch.ID, until) })
		for at, want := range map[time.Time]int{until.Add(-time.Millisecond): 0, until: 1} {
			polls, err := db.DuePolls(t.Context(), at, 10)
			cleanups, cerr := db.DueCleanups(t.Context(), at, 10)
			if err != nil || cerr != nil || len(polls) != want || len(cleanups) != want {
				t.Errorf("%s after the claim %d polls and %d cleanups are due, want %d: %v, %v", at.Sub(now), len(polls), len(cleanups), want, err, cerr)
			}
		}
	})
}
