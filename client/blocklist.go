package client

import (
	"context"

	"github.com/certfleet/certfleet/internal/api"
)

// Blocked is what is never to be ordered.
type Blocked = api.Blocked

// Blocklist lists what is never to be ordered.
func (c *Client) Blocklist(ctx context.Context) ([]Blocked, error) {
	p, err := page[Blocked](ctx, c, "/v1/blocklist", nil)
	return p.Items, err
}

// Block forbids a name, a registered domain or a suffix.
func (c *Client) Block(ctx context.Context, b Blocked) (*Blocked, error) {
	return do[Blocked](ctx, c, "POST", "/v1/blocklist", nil, b)
}

// Unblock allows it again.
func (c *Client) Unblock(ctx context.Context, kind, pattern string) error {
	_, err := do[Done](ctx, c, "DELETE", "/v1/blocklist", api.BlockedQuery{Kind: kind, Pattern: pattern}, nil)
	return err
}
