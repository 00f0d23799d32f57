package client

import (
	"context"
	"io"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

// EdgeLookup asks what many names serve, with their keys, in one exchange: one
// answer a name, in order. A question with the generation that the caller has is
// answered by EdgeUnchanged when that is still served. The token needs scope edge.
func (c *Client) EdgeLookup(ctx context.Context, q EdgeQuestions) ([]EdgePair, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	res, err := c.send(ctx, "POST", "/v1/edge/lookup", nil, q, api.EdgeMedia)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, unanswered(c.base, err)
	}
	pairs, err := api.ParseEdgePairs(b)
	if err != nil {
		return nil, &certfleet.Error{Kind: certfleet.Unreachable, Msg: c.base + " does not answer as a certfleet server does", Advice: "check the address of the server", Err: err}
	}
	return pairs, nil
}

// Lookups says which edges were given a version with its key, by hour, newest first.
func (c *Client) Lookups(ctx context.Context, version string) ([]EdgeGiven, error) {
	out, err := do[[]EdgeGiven](ctx, c, "GET", at("/v1/versions", version, "/lookups"), nil, nil)
	if err != nil {
		return nil, err
	}
	return *out, nil
}
