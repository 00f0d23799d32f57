package web

import (
	"context"
	"encoding/json"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

func (s *server) targetEdgeRoutes() {
	const tag, path = "targets", "/v1/targets/{id}/edges"
	on(s, "POST", path+"/ask", route{certfleet.ScopeDeliver, "ask-edges", tag, "Ask the servers in front of a target how their caches stand", "Each is asked now, within its timeout. For targets of type redis."}, s.askEdges)
	on(s, "POST", path+"/flush", route{certfleet.ScopeDeliver, "flush-edges", tag, "Have the servers in front of a target forget their caches", "All of it, or the names alone that are given. What the target holds stays as it is. For targets of type redis."}, s.flushEdges)
}

func (s *server) askEdges(ctx context.Context, in *ByID) (*out[api.TargetEdges], error) {
	return s.edgesOf(ctx, in.ID, func(f certfleet.Fronted) ([]certfleet.EdgeAnswer, error) { return f.AskEdges(ctx), nil })
}

type flushing struct {
	ByID
	Names []string `query:"name,explode" maxItems:"100" doc:"Only these names; may be given several times."`
}

func (s *server) flushEdges(ctx context.Context, in *flushing) (*out[api.TargetEdges], error) {
	names, err := certfleet.ParseNames(in.Names)
	if err != nil {
		return nil, err
	}
	return s.edgesOf(ctx, in.ID, func(f certfleet.Fronted) ([]certfleet.EdgeAnswer, error) {
		return f.FlushEdges(ctx, certfleet.Strings(names)...)
	})
}

func (s *server) edgesOf(ctx context.Context, id string, do func(certfleet.Fronted) ([]certfleet.EdgeAnswer, error)) (*out[api.TargetEdges], error) {
	t, err := s.target(ctx, id)
	if err != nil {
		return nil, err
	}
	if s.Acts.Fronted == nil {
		return nil, unable("asking edges")
	}
	f, err := s.Acts.Fronted(t)
	if err != nil {
		return nil, err
	}
	answers, err := do(f)
	w := api.TargetEdges{Target: t.Label, Edges: api.All(answers, ofEdgeAnswer)}
	if err != nil {
		p := s.problemOf(ctx, err)
		w.Problem, w.Advice = p.Detail, p.Advice
	}
	return answer(w), nil
}

// mostSaid bounds in bytes what is told of an answer that is no success.
const mostSaid = 500

func ofEdgeAnswer(a *certfleet.EdgeAnswer) api.TargetEdge {
	w := api.TargetEdge{URL: a.URL, OK: a.Err == nil, Version: a.Version, Status: a.Status}
	if a.Err == nil {
		_ = json.Unmarshal(a.Body, &w.Answer) // it was read once already
		return w
	}
	w.Problem, w.Advice = a.Err.Error(), "start the edge, or correct its url, path and password in the target"
	if a.Status != 0 {
		w.Answer = map[string]any{"text": string(a.Body[:min(len(a.Body), mostSaid)])}
	}
	return w
}
