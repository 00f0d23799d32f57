package deliver

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/certfleet/certfleet/internal/plan"
)

// tally remembers how many deliveries are looked at again, since counting them
// takes a while in a large fleet.
type tally struct {
	mu sync.Mutex
	n  int64     // guarded by mu
	at time.Time // guarded by mu
}

const tallied = 10 * time.Minute

// again says when a name that was just seen served is looked at next: once or
// twice a day, or as rarely as the budget for all of them asks.
func (r *Room) again(ctx context.Context, now time.Time, life time.Duration) time.Time {
	at := plan.Relook(now, life, rand.Float64())
	if r.LooksPerHour <= 0 {
		return at
	}
	round := time.Duration(float64(r.served.count(ctx, r, now)) / float64(r.LooksPerHour) * float64(time.Hour))
	if spread := now.Add(round + time.Duration(rand.Float64()*float64(round)/5)); spread.After(at) {
		return spread
	}
	return at
}

func (t *tally) count(ctx context.Context, r *Room, now time.Time) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.at) > tallied {
		if n, err := r.DB.CountServed(ctx); err == nil {
			t.n, t.at = n, now
		}
	}
	t.n++
	return t.n
}
