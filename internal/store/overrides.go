package store

import (
	"context"
	"time"

	"github.com/certfleet/certfleet"
)

// LimitOverride is what a CA granted an operator beyond its published limits, or
// what an operator knows of a CA that publishes none. Empty fields match all.
type LimitOverride struct {
	Tenant    int64
	Authority string // the label, as limits are kept under
	Account   string // the account's URL
	Domain    string // a registered domain
	Name      string // the limit
	N         int    // so many in every Period
	Period    time.Duration
	Burst     int // N if zero
	Note      string
	CreatedAt time.Time
}

var limitOverrides = table[LimitOverride]{"limit_override", "override", func(o *LimitOverride) []field {
	return []field{{"tenant_id", &o.Tenant}, {"authority", &o.Authority}, {"account", &o.Account}, {"domain", &o.Domain}, {"name", &o.Name},
		{"n", &o.N}, {"period_ms", span{&o.Period}}, {"burst", &o.Burst}, {"note", &o.Note}, {"created_at", ms(&o.CreatedAt)}}
}}

// SetOverride keeps an override, in place of the one for the same account,
// domain and limit.
func (t *Tx) SetOverride(ctx context.Context, o LimitOverride) error {
	o.CreatedAt = t.now
	var args []any
	for _, f := range limitOverrides.fields(&o) {
		args = append(args, f.value())
	}
	_, err := t.change(ctx, "INSERT INTO limit_override ("+limitOverrides.cols("")+") VALUES ("+marks(len(args))+`) ON CONFLICT (tenant_id, authority, account, domain, name)
		DO UPDATE SET n = excluded.n, period_ms = excluded.period_ms, burst = excluded.burst, note = excluded.note, created_at = excluded.created_at`, args...)
	if err != nil {
		return err
	}
	return t.Event(ctx, certfleet.Event{Kind: "limit.overridden", Tenant: o.Tenant, Msg: o.Authority + " " + o.Name})
}

// RemoveOverride lets the published limit hold again.
func (t *Tx) RemoveOverride(ctx context.Context, o LimitOverride) error {
	n, err := t.change(ctx, "DELETE FROM limit_override WHERE tenant_id = $1 AND authority = $2 AND account = $3 AND domain = $4 AND name = $5", orDefault(o.Tenant), o.Authority, o.Account, o.Domain, o.Name)
	if err != nil {
		return err
	}
	if n == 0 {
		return &certfleet.Error{Kind: certfleet.NotFound, Msg: "there is no such override", Advice: "see certfleet limits for those there are"}
	}
	return t.Event(ctx, certfleet.Event{Kind: "limit.override_removed", Tenant: o.Tenant, Msg: o.Authority + " " + o.Name})
}

// Overrides lists a tenant's overrides.
func (q Q) Overrides(ctx context.Context, tenant int64) ([]LimitOverride, error) {
	return limitOverrides.list(ctx, q, "WHERE tenant_id = $1 ORDER BY authority, name, account, domain", orDefault(tenant))
}
