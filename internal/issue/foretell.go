package issue

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/plan"
)

// Foretold is what a replacement would come to.
type Foretold struct {
	Items  map[certfleet.ItemState]int64
	Takes  time.Duration // at least, under the limits of the CAs
	Limits []string      // which say so
	Late   int64         // would be revoked before another could take its place, by the same limits
}

// Foretell looks at all versions that a replacement would concern, and changes
// nothing.
func (r *Room) Foretell(ctx context.Context, p *certfleet.Replacement) (*Foretold, error) {
	out := &Foretold{Items: map[certfleet.ItemState]int64{}}
	at, ends := map[int64]int{}, map[int64]int{} // how many at each authority are replaced, and how many end
	for after, more := int64(0), true; more; {
		list, last, next, err := r.DB.VersionsBehind(ctx, &p.Spec, p.Tenant, after, time.Now(), walkPage)
		if err != nil {
			return nil, err
		}
		for _, v := range list {
			i, ok, err := r.item(ctx, p, &v)
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
			out.Items[i.State]++
			if i.State == certfleet.ItemWanted {
				at[v.AuthorityID]++
			}
			ends[v.AuthorityID]++
		}
		after, more = last, next
	}
	for id := range ends {
		if id == 0 {
			continue // imported: its next CA is its policy's
		}
		if err := r.foretellAt(ctx, p, id, at[id], ends[id], out); err != nil {
			return nil, err
		}
	}
	if !p.Spec.RevokeBy.IsZero() {
		out.Late += out.Items[certfleet.ItemSkipped]
	}
	slices.Sort(out.Limits)
	return out, nil
}

// foretellAt adds what so many orders and revocations at one authority come to.
func (r *Room) foretellAt(ctx context.Context, p *certfleet.Replacement, authority int64, orders, ends int, out *Foretold) error {
	b, err := r.book(ctx, authority)
	if err != nil {
		return err
	}
	says := func(t plan.Pacing, n int, what string) {
		if t.Limit != "" {
			out.Limits = append(out.Limits, fmt.Sprintf("%s of %s: %d %s take %s", t.Limit, b.name, n, what, t.Takes.Round(time.Second)))
		}
		out.Takes = max(out.Takes, t.Takes)
	}
	says(b.Renewing(orders, ""), orders, "orders")
	if !p.Spec.Revoke {
		return nil
	}
	says(b.Revoking(ends), ends, "revocations")
	if by := p.Spec.RevokeBy; !by.IsZero() {
		out.Late += int64(orders - b.RenewingWithin(orders, "", time.Until(by)))
	}
	return nil
}
