package intake

import (
	"context"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/plan"
	"github.com/certfleet/certfleet/internal/store"
)

// move gives a certificate a state and the due time that goes with it. Only an
// active certificate is ever due; one whose order is on its way is not.
func (r Room) move(ctx context.Context, tx *store.Tx, c *certfleet.Certificate, to certfleet.CertificateState, lane certfleet.Lane) error {
	if c.State == to {
		return nil
	}
	if c.State == certfleet.Removed {
		if err := stillGood(ctx, tx, c); err != nil {
			return err
		}
	}
	c.State, c.DueAt, c.DueReason = to, time.Time{}, ""
	if to != certfleet.Paused {
		c.External, c.ExternalAt = "", time.Time{} // it is ours now, or nobody's
	}
	if to != certfleet.Active {
		return nil
	}
	tx.Wake()
	if o, err := liveOrder(ctx, tx.Q, c.ID); err != nil || o != nil {
		return err
	}
	c.DueAt, c.DueReason, c.Lane = tx.Now(), "it has no version yet", lane
	if c.VersionID == 0 {
		return nil
	}
	v, err := tx.Version(ctx, c.VersionID)
	if err != nil {
		return err
	}
	next := plan.RenewAt(v.NotBefore, v.NotAfter, v.ARIAt, luck())
	c.UrgentAt = plan.UrgentAt(v.NotBefore, v.NotAfter)
	c.DueAt, c.DueReason, c.Lane = next.At, next.Reason, certfleet.LaneRoutine
	if !v.RevokedAt.IsZero() {
		c.DueAt, c.DueReason, c.Lane = tx.Now(), "its certificate was revoked", certfleet.LaneEmergency
	}
	return nil
}

// Renew makes a certificate due now. An order that is on its way is hurried
// instead; a paused certificate is refused unless forced, and then resumed.
func (r Room) Renew(ctx context.Context, id int64, n api.Renewal) (*Result, error) {
	lane := certfleet.LaneWaiting
	if n.Emergency {
		lane = certfleet.LaneEmergency
	}
	var res *Result
	err := r.write(ctx, func(tx *store.Tx) (err error) {
		res, err = r.renew(ctx, tx, id, n, lane)
		return err
	})
	if err != nil || !n.Manual {
		return res, err
	}
	res.OrderID, err = r.orderByHand(ctx, res.Certificate, lane)
	return res, err
}

