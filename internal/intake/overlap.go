package intake

import (
	"context"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

// maxOverlaps bounds how many overlaps are reported.
const maxOverlaps = 20

// overlaps lists names that other certificates have too, by the name itself or
// by a wildcard over it. That is allowed; people should know it.
func overlaps(ctx context.Context, q store.Q, c *certfleet.Certificate) ([]api.Overlap, error) {
	var out []api.Overlap
	for _, n := range c.Names {
		for _, by := range coveredBy(n) {
			others, err := q.CertificatesOf(ctx, c.Tenant, by)
			if err != nil {
				return nil, err
			}
			for _, o := range others {
				if o.ID != c.ID && o.State != certfleet.Removed {
					out = append(out, api.Overlap{Name: n.String(), Certificate: o.Label, By: by.String()})
				}
			}
		}
		if len(out) >= maxOverlaps {
			return out[:maxOverlaps], nil
		}
	}
	return out, nil
}

// coveredBy are the names whose certificates serve n: itself, and the wildcard
// over its first label.
func coveredBy(n certfleet.Name) []certfleet.Name {
	out := []certfleet.Name{n}
	_, parent, _ := strings.Cut(n.String(), ".")
	if w, err := certfleet.ParseName("*." + parent); err == nil && w.Covers(n) && w != n {
		out = append(out, w)
	}
	return out
}
