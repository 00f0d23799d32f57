package web

import (
	"context"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

func (s *server) primeRoutes() {
	const tag, path = "targets", "/v1/targets/{id}"
	on(s, "POST", path+"/prime", route{certfleet.ScopeDeliver, "prime-target", tag, "Write a target whole", "Starts it on the node that is asked, or finds the one that is under way there. For targets of type redis."}, s.startRun("prime"))
	on(s, "GET", path+"/prime", route{certfleet.ScopeRead, "get-prime", tag, "How the last full write of a target stands", "On the node that is asked."}, s.getRun("prime"))
	on(s, "POST", path+"/verify", route{certfleet.ScopeDeliver, "verify-target", tag, "Compare what a target holds with what it should", "Starts it on the node that is asked, or finds the one that is under way there. It changes nothing."}, s.startRun("verify"))
	on(s, "GET", path+"/verify", route{certfleet.ScopeRead, "get-verify", tag, "How the last comparison with a target stands", "On the node that is asked."}, s.getRun("verify"))
}

func (s *server) startRun(what string) func(context.Context, *ByID) (*out[api.TargetRun], error) {
	return func(ctx context.Context, in *ByID) (*out[api.TargetRun], error) {
		t, err := s.target(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		if s.Acts.StartRun == nil {
			return nil, unable("working on a whole target")
		}
		run, err := s.Acts.StartRun(ctx, t.ID, what)
		if err != nil {
			return nil, err
		}
		return answer(run), nil
	}
}

func (s *server) getRun(what string) func(context.Context, *ByID) (*out[api.TargetRun], error) {
	return func(ctx context.Context, in *ByID) (*out[api.TargetRun], error) {
		t, err := s.target(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		if s.Acts.TargetRun != nil {
			if run, ok := s.Acts.TargetRun(t.ID, what); ok {
				return answer(run), nil
			}
		}
		return nil, &certfleet.Error{Kind: certfleet.NotFound, Msg: "no " + what + " of " + t.Label + " was started on this node", Advice: "start one: certfleet targets " + what + " " + t.Label}
	}
}
