package issue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/plan"
	"github.com/certfleet/certfleet/internal/store"
)

// registration asks a CA for an account, inside what it publishes of how many it
// makes for one source address. All nodes count as one address, because the
// ledger does not know what the CA sees of them.
func (r *Room) registration(ctx context.Context, acct *certfleet.Account, ask func() (acme.AccountInfo, error)) (acme.AccountInfo, error) {
	b, err := r.book(ctx, acct.AuthorityID)
	if err != nil {
		return acme.AccountInfo{}, err
	}
	touches := b.Registering()
	if err := r.amend(ctx, touches, spendOne); err != nil {
		return acme.AccountInfo{}, err
	}
	got, err := ask()
	if p, ok := errors.AsType[*acme.Problem](err); ok {
		return got, errors.Join(err, r.amend(ctx, touches, unmade(b.name, p)))
	}
	if err == nil && got.Existing {
		return got, r.amend(ctx, touches, refundOne)
	}
	return got, err // made, or its answer was lost: then it may have been counted
}

// amendment is what becomes of one bucket.
type amendment func(t plan.Touch, b plan.Bucket, now time.Time) (plan.Bucket, error)

// amend changes buckets together, or none of them.
func (r *Room) amend(ctx context.Context, touches []plan.Touch, change amendment) error {
	if len(touches) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTime)
	defer cancel()
	var keys []string
	for _, t := range touches {
		keys = append(keys, t.Key.String())
	}
	return r.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		all, err := tx.LockBuckets(ctx, keys)
		if err != nil {
			return err
		}
		for _, t := range touches {
			row := all[t.Key.String()]
			next, err := change(t, plan.Bucket{TAT: row.FullAt, Held: row.Held}, tx.Now())
			if err != nil {
				return err
			}
			row.Name, row.N, row.Period, row.Burst = string(t.Key.Limit), t.Limit.Count, t.Limit.Period, t.Limit.Burst
			row.FullAt, row.Held = next.TAT, next.Held
			all[row.Key] = row
		}
		return saveBuckets(ctx, tx, all)
	})
}

func spendOne(t plan.Touch, b plan.Bucket, now time.Time) (plan.Bucket, error) {
	next, ok, at := plan.Spend(b, t.Limit, now, 1)
	if ok {
		return next, nil
	}
	return b, &certfleet.Error{
		Kind:   certfleet.Limited,
		Msg:    fmt.Sprintf("%s makes %d new accounts in %s for one address, and they are used until %s", t.Key.Authority, t.Limit.Count, t.Limit.Period, at.UTC().Format(time.RFC3339)),
		Advice: "wait until then, or use an account that is registered already",
		Retry:  at,
	}
}

func refundOne(t plan.Touch, b plan.Bucket, _ time.Time) (plan.Bucket, error) {
	return plan.Refund(b, t.Limit, 1), nil
}

// unmade is for an account that the CA refused: it counts none, and if a limit
// was the reason, there are none until it says so.
func unmade(authority string, p *acme.Problem) amendment {
	return func(t plan.Touch, b plan.Bucket, now time.Time) (plan.Bucket, error) {
		b = plan.Refund(b, t.Limit, 1)
		if answerOf(p).Counts() || t.Key.Limit != plan.NewAccounts {
			return b, nil
		}
		l := plan.Learn(plan.Refusal{Authority: authority, Detail: p.Detail, Help: p.Help, RetryAt: p.RetryAfter}, now)
		return plan.Empty(b, t.Limit, l.Until), nil
	}
}
