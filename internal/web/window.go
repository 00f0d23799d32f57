package web

import (
	"context"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

func (s *server) windowRoutes() {
	on(s, "POST", "/v1/versions/{id}/ari", route{certfleet.ScopeIssue, "ask-ari", "versions", "Ask the CA when it wants a version renewed", "RFC 9773. The answer moves the due time as any other; where the CA does not answer, ari_problem says so and the due time stays."}, s.askARI)
}

func (s *server) askARI(ctx context.Context, in *ByID) (*out[api.Version], error) {
	v, err := s.version(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := act(ctx, "asking for renewal information", s.Acts.AskARI, v.ID); err != nil {
		return nil, err
	}
	if v, err = s.version(ctx, in.ID); err != nil {
		return nil, err
	}
	return answer(api.OfVersion(v)), nil
}
