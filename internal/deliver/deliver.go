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
	"log/slog"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/keystore"
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
	// LooksPerHour bounds how often names that were seen served are looked at
	// again, all of them together; zero means as often as plan.Relook says.
	LooksPerHour int
	// After is called at the named places of a delivery; crash tests end the process
	// there. Nil is well.
	After func(place string)

	turns  turns
	served tally
}

const (
	sendTime  = 90 * time.Second
	together  = 500 // deliveries that travel to one target at a time
	proveTime = 60 * time.Second
)

// Do brings one delivery further; due siblings for the same target travel along.
func (r *Room) Do(ctx context.Context, id int64) error {
	d, err := r.DB.Delivery(ctx, id)
	if err != nil {
		return err
	}
	if now := time.Now(); d.DueAt.IsZero() || d.DueAt.After(now) || d.LeaseUntil.After(now) {
		return nil // it was queued twice, or waited too long
	}
	target, err := r.DB.Target(ctx, d.TargetID)
	if err != nil {
		return err
	}
	if target.Paused {
		return r.putOff(ctx, d, target)
	}
	switch d.State {
	case certfleet.DeliveryDue, certfleet.DeliveryFailed:
		if target.Pulled() {
			return r.await(ctx, d, target)
		}
		if !r.turns.take(target.ID, target.AtATime()) {
			return nil // listed again when a connection is free
		}
		defer r.turns.give(target.ID)
		return r.send(ctx, d, target)
	case certfleet.DeliverySent, certfleet.DeliveryApplied, certfleet.DeliveryServed:
		return r.prove(ctx, d, target)
	}
	d.DueAt = time.Time{}
	return r.save(ctx, d, nil)
}

// pausedLook is how often deliveries to a paused target are looked at; resuming it
// makes them due at once.
const pausedLook = time.Hour

// putOff leaves a delivery to a paused target for later, with what else waits for
// it, and says so where it has nothing else to say.
func (r *Room) putOff(ctx context.Context, d *certfleet.Delivery, stored *certfleet.StoredTarget) error {
	until := time.Now().Add(pausedLook)
	if d.State != certfleet.DeliveryDue && d.State != certfleet.DeliveryFailed {
		d.DueAt = until
		return r.save(ctx, d, nil)
	}
	var problem, advice string
	if !stored.Pulled() {
		problem, advice = "target "+stored.Label+" is paused", "resume it with certfleet targets resume "+stored.Label
	}
	return r.DB.Tx(context.WithoutCancel(ctx), time.Now(), func(tx *store.Tx) error {
		return tx.PutOff(ctx, stored.ID, until, problem, advice, together)
	})
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
