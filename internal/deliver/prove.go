package deliver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/plan"
	"github.com/certfleet/certfleet/internal/probe"
	"github.com/certfleet/certfleet/internal/store"
)

// sampleSize is how many names proof: sample looks at.
const sampleSize = 3

// patience is after how many looks in a row a version that is not seen is
// delivered once more.
const patience = 6

// prove looks at the certificate's names at the target's addresses and notes
// what each serves.
func (r *Room) prove(ctx context.Context, d *certfleet.Delivery, stored *certfleet.StoredTarget) error {
	if !proved(stored) {
		return r.unlooked(ctx, d, stored)
	}
	now := time.Now()
	err := r.DB.Tx(ctx, now, func(tx *store.Tx) error { return tx.ClaimDelivery(ctx, d, r.Owner, now.Add(r.DB.Lease())) })
	if err != nil {
		return err
	}
	v, err := r.DB.Version(ctx, d.VersionID)
	if err != nil {
		return r.giveBack(ctx, err, d.ID)
	}
	look, cancel := context.WithTimeout(ctx, proveTime)
	defer cancel()
	sights := probe.LookAll(look, names(v.Names, stored.Proof), stored.Probe, r.Probe)
	if ctx.Err() != nil {
		return r.release(ctx, d) // a look that was cut off says nothing about the edge
	}
	if err := r.saw(context.WithoutCancel(ctx), d, stored, v, sights); err != nil {
		return r.giveBack(ctx, err, d.ID)
	}
	return nil
}

// unlooked ends the looks at a delivery to a target that has no address any more;
// what waits for it as a canary must not wait for a look that never comes.
func (r *Room) unlooked(ctx context.Context, d *certfleet.Delivery, stored *certfleet.StoredTarget) error {
	d.DueAt = time.Time{}
	return r.DB.Tx(context.WithoutCancel(ctx), time.Now(), func(tx *store.Tx) error {
		if err := tx.SaveDelivery(ctx, d); err != nil || !stored.Canary {
			return err
		}
		return r.canaryAlone(ctx, tx, d, stored)
	})
}

// giveBack releases what was claimed when the store refused what came of it, so
// that nobody waits for the lease to end.
func (r *Room) giveBack(ctx context.Context, cause error, claimed ...int64) error {
	ctx = context.WithoutCancel(ctx)
	return errors.Join(cause, r.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		for _, id := range claimed {
			if err := tx.ReleaseDelivery(ctx, id, r.Owner); err != nil {
				return err
			}
		}
		return nil
	}))
}

// release gives a claimed delivery back as it was, to be done again at once by
// whoever comes next.
func (r *Room) release(ctx context.Context, d *certfleet.Delivery) error {
	d.Owner, d.LeaseUntil = "", time.Time{}
	return r.save(ctx, d, nil)
}

func names(all []certfleet.Name, p certfleet.Proof) []certfleet.Name {
	if p != certfleet.ProofSample || len(all) <= sampleSize {
		return all
	}
	out := []certfleet.Name{all[0]}
	for _, i := range rand.Perm(len(all) - 1)[:sampleSize-1] {
		out = append(out, all[i+1])
	}
	return out
}

// saw decides what the looks mean: served when every one showed this version.
func (r *Room) saw(ctx context.Context, d *certfleet.Delivery, stored *certfleet.StoredTarget, v *certfleet.Version, sights []probe.Sight) error {
	was, problem := d.State, ""
	if len(sights) == 0 {
		problem = "none of the target's addresses could be looked at"
	}
	for _, s := range sights {
		if p := otherwise(s, v); p != "" && problem == "" {
			problem = p
		}
	}
	now := time.Now()
	d.Owner, d.LeaseUntil = "", time.Time{}
	var e *certfleet.Event
	if problem == "" {
		d.State, d.ServedAt, d.Problem, d.Advice, d.Attempts = certfleet.DeliveryServed, now, "", "", 0
		d.DueAt = r.again(ctx, now, v.NotAfter.Sub(v.NotBefore))
		if was != certfleet.DeliveryServed {
			e = event(d, "delivery.served", fmt.Sprintf("seen in a handshake at %s", stored.Label))
		}
	} else {
		e = r.unseen(d, stored, problem, now)
	}
	judged := *d
	return r.DB.Tx(ctx, now, func(tx *store.Tx) (err error) {
		*d = judged // it may be the second try
		for _, s := range sights {
			row := certfleet.Sighting{DeliveryID: d.ID, Name: s.Name, Address: s.Address, Fingerprint: s.Fingerprint, At: s.At}
			if s.Err != nil {
				row.Problem = s.Err.Error()
			}
			if err := tx.Saw(ctx, row); err != nil {
				return err
			}
		}
		if problem != "" && stored.Canary && d.State == certfleet.DeliveryDue && !d.Rollback && d.ServedAt.IsZero() {
			if e, err = r.canaryFails(ctx, tx, d, stored, problem); err != nil {
				return err
			}
		}
		if err := tx.SaveDelivery(ctx, d); err != nil {
			return err
		}
		if problem == "" && stored.Canary && was != certfleet.DeliveryServed {
			if err := r.canarySings(ctx, tx, d, stored); err != nil {
				return err
			}
		}
		if e == nil {
			return nil
		}
		return tx.Event(ctx, *e)
	})
}

// otherwise says what a look showed instead of the version, empty when it showed it.
func otherwise(s probe.Sight, v *certfleet.Version) string {
	switch {
	case s.Err != nil:
		return fmt.Sprintf("%s at %s: %v", s.Name, s.Address, s.Err)
	case s.Fingerprint != v.Fingerprint:
		return fmt.Sprintf("%s at %s serves another certificate, valid until %s", s.Name, s.Address, s.NotAfter.Format(time.RFC3339))
	}
	return ""
}

// unseen goes on looking for a while, then delivers once more. A name that was
// served falls back at once, and what a second look confirms is delivered again.
func (r *Room) unseen(d *certfleet.Delivery, stored *certfleet.StoredTarget, problem string, now time.Time) *certfleet.Event {
	was, new := d.State, d.Problem != problem
	d.Attempts++
	d.Problem, d.Advice = problem, "reload the service at "+stored.Label+", or correct the target's probe addresses"
	if was == certfleet.DeliveryServed {
		d.State = certfleet.DeliveryApplied
	}
	d.DueAt = plan.Again(now, d.Attempts, time.Time{}, rand.Float64())
	switch {
	case was == certfleet.DeliveryServed:
		d.Attempts = patience - 1
	case d.Attempts == 1:
		d.DueAt = now.Add(moment) // services that were just told take a while
		return nil
	}
	if d.Attempts%patience == 0 {
		d.State = certfleet.DeliveryDue
	}
	if !new && was != certfleet.DeliveryServed && d.Attempts != 2 {
		return nil
	}
	return event(d, "delivery.unseen", problem)
}
