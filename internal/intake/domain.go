package intake

import (
	"context"
	"fmt"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

// ChangeDomain changes how a name is proved, or its labels. It counts from the
// next order on.
func (r Room) ChangeDomain(ctx context.Context, name string, ch api.DomainChange) (d *certfleet.Domain, err error) {
	n, err := certfleet.ParseName(name)
	if err != nil {
		return nil, err
	}
	err = r.write(ctx, func(tx *store.Tx) error {
		if d, err = tx.Domain(ctx, r.tenant(), n); err != nil {
			return orUnknown(err, n)
		}
		if err := changeDomain(d, ch); err != nil {
			return err
		}
		return r.noted(ctx, tx, "domain.changed", n.String(), tx.SaveDomain(ctx, d))
	})
	return d, err
}

func orUnknown(err error, n certfleet.Name) error {
	if gone(err) {
		return &certfleet.Error{Kind: certfleet.NotFound, Msg: fmt.Sprintf("nothing wants the name %s", n), Advice: "add a certificate for it first"}
	}
	return err
}

func changeDomain(d *certfleet.Domain, ch api.DomainChange) (err error) {
	if ch.Challenge != nil {
		if d.Challenge, err = certfleet.ParseChallengeType(*ch.Challenge); err != nil {
			return err
		}
	}
	if ch.Solver != nil {
		d.Solver = *ch.Solver
	}
	if ch.Labels != nil {
		d.Labels = *ch.Labels
	}
	if err := checkWords(d.Labels); err != nil {
		return err
	}
	return checkChallenge([]certfleet.Name{d.Name}, d.Challenge)
}
