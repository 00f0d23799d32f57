package web

import (
	"context"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/intake"
)

func (s *server) authorityRoutes() {
	const tag, path = "authorities", "/v1/authorities"
	on(s, "GET", path, route{certfleet.ScopeRead, "list-authorities", tag, "List authorities", ""}, s.listAuthorities)
	on(s, "POST", path, route{certfleet.ScopeAdmin, "add-authority", tag, "Make an authority", "Idempotent by label."}, s.addAuthority)
	on(s, "GET", path+"/{id}", route{certfleet.ScopeRead, "get-authority", tag, "Read an authority", ""}, s.getAuthority)
	on(s, "GET", path+"/{id}/directory", route{certfleet.ScopeRead, "get-directory", tag, "Ask a CA what it says of itself", "Its terms, profiles and CAA names."}, s.getDirectory)
	on(s, "PUT", path+"/{id}", route{certfleet.ScopeAdmin, "put-authority", tag, "Make an authority, or change it to be so", "The path names it by label."}, s.putAuthority)
	on(s, "PATCH", path+"/{id}", route{certfleet.ScopeAdmin, "change-authority", tag, "Change an authority", "What is absent stays."}, s.changeAuthority)
}

func (s *server) listAuthorities(ctx context.Context, q *api.Labelled) (*page[api.Authority], error) {
	rows, err := s.DB.Authorities(ctx, tenant(ctx))
	if err != nil {
		return nil, err
	}
	return labelled(q, rows, func(a *certfleet.Authority) certfleet.Labels { return a.Labels }, api.OfAuthority)
}

func (s *server) getAuthority(ctx context.Context, in *ByID) (*out[api.Authority], error) {
	a, err := s.authority(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return answer(api.OfAuthority(a)), nil
}

func (s *server) getDirectory(ctx context.Context, in *ByID) (*out[api.Directory], error) {
	a, err := s.authority(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if s.Acts.Directory == nil {
		return nil, unable("asking a CA")
	}
	d, err := s.Acts.Directory(ctx, a.ID)
	return &out[api.Directory]{d}, err
}

func (s *server) addAuthority(ctx context.Context, in *makeOne[api.Authority]) (*out[api.Authority], error) {
	return remembered(ctx, s, "add-authority", in, func() (api.Authority, error) { return s.saveAuthority(ctx, in.Body, intake.Create) })
}

func (s *server) putAuthority(ctx context.Context, in *askID[api.Authority]) (*out[api.Authority], error) {
	if a, err := s.authority(ctx, in.ID); err == nil {
		in.ID = a.Label
	}
	in.Body.Label = in.ID
	a, err := s.saveAuthority(ctx, in.Body, intake.Ensure)
	return &out[api.Authority]{a}, err
}

func (s *server) changeAuthority(ctx context.Context, in *askID[api.AuthorityChange]) (*out[api.Authority], error) {
	row, err := s.authority(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	a := api.OfAuthority(row)
	if in.Body.Labels != nil {
		a.Labels = nil
	}
	if err := merge(&a, in.Body); err != nil {
		return nil, err
	}
	a, err = s.saveAuthority(ctx, a, intake.Ensure)
	return &out[api.Authority]{a}, err
}

// saveAuthority writes an authority; whoever speaks with it begins anew.
func (s *server) saveAuthority(ctx context.Context, a api.Authority, m intake.Mode) (api.Authority, error) {
	row, err := s.intake(ctx).PutAuthority(ctx, a, m)
	if err != nil {
		return api.Authority{}, err
	}
	if s.Acts.ForgetAuthority != nil {
		s.Acts.ForgetAuthority(row.ID)
	}
	return api.OfAuthority(row), nil
}
