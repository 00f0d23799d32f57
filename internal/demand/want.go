package demand

import (
	"context"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/intake"
	"github.com/certfleet/certfleet/internal/plan"
	"github.com/certfleet/certfleet/internal/store"
)

// Source is who named a certificate that was ordered on demand.
const Source = "on-demand"

// wanted is a certificate that is for the name already, or nil.
func (r *Room) wanted(ctx context.Context, tenant int64, n certfleet.Name) (*certfleet.Certificate, error) {
	list, err := r.DB.CertificatesOf(ctx, tenant, n)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].State == certfleet.Active || list[i].State == certfleet.Parked {
			return &list[i], nil
		}
	}
	return nil, nil
}

// want charges the budgets and writes a certificate that is due now.
func (r *Room) want(ctx context.Context, tenant int64, n certfleet.Name, rules *Rules) (*certfleet.Certificate, error) {
	if err := r.charge(ctx, tenant, n, rules); err != nil {
		return nil, err
	}
	room := intake.Room{DB: r.DB, Tenant: tenant}
	policy := rules.Policy
	if policy == "" {
		var err error
		if policy, err = room.DefaultFor(ctx, r.DB.Q, certfleet.PurposeAutocert); err != nil {
			return nil, err
		}
	}
	res, err := room.Add(store.WithActor(ctx, Source), api.NewCertificate{Names: []string{n.String()}, Policy: policy, Targets: rules.Targets, Labels: map[string]string{"source": Source}, Lane: "waiting"}, Source)
	if err != nil {
		return nil, err
	}
	return res.Certificate, nil
}

const aDay = 24 * time.Hour

// charge takes one from the budget of the registered domain and of the tenant.
func (r *Room) charge(ctx context.Context, tenant int64, n certfleet.Name, rules *Rules) error {
	domain := n.RegisteredDomain()
	limits := map[string]plan.Limit{
		fmt.Sprintf("on-demand|%d|on-demand-per-domain|%s", tenant, domain): {Name: "on-demand-per-domain", Count: atLeast(rules.PerDomain, 50), Period: aDay},
		fmt.Sprintf("on-demand|%d|on-demand-per-tenant|", tenant):           {Name: "on-demand-per-tenant", Count: atLeast(rules.PerTenant, 1000), Period: aDay},
	}
	var keys []string
	for k := range limits {
		keys = append(keys, k)
	}
	var spent *certfleet.Error
	err := r.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		have, err := tx.LockBuckets(ctx, keys)
		if err != nil {
			return err
		}
		var next []store.Bucket
		for k, l := range limits {
			b := have[k]
			after, ok, free := plan.Spend(plan.Bucket{TAT: b.FullAt, Held: b.Held}, l, tx.Now(), 1)
			if !ok {
				spent = &certfleet.Error{Kind: certfleet.Limited, Msg: fmt.Sprintf("the budget of orders on demand is spent (%s: %d a day)", l.Name, l.Count), Advice: "wait, or raise it in on_demand", Retry: free}
				return spent
			}
			b.Name, b.N, b.Period, b.FullAt = string(l.Name), l.Count, l.Period, after.TAT
			next = append(next, b)
		}
		return tx.SaveBuckets(ctx, next)
	})
	if spent != nil {
		return spent
	}
	return err
}

func atLeast(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}

// look is how often the certificate that somebody waits for is read.
const look = 100 * time.Millisecond

// await reads until there is a version, a failure, or no more time. Where too many
// are waited for already it reads once.
func (r *Room) await(ctx context.Context, id int64, end time.Time) (Got, error) {
	select {
	case r.waits <- struct{}{}:
		defer func() { <-r.waits }()
	default:
		end = time.Time{}
	}
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		c, err := r.DB.Certificate(ctx, id)
		if err != nil {
			return Got{}, err
		}
		got := Got{Certificate: id}
		switch {
		case c.VersionID != 0 && time.Now().Before(c.NotAfter):
			return r.withOrder(ctx, got)
		case c.State != certfleet.Active, c.Failures > 0:
			got.Problem, got.Advice = c.Problem, c.Advice
			if got.Problem == "" {
				got.Problem = "the certificate is " + string(c.State)
			}
			return r.withOrder(ctx, got)
		case !time.Now().Before(end):
			got.Pending = true
			return r.withOrder(ctx, got)
		}
		select {
		case <-ctx.Done():
			return got, ctx.Err()
		case <-tick.C:
		}
	}
}

func (r *Room) withOrder(ctx context.Context, got Got) (Got, error) {
	o, err := r.DB.LastOrder(ctx, got.Certificate)
	if err == nil {
		got.OrderID = o.ID
	}
	if certfleet.KindOf(err) == certfleet.NotFound {
		err = nil
	}
	return got, err
}
