package client

import "context"

// Policies lists all policies, or those that carry all labels (key=value).
func (c *Client) Policies(ctx context.Context, labels ...string) ([]Policy, error) {
	p, err := page[Policy](ctx, c, "/v1/policies", Labelled{Label: labels})
	return p.Items, err
}

// Policy reads one policy by label or id.
func (c *Client) Policy(ctx context.Context, id string) (*Policy, error) {
	return do[Policy](ctx, c, "GET", at("/v1/policies", id), nil, nil)
}

// AddPolicy makes a policy. Making the same again is harmless.
func (c *Client) AddPolicy(ctx context.Context, p Policy) (*Policy, error) {
	return do[Policy](ctx, c, "POST", "/v1/policies", nil, p)
}

// PutPolicy makes the policy with the label, or changes it to be so.
func (c *Client) PutPolicy(ctx context.Context, label string, p Policy) (*Policy, error) {
	return do[Policy](ctx, c, "PUT", at("/v1/policies", label), nil, p)
}

// ChangePolicy changes what is present in the change.
func (c *Client) ChangePolicy(ctx context.Context, id string, ch PolicyChange) (*Policy, error) {
	return do[Policy](ctx, c, "PATCH", at("/v1/policies", id), nil, ch)
}

// Authorities lists all authorities, or those that carry all labels (key=value).
func (c *Client) Authorities(ctx context.Context, labels ...string) ([]Authority, error) {
	p, err := page[Authority](ctx, c, "/v1/authorities", Labelled{Label: labels})
	return p.Items, err
}

// Authority reads one authority by label or id.
func (c *Client) Authority(ctx context.Context, id string) (*Authority, error) {
	return do[Authority](ctx, c, "GET", at("/v1/authorities", id), nil, nil)
}

// Directory asks a CA what it says of itself now.
func (c *Client) Directory(ctx context.Context, id string) (*Directory, error) {
	return do[Directory](ctx, c, "GET", at("/v1/authorities", id, "/directory"), nil, nil)
}

// AddAuthority makes an authority. Making the same again is harmless.
func (c *Client) AddAuthority(ctx context.Context, a Authority) (*Authority, error) {
	return do[Authority](ctx, c, "POST", "/v1/authorities", nil, a)
}

// PutAuthority makes the authority with the label, or changes it to be so.
func (c *Client) PutAuthority(ctx context.Context, label string, a Authority) (*Authority, error) {
	return do[Authority](ctx, c, "PUT", at("/v1/authorities", label), nil, a)
}

// ChangeAuthority changes what is present in the change.
func (c *Client) ChangeAuthority(ctx context.Context, id string, ch AuthorityChange) (*Authority, error) {
	return do[Authority](ctx, c, "PATCH", at("/v1/authorities", id), nil, ch)
}

// Accounts lists all accounts, or those that carry all labels (key=value).
func (c *Client) Accounts(ctx context.Context, labels ...string) ([]Account, error) {
	p, err := page[Account](ctx, c, "/v1/accounts", Labelled{Label: labels})
	return p.Items, err
}

// Account reads one account by label or id.
func (c *Client) Account(ctx context.Context, id string) (*Account, error) {
	return do[Account](ctx, c, "GET", at("/v1/accounts", id), nil, nil)
}

// AddAccount makes an account and registers it, or brings one along with its key.
func (c *Client) AddAccount(ctx context.Context, n NewAccount) (*Account, error) {
	return do[Account](ctx, c, "POST", "/v1/accounts", nil, n)
}

// RegisterAccount registers an account that is wanted, now.
func (c *Client) RegisterAccount(ctx context.Context, id string) (*Account, error) {
	return do[Account](ctx, c, "POST", at("/v1/accounts", id, "/register"), nil, nil)
}

// CheckAccount asks the CA how an account stands; it changes nothing.
func (c *Client) CheckAccount(ctx context.Context, id string) (*AccountCheck, error) {
	return do[AccountCheck](ctx, c, "POST", at("/v1/accounts", id, "/check"), nil, nil)
}

// AgreeAccount agrees to the CA's terms for an account.
func (c *Client) AgreeAccount(ctx context.Context, id string) (*Account, error) {
	return do[Account](ctx, c, "POST", at("/v1/accounts", id, "/agree"), nil, nil)
}

// ContactAccount changes whom the CA may write to.
func (c *Client) ContactAccount(ctx context.Context, id string, contact []string) (*Account, error) {
	return do[Account](ctx, c, "POST", at("/v1/accounts", id, "/contact"), nil, Contact{Contact: contact})
}

// RolloverAccount gives an account a new key (RFC 8555 section 7.3.5).
func (c *Client) RolloverAccount(ctx context.Context, id string, r Rollover) (*Account, error) {
	return do[Account](ctx, c, "POST", at("/v1/accounts", id, "/rollover"), nil, r)
}

// DeactivateAccount gives an account up for good (RFC 8555 section 7.3.6).
func (c *Client) DeactivateAccount(ctx context.Context, id string) (*Account, error) {
	return do[Account](ctx, c, "POST", at("/v1/accounts", id, "/deactivate"), nil, nil)
}
