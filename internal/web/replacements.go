package web

import (
	"context"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/intake"
)

func (s *server) replacementRoutes() {
	const tag, path = "replacements", "/v1/replacements"
	on(s, "GET", path, route{certfleet.ScopeRead, "list-replacements", tag, "List mass replacements", "The newest hundred."}, s.listReplacements)
	on(s, "POST", path, route{certfleet.ScopeIssue, "add-replacement", tag, "Take many versions out of use", "Each certificate gets another version, before all other orders and as fast as the limits of its CA allow."}, s.addReplacement)
	on(s, "GET", path+"/{id}", route{certfleet.ScopeRead, "get-replacement", tag, "Say how far a replacement is", ""}, s.getReplacement)
	on(s, "POST", path+"/{id}/abort", route{certfleet.ScopeIssue, "abort-replacement", tag, "Stop a replacement", "Orders on their way end as they will; what waits gets the due time back that it had."}, s.turnReplacement(certfleet.ReplacementAborting))
	on(s, "POST", path+"/{id}/resume", route{certfleet.ScopeIssue, "resume-replacement", tag, "Let a replacement go on", "It looks once more at what was left aside and at what could not be revoked, so even one that is done may go on."}, s.turnReplacement(certfleet.ReplacementRunning))
	on(s, "POST", "/v1/keys/{id}/compromise", route{certfleet.ScopeIssue, "compromise-key", "keys", "Say that a private key is known to others", "It is never used again: every certificate with it gets another with a new key, and then what it signed for is revoked; at revoke_by all that is left."}, s.compromiseKey)
}

func (s *server) ofReplacement(ctx context.Context, r *certfleet.Replacement) (api.Replacement, error) {
	n, err := s.DB.ReplacementCounts(ctx, r.ID)
	return api.OfReplacement(r, n), err
}

func (s *server) listReplacements(ctx context.Context, _ *none) (*page[api.Replacement], error) {
	rows, err := s.DB.Replacements(ctx, tenant(ctx), 100)
	if err != nil {
		return nil, err
	}
	p := &page[api.Replacement]{Body: api.Page[api.Replacement]{Items: []api.Replacement{}}}
	for _, r := range rows {
		w, err := s.ofReplacement(ctx, &r)
		if err != nil {
			return nil, err
		}
		p.Body.Items = append(p.Body.Items, w)
	}
	return p, nil
}

func (s *server) addReplacement(ctx context.Context, in *makeOne[api.NewReplacement]) (*out[api.Replacement], error) {
	return remembered(ctx, s, "add-replacement", in, func() (api.Replacement, error) {
		spec, err := intake.ReplacementSpec(in.Body)
		if err != nil {
			return api.Replacement{}, err
		}
		if in.Body.DryRun {
			return s.foretell(ctx, spec)
		}
		r, err := s.intake(ctx).Replace(ctx, spec)
		if err != nil {
			return api.Replacement{}, err
		}
		return s.ofReplacement(ctx, r)
	})
}

func (s *server) foretell(ctx context.Context, spec certfleet.ReplacementSpec) (api.Replacement, error) {
	if s.Acts.Foretell == nil {
		return api.Replacement{}, unable("a plan")
	}
	return s.Acts.Foretell(ctx, &certfleet.Replacement{Tenant: tenant(ctx), Spec: spec, State: "planned", Walked: true})
}

func (s *server) replacement(ctx context.Context, id int64) (*certfleet.Replacement, error) {
	r, err := s.DB.Replacement(ctx, id)
	if err == nil && r.Tenant != tenant(ctx) {
		return nil, &certfleet.Error{Kind: certfleet.NotFound, Msg: "no such replacement", Advice: "see certfleet replace --list"}
	}
	return r, err
}

func (s *server) getReplacement(ctx context.Context, in *byNumber) (*out[api.Replacement], error) {
	r, err := s.replacement(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	w, err := s.ofReplacement(ctx, r)
	return &out[api.Replacement]{w}, err
}

func (s *server) turnReplacement(to certfleet.ReplacementState) func(context.Context, *byNumber) (*out[api.Replacement], error) {
	return func(ctx context.Context, in *byNumber) (*out[api.Replacement], error) {
		r, err := s.intake(ctx).TurnReplacement(ctx, in.ID, to)
		if err != nil {
			return nil, err
		}
		w, err := s.ofReplacement(ctx, r)
		return &out[api.Replacement]{w}, err
	}
}

func (s *server) compromiseKey(ctx context.Context, in *mayAskID[api.Compromise]) (*out[api.Replacement], error) {
	k, err := s.key(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	r, err := s.intake(ctx).Compromise(ctx, k, in.given().RevokeBy)
	if err != nil {
		return nil, err
	}
	w, err := s.ofReplacement(ctx, r)
	return &out[api.Replacement]{w}, err
}
