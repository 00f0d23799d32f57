package client

import (
	"context"
	"iter"
)

// Targets lists all targets that the query fits, page by page.
func (c *Client) Targets(ctx context.Context, q TargetQuery) iter.Seq2[Target, error] {
	return pages(ctx, q.Cursor, func(ctx context.Context, cursor string) (Page[Target], error) {
		q.Cursor = cursor
		return page[Target](ctx, c, "/v1/targets", q)
	})
}

// Target reads one target by label or id.
func (c *Client) Target(ctx context.Context, id string) (*Target, error) {
	return do[Target](ctx, c, "GET", at("/v1/targets", id), nil, nil)
}

// AddTarget makes a target. Making the same again is harmless.
func (c *Client) AddTarget(ctx context.Context, t Target) (*Target, error) {
	return do[Target](ctx, c, "POST", "/v1/targets", nil, t)
}

// PutTarget makes the target with the label, or changes it to be so.
func (c *Client) PutTarget(ctx context.Context, label string, t Target) (*Target, error) {
	return do[Target](ctx, c, "PUT", at("/v1/targets", label), nil, t)
}

// ChangeTarget changes what is present in the change.
func (c *Client) ChangeTarget(ctx context.Context, id string, ch TargetChange) (*Target, error) {
	return do[Target](ctx, c, "PATCH", at("/v1/targets", id), nil, ch)
}

// DeliverTarget delivers to a target again.
func (c *Client) DeliverTarget(ctx context.Context, id string, r Redelivery) (*Redelivered, error) {
	return do[Redelivered](ctx, c, "POST", at("/v1/targets", id, "/deliver"), nil, r)
}

// Deliver delivers a certificate again, to a target, or both.
func (c *Client) Deliver(ctx context.Context, r DeliverRequest) (*Redelivered, error) {
	return do[Redelivered](ctx, c, "POST", "/v1/deliver", nil, r)
}

// TargetTypes lists the kinds of target and their settings.
func (c *Client) TargetTypes(ctx context.Context) ([]TargetType, error) {
	p, err := page[TargetType](ctx, c, "/v1/target-types", nil)
	return p.Items, err
}

// Deliveries lists all deliveries that the query fits, newest first.
func (c *Client) Deliveries(ctx context.Context, q DeliveryQuery) iter.Seq2[Delivery, error] {
	return pages(ctx, q.Cursor, func(ctx context.Context, cursor string) (Page[Delivery], error) {
		q.Cursor = cursor
		return c.DeliveriesPage(ctx, q)
	})
}

// DeliveriesPage lists one page.
func (c *Client) DeliveriesPage(ctx context.Context, q DeliveryQuery) (Page[Delivery], error) {
	return page[Delivery](ctx, c, "/v1/deliveries", q)
}

// Delivery reads a delivery with what probes saw.
func (c *Client) Delivery(ctx context.Context, id int64) (*DeliveryStory, error) {
	return do[DeliveryStory](ctx, c, "GET", at("/v1/deliveries", number(id)), nil, nil)
}

// Probe asks what names serve now.
func (c *Client) Probe(ctx context.Context, r ProbeRequest) ([]Look, error) {
	out, err := do[Looks](ctx, c, "POST", "/v1/probe", nil, r)
	if err != nil {
		return nil, err
	}
	return out.Looks, nil
}
