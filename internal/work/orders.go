package work

import (
	"context"
	"errors"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
)

// Steps of one order go on in one piece while the next is this near, for as
// long as an order may keep a worker.
const (
	near  = 2 * time.Second
	piece = 30 * time.Second
)

// StepFunc does one step of a claimed order and says when the next is; zero
// means that the order ended.
type StepFunc func(ctx context.Context, o *certfleet.Order) (time.Time, error)

// Orders is the work of stepping orders.
func Orders(db *store.DB, owner string, step StepFunc) Kind {
	return Kind{
		Name:  "orders",
		Gated: true,
		Due: func(ctx context.Context, now time.Time, limit int) ([]int64, error) {
			list, err := db.DueOrders(ctx, now, limit)
			ids := make([]int64, len(list))
			for i, o := range list {
				ids[i] = o.ID
			}
			return ids, err
		},
		Lanes: func(ctx context.Context, now time.Time, limit int) ([]Laned, error) {
			list, err := db.DueOrders(ctx, now, limit)
			out := make([]Laned, len(list))
			for i, o := range list {
				out[i] = Laned{o.ID, o.Lane}
			}
			return out, err
		},
		Do: func(ctx context.Context, id int64) error {
			o, err := db.Order(ctx, id)
			if err != nil {
				return err
			}
			if now := time.Now(); o.Manual || !o.Live() || o.DueAt.After(now) || o.LeaseUntil.After(now) {
				return nil // it was queued twice, or waited too long
			}
			p, in := pass(ctx, o.Turn())
			defer p.end()
			if !in {
				return nil
			}
			return walk(ctx, db, owner, o, step, piece, p)
		},
		Say: func(ctx context.Context, id int64) string {
			o, err := db.Order(ctx, id)
			if err != nil {
				return err.Error()
			}
			return "step the order of " + certfleet.SetKey(o.Names)
		},
	}
}

// StepOnce steps one order by request, whatever it is due; manual orders advance
// only so.
func StepOnce(ctx context.Context, db *store.DB, owner string, id int64, step StepFunc) error {
	o, err := db.Order(ctx, id)
	if err != nil {
		return err
	}
	if !o.Live() {
		return &certfleet.Error{Kind: certfleet.Conflict, Msg: "the order has ended: " + string(o.State), Advice: "renew the certificate for a new order"}
	}
	return walk(ctx, db, owner, o, step, 0, nil)
}

// walk claims the order, steps it while the next step is near, and gives it back
// with its next due time.
func walk(ctx context.Context, db *store.DB, owner string, o *certfleet.Order, step StepFunc, most time.Duration, p *passage) error {
	began := time.Now()
	err := db.Tx(ctx, began, func(tx *store.Tx) error { return tx.ClaimOrder(ctx, o, owner, began.Add(db.Lease())) })
	if err != nil {
		return err
	}
	for {
		next, err := holding(ctx, db, owner, o, step)
		if err != nil {
			return giveBack(ctx, db, owner, o.ID, time.Now().Add(again(ctx, err)), err)
		}
		if next.IsZero() {
			return nil
		}
		wait := time.Until(next)
		if wait > near || time.Since(began) > most || Stopping(ctx) {
			return giveBack(ctx, db, owner, o.ID, next, nil)
		}
		if !p.rest(ctx, wait) {
			return giveBack(ctx, db, owner, o.ID, next, ctx.Err())
		}
	}
}

// again is how soon a step is repeated that could not say so itself: at once
// when this process ends or another was faster, else when the store may answer
// again.
func again(ctx context.Context, err error) time.Duration {
	switch {
	case ctx.Err() != nil:
		return 0
	case errors.Is(err, store.ErrStale):
		return 50 * time.Millisecond
	}
	return 10 * time.Second
}

// insist is how long a claim is tried to be given back when the store does not
// answer; after that it ends by itself, with its lease.
const insist = 30 * time.Second

// giveBack ends the claim in any case, even when the context has ended.
func giveBack(ctx context.Context, db *store.DB, owner string, id int64, due time.Time, cause error) error {
	until := time.Now().Add(insist)
	err := release(ctx, db, owner, id, due)
	for err != nil && !errors.Is(err, store.ErrStale) && time.Now().Before(until) && sleep(ctx, time.Second) {
		err = release(ctx, db, owner, id, due)
	}
	if cause != nil {
		return cause
	}
	return err
}

func release(ctx context.Context, db *store.DB, owner string, id int64, due time.Time) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return db.Tx(ctx, time.Now(), func(tx *store.Tx) error { return tx.ReleaseOrder(ctx, id, owner, due) })
}
