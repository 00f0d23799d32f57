package intake

import (
	"context"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

// Add asks for a certificate. Asked again for the same, it answers the one that
// is there; for something else under the same label it answers Conflict, unless
// an update was asked for. Source says who named it: operator, or a source's label.
func (r Room) Add(ctx context.Context, n api.NewCertificate, source string) (*Result, error) {
	w, err := wanted(n)
	if err != nil {
		return nil, err
	}
	if err := r.solvable(w); err != nil {
		return nil, err
	}
	var res *Result
	err = r.write(ctx, func(tx *store.Tx) error {
		res, err = r.add(ctx, tx, w, n.Update, source)
		if err != nil {
			return err
		}
		if n.Manual && res.Created {
			res.Certificate.DueAt, res.Certificate.DueReason = time.Time{}, ""
			return tx.SaveCertificate(ctx, res.Certificate)
		}
		return nil
	})
	if err != nil || !n.Manual || !res.Created {
		return res, err
	}
	res.OrderID, err = r.orderByHand(ctx, res.Certificate, w.lane)
	return res, err
}

// solvable refuses a challenge that nothing here can solve, unless it is only noted.
func (r Room) solvable(w *want) error {
	if r.CheckSolver == nil || w.state == certfleet.Paused {
		return nil
	}
	if w.challenge == nil || *w.challenge == "" {
		return r.provable(w)
	}
	return r.CheckSolver(*w.challenge, *w.solver)
}

// add writes a certificate that is not there, or brings the one that is to what
// is wanted.
func (r Room) add(ctx context.Context, tx *store.Tx, w *want, update bool, source string) (*Result, error) {
	policy, err := r.policyFor(ctx, tx, w)
	if err != nil {
		return nil, err
	}
	c, err := tx.CertificateByLabel(ctx, r.tenant(), w.label)
	if gone(err) {
		return r.create(ctx, tx, w, policy, source)
	}
	if err != nil {
		return nil, err
	}
	fields, err := w.differs(ctx, tx.Q, c)
	if err != nil {
		return nil, err
	}
	if len(fields) > 0 && !update && c.State != certfleet.Removed {
		return nil, taken("certificate", w.label, fields)
	}
	return r.bring(ctx, tx, c, w, policy, fields, source)
}

// taken says that a label is used for something else.
func taken(what, label string, fields []api.FieldChange) error {
	var names []string
	for _, f := range fields {
		names = append(names, f.Field)
	}
	return conflict("add --update to change it (in the API update: true), or choose another label", fmt.Sprintf("%s %q exists, with other %s", what, label, join(names)))
}

func (r Room) policyFor(ctx context.Context, tx *store.Tx, w *want) (*certfleet.Policy, error) {
	if err := r.allowed(ctx, tx.Q, w.names); err != nil {
		return nil, err
	}
	p, err := tx.PolicyByLabel(ctx, r.tenant(), w.policy)
	if gone(err) {
		return nil, invalid("make the policy first, or name one that exists", fmt.Sprintf("policy %q does not exist", w.policy))
	}
	if err != nil {
		return nil, err
	}
	return p, w.fits(p)
}

func (r Room) create(ctx context.Context, tx *store.Tx, w *want, p *certfleet.Policy, source string) (*Result, error) {
	c := &certfleet.Certificate{Tenant: r.tenant(), Label: w.label, Names: w.names, PolicyID: p.ID, Policy: p.Label, Targets: w.targets, Labels: w.labels, State: w.next(""), Lane: w.lane}
	if c.State == certfleet.Active {
		c.DueAt, c.DueReason = tx.Now(), "it is new"
		tx.Wake()
	}
	if err := tx.AddCertificate(ctx, c, source); err != nil {
		return nil, err
	}
	if err := w.setDomains(ctx, tx, c.Tenant); err != nil {
		return nil, err
	}
	over, err := overlaps(ctx, tx.Q, c)
	return &Result{Certificate: c, Created: true, Changed: true, Overlaps: over}, err
}

// setDomains notes on the names how they are proved.
func (w *want) setDomains(ctx context.Context, tx *store.Tx, tenant int64) error {
	if w.asItIs() {
		return nil
	}
	for _, n := range w.names {
		d, err := tx.Domain(ctx, tenant, n)
		if err != nil {
			return err
		}
		to := w.of(d)
		if err := tx.SaveDomain(ctx, &to); err != nil {
			return err
		}
		is, err := tx.SecondProof(ctx, d.ID)
		if err != nil {
			return err
		}
		if next := w.second(d, is); next != is {
			if err := tx.SetSecondProof(ctx, next); err != nil {
				return err
			}
		}
	}
	return nil
}

// orderByHand opens an order that advances by request only.
func (r Room) orderByHand(ctx context.Context, c *certfleet.Certificate, lane certfleet.Lane) (int64, error) {
	if r.Draft == nil {
		return 0, unable("a manual order")
	}
	o, err := r.Draft(ctx, c)
	if err != nil {
		return 0, err
	}
	o.Manual, o.Lane = true, lane
	err = r.write(ctx, func(tx *store.Tx) error {
		if live, err := liveOrder(ctx, tx.Q, c.ID); err != nil || live != nil {
			return orConflict(err, live)
		}
		return tx.AddOrder(ctx, o)
	})
	return o.ID, err
}

func orConflict(err error, o *certfleet.Order) error {
	if err != nil {
		return err
	}
	return conflict("step that order, or wait until it has ended", fmt.Sprintf("order %d is on its way already", o.ID))
}

// liveOrder is the order of a certificate that may still issue, nil for none.
func liveOrder(ctx context.Context, q store.Q, certificate int64) (*certfleet.Order, error) {
	for _, slot := range []certfleet.SlotKind{certfleet.SlotECDSA, certfleet.SlotRSA} {
		o, err := q.LiveOrder(ctx, certificate, slot)
		if err == nil {
			return o, nil
		}
		if !gone(err) {
			return nil, err
		}
	}
	return nil, nil
}
