package client

import "context"

// PrimeTarget writes a target whole, in the background, and tells how that stands.
func (c *Client) PrimeTarget(ctx context.Context, id string) (*TargetRun, error) {
	return do[TargetRun](ctx, c, "POST", at("/v1/targets", id, "/prime"), nil, nil)
}

// Prime reads how the last full write of a target stands.
func (c *Client) Prime(ctx context.Context, id string) (*TargetRun, error) {
	return do[TargetRun](ctx, c, "GET", at("/v1/targets", id, "/prime"), nil, nil)
}

// VerifyTarget compares what a target holds with what it should, in the
// background, and tells how that stands.
func (c *Client) VerifyTarget(ctx context.Context, id string) (*TargetRun, error) {
	return do[TargetRun](ctx, c, "POST", at("/v1/targets", id, "/verify"), nil, nil)
}

// Verification reads how the last comparison with a target stands.
func (c *Client) Verification(ctx context.Context, id string) (*TargetRun, error) {
	return do[TargetRun](ctx, c, "GET", at("/v1/targets", id, "/verify"), nil, nil)
}

// Edges asks the servers in front of a target how their caches stand.
func (c *Client) Edges(ctx context.Context, target string) (*TargetEdges, error) {
	return do[TargetEdges](ctx, c, "POST", at("/v1/targets", target, "/edges/ask"), nil, nil)
}

// FlushEdges has the servers in front of a target forget their caches.
func (c *Client) FlushEdges(ctx context.Context, target string) (*TargetEdges, error) {
	return do[TargetEdges](ctx, c, "POST", at("/v1/targets", target, "/edges/flush"), nil, nil)
}
