package intake

import (
	"context"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
)

// DefaultPolicy is the label of the policy where none is named and none was set
// for the purpose.
const DefaultPolicy = "default"

// DefaultFor is the label of the policy for a purpose.
func (r Room) DefaultFor(ctx context.Context, q store.Q, p certfleet.Purpose) (string, error) {
	is, err := q.DefaultPolicy(ctx, r.tenant(), p)
	if gone(err) {
		return DefaultPolicy, nil
	}
	if err != nil {
		return "", err
	}
	return is.Label, nil
}
