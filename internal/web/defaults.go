package web

import (
	"context"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

// setDefault names a purpose and its policy.
type setDefault struct {
	Purpose string `path:"purpose" enum:"global,autocert,certificate-if-needed"`
	Body    struct {
		Policy string `json:"policy" doc:"The label of the policy; empty means none."`
	}
}

func (s *server) defaultRoutes() {
	const tag, path = "policies", "/v1/defaults"
	on(s, "GET", path, route{certfleet.ScopeRead, "get-defaults", tag, "Say which policies count where none is named", ""}, s.getDefaults)
	on(s, "PUT", path+"/{purpose}", route{certfleet.ScopeAdmin, "set-default", tag, "Set the policy that counts where none is named", "It counts from the next orders and onboardings on."}, s.setDefault)
}

func (s *server) getDefaults(ctx context.Context, _ *none) (*out[api.Defaults], error) {
	d, err := s.intake(ctx).DefaultPolicies(ctx)
	return &out[api.Defaults]{d}, err
}

func (s *server) setDefault(ctx context.Context, in *setDefault) (*out[api.Defaults], error) {
	room := s.intake(ctx)
	if err := room.SetDefault(ctx, api.DefaultPolicy{Purpose: in.Purpose, Policy: in.Body.Policy}); err != nil {
		return nil, err
	}
	return s.getDefaults(ctx, nil)
}

func (s *server) changeAccount(ctx context.Context, in *askID[api.AccountChange]) (*out[api.Account], error) {
	a, err := s.account(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	is, err := s.DB.AccountDefaults(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	d := api.OfAccountDefaults(is)
	if err := merge(&d, in.Body); err != nil {
		return nil, err
	}
	if err := s.intake(ctx).SetAccountDefaults(ctx, a, d); err != nil {
		return nil, err
	}
	return answer(s.ofAccount(ctx, a)), nil
}
