package issue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/store"
)

// Sync asks the CA now how an order and its authorizations stand, and records
// the answer. It changes nothing at the CA.
func (r *Room) Sync(ctx context.Context, id int64) error {
	j, ctx, err := r.visit(ctx, id)
	if err != nil {
		return err
	}
	if j.order.URL == "" {
		return &certfleet.Error{Kind: certfleet.Conflict, Msg: "the CA does not know the order yet", Advice: "wait for its first step, or run certfleet orders step"}
	}
	ord, err := j.client.GetOrder(ctx, j.as, j.order.URL)
	if err != nil {
		return errors.Join(err, r.keep(ctx, j.said))
	}
	var rows []certfleet.Authorization
	for _, u := range ord.Authorizations {
		z, err := j.client.GetAuthorization(ctx, j.as, u)
		if err != nil {
			return errors.Join(err, r.keep(ctx, j.said))
		}
		rows = append(rows, row(j, z))
	}
	j.order.CAStatus, j.order.ExpiresAt = ord.Status, ord.Expires
	return r.commit(ctx, j, func(ctx context.Context, tx *store.Tx) error {
		for i := range rows {
			if err := tx.SeeAuthorization(ctx, &rows[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// visit loads an order outside of its steps, to ask or tell the CA something.
func (r *Room) visit(ctx context.Context, id int64) (*job, context.Context, error) {
	o, err := r.DB.Order(ctx, id)
	if err != nil {
		return nil, ctx, err
	}
	ctx, said := withRecord(ctx)
	ctx = acme.WithOrder(ctx, o.ID, o.AccountID, o.AuthorityID)
	j, err := r.load(ctx, o, time.Now())
	if err != nil {
		return nil, ctx, err
	}
	j.said = said
	if j.acct.State != certfleet.AccountValid {
		return nil, ctx, &certfleet.Error{Kind: certfleet.Conflict, Msg: fmt.Sprintf("account %q is %s", j.acct.Label, j.acct.State), Advice: "register the account first"}
	}
	return j, ctx, r.signAs(ctx, j)
}

// DeactivateAuthorization gives up one pending authorization at the CA (RFC 8555
// section 7.5.2). Its order, if it still runs, fails by that at its next step.
func (r *Room) DeactivateAuthorization(ctx context.Context, id int64) error {
	a, err := r.DB.Authorization(ctx, id)
	if err != nil {
		return err
	}
	j, ctx, err := r.visit(ctx, a.OrderID)
	if err != nil {
		return err
	}
	z, err := j.client.DeactivateAuthorization(ctx, j.as, a.URL)
	if err != nil {
		return errors.Join(err, r.keep(ctx, j.said))
	}
	a.Status = z.Status
	list := j.said.take()
	return r.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		if err := tx.AddExchanges(ctx, list); err != nil {
			return err
		}
		if err := tx.SeeAuthorization(ctx, a); err != nil {
			return err
		}
		return tx.Event(ctx, j.event("authorization.deactivated", a.Name.String()))
	})
}

// Directory is what an authority says of itself now.
func (r *Room) Directory(ctx context.Context, authority int64) (acme.Directory, error) {
	client, err := r.ClientOf(ctx, authority)
	if err != nil {
		return acme.Directory{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	ctx, said := withRecord(acme.WithOrder(ctx, 0, 0, authority))
	dir, err := client.Directory(ctx)
	return dir, errors.Join(err, r.keep(ctx, said))
}
