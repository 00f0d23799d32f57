package issue

import (
	"context"
	"time"

	"github.com/certfleet/certfleet/internal/store"
)

// claim has one of several nodes do what is due: it puts the row's due time off by a
// lease, in a write that repeats what was read, and who is too late gets
// store.ErrStale. When the node dies the row is due again by itself. On SQLite there is
// one manager, and at most a certfleet run beside it: that they now and then do one of
// these things twice costs less than a commit for each.
func (r *Room) claim(ctx context.Context, now time.Time, write func(tx *store.Tx, until time.Time) error) error {
	if !r.DB.Postgres() {
		return nil
	}
	return r.DB.Tx(ctx, now, func(tx *store.Tx) error { return write(tx, now.Add(r.DB.Lease())) })
}
