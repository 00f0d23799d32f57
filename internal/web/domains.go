package web

import (
	"context"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

// ByName names a domain; exported as ByID is.
type ByName struct {
	Name string `path:"name" doc:"A host name, wildcard or IP address."`
}

func (s *server) domainRoutes() {
	const tag, path = "domains", "/v1/domains"
	on(s, "GET", path, route{certfleet.ScopeRead, "list-domains", tag, "List domains", ""}, s.listDomains)
	on(s, "GET", path+"/{name}", route{certfleet.ScopeRead, "get-domain", tag, "Read what is known of a name", ""}, s.getDomain)
	on(s, "PATCH", path+"/{name}", route{certfleet.ScopeIssue, "change-domain", tag, "Change how a name is proved, or its labels", "What is absent stays."}, s.changeDomain)
}

func (s *server) listDomains(ctx context.Context, q *api.DomainQuery) (*page[api.Domain], error) {
	f := store.DomainFilter{Tenant: tenant(ctx), Part: q.Part, Limit: q.Limit}
	var err error
	if f.Labels, err = labels(q.Label); err != nil {
		return nil, err
	}
	if f.After, err = readCursor(ctx, q.Cursor); err != nil {
		return nil, err
	}
	rows, next, err := s.DB.Domains(ctx, f)
	if err != nil {
		return nil, err
	}
	return paged(ctx, rows, next, api.OfDomain), nil
}

func (s *server) domain(ctx context.Context, q store.Q, name string) (*certfleet.Domain, error) {
	n, err := certfleet.ParseName(name)
	if err != nil {
		return nil, err
	}
	d, err := q.Domain(ctx, tenant(ctx), n)
	if certfleet.KindOf(err) == certfleet.NotFound {
		return nil, missing("domain", name)
	}
	return d, err
}

func (s *server) getDomain(ctx context.Context, in *ByName) (*out[api.Domain], error) {
	d, err := s.domain(ctx, s.DB.Q, in.Name)
	if err != nil {
		return nil, err
	}
	return answer(api.OfDomain(d)), nil
}

type changeDomain struct {
	ByName
	Body api.DomainChange
}

func (s *server) changeDomain(ctx context.Context, in *changeDomain) (*out[api.Domain], error) {
	d, err := s.intake(ctx).ChangeDomain(ctx, in.Name, in.Body)
	if err != nil {
		return nil, err
	}
	return answer(api.OfDomain(d)), nil
}
