package web

import (
	"context"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/intake"
)

// lineagesShown is how many lineages of an agent are answered with it.
const lineagesShown = 1000

func (s *server) agentRoutes() {
	const tag, path = "agents", "/v1/agents"
	on(s, "GET", path, route{certfleet.ScopeRead, "list-agents", tag, "List agents and how they stand", ""}, s.listAgents)
	on(s, "POST", path, route{certfleet.ScopeAdmin, "invite-agent", tag, "Invite an agent", "The join token is in the answer, this once. It is good for one join, and carries where this manager is and the fingerprint of its private CA."}, s.inviteAgent)
	on(s, "GET", path+"/{id}", route{certfleet.ScopeRead, "get-agent", tag, "Read an agent with what it holds", ""}, s.getAgent)
	on(s, "DELETE", path+"/{id}", route{certfleet.ScopeAdmin, "revoke-agent", tag, "Revoke an agent", "Its identity is refused at once. What it holds stays where it is."}, s.revokeAgent)

	const own = "/v1/agent"
	onAgent(s, own+"/rejoin", "rejoin", "Renew the agent's client certificate, for a new key", s.rejoin)
	onAgent(s, own+"/report", "report", "Say what the agent holds and how it is", s.report)
	onAgent(s, own+"/assigned", "assigned", "Ask what waits for the agent, and wait for it", s.assigned)
	onAgent(s, own+"/fetch/{id}", "fetch", "Take a version with its key, if it is assigned to the agent", s.fetch)
	onStranger(s, own+"/join", "join", "Take an invitation up", s.join)
}

func (s *server) agent(ctx context.Context, id string) (*certfleet.Agent, error) {
	return find(ctx, "agent", id, s.DB.Agent, s.DB.AgentByLabel, func(a *certfleet.Agent) int64 { return a.Tenant })
}

func (s *server) listAgents(ctx context.Context, q *api.Labelled) (*page[api.Agent], error) {
	rows, err := s.DB.Agents(ctx, tenant(ctx))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return labelled(q, rows, func(a *certfleet.Agent) certfleet.Labels { return a.Labels }, func(a *certfleet.Agent) api.Agent { return api.OfAgent(a, now) })
}

func (s *server) getAgent(ctx context.Context, in *ByID) (*out[api.AgentStory], error) {
	a, err := s.agent(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	rows, err := s.DB.AgentLineages(ctx, a.ID, "", lineagesShown)
	if err != nil {
		return nil, err
	}
	return answer(api.AgentStory{Agent: api.OfAgent(a, time.Now()), Lineages: api.All(rows, api.OfAgentLineage)}), nil
}

func (s *server) inviteAgent(ctx context.Context, in *ask[api.NewAgent]) (*out[api.Invitation], error) {
	if s.Agents == nil {
		return nil, unable("inviting agents")
	}
	if err := intake.CheckLabel(in.Body.Label); err != nil {
		return nil, err
	}
	if in.Body.Target != "" {
		if err := intake.CheckLabel(in.Body.Target); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	a, token, err := s.Agents.Invite(ctx, tenant(ctx), in.Body, now)
	if err != nil {
		return nil, err
	}
	return answer(api.Invitation{Agent: api.OfAgent(a, now), Token: token, JoinUntil: a.JoinUntil}), nil
}

func (s *server) revokeAgent(ctx context.Context, in *ByID) (*out[api.Agent], error) {
	a, err := s.agent(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if s.Agents == nil {
		return nil, unable("revoking agents")
	}
	now := time.Now()
	if a, err = s.Agents.Revoke(ctx, a.ID, now); err != nil {
		return nil, err
	}
	return answer(api.OfAgent(a, now)), nil
}
