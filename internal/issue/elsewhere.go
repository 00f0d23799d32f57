package issue

import (
	"context"
	"errors"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/preflight"
)

// errElsewhere says that the ledger refuses an order for so long that another
// authority is to be asked.
var errElsewhere = errors.New("the limit frees too late")

// elsewhere is the order of a certificate at its policy's second authority, nil
// when there is none, when CAA forbids it, or when nobody has an account there.
func (r *Room) elsewhere(ctx context.Context, cert *certfleet.Certificate, first *certfleet.Order) *certfleet.Order {
	p, err := r.DB.Policy(ctx, cert.PolicyID)
	if err != nil || len(p.Spec.Authorities) < 2 {
		return nil
	}
	label := p.Spec.Authorities[1]
	a, acct, err := r.accountAt(ctx, cert, p, label)
	if err != nil || a.ID == first.AuthorityID || !r.permitted(ctx, cert, p, label) {
		return nil
	}
	o, err := r.draftAt(ctx, cert, p, a, acct, "")
	if err != nil {
		return nil
	}
	return o
}

// permitted reports whether the names may be had from an authority, as far as can
// be seen from here: CAA records first of all.
func (r *Room) permitted(ctx context.Context, cert *certfleet.Certificate, p *certfleet.Policy, label string) bool {
	a, err := r.DB.AuthorityByLabel(ctx, cert.Tenant, label)
	if err != nil {
		return false
	}
	reports, err := r.lookAt(ctx, cert, "", a, p, cert.Names)
	if err != nil {
		return false
	}
	_, stopped := foreseen(reports, a.Label, preflight.Report.Stop)
	return !stopped
}
