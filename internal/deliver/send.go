package deliver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/plan"
	"github.com/certfleet/certfleet/internal/store"
)

// cargo is one delivery on its way, and what came of it.
type cargo struct {
	d      *certfleet.Delivery
	bundle *certfleet.Bundle
	events []certfleet.Event
	alone  bool // it was handed over and nobody looks further, so that its word is all that a canary gives
}

// send hands the bundles over and notes what came of each. What happens to all is
// written in one transaction before and one after.
func (r *Room) send(ctx context.Context, first *certfleet.Delivery, stored *certfleet.StoredTarget) error {
	list, err := r.claim(ctx, first, stored)
	if err != nil || len(list) == 0 {
		return err
	}
	r.after("delivery claimed")
	all := make([]*cargo, len(list))
	for i, d := range list {
		all[i] = &cargo{d: d}
	}
	target, err := r.Target(stored)
	if err != nil {
		return r.failAll(ctx, all, stored, err)
	}
	defer wipe(all)
	going, before, err := r.load(ctx, all, stored)
	if err != nil {
		return errors.Join(err, r.failAll(ctx, all, stored, err))
	}
	r.after("delivery opened")
	if len(going) > 0 {
		r.hand(ctx, going, before, stored, target)
	}
	r.after("delivery handed")
	return r.keep(ctx, all, stored)
}

func (r *Room) after(place string) {
	if r.After != nil {
		r.After(place)
	}
}

// until is when what was claimed must have been handed over: a process that slept
// through its lease must not push what somebody else has replaced by now.
func until(going []*cargo) time.Time {
	end := time.Now().Add(sendTime)
	for _, c := range going {
		if l := c.d.LeaseUntil; l.Before(end) {
			end = l
		}
	}
	return end
}

func wipe(all []*cargo) {
	for _, c := range all {
		if c.bundle != nil {
			c.bundle.KeyPEM.Wipe()
		}
	}
}

// load opens what can be opened; the openings are on record before anything leaves.
func (r *Room) load(ctx context.Context, all []*cargo, stored *certfleet.StoredTarget) (going []*cargo, before []certfleet.Receipt, err error) {
	list := make([]*certfleet.Delivery, len(all))
	for i, c := range all {
		list[i] = c.d
	}
	got, err := r.open(ctx, list)
	if err != nil {
		return nil, nil, err
	}
	for i, c := range all {
		if got[i].err != nil {
			r.fail(c, stored, got[i].err)
			continue
		}
		c.bundle, going = got[i].bundle, append(going, c)
	}
	return going, r.receiptsBefore(ctx, going, stored.ID), r.record(ctx, got, "delivery")
}

// hand gives the bundles to the target; one without a receipt went wrong.
func (r *Room) hand(ctx context.Context, going []*cargo, before []certfleet.Receipt, stored *certfleet.StoredTarget, target certfleet.Target) {
	ctx, cancel := context.WithDeadline(ctx, until(going))
	defer cancel()
	bundles := make([]certfleet.Bundle, len(going))
	for i, c := range going {
		bundles[i] = *c.bundle
	}
	receipts, err := target.Deliver(ctx, bundles, before)
	byVersion := map[int64]certfleet.Receipt{}
	for _, rc := range receipts {
		byVersion[rc.Version] = rc
	}
	for _, c := range going {
		rc, ok := byVersion[c.bundle.Version]
		switch {
		case !ok && err == nil:
			r.fail(c, stored, fmt.Errorf("target %s said nothing about it", stored.Label))
		case !ok:
			r.fail(c, stored, err)
		case rc.Err != nil:
			r.fail(c, stored, rc.Err)
		default:
			r.sent(ctx, c, rc, stored, target)
		}
	}
}

func (r *Room) sent(ctx context.Context, c *cargo, rc certfleet.Receipt, stored *certfleet.StoredTarget, target certfleet.Target) {
	now, d := time.Now(), c.d
	sealed, err := r.Keys.Seal(context.WithoutCancel(ctx), receiptText(rc), receiptAAD(d))
	if err != nil {
		r.fail(c, stored, err)
		return
	}
	d.State, d.SentAt, d.Receipt, d.Problem, d.Advice = certfleet.DeliverySent, now, sealed, "", ""
	if v, ok := target.(certfleet.Verifier); ok && !rc.Applied {
		held, err := v.Holds(ctx, c.bundle.Certificate, rc)
		rc.Applied = err == nil && held == c.bundle.Fingerprint
	}
	c.events = []certfleet.Event{*event(d, "delivery.sent", fmt.Sprintf("version %d was sent to %s", d.VersionID, stored.Label))}
	if rc.Applied {
		d.State, d.AppliedAt = certfleet.DeliveryApplied, now
		c.events = append(c.events, *event(d, "delivery.applied", fmt.Sprintf("version %d is at %s", d.VersionID, stored.Label)))
	}
	d.Owner, d.LeaseUntil, d.DueAt, d.Attempts = "", time.Time{}, time.Time{}, 0
	if proved(stored) {
		d.DueAt = now
	} else {
		c.alone = true
	}
}

// proved reports whether anybody looks at what the target serves.
func proved(stored *certfleet.StoredTarget) bool {
	return len(stored.Probe) > 0 && stored.Proof != certfleet.ProofNone
}

func (r *Room) failAll(ctx context.Context, all []*cargo, stored *certfleet.StoredTarget, cause error) error {
	for _, c := range all {
		r.fail(c, stored, cause)
	}
	return r.keep(ctx, all, stored)
}

// fail keeps the delivery due; what the target holds stays in place.
func (r *Room) fail(c *cargo, stored *certfleet.StoredTarget, cause error) {
	d := c.d
	d.Owner, d.LeaseUntil = "", time.Time{}
	if errors.Is(cause, context.Canceled) {
		return // we end, the target did nothing wrong
	}
	d.Attempts++
	d.State, d.Problem, d.Advice = certfleet.DeliveryFailed, cause.Error(), certfleet.AdviceOf(cause)
	d.DueAt = plan.Again(time.Now(), d.Attempts, certfleet.RetryOf(cause), rand.Float64())
	c.events = []certfleet.Event{*event(d, "delivery.failed", stored.Label+": "+cause.Error())}
}

// keep writes what came of all. A delivery that was superseded meanwhile stays so,
// and the newer version has its turn.
func (r *Room) keep(ctx context.Context, all []*cargo, stored *certfleet.StoredTarget) error {
	ctx = context.WithoutCancel(ctx)
	err := r.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		var told []certfleet.Event
		for _, c := range all {
			kept, err := r.keepOne(ctx, tx, c, stored)
			if err != nil {
				return err
			}
			if kept {
				told = append(told, c.events...)
			}
		}
		return tx.Events(ctx, told)
	})
	if err == nil {
		return nil
	}
	ids := make([]int64, len(all))
	for i, c := range all {
		ids[i] = c.d.ID
	}
	return r.giveBack(ctx, err, ids...)
}

// keepOne reports whether the delivery still was ours to write.
func (r *Room) keepOne(ctx context.Context, tx *store.Tx, c *cargo, stored *certfleet.StoredTarget) (bool, error) {
	err := tx.SaveDelivery(ctx, c.d)
	if errors.Is(err, store.ErrStale) {
		return false, tx.ReleaseDelivery(ctx, c.d.ID, r.Owner)
	}
	if err == nil && c.alone && stored.Canary && len(c.events) > 0 {
		err = r.canaryAlone(ctx, tx, c.d, stored)
	}
	return err == nil, err
}
