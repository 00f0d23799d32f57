package work

import (
	"context"
	"errors"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
)

// holding does a step of an order while its claim is renewed: a step waits for a
// CA and for DNS, and may so take longer than a lease, after which another node
// would do the same once more. A step whose claim is gone is cut off.
func holding(ctx context.Context, db *store.DB, owner string, o *certfleet.Order, step StepFunc) (time.Time, error) {
	ctx, stop := context.WithCancel(ctx)
	ended, id := make(chan struct{}), o.ID // the order is the step's own from here
	go func() {
		defer close(ended)
		renew(ctx, stop, db, owner, id)
	}()
	defer func() { stop(); <-ended }()
	return step(ctx, o)
}

// renew renews a claim three times a lease until ctx ends, or lost when somebody
// else has it.
func renew(ctx context.Context, lost context.CancelFunc, db *store.DB, owner string, id int64) {
	tick := time.NewTicker(max(db.Lease()/3, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		err := db.Tx(ctx, now, func(tx *store.Tx) error { return tx.RenewOrder(ctx, id, owner, now.Add(db.Lease())) })
		if errors.Is(err, store.ErrStale) {
			lost()
			return
		}
	}
}
