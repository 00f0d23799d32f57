package intake

import (
	"context"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/plan"
	"github.com/certfleet/certfleet/internal/store"
)

// OverrideOf finds what an override names by labels; it says no numbers yet.
func (r Room) OverrideOf(ctx context.Context, q store.Q, authority, account, domain, limit string) (store.LimitOverride, error) {
	o := store.LimitOverride{Tenant: r.tenant(), Name: limit}
	a, err := q.AuthorityByLabel(ctx, r.tenant(), authority)
	if err != nil {
		return o, orMissing(err, "authority", authority)
	}
	o.Authority = plan.BookName(a.Label, a.DirectoryURL)
	if plan.LimitName(limit).IsPace() && account+domain != "" {
		return o, invalid("leave out account and domain", fmt.Sprintf("%s counts the requests from an address, whoever they are for", limit))
	}
	if account != "" {
		acct, err := q.AccountByLabel(ctx, r.tenant(), account)
		if err != nil {
			return o, orMissing(err, "account", account)
		}
		if o.Account = acct.URL; o.Account == "" || acct.AuthorityID != a.ID {
			return o, invalid("see certfleet accounts for those that are", fmt.Sprintf("account %q is not registered at %q", account, authority))
		}
	}
	if domain != "" {
		n, err := certfleet.ParseName(domain)
		if err != nil {
			return o, err
		}
		o.Domain = plan.CountedAs(n)
	}
	return o, nil
}

// OverrideRow checks an override and answers the row that says so.
func (r Room) OverrideRow(ctx context.Context, q store.Q, n api.LimitOverride) (store.LimitOverride, error) {
	o, err := r.OverrideOf(ctx, q, n.Authority, n.Account, n.Domain, n.Limit)
	if err != nil {
		return o, err
	}
	var d certfleet.Duration
	if err := d.UnmarshalText([]byte(n.Period)); err != nil {
		return o, err
	}
	if time.Duration(d) < time.Second || n.Count < 1 {
		return o, invalid("write how many in what time, such as count: 3000 and period: 3h", "an override needs a count and a period of at least a second")
	}
	o.N, o.Period, o.Burst, o.Note = n.Count, time.Duration(d), n.Burst, n.Note
	return o, nil
}

// writeOverride keeps an override, if it is not there as it is.
func (r Room) writeOverride(ctx context.Context, tx *store.Tx, n api.LimitOverride) (*api.Change, error) {
	want, err := r.OverrideRow(ctx, tx.Q, n)
	if err != nil {
		return nil, err
	}
	all, err := tx.Overrides(ctx, r.tenant())
	if err != nil {
		return nil, err
	}
	ch := created("override", n.Authority+" "+n.Limit)
	for _, is := range all {
		if is.Authority != want.Authority || is.Account != want.Account || is.Domain != want.Domain || is.Name != want.Name {
			continue
		}
		if is.N == want.N && is.Period == want.Period && is.Burst == want.Burst && is.Note == want.Note {
			return nil, nil
		}
		ch.Action = "update"
		ch.Fields = []api.FieldChange{{Field: "count", From: per(is), To: per(want)}}
	}
	return ch, tx.SetOverride(ctx, want)
}

func per(o store.LimitOverride) string {
	return fmt.Sprintf("%d in %s, burst %d %s", o.N, o.Period, o.Burst, o.Note)
}
