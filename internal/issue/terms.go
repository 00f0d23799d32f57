package issue

import (
	"cmp"
	"context"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/plan"
)

// terms are what a policy says of orders with an account, with what it leaves to
// the account filled in.
func (r *Room) terms(ctx context.Context, p *certfleet.Policy, account int64) (certfleet.PolicySpec, error) {
	d, err := r.DB.AccountDefaults(ctx, account)
	if err != nil {
		return p.Spec, err
	}
	return r.termsWith(ctx, p, d)
}

func (r *Room) termsWith(ctx context.Context, p *certfleet.Policy, d certfleet.AccountDefaults) (spec certfleet.PolicySpec, err error) {
	spec = p.Spec
	spec.KeyType = cmp.Or(spec.KeyType, d.KeyType)
	if spec.Profile == certfleet.ProfileOfAccount {
		spec.Profile = d.Profile
	}
	spec.KeyCycle, err = r.cycle(ctx, p, d.KeyCycle)
	return spec, err
}

// cycle is the key cycle that counts; the system's is read when it matters.
func (r *Room) cycle(ctx context.Context, p *certfleet.Policy, account certfleet.KeyCycle) (certfleet.KeyCycle, error) {
	var system certfleet.KeyCycle
	if c := p.Spec.KeyCycle; c == certfleet.KeyAccountDefault || c == certfleet.KeySystemDefault {
		g, err := r.DB.DefaultPolicy(ctx, p.Tenant, certfleet.PurposeGlobal)
		if err != nil && certfleet.KindOf(err) != certfleet.NotFound {
			return "", err
		}
		if err == nil {
			system = g.Spec.KeyCycle
		}
	}
	return plan.Cycle(p.Spec.KeyCycle, account, system), nil
}
