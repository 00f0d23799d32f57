package work

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
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
// queue; the others look now and then in case there is none. It returns errGone
// when somebody took the queue's tables away.
func (q *queue) feed(ctx context.Context) error {
	wakes, off := q.w.DB.Wakes()
	defer off()
	f := &feeder{queue: q, looked: map[string]time.Time{}}
	for woken := true; ctx.Err() == nil; {
		if woken {
			f.woken = time.Now()
		}
		pause, err := f.bounded(ctx, woken)
		if errors.Is(err, errGone) {
			return err
		}
		if err != nil && ctx.Err() == nil {
			f.log.Warn("cannot queue due work", "err", err, "advice", "see whether the database answers; it is tried again in a second")
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
	return nil
}

// feeder is the state of feed.
type feeder struct {
	*queue
	looked map[string]time.Time
	reaped time.Time
	asked  time.Time     // when this process looked last though it does not lead
	woken  time.Time     // when a commit wanted action last
	swept  time.Time     // when all kinds were asked last
	quiet  bool          // and none had anything to do
	late   time.Duration // the last pause before something that is due and that no kind lists
}

// answer is how long the database may take for one look, and say for what is due
// of one kind: one that waits for a lock must not keep the others waiting for ever.
const (
	answer = 3 * time.Minute
	say    = 10 * time.Second
)

func (f *feeder) bounded(ctx context.Context, woken bool) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	return f.round(ctx, woken)
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
	if !woken && time.Since(f.asked) < leaderless {
		leader, err := f.leader(ctx)
		if err != nil || leader != f.id && leader != "" {
			return look, err
		}
	}
	f.asked = time.Now()
	if !woken && f.quiet && time.Since(f.swept) < calmly {
		if pause, ok := f.still(ctx); ok {
			return pause, nil
		}
	}
	f.quiet, f.swept = false, time.Now()
	return f.sweep(ctx)
}

// calmly is how long after a look that found nothing one question is asked instead
// of one of each kind. What that question does not know of, silent agents and
// retention, may wait so long.
const calmly = 5 * time.Second

// still reports whether nothing can have become due since a look that found
// nothing, and how long to sleep then.
func (f *feeder) still(ctx context.Context) (time.Duration, bool) {
	next, err := f.w.DB.NextDue(ctx)
	if err == nil && next.IsZero() {
		return look, true
	}
	left := time.Until(next)
	if err != nil || left <= 0 {
		return 0, false
	}
	return min(max(left, 10*time.Millisecond), look), true
}

// reap takes over what a killed process of this host left, long before its lease
// ends, and says of what this process works on that it does.
func (f *feeder) reap(ctx context.Context) (bool, error) {
	if err := f.beat(ctx, f.jobs(), f.w.DB.Lease()); err != nil {
		return false, err
	}
	freed, err := f.freeDead(ctx)
	if err != nil {
		return false, err
	}
	return freed, FreeDead(ctx, f.w.DB)
}

// sweep queues what is due, as far as there is room. A kind that cannot say what
// is due keeps no other waiting.
func (f *feeder) sweep(ctx context.Context) (time.Duration, error) {
	in, err := f.held(ctx, f.w.DB.Lease())
	if err != nil {
		return look, err
	}
	f.w.gated(in)
	n := f.count(in)
	var list []river.InsertManyParams
	var stale []int64
	var wrong error
	busy, waiting := false, map[string]int{}
	for _, k := range f.w.Kinds {
		n := n[k.Name]
		waiting[k.Name] = n.waiting + n.resting
		if n.waiting >= perKind/2 && time.Since(f.looked[k.Name]) < full {
			busy = true
			continue
		}
		f.looked[k.Name] = time.Now()
		ids, lanes, err := due(ctx, k, perKind+n.waiting+n.begun+n.resting)
		if err != nil {
			wrong = errors.Join(wrong, fmt.Errorf("find due %s: %w", k.Name, err))
			continue
		}
		busy = busy || len(ids) > 0
		chosen, gone := choose(k.Name, f.w.idle(k.Name, ids), in, n.room(), f.woken)
		waiting[k.Name] += len(chosen)
		list, stale = append(list, ranked(chosen, lanes)...), append(stale, gone...)
		f.ahead[k.Name].n.Store(int64(n.waiting + len(chosen)))
		f.ahead[k.Name].more.Store(n.waiting+len(chosen) >= perKind)
	}
	f.w.saw(waiting)
	if err := errors.Join(f.put(ctx, list, stale), wrong); err != nil {
		return look, err
	}
	if busy {
		f.late = 0
		return look / 4, nil
	}
	f.quiet = true
	return f.next(ctx)
}

func due(ctx context.Context, k Kind, limit int) ([]int64, map[int64]certfleet.Lane, error) {
	ctx, cancel := context.WithTimeout(ctx, say)
	defer cancel()
	return k.due(ctx, limit)
}

// put takes away what nobody works on any more, and queues.
func (f *feeder) put(ctx context.Context, list []river.InsertManyParams, stale []int64) error {
	if len(stale) > 0 {
		if err := f.drop(ctx, stale, f.w.DB.Lease()); err != nil {
			return err
		}
	}
	if len(list) == 0 {
		return nil
	}
	_, err := f.river.InsertMany(ctx, list)
	return gone(err)
}

// next is how long to sleep: until the next due time, at most until the next look.
// What is due by its row and not by its kind, which knows more, is looked for ever
// less often.
func (f *feeder) next(ctx context.Context) (time.Duration, error) {
	next, err := f.w.DB.NextDue(ctx)
	if err != nil || next.IsZero() {
		return look, err
	}
	if left := time.Until(next); left > 0 {
		f.late = 0
		return min(max(left, 10*time.Millisecond), look), nil
	}
	f.late = min(max(2*f.late, 10*time.Millisecond), look)
	return f.late, nil
}
