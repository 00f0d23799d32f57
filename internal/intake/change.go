package intake

import (
	"context"
	"slices"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

// Update changes what is present in the change. A changed set of names is
// ordered at once, a new target gets the version in use at once; a changed
// policy counts from the next order on.
func (r Room) Update(ctx context.Context, id int64, ch api.CertificateChange) (*Result, error) {
	var res *Result
	err := r.write(ctx, func(tx *store.Tx) error {
		c, err := r.certificate(ctx, tx, id)
		if err != nil {
			return err
		}
		w, err := changed(c, ch)
		if err != nil {
			return err
		}
		policy, err := r.policyFor(ctx, tx, w)
		if err != nil {
			return err
		}
		fields, err := w.differs(ctx, tx.Q, c)
		if err != nil {
			return err
		}
		res, err = r.bring(ctx, tx, c, w, policy, fields, "operator")
		return err
	})
	return res, err
}

// certificate reads one that may still be changed.
func (r Room) certificate(ctx context.Context, tx *store.Tx, id int64) (*certfleet.Certificate, error) {
	c, err := tx.Certificate(ctx, id)
	if err != nil {
		return nil, err
	}
	if c.Tenant != r.tenant() {
		return nil, &certfleet.Error{Kind: certfleet.NotFound, Msg: "no such certificate"}
	}
	if c.State == certfleet.Removed {
		return nil, conflict("add it again to have it back", "certificate "+c.Label+" was removed")
	}
	return c, nil
}

// bring makes a certificate what is wanted; fields say in what it differs.
func (r Room) bring(ctx context.Context, tx *store.Tx, c *certfleet.Certificate, w *want, p *certfleet.Policy, fields []api.FieldChange, source string) (*Result, error) {
	res := &Result{Certificate: c, Fields: fields, Changed: len(fields) > 0}
	var err error
	if res.OrderID, err = orderID(ctx, tx.Q, c.ID); err != nil || len(fields) == 0 {
		return res, err
	}
	was := *c
	c.Names, c.PolicyID, c.Policy, c.Targets, c.Labels = w.names, p.ID, p.Label, w.targets, w.labels
	if err := r.move(ctx, tx, c, w.next(c.State), w.lane); err != nil {
		return nil, err
	}
	if certfleet.SetKey(was.Names) != certfleet.SetKey(c.Names) && c.State == certfleet.Active && was.State != certfleet.Removed {
		c.DueAt, c.DueReason, c.Lane = tx.Now(), "its names changed", w.lane
	}
	if err := tx.ReplaceCertificate(ctx, c, source); err != nil {
		return nil, err
	}
	if err := w.setDomains(ctx, tx, c.Tenant); err != nil {
		return nil, err
	}
	if err := r.follow(ctx, tx, &was, c); err != nil {
		return nil, err
	}
	if was.State == certfleet.Removed && c.VersionID != 0 {
		if err := takeBack(ctx, tx, c); err != nil {
			return nil, err
		}
	}
	if res.Overlaps, err = overlaps(ctx, tx.Q, c); err != nil {
		return nil, err
	}
	return res, tx.Event(ctx, certfleet.Event{Kind: "certificate.changed", Tenant: c.Tenant, CertificateID: c.ID, Msg: "changed " + join(names(fields)), Data: data(fields)})
}

func orderID(ctx context.Context, q store.Q, certificate int64) (int64, error) {
	o, err := liveOrder(ctx, q, certificate)
	if err != nil || o == nil {
		return 0, err
	}
	return o.ID, nil
}

// follow brings slots and deliveries along with a change of names or targets.
func (r Room) follow(ctx context.Context, tx *store.Tx, was, c *certfleet.Certificate) error {
	for _, n := range was.Names {
		if !slices.Contains(c.Names, n) {
			if err := release(ctx, tx, c, n); err != nil {
				return err
			}
		}
	}
	if slices.Equal(tidy(was.Targets), tidy(c.Targets)) {
		return nil
	}
	serving, err := tx.ServingVersion(ctx, c)
	if err != nil || serving == 0 {
		return err
	}
	v, err := tx.Version(ctx, serving)
	if err != nil {
		return err
	}
	return tx.WantMissingDeliveries(ctx, v)
}

// release takes the certificate's versions from what a name serves; another
// certificate that wants the name steps in with its own.
func release(ctx context.Context, tx *store.Tx, c *certfleet.Certificate, n certfleet.Name) error {
	slots, err := tx.SlotsOf(ctx, c.Tenant, n)
	if err != nil {
		return err
	}
	for _, s := range slots {
		v, err := tx.Version(ctx, s.VersionID)
		if err != nil {
			return err
		}
		if v.CertificateID != c.ID {
			continue
		}
		if err := pass(ctx, tx, c, s); err != nil {
			return err
		}
	}
	return nil
}

// pass hands a slot to the newest version of another certificate that wants the
// name, or empties it.
func pass(ctx context.Context, tx *store.Tx, c *certfleet.Certificate, s certfleet.Slot) error {
	if s.Kind == certfleet.SlotBackup {
		return tx.EmptySlot(ctx, s) // others keep backups of their own
	}
	others, err := tx.CertificatesOf(ctx, c.Tenant, s.Name)
	if err != nil {
		return err
	}
	for _, o := range others {
		if o.ID == c.ID || o.State == certfleet.Removed || o.VersionID == 0 {
			continue
		}
		v, err := tx.Version(ctx, o.VersionID)
		if err != nil {
			return err
		}
		if v.RevokedAt.IsZero() && slices.Contains(v.Names, s.Name) {
			s.VersionID = v.ID
			return tx.FillSlot(ctx, s)
		}
	}
	return tx.EmptySlot(ctx, s)
}

func names(fields []api.FieldChange) []string {
	var out []string
	for _, f := range fields {
		out = append(out, f.Field)
	}
	return out
}

func data(fields []api.FieldChange) map[string]string {
	out := map[string]string{}
	for _, f := range fields {
		out[f.Field] = f.From + " -> " + f.To
	}
	return out
}
