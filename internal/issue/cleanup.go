package issue

import (
	"context"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/plan"
	"github.com/certfleet/certfleet/internal/store"
)

// giveUpCleaning is how long a solver may fail to take a challenge away before
// we leave it and say so.
const giveUpCleaning = 7 * 24 * time.Hour

// sharedRest is how soon a challenge is looked at again that another order shows too.
const sharedRest = time.Minute

// CleanUp takes away one challenge of an order that has ended, even one whose
// present was lost in a crash. It stays while another order shows the same. One
// that is not due is left as it is.
func (r *Room) CleanUp(ctx context.Context, c certfleet.StoredChallenge, now time.Time) error {
	if due, err := r.DB.CleanUpDue(ctx, c.ID, now); err != nil || !due {
		return err
	}
	if err := r.claim(ctx, now, func(tx *store.Tx, until time.Time) error { return tx.ClaimCleanUp(ctx, c.ID, until) }); err != nil {
		return err
	}
	if shared, err := r.DB.ChallengeShared(ctx, &c); err != nil {
		return err
	} else if shared {
		return r.DB.Tx(ctx, now, func(tx *store.Tx) error {
			return tx.CleanAgain(ctx, c.ID, now.Add(sharedRest), "another order shows it too")
		})
	}
	solver, err := r.Solver(c.Type, c.Solver)
	if err == nil {
		err = r.cleanUp(ctx, solver, &c)
	}
	return r.DB.Tx(context.WithoutCancel(ctx), now, func(tx *store.Tx) error {
		if err == nil {
			return tx.Cleaned(ctx, c.ID)
		}
		if now.Sub(c.IntendedAt) > giveUpCleaning {
			msg := fmt.Sprintf("%s of %s could not be taken away: %v", c.Type, c.Name, err)
			if err := tx.Event(ctx, certfleet.Event{Kind: "challenge.left", Tenant: c.Tenant, OrderID: c.OrderID, Msg: msg}); err != nil {
				return err
			}
			return tx.Cleaned(ctx, c.ID)
		}
		return tx.CleanAgain(ctx, c.ID, plan.Backoff(now, int(now.Sub(c.IntendedAt)/time.Hour)+1, time.Time{}, r.luck()), err.Error())
	})
}

func (r *Room) cleanUp(ctx context.Context, solver certfleet.Solver, c *certfleet.StoredChallenge) error {
	state, err := r.solverState(ctx, c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	return solver.CleanUp(ctx, certfleet.Challenge{Type: c.Type, Name: c.Name, Token: c.Token, KeyAuth: c.KeyAuth}, state)
}
