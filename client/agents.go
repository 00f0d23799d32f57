package client

import "context"

// Agents lists all agents, or those that carry all labels (key=value).
func (c *Client) Agents(ctx context.Context, labels ...string) ([]Agent, error) {
	p, err := page[Agent](ctx, c, "/v1/agents", Labelled{Label: labels})
	return p.Items, err
}

// Agent reads one agent by label or id, with what it holds.
func (c *Client) Agent(ctx context.Context, id string) (*AgentStory, error) {
	return do[AgentStory](ctx, c, "GET", at("/v1/agents", id), nil, nil)
}

// InviteAgent makes an agent that may join once; the token is in the answer, this
// once.
func (c *Client) InviteAgent(ctx context.Context, n NewAgent) (*Invitation, error) {
	return do[Invitation](ctx, c, "POST", "/v1/agents", nil, n)
}

// RevokeAgent ends an agent's identity at once.
func (c *Client) RevokeAgent(ctx context.Context, id string) (*Agent, error) {
	return do[Agent](ctx, c, "DELETE", at("/v1/agents", id), nil, nil)
}
