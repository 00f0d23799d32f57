package web

import (
	"context"
	"net/http"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/danielgtaylor/huma/v2"
)

// The two ways in that know no token: an agent's client certificate, and an
// invitation, which the operation itself checks.
const (
	byCertificate = "agent"
	byInvitation  = "invitation"
)

// onAgent serves what an agent asks for itself. Which agent that is comes from
// its client certificate alone, and is in every handler's hands: nothing in a
// request can name another.
func onAgent[I, O any](s *server, path, id, summary string, h func(context.Context, *certfleet.Agent, *I) (*O, error)) {
	own(s, byCertificate, path, id, summary, func(ctx context.Context, in *I) (*O, error) {
		a, _ := ctx.Value(agentKey{}).(*certfleet.Agent)
		if a == nil || s.Agents == nil {
			return nil, unable("being an agent")
		}
		return h(ctx, a, in)
	})
}

// onStranger serves who has no identity yet.
func onStranger[I, O any](s *server, path, id, summary string, h func(context.Context, *I) (*O, error)) {
	own(s, byInvitation, path, id, summary, h)
}

func own[I, O any](s *server, way, path, id, summary string, h func(context.Context, *I) (*O, error)) {
	op := s.operation("POST", path, route{id: "agent-" + id, tag: "agent", summary: summary, about: "For certfleet-agent; only over the protocol " + api.AgentProtocol + "."})
	op.Security = []map[string][]string{{way: {}}}
	op.Metadata = map[string]any{"way": way}
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := h(ctx, in)
		if err != nil {
			return nil, s.problemOf(ctx, err)
		}
		return out, nil
	})
}

type agentKey struct{}

// admit lets an agent or a stranger through to what is theirs; ok is false for
// operations that want a token.
func (s *server) admit(hc huma.Context, next func(huma.Context)) (ok bool) {
	switch hc.Operation().Metadata["way"] {
	case byInvitation:
		next(hc)
		return true
	case byCertificate:
	default:
		return false
	}
	ctx := hc.Context()
	if s.Agents == nil {
		s.refuse(hc, s.problemOf(ctx, unable("being an agent")))
		return true
	}
	a, err := s.Agents.Identify(ctx, hc.TLS(), time.Now())
	if err != nil {
		p := s.problemOf(ctx, err)
		if certfleet.KindOf(err) == certfleet.Denied {
			p = newProblem(ctx, http.StatusUnauthorized, p.Detail, p.Advice)
		}
		s.refuse(hc, p)
		return true
	}
	ctx = store.WithActor(context.WithValue(ctx, agentKey{}, a), "agent:"+a.Label)
	requestOf(ctx).said = store.ActorOf(ctx)
	next(huma.WithContext(hc, ctx))
	return true
}

func (s *server) join(ctx context.Context, in *ask[api.Join]) (*out[api.Identity], error) {
	if s.Agents == nil {
		return nil, unable("joining")
	}
	id, err := s.Agents.Join(ctx, in.Body, time.Now())
	if err != nil {
		return nil, err
	}
	return answer(id), nil
}

func (s *server) rejoin(ctx context.Context, a *certfleet.Agent, in *ask[api.Rejoin]) (*out[api.Identity], error) {
	id, err := s.Agents.Rejoin(ctx, a, in.Body, time.Now())
	if err != nil {
		return nil, err
	}
	return answer(id), nil
}

func (s *server) report(ctx context.Context, a *certfleet.Agent, in *ask[api.AgentReport]) (*out[api.AgentOrders], error) {
	o, err := s.Agents.Report(ctx, a, in.Body, time.Now())
	if err != nil {
		return nil, err
	}
	return answer(o), nil
}

func (s *server) assigned(ctx context.Context, a *certfleet.Agent, in *ask[api.Ask]) (*out[api.Assigned], error) {
	list, err := s.Agents.Assigned(ctx, a, time.Duration(in.Body.WaitSeconds)*time.Second)
	if err != nil {
		return nil, err
	}
	return answer(api.Assigned{Versions: api.All(list, api.OfAssignment)}), nil
}

func (s *server) fetch(ctx context.Context, a *certfleet.Agent, in *byNumber) (*out[api.AgentBundle], error) {
	b, err := s.Agents.Fetch(ctx, a, in.ID)
	if err != nil {
		return nil, err
	}
	return answer(*b), nil
}
