package bench

import (
	"context"
	"time"

	"github.com/certfleet/certfleet/internal/work"
	"github.com/riverqueue/river"
)

// perKind is how many pieces of a kind wait in River: enough until the next
// sweep, few enough that what is urgent is not far behind.
const perKind = 100

// run queues what is due, whenever few pieces are left, a commit wants action or
// something becomes due; what becomes due by itself is the leader's to queue.
func (d *doer) run(ctx context.Context, r *rivers) error {
	wakes, off := d.w.DB.Wakes()
	defer off()
	if err := r.start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	looked, woken := map[string]time.Time{}, true
	for ctx.Err() == nil {
		pause := time.Second
		if leads, err := r.leads(ctx); err == nil && (leads || woken) {
			if pause, err = d.sweep(ctx, r, looked); err != nil && ctx.Err() == nil {
				return err
			}
		}
		woken = false
		select {
		case <-ctx.Done():
		case <-wakes:
			woken = true
		case <-d.low:
		case <-time.After(pause):
		}
		breath := 10 * time.Millisecond
		if d.ahead.Load() > 32 {
			breath = 100 * time.Millisecond
		}
		select {
		case <-ctx.Done():
		case <-time.After(breath):
		}
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	return r.stop(end)
}

// sweep queues what is due, as far as there is room, and says when to look again.
func (d *doer) sweep(ctx context.Context, r *rivers, looked map[string]time.Time) (time.Duration, error) {
	in, err := r.queued(ctx)
	if err != nil {
		return 0, err
	}
	waiting, begun := map[string]int{}, map[string]int{}
	for p, on := range in {
		if on {
			begun[p.Of]++
		} else {
			waiting[p.Of]++
		}
	}
	var list []river.InsertManyParams
	busy := false
	for _, k := range d.w.Kinds {
		if n := waiting[k.Name]; n >= 2*perKind || n >= perKind/2 && time.Since(looked[k.Name]) < 500*time.Millisecond {
			busy = true
			continue
		}
		looked[k.Name] = time.Now()
		ids, err := k.Due(ctx, time.Now(), perKind+begun[k.Name])
		if err != nil {
			return 0, err
		}
		busy = busy || len(ids) > 0
		list = append(list, choose(k, ids, in, perKind-waiting[k.Name])...)
	}
	if len(list) > 0 {
		if _, err := r.insert(ctx, list); err != nil {
			return 0, err
		}
	}
	d.ahead.Store(int64(len(in) + len(list)))
	if busy {
		return 250 * time.Millisecond, nil
	}
	next, err := d.w.DB.NextDue(ctx)
	if err != nil || next.IsZero() {
		return time.Second, err
	}
	return min(max(time.Until(next), 10*time.Millisecond), time.Second), nil
}

// choose picks of the due ids of a kind, most urgent first, those to queue: as
// many as there is room for, and beyond that what is more urgent than a piece
// that waits already.
func choose(k work.Kind, ids []int64, in map[piece]bool, room int) []river.InsertManyParams {
	last := -1
	for i, id := range ids {
		if on, ok := in[piece{k.Name, id}]; ok && !on {
			last = i
		}
	}
	var out []river.InsertManyParams
	for i, id := range ids {
		p := piece{k.Name, id}
		if _, ok := in[p]; ok || (len(out) >= room && i > last) {
			continue
		}
		opts := &river.InsertOpts{Priority: 2}
		if k.Name == "raises" || k.Name == "renewals" || i < last {
			opts.Priority = 1
		}
		out = append(out, river.InsertManyParams{Args: p, InsertOpts: opts})
	}
	return out
}
