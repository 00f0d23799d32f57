package issue

import (
	"context"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
)

// Foretold is what a replacement would come to.
type Foretold struct {
	Items  map[certfleet.ItemState]int64
	Takes  time.Duration // at least, under the limits of the CAs
	Limits []string      // which say so
}

// Foretell looks at all versions that a replacement would concern, and changes
// nothing.
func (r *Room) Foretell(ctx context.Context, p *certfleet.Replacement) (*Foretold, error) {
	out := &Foretold{Items: map[certfleet.ItemState]int64{}}
	at := map[int64]int{} // how many at each authority
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
		}
		after, more = last, next
	}
	for id, n := range at {
		if id == 0 {
			continue // imported: its next CA is its policy's
		}
		b, err := r.book(ctx, id)
		if err != nil {
			return nil, err
		}
		t := b.Renewing(n, "")
		if t.Limit != "" {
			out.Limits = append(out.Limits, fmt.Sprintf("%s of %s: %d orders take %s", t.Limit, b.name, n, t.Takes.Round(time.Second)))
		}
		out.Takes = max(out.Takes, t.Takes)
	}
	return out, nil
}
