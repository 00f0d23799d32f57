package app

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/demand"
)

// onDemand builds the room for orders that an edge waits for.
func (a *App) onDemand() (*demand.Room, error) {
	rules, err := demandRules(a.Config.OnDemand)
	if err != nil {
		return nil, err
	}
	return &demand.Room{DB: a.DB, Rules: rules}, nil
}

func demandRules(c config.OnDemand) (*demand.Rules, error) {
	r := &demand.Rules{
		Inventory: c.Inventory, Ask: c.Ask, Policy: c.Policy, Targets: c.Targets, Labels: c.Labels, PerDomain: c.PerDomain, PerTenant: c.PerTenant,
		Wait: time.Duration(c.Wait), DenyFor: time.Duration(c.DenyFor),
	}
	for _, p := range c.Patterns {
		re, err := regexp.Compile("^(?:" + p + ")$")
		if err != nil {
			return nil, fmt.Errorf("on_demand.patterns: %w", err)
		}
		r.Patterns = append(r.Patterns, re)
	}
	return r, nil
}

// orderNow gets a name a certificate for an edge that waits; nil when no rule
// allows any.
func (a *App) orderNow() func(context.Context, int64, certfleet.Name) (api.OnDemand, error) {
	if a.readOnly || !a.Demand.Rules.On() {
		return nil
	}
	return func(ctx context.Context, tenant int64, n certfleet.Name) (api.OnDemand, error) {
		got, err := a.Demand.Get(ctx, tenant, n)
		return api.OnDemand{CertificateID: got.Certificate, OrderID: got.OrderID, Existing: got.Existing, Pending: got.Pending, Problem: got.Problem, Advice: got.Advice}, err
	}
}