func (r Room) renew(ctx context.Context, tx *store.Tx, id int64, n api.Renewal, lane certfleet.Lane) (*Result, error) {
	c, err := r.certificate(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	if c.External != "" && !n.Force {
		return nil, conflict("let "+c.External+" renew it, or take it over with certfleet resume "+c.Label, c.External+" renews certificate "+c.Label)
	}
	if c.State != certfleet.Active && !n.Force {
		return nil, conflict("resume it first, or renew with force", "certificate "+c.Label+" is "+string(c.State))
	}
	o, err := liveOrder(ctx, tx.Q, c.ID)
	if err != nil {
		return nil, err
	}
	c.State, c.DueAt, c.DueReason = certfleet.Active, time.Time{}, ""
	c.External, c.ExternalAt = "", time.Time{}
	res := &Result{Certificate: c, Changed: true}
	switch {
	case o != nil && n.Manual:
		return nil, orConflict(nil, o)
	case o != nil:
		res.OrderID = o.ID
		if err := hurry(ctx, tx, o, lane); err != nil {
			return nil, err
		}
	case !n.Manual:
		c.DueAt, c.DueReason, c.Lane = tx.Now(), "a renewal was asked for", lane
	}
	tx.Wake()
	if err := tx.SaveCertificate(ctx, c); err != nil {
		return nil, err
	}
	return res, tx.Event(ctx, certfleet.Event{Kind: "certificate.renewal_wanted", Tenant: c.Tenant, CertificateID: c.ID, OrderID: res.OrderID, Msg: "a renewal was asked for (" + lane.String() + ")"})
}

// hurry makes an order due now, unless a node works on it: its next commit must
// not be refused.
func hurry(ctx context.Context, tx *store.Tx, o *certfleet.Order, lane certfleet.Lane) error {
	if o.LeaseUntil.After(tx.Now()) || o.Manual {
		return nil
	}
	o.DueAt, o.Lane = tx.Now(), min(o.Lane, lane)
	return tx.SaveOrder(ctx, o)
}

// Pause stops a certificate's orders until it is resumed. An order that is on
// its way ends as it will; what it brings is kept and delivered.
func (r Room) Pause(ctx context.Context, id int64) (*Result, error) {
	return r.turn(ctx, id, certfleet.Paused, "certificate.paused", "paused: nothing is ordered until it is resumed")
}

// Resume ends a pause; what is overdue is ordered at once.
func (r Room) Resume(ctx context.Context, id int64) (*Result, error) {
	return r.turn(ctx, id, certfleet.Active, "certificate.resumed", "resumed")
}

// turn moves a certificate to a state, once.
func (r Room) turn(ctx context.Context, id int64, to certfleet.CertificateState, kind, msg string) (*Result, error) {
	var res *Result
	err := r.write(ctx, func(tx *store.Tx) error {
		c, err := r.certificate(ctx, tx, id)
		if err != nil {
			return err
		}
		res = &Result{Certificate: c, Changed: c.State != to}
		if !res.Changed {
			return nil
		}
		if err := r.move(ctx, tx, c, to, certfleet.LaneNew); err != nil {
			return err
		}
		if err := tx.SaveCertificate(ctx, c); err != nil {
			return err
		}
		return tx.Event(ctx, certfleet.Event{Kind: kind, Tenant: c.Tenant, CertificateID: c.ID, Msg: msg})
	})
	return res, err
}

// Remove ends a certificate: nothing is ordered, delivered or looked at for it
// any more, and its names serve what other certificates have for them. Its
// versions, orders and events stay on record. What targets hold stays there.
func (r Room) Remove(ctx context.Context, id int64) (*Result, error) {
	var res *Result
	err := r.write(ctx, func(tx *store.Tx) error {
		c, err := tx.Certificate(ctx, id)
		if err != nil || c.Tenant != r.tenant() {
			return orNotFound(err)
		}
		res = &Result{Certificate: c, Changed: c.State != certfleet.Removed}
		if !res.Changed {
			return nil
		}
		return r.remove(ctx, tx, c)
	})
	return res, err
}

func orNotFound(err error) error {
	if err != nil {
		return err
	}
	return &certfleet.Error{Kind: certfleet.NotFound, Msg: "no such certificate"}
}

func (r Room) remove(ctx context.Context, tx *store.Tx, c *certfleet.Certificate) error {
	if err := r.move(ctx, tx, c, certfleet.Removed, 0); err != nil {
		return err
	}
	for _, n := range c.Names {
		if err := release(ctx, tx, c, n); err != nil {
			return err
		}
	}
	if err := tx.StopDeliveries(ctx, c.ID); err != nil {
		return err
	}
	if err := forgetWindow(ctx, tx, c.VersionID); err != nil {
		return err
	}
	if err := stopBackup(ctx, tx, c.ID); err != nil {
		return err
	}
	if err := tx.SaveCertificate(ctx, c); err != nil {
		return err
	}
	tx.Wake()
	return tx.Event(ctx, certfleet.Event{Kind: "certificate.removed", Tenant: c.Tenant, CertificateID: c.ID, VersionID: c.VersionID, Msg: "removed: its names are no longer kept"})
}

// forgetWindow stops asking the CA when to renew a version.
func forgetWindow(ctx context.Context, tx *store.Tx, version int64) error {
	if version == 0 {
		return nil
	}
	v, err := tx.Version(ctx, version)
	if err != nil || v.ARIPollAt.IsZero() {
		return err
	}
	v.ARIPollAt = time.Time{}
	return tx.SaveVersion(ctx, v)
}
