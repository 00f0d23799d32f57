package issue

import (
	"context"
	"fmt"
	"slices"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/preflight"
)

// Ask is one name of an order and how control of it is to be proved.
type Ask struct {
	Name      certfleet.Name
	Challenge certfleet.ChallengeType
}

// lookAt asks whether an order of these names at the authority would fail; no
// report means that nobody looks.
func (r *Room) lookAt(ctx context.Context, cert *certfleet.Certificate, slot certfleet.SlotKind, at *certfleet.Authority, p *certfleet.Policy, names []certfleet.Name) ([]preflight.Report, error) {
	if r.Preflight == nil {
		return nil, nil
	}
	j := &job{order: &certfleet.Order{Tenant: cert.Tenant, Slot: slot}, cert: cert, policy: p}
	asks := make([]Ask, len(names))
	for i, n := range names {
		base, err := certfleet.ParseName(n.Base())
		if err != nil {
			base = n // a name that only a wildcard can have, such as *.example
		}
		typ, _, err := r.method(ctx, j, acme.Authorization{Name: base, Wildcard: n.IsWildcard()})
		if err != nil {
			return nil, err
		}
		asks[i] = Ask{n, typ}
	}
	return r.Preflight(ctx, at, p, asks), nil
}

// foresee looks at an order's names before it goes out. What the CA must find
// too ends the order at no cost; what it may find is noted on it, for people.
func (r *Room) foresee(ctx context.Context, j *job) error {
	a, err := r.DB.Authority(ctx, j.order.AuthorityID)
	if err != nil {
		return err
	}
	reports, err := r.lookAt(ctx, j.cert, j.order.Slot, a, j.policy, j.order.Names)
	if err != nil {
		return err
	}
	if f, ok := foreseen(reports, a.Label, preflight.Report.Stop); ok {
		return r.fail(ctx, j, f)
	}
	if slices.Contains(preflight.Classes, preflight.Class(j.order.ProblemType)) {
		j.order.Problem, j.order.ProblemType, j.order.Advice = "", "", ""
	}
	if f, ok := foreseen(reports, a.Label, preflight.Report.Warning); ok {
		j.order.Problem, j.order.ProblemType, j.order.Advice = "seen before the order: "+f.msg, f.typ, f.advice
	}
	return nil
}

// foreseen makes a failure of what reports find, in the words of the first.
func foreseen(reports []preflight.Report, authority string, find func(preflight.Report, string) (preflight.Finding, bool)) (failure, bool) {
	f := failure{looked: true}
	for _, rep := range reports {
		found, ok := find(rep, authority)
		if !ok {
			continue
		}
		if f.names = append(f.names, rep.Name); len(f.names) > 1 && !(found.Class.Left() && !f.class.Left()) {
			continue // of several, the one that is not ours any more says most
		}
		f.class, f.typ, f.advice = found.Class, string(found.Class), found.Advice
		f.msg = rep.Name.String() + ": " + found.Seen
	}
	if n := len(f.names); n > 1 {
		f.msg += fmt.Sprintf("; and %d more names", n-1)
	}
	return f, len(f.names) > 0
}

// explain classes a failure at the CA, and looks at the name once more where
// that may tell why the CA met what it met.
func (r *Room) explain(ctx context.Context, j *job, name string, typ certfleet.ChallengeType, f *failure) {
	f.class = Classify(f.typ, f.msg, nil)
	n, err := certfleet.ParseName(name)
	if err != nil || r.Preflight == nil || !f.class.Reachability() {
		return
	}
	a, err := r.DB.Authority(ctx, j.order.AuthorityID)
	if err != nil {
		return
	}
	f.names = []certfleet.Name{n}
	for _, rep := range r.Preflight(ctx, a, j.policy, []Ask{{n, typ}}) {
		f.looked = true
		f.class = Classify(f.typ, f.msg, rep.Findings)
		f.advice = seenAdvice(f.class, rep.Findings, f.advice)
	}
}
