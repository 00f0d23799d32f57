package client

import (
	"context"
	"iter"
)

// ACMEDNSServers lists the acme-dns servers of the configuration.
func (c *Client) ACMEDNSServers(ctx context.Context) ([]ACMEDNSServer, error) {
	p, err := page[ACMEDNSServer](ctx, c, "/v1/acmedns", nil)
	return p.Items, err
}

// Delegations lists names that have an account at a solver's acme-dns server, by
// name, page by page.
func (c *Client) Delegations(ctx context.Context, solver string, q Paging) iter.Seq2[Delegation, error] {
	return pages(ctx, q.Cursor, func(ctx context.Context, cursor string) (Page[Delegation], error) {
		q.Cursor = cursor
		return page[Delegation](ctx, c, at("/v1/acmedns", solver, "/names"), q)
	})
}

// EnsureDelegations gives names accounts at a solver's acme-dns server; what keeps
// one from it is in its row.
func (c *Client) EnsureDelegations(ctx context.Context, solver string, names ...string) ([]Delegation, error) {
	got, err := do[Page[Delegation]](ctx, c, "POST", at("/v1/acmedns", solver, "/ensure"), nil, EnsureNames{Names: names})
	if err != nil {
		return nil, err
	}
	return got.Items, nil
}

// AdoptDelegation brings an account at a solver's acme-dns server along.
func (c *Client) AdoptDelegation(ctx context.Context, solver string, a ACMEDNSAccount) (*Delegation, error) {
	return do[Delegation](ctx, c, "POST", at("/v1/acmedns", solver, "/adopt"), nil, a)
}
