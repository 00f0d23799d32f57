package issue

import (
	"context"
	"time"

	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/plan"
	"github.com/certfleet/certfleet/internal/store"
)

// learn keeps what a CA's refusal teaches, over restarts, and says whether it
// concerns names alone. It answers the refusal with no longer a wait than the limit
// can take, because one that is mistaken would stop an account for days.
func (r *Room) learn(ctx context.Context, j *job, p *acme.Problem) (names bool, meant *acme.Problem, err error) {
	b, err := r.book(ctx, j.order.AuthorityID)
	if err != nil {
		return false, p, err
	}
	now := time.Now()
	l := plan.Learn(plan.Refusal{Authority: b.name, Account: accountOf(j.acct), Names: j.order.Names, Detail: p.Detail, Help: p.Help, RetryAt: p.RetryAfter}, now)
	if latest := now.Add(b.Longest(l.Key)); l.Until.After(latest) {
		l.Until = latest
		p = until(p, latest)
	}
	names = l.OnNames(answerOf(p))
	if !names && j.order.URL != "" {
		return false, p, nil // it is about something else than new orders
	}
	return names, p, r.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error { return r.remember(ctx, tx, b, j, l, p.Error()) })
}

// remember keeps a lesson, and empties the bucket it is about until then.
func (r *Room) remember(ctx context.Context, tx *store.Tx, b book, j *job, l plan.Lesson, words string) error {
	key := l.Key.String()
	if err := tx.Pause(ctx, key, l.Until, words); err != nil || l.Until.IsZero() {
		return err
	}
	for _, t := range b.Touches(plan.Asking{Account: accountOf(j.acct), Names: j.order.Names}) {
		if t.Key != l.Key {
			continue
		}
		all, err := tx.LockBuckets(ctx, []string{key})
		if err != nil {
			return err
		}
		row := all[key]
		row.Name, row.N, row.Period, row.Burst = string(t.Key.Limit), t.Limit.Count, t.Limit.Period, t.Limit.Burst
		row.FullAt = plan.Empty(plan.Bucket{TAT: row.FullAt}, t.Limit, l.Until).TAT
		return saveBuckets(ctx, tx, map[string]store.Bucket{key: row})
	}
	return nil
}
