package issue

import (
	"context"
	"errors"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/plan"
	"github.com/certfleet/certfleet/internal/store"
)

// outcome is what became of one thing that an order held a token for.
type outcome int

const (
	pendingYet outcome = iota // nobody knows yet
	counted                   // the CA has counted it, or may have
	succeeded                 // it went well, which forgets failures before it
	released                  // it did not come to it
)

// settle closes what is known of an order's touches.
func (r *Room) settle(ctx context.Context, tx *store.Tx, order int64, what func(t store.Touch) outcome) error {
	have, err := tx.HeldBy(ctx, order)
	if err != nil || len(have) == 0 {
		return err
	}
	var keys []string
	var left []store.Touch
	known := map[string]outcome{}
	for _, t := range have {
		if known[t.Key] = what(t); known[t.Key] == pendingYet {
			left = append(left, t)
			continue
		}
		keys = append(keys, t.Key)
	}
	if len(keys) == 0 {
		return nil
	}
	all, err := tx.LockBuckets(ctx, keys)
	if err != nil {
		return err
	}
	for _, t := range have {
		if known[t.Key] != pendingYet {
			all[t.Key] = closed(all[t.Key], t, tx.Now(), known[t.Key])
		}
	}
	if err := saveBuckets(ctx, tx, all); err != nil {
		return err
	}
	return tx.Hold(ctx, order, left)
}

// closed is a bucket after one touch of it is settled.
func closed(b store.Bucket, t store.Touch, now time.Time, o outcome) store.Bucket {
	k, _ := plan.ParseKey(t.Key)
	b.Key, b.Name, b.N, b.Period, b.Burst = t.Key, string(k.Limit), t.N, t.Period, t.Burst
	p, touch := plan.Bucket{TAT: b.FullAt, Held: b.Held}, plan.Touch{Key: k, Limit: limitOf(b)}
	if o == released {
		p = plan.Release(p, 1)
	} else {
		p = touch.Close(p, now, o == counted)
	}
	b.FullAt, b.Held = p.TAT, p.Held
	return b
}

// taken settles a new-order that the CA has answered.
func taken(o outcome) func(store.Touch) outcome {
	return func(t store.Touch) outcome {
		if t.When == string(plan.Asked) {
			return o
		}
		return pendingYet
	}
}

// answered notes what a refused new-order cost: nothing if it was a limit that
// refused it, or if it never left. An answer that never came is settled before
// the next try.
func (r *Room) answered(ctx context.Context, j *job, cause error) error {
	o := counted
	switch p, ok := errors.AsType[*acme.Problem](cause); {
	case errors.Is(cause, acme.ErrUnsent):
		o, j.order.PlacingAt = released, time.Time{}
	case !ok:
		return nil
	case !answerOf(p).Counts():
		o = released
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTime)
	defer cancel()
	return r.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error { return r.settle(ctx, tx, j.order.ID, taken(o)) })
}

// allWell is for an order that went well: a certificate was issued and no validation failed.
func allWell(t store.Touch) outcome {
	if t.When == string(plan.Failed) {
		return succeeded
	}
	return counted
}

// ended says what an order cost that ended without a version.
func (r *Room) ended(ctx context.Context, tx *store.Tx, j *job) (func(store.Touch) outcome, error) {
	authzs, err := tx.AuthorizationsOf(ctx, j.order.ID)
	if err != nil {
		return nil, err
	}
	challenges, err := tx.ChallengesOf(ctx, j.order.ID)
	if err != nil {
		return nil, err
	}
	shown := map[int64]bool{}
	for _, c := range challenges {
		shown[c.AuthorizationID] = !c.PresentedAt.IsZero()
	}
	byName := map[string]outcome{}
	for _, a := range authzs {
		byName[a.Name.Base()] = worse(byName[a.Name.Base()], verdict(a.Status, shown[a.ID]))
	}
	return func(t store.Touch) outcome {
		switch k, _ := plan.ParseKey(t.Key); plan.When(t.When) {
		case plan.Asked:
			return askedOf(j.order)
		case plan.Issued:
			return issuedOf(j.order)
		default:
			if o := byName[k.Subject]; o != pendingYet {
				return o
			}
			return released
		}
	}, nil
}

// verdict is what a CA counted of an authorization. One that is still pending
// although its answer could be seen may have failed.
func verdict(status string, shown bool) outcome {
	switch {
	case status == statusInvalid, status == statusPending && shown:
		return counted
	case status == statusValid:
		return succeeded
	}
	return released
}

// worse keeps the worse of two verdicts on one name, as of a wildcard and its base.
func worse(a, b outcome) outcome {
	if a == pendingYet || b == counted {
		return b
	}
	return a
}

// askedOf says whether new-order may have been counted: not if it never left.
func askedOf(o *certfleet.Order) outcome {
	if o.PlacingAt.IsZero() {
		return released
	}
	return counted
}

// issuedOf says whether a certificate may have been issued: not before the order
// was finalized, and not when the CA calls it invalid.
func issuedOf(o *certfleet.Order) outcome {
	if o.KeyID == 0 || o.CAStatus == statusInvalid {
		return released
	}
	return counted
}
