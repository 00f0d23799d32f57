// Package deliver brings versions to targets and proves that they are served.
//
// A delivery is one version to one target, and is reconciled until both agree:
//
//	due --Deliver--> sent --Holds--> applied --handshake--> served
//	 ^                 \_______________\______________________|
//	 |                        it went wrong                   | looked at again
//	 +------ failed <-----------------------------------------+ and found otherwise
//
// A newer version of the same certificate supersedes an older delivery. Nothing
// here removes a working pair: a target replaces, or leaves what it has.
package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/keystore"
	"github.com/certfleet/certfleet/internal/plan"
	"github.com/certfleet/certfleet/internal/probe"
	"github.com/certfleet/certfleet/internal/store"
)

// Room is the delivering room.
type Room struct {
	DB   *store.DB
	Keys *keystore.Keystore
	// Target builds the plugin for a stored target.
	Target func(*certfleet.StoredTarget) (certfleet.Target, error)
	Probe  probe.Options
	Log    *slog.Logger
	Owner  string
}

const (
	lease     = 2 * time.Minute
	sendTime  = 90 * time.Second
	together  = 200 // deliveries that travel to one target at a time
	proveTime = 60 * time.Second
)

// Do brings one delivery further; due siblings for the same target travel along.
func (r *Room) Do(ctx context.Context, id int64) error {
	d, err := r.DB.Delivery(ctx, id)
	if err != nil {
		return err
	}
	if d.DueAt.IsZero() || d.DueAt.After(time.Now()) {
		return nil
	}
	target, err := r.DB.Target(ctx, d.TargetID)
	if err != nil {
		return err
	}
	if target.Paused {
		return r.putOff(ctx, d, 10*time.Minute)
	}
	switch d.State {
	case certfleet.DeliveryDue, certfleet.DeliveryFailed:
		return r.send(ctx, d, target)
	case certfleet.DeliverySent, certfleet.DeliveryApplied, certfleet.DeliveryServed:
		return r.prove(ctx, d, target)
	}
	d.DueAt = time.Time{}
	return r.save(ctx, d, nil)
}

func (r *Room) putOff(ctx context.Context, d *certfleet.Delivery, wait time.Duration) error {
	d.DueAt = time.Now().Add(wait)
	return r.save(ctx, d, nil)
}

func (r *Room) save(ctx context.Context, d *certfleet.Delivery, e *certfleet.Event) error {
	return r.DB.Tx(context.WithoutCancel(ctx), time.Now(), func(tx *store.Tx) error {
		if err := tx.SaveDelivery(ctx, d); err != nil {
			return err
		}
		if e == nil {
			return nil
		}
		return tx.Event(ctx, *e)
	})
}

func event(d *certfleet.Delivery, kind, msg string) *certfleet.Event {
	return &certfleet.Event{Kind: kind, Tenant: d.Tenant, CertificateID: d.CertificateID, VersionID: d.VersionID, TargetID: d.TargetID, Msg: msg}
}

// claim takes the delivery and its due siblings; those that another process was
// faster with are left out.
func (r *Room) claim(ctx context.Context, first *certfleet.Delivery) ([]*certfleet.Delivery, error) {
	now := time.Now()
	due, err := r.DB.DueSiblings(ctx, first, now, together)
	if err != nil {
		return nil, err
	}
	var got []*certfleet.Delivery
	for i := range due {
		d := &due[i]
		err := r.DB.Tx(ctx, now, func(tx *store.Tx) error { return tx.ClaimDelivery(ctx, d, r.Owner, now.Add(lease)) })
		if errors.Is(err, store.ErrStale) {
			continue
		}
		if err != nil {
			return got, err
		}
		got = append(got, d)
	}
	return got, nil
}

