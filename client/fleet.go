package client

import (
	"context"
	"iter"
)

// Why says what holds for a name or label, and why.
func (c *Client) Why(ctx context.Context, name string) (*Why, error) {
	return do[Why](ctx, c, "GET", at("/v1/why", name), nil, nil)
}

// Search looks for names, serials, fingerprints and the like.
func (c *Client) Search(ctx context.Context, q SearchQuery) ([]Hit, error) {
	out, err := do[Hits](ctx, c, "GET", "/v1/search", q, nil)
	if err != nil {
		return nil, err
	}
	return out.Hits, nil
}

// Apply makes the fleet as it is declared. With dry it only says what would change.
func (c *Client) Apply(ctx context.Context, f Fleet, dry bool) (*Applied, error) {
	return do[Applied](ctx, c, "POST", "/v1/apply", ApplyQuery{DryRun: dry}, f)
}

// ApplyDeclared is Apply of a declaration that may give fields empty to clear
// them; Apply leaves empty fields out, so that they stay as they are.
func (c *Client) ApplyDeclared(ctx context.Context, declaration map[string]any, dry bool) (*Applied, error) {
	return do[Applied](ctx, c, "POST", "/v1/apply", ApplyQuery{DryRun: dry}, declaration)
}

// Tokens lists all tokens, or those that carry all labels (key=value), without
// their secrets.
func (c *Client) Tokens(ctx context.Context, labels ...string) ([]Token, error) {
	p, err := page[Token](ctx, c, "/v1/tokens", Labelled{Label: labels})
	return p.Items, err
}

// AddToken makes a token; its secret is in the answer, this once.
func (c *Client) AddToken(ctx context.Context, n NewToken) (*TokenAnswer, error) {
	return do[TokenAnswer](ctx, c, "POST", "/v1/tokens", nil, n)
}

// RevokeToken ends a token.
func (c *Client) RevokeToken(ctx context.Context, label string) (*Token, error) {
	return do[Token](ctx, c, "DELETE", at("/v1/tokens", label), nil, nil)
}

// Limits are what CAs allow and what is left of it, what they told us to wait
// for, and the requests that were made.
func (c *Client) Limits(ctx context.Context, q LimitsQuery) (*Limits, error) {
	return do[Limits](ctx, c, "GET", "/v1/limits", q, nil)
}

// ClearLimit forgets what was counted and learned under a key, for a person who
// knows better.
func (c *Client) ClearLimit(ctx context.Context, key string) error {
	_, err := do[Done](ctx, c, "POST", "/v1/limits/clear", nil, ClearLimit{Key: key})
	return err
}

// SetOverride notes what a CA granted; it takes the place of the one for the same
// account, domain and limit.
func (c *Client) SetOverride(ctx context.Context, o LimitOverride) error {
	_, err := do[Done](ctx, c, "PUT", "/v1/limits/override", nil, o)
	return err
}

// RemoveOverride lets the published limit hold again.
func (c *Client) RemoveOverride(ctx context.Context, q OverrideQuery) error {
	_, err := do[Done](ctx, c, "DELETE", "/v1/limits/override", q, nil)
	return err
}

// Jobs is what is worked on and what is due.
func (c *Client) Jobs(ctx context.Context) (*Jobs, error) {
	return do[Jobs](ctx, c, "GET", "/v1/jobs", nil, nil)
}

// Sweep runs one round of one kind of work.
func (c *Client) Sweep(ctx context.Context, s Sweep) (*Swept, error) {
	return do[Swept](ctx, c, "POST", "/v1/sweep", nil, s)
}

// Overview is the fleet in numbers.
func (c *Client) Overview(ctx context.Context) (*Overview, error) {
	return do[Overview](ctx, c, "GET", "/v1/overview", nil, nil)
}

// Release is the program that answers.
func (c *Client) Release(ctx context.Context) (*Release, error) {
	return do[Release](ctx, c, "GET", "/v1/version", nil, nil)
}

// Ready asks whether the server can work. It needs no token; a server that is
// not ready answers an error.
func (c *Client) Ready(ctx context.Context) (*Health, error) {
	return do[Health](ctx, c, "GET", "/readyz", nil, nil)
}

// Events lists all events that the query fits, newest first, page by page.
func (c *Client) Events(ctx context.Context, q EventQuery) iter.Seq2[Event, error] {
	return pages(ctx, q.Cursor, func(ctx context.Context, cursor string) (Page[Event], error) {
		q.Cursor = cursor
		return c.EventsPage(ctx, q)
	})
}

// EventsPage lists one page.
func (c *Client) EventsPage(ctx context.Context, q EventQuery) (Page[Event], error) {
	return page[Event](ctx, c, "/v1/events", q)
}
