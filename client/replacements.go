package client

import (
	"context"
	"fmt"
	"time"

	"github.com/certfleet/certfleet/internal/api"
)

// The shapes of replacements; see each for its fields.
type (
	// NewReplacement asks for versions to be taken out of use.
	NewReplacement = api.NewReplacement
	// Replacement is a mass replacement and how far it is.
	Replacement = api.Replacement
)

// AddReplacement begins a mass replacement, or plans one with DryRun.
func (c *Client) AddReplacement(ctx context.Context, n NewReplacement) (*Replacement, error) {
	return do[Replacement](ctx, c, "POST", "/v1/replacements", nil, n)
}

// Replacements lists the newest replacements.
func (c *Client) Replacements(ctx context.Context) ([]Replacement, error) {
	p, err := page[Replacement](ctx, c, "/v1/replacements", nil)
	return p.Items, err
}

// Replacement says how far a replacement is.
func (c *Client) Replacement(ctx context.Context, id int64) (*Replacement, error) {
	return do[Replacement](ctx, c, "GET", at("/v1/replacements", fmt.Sprint(id)), nil, nil)
}

// AbortReplacement stops a replacement.
func (c *Client) AbortReplacement(ctx context.Context, id int64) (*Replacement, error) {
	return do[Replacement](ctx, c, "POST", at("/v1/replacements", fmt.Sprint(id), "/abort"), nil, nil)
}

// ResumeReplacement lets a replacement go on.
func (c *Client) ResumeReplacement(ctx context.Context, id int64) (*Replacement, error) {
	return do[Replacement](ctx, c, "POST", at("/v1/replacements", fmt.Sprint(id), "/resume"), nil, nil)
}

// CompromiseKey says that a private key is known to others: all that it signed
// for is replaced and revoked, and all that is left at the moment by, if that is
// not zero.
func (c *Client) CompromiseKey(ctx context.Context, id string, by time.Time) (*Replacement, error) {
	return do[Replacement](ctx, c, "POST", at("/v1/keys", id, "/compromise"), nil, api.Compromise{RevokeBy: by})
}
