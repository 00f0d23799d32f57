package deliver

import (
	"context"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
)

// await leaves a delivery to the target's agent, which asks for it: no key is
// opened, and nothing is due here until the agent has spoken. One that was held for
// a canary is due here when it has waited long enough, and is the agent's from then.
func (r *Room) await(ctx context.Context, d *certfleet.Delivery, stored *certfleet.StoredTarget) error {
	d.DueAt = time.Time{}
	was := *d
	return r.DB.Tx(context.WithoutCancel(ctx), time.Now(), func(tx *store.Tx) error {
		*d = was // it may be the second try
		if err := passOver(ctx, tx, []*certfleet.Delivery{d}, stored); err != nil {
			return err
		}
		return tx.SaveDelivery(ctx, d)
	})
}
