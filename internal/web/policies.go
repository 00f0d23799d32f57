package web

import (
	"context"
	"encoding/json"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/intake"
)

// merge writes into v what is present in a change.
func merge[T any](v *T, change any) error {
	b, err := json.Marshal(change)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

func (s *server) policyRoutes() {
	const tag, path = "policies", "/v1/policies"
	on(s, "GET", path, route{certfleet.ScopeRead, "list-policies", tag, "List policies", ""}, s.listPolicies)
	on(s, "POST", path, route{certfleet.ScopeAdmin, "add-policy", tag, "Make a policy", "Idempotent by label."}, s.addPolicy)
	on(s, "GET", path+"/{id}", route{certfleet.ScopeRead, "get-policy", tag, "Read a policy", ""}, s.getPolicy)
	on(s, "PUT", path+"/{id}", route{certfleet.ScopeAdmin, "put-policy", tag, "Make a policy, or change it to be so", "The path names it by label."}, s.putPolicy)
	on(s, "PATCH", path+"/{id}", route{certfleet.ScopeAdmin, "change-policy", tag, "Change a policy", "What is absent stays. It counts from the next orders on."}, s.changePolicy)
}

func (s *server) listPolicies(ctx context.Context, q *api.Labelled) (*page[api.Policy], error) {
	rows, err := s.DB.Policies(ctx, tenant(ctx))
	if err != nil {
		return nil, err
	}
	return labelled(q, rows, func(p *certfleet.Policy) certfleet.Labels { return p.Labels }, api.OfPolicy)
}

func (s *server) getPolicy(ctx context.Context, in *ByID) (*out[api.Policy], error) {
	p, err := s.policy(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return answer(api.OfPolicy(p)), nil
}

func (s *server) addPolicy(ctx context.Context, in *makeOne[api.Policy]) (*out[api.Policy], error) {
	return remembered(ctx, s, "add-policy", in, func() (api.Policy, error) { return s.savePolicy(ctx, in.Body, intake.Create) })
}

func (s *server) putPolicy(ctx context.Context, in *askID[api.Policy]) (*out[api.Policy], error) {
	if p, err := s.policy(ctx, in.ID); err == nil {
		in.ID = p.Label
	}
	in.Body.Label = in.ID
	p, err := s.savePolicy(ctx, in.Body, intake.Ensure)
	return &out[api.Policy]{p}, err
}

func (s *server) changePolicy(ctx context.Context, in *askID[api.PolicyChange]) (*out[api.Policy], error) {
	row, err := s.policy(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	p := api.OfPolicy(row)
	if in.Body.Labels != nil {
		p.Labels = nil
	}
	if in.Body.Backup != nil {
		p.Backup = nil
	}
	if err := merge(&p, in.Body); err != nil {
		return nil, err
	}
	p, err = s.savePolicy(ctx, p, intake.Ensure)
	return &out[api.Policy]{p}, err
}

func (s *server) savePolicy(ctx context.Context, p api.Policy, m intake.Mode) (api.Policy, error) {
	row, err := s.intake(ctx).PutPolicy(ctx, p, m)
	if err != nil {
		return api.Policy{}, err
	}
	return api.OfPolicy(row), nil
}
