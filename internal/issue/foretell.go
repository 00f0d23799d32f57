package issue

import (
	"context"
	"fmt"
	"maps"
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
	at := map[int64]*toldAt{}
	for after, more := int64(0), true; more; {
		list, last, next, err := r.DB.VersionsBehind(ctx, &p.Spec, p.Tenant, after, time.Now(), walkPage)
		if err != nil {
			return nil, err
		}
		var again []certfleet.Version // that get another
		for _, v := range list {
			i, ok, err := r.item(ctx, p, &v)
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
			out.Items[i.State]++
			if err := r.countAt(ctx, at, &v, i.State == certfleet.ItemWanted); err != nil {
				return nil, err
			}
			if i.State == certfleet.ItemWanted {
				again = append(again, v)
			}
		}
		if err := r.countSets(ctx, p, at, again, time.Now()); err != nil {
			return nil, err
		}
		after, more = last, next
	}
	for _, a := range at {
		a.foretell(p, out)
	}
	if !p.Spec.RevokeBy.IsZero() {
		out.Late += out.Items[certfleet.ItemSkipped]
	}
	slices.Sort(out.Limits)
	return out, nil
}

// toldAt is what a replacement would ask of one authority.
type toldAt struct {
	book
	orders  int            // versions that another takes the place of
	ends    int            // versions that are revoked, if any are
	domains map[string]int // orders by registered domain, where the CA counts those
	used    int            // orders for sets of names of which the CA has issued all it does in a while
	usedFor time.Duration  // the longest that one of them waits
	unready int            // of them, those that wait beyond the time at which all are revoked
}

// countAt counts a version at its authority. One that was imported has none: its
// next CA is its policy's.
func (r *Room) countAt(ctx context.Context, at map[int64]*toldAt, v *certfleet.Version, ordered bool) error {
	if v.AuthorityID == 0 {
		return nil
	}
	a := at[v.AuthorityID]
	if a == nil {
		b, err := r.book(ctx, v.AuthorityID)
		if err != nil {
			return err
		}
		a = &toldAt{book: b, domains: map[string]int{}}
		at[v.AuthorityID] = a
	}
	a.ends++
	if !ordered {
		return nil
	}
	a.orders++
	if !a.CountsDomains() {
		return nil
	}
	var counted []string
	for _, n := range v.Names {
		if d := plan.CountedAs(n); !slices.Contains(counted, d) {
			counted = append(counted, d)
			a.domains[d]++
		}
	}
	return nil
}

// countSets counts the versions whose exact set of names was issued so often that
// the next one waits.
func (r *Room) countSets(ctx context.Context, p *certfleet.Replacement, at map[int64]*toldAt, list []certfleet.Version, now time.Time) error {
	type set struct {
		at    *toldAt
		touch plan.Touch
	}
	sets := map[string]set{}
	for _, v := range list {
		a := at[v.AuthorityID]
		if a == nil {
			continue
		}
		for _, t := range a.Touches(plan.Asking{Names: v.Names, SameSet: true, InWindow: plan.Window{Start: v.ARIStart, End: v.ARIEnd}.Holds(now)}) {
			if t.Key.Limit == plan.PerSet && !t.Free {
				sets[t.Key.String()] = set{a, t}
			}
		}
	}
	all, err := r.DB.BucketsIn(ctx, slices.Collect(maps.Keys(sets)))
	for k, b := range all {
		s := sets[k]
		_, ok, frees := s.touch.Open(plan.Bucket{TAT: b.FullAt, Held: b.Held}, now)
		if ok {
			continue
		}
		s.at.used, s.at.usedFor = s.at.used+1, max(s.at.usedFor, frees.Sub(now))
		if frees.After(p.Spec.RevokeBy) {
			s.at.unready++
		}
	}
	return err
}

// foretell adds how long so many orders and revocations take.
func (a *toldAt) foretell(p *certfleet.Replacement, out *Foretold) {
	says := func(t plan.Pacing, n int, what string) {
		if t.Limit != "" {
			out.Limits = append(out.Limits, fmt.Sprintf("%s of %s: %d %s take %s", t.Limit, a.name, n, what, t.Takes.Round(time.Second)))
		}
		out.Takes = max(out.Takes, t.Takes)
	}
	by := time.Until(p.Spec.RevokeBy)
	says(a.Renewing(a.orders, ""), a.orders, "orders")
	late := a.orders - a.RenewingWithin(a.orders, "", by)
	worst, most, which, behind := plan.Pacing{}, 0, "", 0
	for d, n := range a.domains {
		t, done := a.RenewingOf(d, n, "", by)
		if behind += n - done; t.Takes > worst.Takes {
			worst, most, which = t, n, d
		}
	}
	says(worst, most, "orders for "+which)
	if a.used > 0 {
		says(plan.Pacing{Takes: a.usedFor, Limit: plan.PerSet}, a.used, "orders for names that had all of theirs")
	}
	if !p.Spec.Revoke {
		return
	}
	says(a.Revoking(a.ends), a.ends, "revocations")
	if !p.Spec.RevokeBy.IsZero() {
		out.Late += int64(max(late, behind, a.unready))
	}
}
