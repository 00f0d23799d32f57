package deliver

import (
	"context"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/plan"
	"github.com/certfleet/certfleet/internal/store"
)

// turns is how many connections to each target this process has, and which
// targets rest: by their rate, or since another of their group has its turn.
type turns struct {
	mu   sync.Mutex
	open map[int64]int       // by target, guarded by mu
	most map[int64]int       // by target, guarded by mu
	rest map[int64]time.Time // by target, guarded by mu
}

// take opens a connection's turn unless there are most already.
func (t *turns) take(target int64, most int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		t.open, t.most, t.rest = map[int64]int{}, map[int64]int{}, map[int64]time.Time{}
	}
	if t.most[target] = most; t.open[target] >= most {
		return false
	}
	t.open[target]++
	return true
}

func (t *turns) give(target int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open[target]--; t.open[target] <= 0 {
		delete(t.open, target)
		delete(t.most, target)
	}
}

// sleep lets a target rest until then.
func (t *turns) sleep(target int64, until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rest[target] = until
}

// away lists the targets that nothing can be handed to now.
func (t *turns) away(now time.Time) (list []int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, n := range t.open {
		if n >= t.most[id] {
			list = append(list, id)
		}
	}
	for id, until := range t.rest {
		if !until.After(now) {
			delete(t.rest, id)
			continue
		}
		list = append(list, id)
	}
	return list
}

// Due lists the deliveries to work on now. Those to targets that have all the
// connections they may have, or rest, have their turn later.
func (r *Room) Due(ctx context.Context, now time.Time, limit int) ([]int64, error) {
	list, err := r.DB.DueDeliveriesBut(ctx, r.turns.away(now), now, limit)
	ids := make([]int64, len(list))
	for i, d := range list {
		ids[i] = d.ID
	}
	return ids, err
}

// moment is how long a target rests that has its turn after somebody else.
const moment = 250 * time.Millisecond

// claim takes the delivery and its due siblings, as many as the target's pace
// allows; those that another process was faster with are left out.
func (r *Room) claim(ctx context.Context, first *certfleet.Delivery, stored *certfleet.StoredTarget) (got []*certfleet.Delivery, err error) {
	now := time.Now()
	rest := now.Add(moment)
	err = r.DB.Tx(ctx, now, func(tx *store.Tx) error {
		got = nil
		full, err := tx.LockTarget(ctx, stored)
		if err != nil {
			return err
		}
		if stored.PushMode == certfleet.PushSerial {
			if busy, err := tx.GroupBusy(ctx, stored, now); err != nil || busy {
				return err
			}
		}
		n, bucket := together, plan.Bucket{TAT: full}
		if stored.Rate > 0 {
			if n = min(n, plan.Left(bucket, pace(stored), now)); n == 0 {
				_, _, rest = plan.Spend(bucket, pace(stored), now, 1)
				return nil
			}
		}
		due, err := tx.DueSiblings(ctx, first, now, n)
		if err != nil {
			return err
		}
		if got, err = tx.ClaimDeliveries(ctx, due, r.Owner, now.Add(r.DB.Lease())); err != nil || len(got) == 0 {
			return err
		}
		if err := passOver(ctx, tx, got, stored); err != nil || stored.Rate <= 0 {
			return err
		}
		bucket, _, _ = plan.Spend(bucket, pace(stored), now, len(got))
		return tx.SetPace(ctx, stored.ID, bucket.TAT)
	})
	if err == nil && len(got) == 0 {
		r.turns.sleep(stored.ID, rest)
	}
	return got, err
}

// pace is a target's rate as a bucket that holds ten seconds of it.
func pace(stored *certfleet.StoredTarget) plan.Limit {
	return plan.Limit{Count: stored.Rate, Period: time.Minute, Burst: max(1, stored.Rate/6)}
}