// send hands the bundles over and notes what came of each.
func (r *Room) send(ctx context.Context, first *certfleet.Delivery, stored *certfleet.StoredTarget) error {
	list, err := r.claim(ctx, first)
	if err != nil || len(list) == 0 {
		return err
	}
	target, err := r.Target(stored)
	if err != nil {
		return r.failAll(ctx, list, stored, err)
	}
	var bundles []certfleet.Bundle
	var before []certfleet.Receipt
	var going []*certfleet.Delivery
	defer func() {
		for _, b := range bundles {
			b.KeyPEM.Wipe()
		}
	}()
	for _, d := range list {
		b, err := r.bundle(ctx, d)
		if err != nil {
			if err := r.fail(ctx, d, stored, err); err != nil {
				return err
			}
			continue
		}
		bundles, going = append(bundles, *b), append(going, d)
		if rc := r.receiptBefore(ctx, d, b.Certificate); rc != nil {
			before = append(before, *rc)
		}
	}
	if len(bundles) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	receipts, err := target.Deliver(ctx, bundles, before)
	return r.settle(ctx, going, bundles, receipts, stored, target, err)
}

// settle writes for each delivery what its receipt says; one without a receipt
// went wrong with err.
func (r *Room) settle(ctx context.Context, list []*certfleet.Delivery, bundles []certfleet.Bundle, receipts []certfleet.Receipt, stored *certfleet.StoredTarget, target certfleet.Target, err error) error {
	byVersion := map[int64]certfleet.Receipt{}
	for _, rc := range receipts {
		byVersion[rc.Version] = rc
	}
	var all error
	for i, d := range list {
		rc, ok := byVersion[d.VersionID]
		switch {
		case !ok && err == nil:
			all = errors.Join(all, r.fail(ctx, d, stored, fmt.Errorf("target %s said nothing about it", stored.Label)))
		case !ok:
			all = errors.Join(all, r.fail(ctx, d, stored, err))
		case rc.Err != nil:
			all = errors.Join(all, r.fail(ctx, d, stored, rc.Err))
		default:
			all = errors.Join(all, r.sent(ctx, d, bundles[i], rc, stored, target))
		}
	}
	return all
}

func (r *Room) sent(ctx context.Context, d *certfleet.Delivery, b certfleet.Bundle, rc certfleet.Receipt, stored *certfleet.StoredTarget, target certfleet.Target) error {
	now := time.Now()
	sealed, err := r.Keys.Seal(context.WithoutCancel(ctx), receiptText(rc), receiptAAD(d))
	if err != nil {
		return err
	}
	d.State, d.SentAt, d.Receipt, d.Problem, d.Advice = certfleet.DeliverySent, now, sealed, "", ""
	if v, ok := target.(certfleet.Verifier); ok && !rc.Applied {
		held, err := v.Holds(ctx, b.Certificate, rc)
		rc.Applied = err == nil && held == b.Fingerprint
	}
	kind := "delivery.sent"
	if rc.Applied {
		d.State, d.AppliedAt, kind = certfleet.DeliveryApplied, now, "delivery.applied"
	}
	d.Owner, d.LeaseUntil, d.DueAt, d.Attempts = "", time.Time{}, time.Time{}, 0
	if len(stored.Probe) > 0 && stored.Proof != certfleet.ProofNone {
		d.DueAt = now
	}
	return r.save(ctx, d, event(d, kind, fmt.Sprintf("serial of version %d is at %s", d.VersionID, stored.Label)))
}

func (r *Room) failAll(ctx context.Context, list []*certfleet.Delivery, stored *certfleet.StoredTarget, cause error) error {
	var all error
	for _, d := range list {
		all = errors.Join(all, r.fail(ctx, d, stored, cause))
	}
	return all
}

// release gives a claimed delivery back as it was, to be done again at once by
// whoever comes next.
func (r *Room) release(ctx context.Context, d *certfleet.Delivery) error {
	d.Owner, d.LeaseUntil = "", time.Time{}
	return r.save(ctx, d, nil)
}

// fail keeps the delivery due; what the target holds stays in place.
func (r *Room) fail(ctx context.Context, d *certfleet.Delivery, stored *certfleet.StoredTarget, cause error) error {
	if errors.Is(cause, context.Canceled) {
		return r.release(ctx, d) // we end, the target did nothing wrong
	}
	d.Attempts++
	d.State, d.Problem, d.Advice = certfleet.DeliveryFailed, cause.Error(), certfleet.AdviceOf(cause)
	d.Owner, d.LeaseUntil = "", time.Time{}
	d.DueAt = plan.Again(time.Now(), d.Attempts, certfleet.RetryOf(cause), rand.Float64())
	return r.save(ctx, d, event(d, "delivery.failed", stored.Label+": "+cause.Error()))
}
