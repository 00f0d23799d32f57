package web

import (
	"context"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/intake"
)

func (s *server) factoryRoutes() {
	const tag, path = "factories", "/v1/factories"
	on(s, "GET", path, route{certfleet.ScopeRead, "list-factories", tag, "List enrollment factories", ""}, s.listFactories)
	on(s, "POST", path, route{certfleet.ScopeAdmin, "add-factory", tag, "Make an enrollment factory", "Idempotent by label."}, s.addFactory)
	on(s, "GET", path+"/{id}", route{certfleet.ScopeRead, "get-factory", tag, "Read an enrollment factory", ""}, s.getFactory)
	on(s, "PUT", path+"/{id}", route{certfleet.ScopeAdmin, "put-factory", tag, "Make an enrollment factory, or change it to be so", "The path names it by label. What it made stays as it is."}, s.putFactory)
	on(s, "DELETE", path+"/{id}", route{certfleet.ScopeAdmin, "remove-factory", tag, "Remove an enrollment factory", "The certificates that it made stay."}, s.removeFactory)
	on(s, "POST", path+"/{id}/onboard", route{certfleet.ScopeIssue, "onboard", tag, "Make the certificates of domains", "Each domain is taken in by itself, or refused with a problem. Asking again is harmless."}, s.onboard)
	on(s, "GET", path+"/{id}/query", route{certfleet.ScopeRead, "query-factory", tag, "Say what an enrollment factory makes of a domain", "With the certificate, if it is there."}, s.queryFactory)
}

func (s *server) factory(ctx context.Context, id string) (*certfleet.Factory, error) {
	return find(ctx, "factory", id, s.DB.Factory, s.DB.FactoryByLabel, func(f *certfleet.Factory) int64 { return f.Tenant })
}

func (s *server) listFactories(ctx context.Context, q *api.Labelled) (*page[api.Factory], error) {
	rows, err := s.DB.Factories(ctx, tenant(ctx))
	if err != nil {
		return nil, err
	}
	return labelled(q, rows, func(f *certfleet.Factory) certfleet.Labels { return f.Labels }, api.OfFactory)
}

func (s *server) getFactory(ctx context.Context, in *ByID) (*out[api.Factory], error) {
	f, err := s.factory(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return answer(api.OfFactory(f)), nil
}

func (s *server) addFactory(ctx context.Context, in *makeOne[api.Factory]) (*out[api.Factory], error) {
	return remembered(ctx, s, "add-factory", in, func() (api.Factory, error) { return s.saveFactory(ctx, in.Body, intake.Create) })
}

func (s *server) putFactory(ctx context.Context, in *askID[api.Factory]) (*out[api.Factory], error) {
	if f, err := s.factory(ctx, in.ID); err == nil {
		in.ID = f.Label
	}
	in.Body.Label = in.ID
	f, err := s.saveFactory(ctx, in.Body, intake.Ensure)
	return &out[api.Factory]{f}, err
}

func (s *server) saveFactory(ctx context.Context, f api.Factory, m intake.Mode) (api.Factory, error) {
	row, err := s.intake(ctx).PutFactory(ctx, f, m)
	if err != nil {
		return api.Factory{}, err
	}
	return api.OfFactory(row), nil
}

func (s *server) removeFactory(ctx context.Context, in *ByID) (*out[api.Done], error) {
	f, err := s.factory(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := s.intake(ctx).RemoveFactory(ctx, f); err != nil {
		return nil, err
	}
	return answer(api.Done{Done: true}), nil
}

// onboard takes in each domain by itself: what is wrong with one is no reason to
// refuse the others.
func (s *server) onboard(ctx context.Context, in *askID[api.Onboarding]) (*out[api.Onboarded], error) {
	f, err := s.factory(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	ask, room := intake.Onboarding{Note: in.Body.Note, Update: in.Body.Update, DryRun: in.Body.DryRun}, s.intake(ctx)
	o := api.Onboarded{Factory: f.Label, DryRun: ask.DryRun, Domains: []api.Enrollment{}}
	for _, d := range in.Body.Domains {
		e, err := room.Onboard(ctx, f, d, ask)
		if err != nil && !mayBeTold(err) {
			return nil, err
		}
		o.Domains = append(o.Domains, count(&o, ofEnrolled(e, d, err)))
	}
	return answer(o), nil
}

// mayBeTold reports whether an error is about what was asked, not about us.
func mayBeTold(err error) bool {
	k := certfleet.KindOf(err)
	return k == certfleet.Invalid || k == certfleet.Conflict || k == certfleet.NotFound
}

func count(o *api.Onboarded, e api.Enrollment) api.Enrollment {
	switch {
	case e.Problem != "":
		o.Failed++
	case e.Created:
		o.Created++
	case e.Changed:
		o.Changed++
	}
	return e
}

func ofEnrolled(e *intake.Enrolled, domain string, err error) api.Enrollment {
	if err != nil {
		return api.Enrollment{Domain: domain, Problem: err.Error(), Advice: certfleet.AdviceOf(err)}
	}
	w := api.OfEnrollment(&e.Enrollment)
	w.Policy = e.Policy
	if r := e.Result; r != nil {
		c := api.OfCertificate(r.Certificate)
		w.Certificate, w.Created, w.Changed, w.OrderID, w.Overlaps = &c, r.Created, r.Changed && !r.Created, r.OrderID, r.Overlaps
	}
	return w
}

func (s *server) queryFactory(ctx context.Context, in *api.EnrolledQuery) (*out[api.Enrollment], error) {
	f, err := s.factory(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	e, err := s.intake(ctx).Enrolled(ctx, f, in.Domain)
	if err != nil {
		return nil, err
	}
	return answer(ofEnrolled(e, in.Domain, nil)), nil
}
