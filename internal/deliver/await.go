package deliver

import (
	"context"
	"time"

	"github.com/certfleet/certfleet"
)

// await leaves a delivery to the target's agent, which asks for it: no key is
// opened, and nothing is due here until the agent has spoken.
func (r *Room) await(ctx context.Context, d *certfleet.Delivery) error {
	d.DueAt = time.Time{}
	return r.save(ctx, d, nil)
}
