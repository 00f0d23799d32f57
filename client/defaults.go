package client

import (
	"context"

	"github.com/certfleet/certfleet/internal/api"
)

type (
	// DefaultPolicy says which policy counts for a purpose where none is named.
	DefaultPolicy = api.DefaultPolicy
	// Defaults are the default policies of all purposes.
	Defaults = api.Defaults
	// AccountDefaults are what orders with an account are like by default.
	AccountDefaults = api.AccountDefaults
	// AccountChange changes what is present in it.
	AccountChange = api.AccountChange
)

// Defaults says which policies count where none is named.
func (c *Client) Defaults(ctx context.Context) (*Defaults, error) {
	return do[Defaults](ctx, c, "GET", "/v1/defaults", nil, nil)
}

// SetDefault sets the policy that counts for a purpose; an empty label means none.
func (c *Client) SetDefault(ctx context.Context, purpose, policy string) (*Defaults, error) {
	return do[Defaults](ctx, c, "PUT", at("/v1/defaults", purpose), nil, map[string]string{"policy": policy})
}

// ChangeAccount says what an account's orders are like where their policy leaves
// it to the account.
func (c *Client) ChangeAccount(ctx context.Context, id string, ch AccountChange) (*Account, error) {
	return do[Account](ctx, c, "PATCH", at("/v1/accounts", id), nil, ch)
}
