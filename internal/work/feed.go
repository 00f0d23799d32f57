package work

import (
	"context"
	"time"

	"github.com/riverqueue/river"
)

// perKind is how many rows of a kind wait in River: enough until the next look,
// few enough that what is urgent is not far behind. A kind of which that many wait
// is looked at for what is more urgent every full.
const (
	perKind = 100
	few     = 32
	full    = 500 * time.Millisecond
)

// Looks are so far apart at least, because each costs as much as a part of a
// certificate; later when a commit wants one while much is queued.
const (
	soon  = 10 * time.Millisecond
	later = 100 * time.Millisecond
)

// feed queues what is due until ctx ends: whenever few rows wait, a commit wants
// action, or something becomes due. What becomes due by itself is the leader's to
// queue; the others look now and then in case there is none.
func (q *queue) feed(ctx context.Context) {
	wakes, off := q.w.DB.Wakes()
	defer off()
	f := &feeder{queue: q, looked: map[string]time.Time{}, reaped: time.Now()} // whoever started us has freed the dead
	for woken := true; ctx.Err() == nil; {
		pause, err := f.round(ctx, woken)
		if err != nil && ctx.Err() == nil {
			q.w.Log.Warn("cannot queue due work", "err", err, "advice", "see whether the database answers; it is tried again in a second")
		}
		began, timer := time.Now(), time.NewTimer(pause)
		apart := soon
		woken = false
		select {
		case <-ctx.Done():
		case <-wakes:
			if woken = true; f.waits() > few {
				apart = later
			}
		case <-q.low: // who leads looks
		case <-timer.C:
		}
		timer.Stop()
		sleep(ctx, apart-time.Since(began))
	}
}

// feeder is the state of feed.
type feeder struct {
	*queue
	looked map[string]time.Time
	reaped time.Time
	asked  time.Time // when this process looked last though it does not lead
}

// round looks once, if it is for this process to look, and says when to look again.
func (f *feeder) round(ctx context.Context, woken bool) (time.Duration, error) {
	if time.Since(f.reaped) > reap {
		f.reaped = time.Now()
		freed, err := f.reap(ctx)
		if err != nil {
			return look, err
		}
		woken = woken || freed
	}
	if !woken && time.Since(f.asked) < reap {
		leader, err := f.leader(ctx)
		if err != nil || leader != f.id && leader != "" {
			return look, err
		}
	}
	f.asked = time.Now()
	return f.sweep(ctx)
}

// reap takes over what a killed process of this host left, long before its lease
// ends.
func (f *feeder) reap(ctx context.Context) (bool, error) {
	freed, err := f.freeDead(ctx)
	if err != nil {
		return false, err
	}
	return freed, FreeDead(ctx, f.w.DB)
}

// sweep queues what is due, as far as there is room.
func (f *feeder) sweep(ctx context.Context) (time.Duration, error) {
	in, err := f.held(ctx, f.w.DB.Lease())
	if err != nil {
		return look, err
	}
	waiting, begun := f.count(in)
	var list []river.InsertManyParams
	var stale []int64
	busy := false
	for _, k := range f.w.Kinds {
		n := waiting[k.Name]
		if n >= perKind/2 && time.Since(f.looked[k.Name]) < full {
			busy = true
			continue
		}
		f.looked[k.Name] = time.Now()
		ids, err := k.Due(ctx, time.Now(), perKind+n+begun[k.Name])
		if err != nil {
			return look, err
		}
		busy = busy || len(ids) > 0
		chosen, gone := choose(k.Name, f.w.idle(k.Name, ids), in, perKind-n)
		list, stale = append(list, chosen...), append(stale, gone...)
		f.ahead[k.Name].n.Store(int64(n + len(chosen)))
		f.ahead[k.Name].more.Store(n+len(chosen) >= perKind)
	}
	if err := f.put(ctx, list, stale); err != nil {
		return look, err
	}
	if busy {
		return look / 4, nil
	}
	return f.next(ctx)
}

// put takes away what nobody works on any more, and queues.
func (f *feeder) put(ctx context.Context, list []river.InsertManyParams, stale []int64) error {
	if len(stale) > 0 {
		if err := f.drop(ctx, stale); err != nil {
			return err
		}
	}
	if len(list) == 0 {
		return nil
	}
	_, err := f.river.InsertMany(ctx, list)
	return err
}

// next is how long to sleep: until the next due time, at most until the next look.
func (f *feeder) next(ctx context.Context) (time.Duration, error) {
	next, err := f.w.DB.NextDue(ctx)
	if err != nil || next.IsZero() {
		return look, err
	}
	return min(max(time.Until(next), 10*time.Millisecond), look), nil
}

// count is how many rows of each kind wait, and how many were begun.
func (f *feeder) count(in map[row]held) (waiting, begun map[string]int) {
	waiting, begun = map[string]int{}, map[string]int{}
	for r, h := range in {
		if h.begun && !f.w.atGate(r) {
			begun[r.kind]++
		} else {
			waiting[r.kind]++
		}
	}
	return waiting, begun
}

// choose picks of the due ids of a kind, most urgent first, those to queue: as
// many as there is room for, and beyond that what is more urgent than a row that
// waits already. A row that is due although somebody began it a lease ago is
// nobody's any more, and its job is to go.
func choose(kind string, ids []int64, in map[row]held, room int) (list []river.InsertManyParams, gone []int64) {
	last := -1
	for i, id := range ids {
		if h, ok := in[row{kind, id}]; ok && !h.begun {
			last = i
		}
	}
	for i, id := range ids {
		h, ok := in[row{kind, id}]
		if ok && !h.stale || len(list) >= room && i > last {
			continue
		}
		if ok {
			gone = append(gone, h.id)
		}
		opts := &river.InsertOpts{Priority: 2}
		if i < last {
			opts.Priority = 1
		}
		list = append(list, river.InsertManyParams{Args: job{kind, id}, InsertOpts: opts})
	}
	return list, gone
}
