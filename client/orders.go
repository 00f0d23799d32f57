package client

import (
	"context"
	"iter"
	"strconv"
)

func number(id int64) string { return strconv.FormatInt(id, 10) }

// Orders lists all orders that the query fits, newest first, page by page.
func (c *Client) Orders(ctx context.Context, q OrderQuery) iter.Seq2[Order, error] {
	return pages(ctx, q.Cursor, func(ctx context.Context, cursor string) (Page[Order], error) {
		q.Cursor = cursor
		return c.OrdersPage(ctx, q)
	})
}

// OrdersPage lists one page.
func (c *Client) OrdersPage(ctx context.Context, q OrderQuery) (Page[Order], error) {
	return page[Order](ctx, c, "/v1/orders", q)
}

// Order reads an order with everything that is known of it.
func (c *Client) Order(ctx context.Context, id int64) (*OrderStory, error) {
	return do[OrderStory](ctx, c, "GET", at("/v1/orders", number(id)), nil, nil)
}

// StepOrder does the next step of an order now.
func (c *Client) StepOrder(ctx context.Context, id int64) (*OrderStory, error) {
	return do[OrderStory](ctx, c, "POST", at("/v1/orders", number(id), "/step"), nil, nil)
}

// SyncOrder asks the CA how an order stands now, and records it.
func (c *Client) SyncOrder(ctx context.Context, id int64) (*OrderStory, error) {
	return do[OrderStory](ctx, c, "POST", at("/v1/orders", number(id), "/sync"), nil, nil)
}

// Authorizations lists all authorizations that the query fits, newest first.
func (c *Client) Authorizations(ctx context.Context, q AuthorizationQuery) iter.Seq2[Authorization, error] {
	return pages(ctx, q.Cursor, func(ctx context.Context, cursor string) (Page[Authorization], error) {
		q.Cursor = cursor
		return c.AuthorizationsPage(ctx, q)
	})
}

// AuthorizationsPage lists one page.
func (c *Client) AuthorizationsPage(ctx context.Context, q AuthorizationQuery) (Page[Authorization], error) {
	return page[Authorization](ctx, c, "/v1/authorizations", q)
}

// DeactivateAuthorizations gives pending authorizations up (RFC 8555 section 7.5.2).
func (c *Client) DeactivateAuthorizations(ctx context.Context, d Deactivation) (*Deactivated, error) {
	return do[Deactivated](ctx, c, "POST", "/v1/authorizations/deactivate", nil, d)
}

// Challenges lists all challenges that the query fits, newest first.
func (c *Client) Challenges(ctx context.Context, q AuthorizationQuery) iter.Seq2[Challenge, error] {
	return pages(ctx, q.Cursor, func(ctx context.Context, cursor string) (Page[Challenge], error) {
		q.Cursor = cursor
		return c.ChallengesPage(ctx, q)
	})
}

// ChallengesPage lists one page.
func (c *Client) ChallengesPage(ctx context.Context, q AuthorizationQuery) (Page[Challenge], error) {
	return page[Challenge](ctx, c, "/v1/challenges", q)
}
