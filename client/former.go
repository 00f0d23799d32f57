package client

import "context"

// KeepFormer keeps numbers that objects had in a system that was taken over, at
// most 1000 of one kind at a time, and says what came of them. The token needs
// scope admin.
func (c *Client) KeepFormer(ctx context.Context, n FormerNumbers) (*FormerKept, error) {
	return do[FormerKept](ctx, c, "POST", "/v1/former", nil, n)
}
