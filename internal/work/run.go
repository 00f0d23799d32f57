package work

import (
	"context"
	"sync"
	"time"
)

// apart is how far looks are from one another at least while there is much to do:
// each costs as much as a twentieth of a certificate.
const apart = 10 * time.Millisecond

// look is how often the store is asked for work that another process has made,
// reap how often for work that a process of this host held when it died.
const (
	look = time.Second
	reap = 5 * time.Second
)

// Drain works until nothing is due any more or ctx ends. What becomes due within
// patience is waited for.
func (w *Work) Drain(ctx context.Context, patience time.Duration) error {
	for {
		if err := w.drain(ctx); err != nil || ctx.Err() != nil {
			return err
		}
		next, err := w.DB.NextDue(ctx)
		if err != nil {
			return err
		}
		wait := time.Until(next)
		if next.IsZero() || wait > patience {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(max(wait, 50*time.Millisecond)):
		}
	}
}

func (w *Work) drain(ctx context.Context) error {
	for ctx.Err() == nil {
		n, err := w.Tick(ctx, time.Now(), 0)
		if err != nil || n == 0 {
			return err
		}
	}
	return nil
}

// Run hands out due work until ctx ends, then lets what is in flight finish its
// step within Grace.
func (w *Work) Run(ctx context.Context) error {
	wakes, stop := w.DB.Wakes()
	defer stop()
	// Calls in flight outlive ctx: they finish their step.
	calls, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	places := w.seats()
	var all sync.WaitGroup
	defer w.finish(&all, cut)
	reaped := time.Now() // whoever started us has freed the dead
	for {
		if time.Since(reaped) > reap {
			w.reap(ctx)
			reaped = time.Now()
		}
		full := w.handOut(ctx, calls, places, &all)
		looked := time.Now()
		timer := time.NewTimer(w.pause(ctx, full))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-wakes:
		case <-places.freed:
		case <-timer.C:
		}
		timer.Stop()
		time.Sleep(apart - time.Since(looked))
	}
}

// reap takes over what a killed process of this host left, long before its
// lease ends.
func (w *Work) reap(ctx context.Context) {
	if err := FreeDead(ctx, w.DB); err != nil && ctx.Err() == nil {
		w.Log.Warn("cannot free what dead processes held", "err", err)
	}
}

// finish waits for what is in flight, and cuts it off when it takes too long.
func (w *Work) finish(all *sync.WaitGroup, cut context.CancelFunc) {
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	grace := w.Grace
	if grace <= 0 {
		grace = 20 * time.Second
	}
	select {
	case <-done:
	case <-time.After(grace):
		cut()
		<-done
	}
}

// handOut starts due work while there are free workers; full means that there
// may be more than it started. Then the kind after that has the first turn next
// time, so that one of which something is always due starves no other.
func (w *Work) handOut(ctx, calls context.Context, at *seats, all *sync.WaitGroup) (full bool) {
	first := w.first
	w.first = 0
	for i := range w.Kinds {
		turn := (first + i) % len(w.Kinds)
		k := w.Kinds[turn]
		if at.full() {
			w.first = turn
			return true
		}
		free := at.free(k.Name)
		if free <= 0 {
			full = true
			continue
		}
		// Those that have a seat are still listed as due until they are claimed.
		ids, err := k.Due(ctx, time.Now(), free+len(at.of[k.Name]))
		if err != nil {
			if ctx.Err() == nil {
				w.Log.Warn("cannot find due work", "kind", k.Name, "err", err)
			}
			continue
		}
		for _, id := range w.mineFirst(ids) {
			if at.full() || ctx.Err() != nil {
				w.first = (turn + 1) % len(w.Kinds)
				return true
			}
			j := job{k.Name, id}
			if !w.begin(j) {
				continue
			}
			s, ok := at.take(k.Name)
			if !ok {
				w.end(j)
				full = true
				break
			}
			all.Go(func() {
				w.do(context.WithValue(WithStop(calls, ctx), seatKey{}, s), k, id)
				w.end(j)
				s.leave()
			})
		}
	}
	return full
}

// pause is how long to sleep: until the next due time, at most until the next look.
func (w *Work) pause(ctx context.Context, full bool) time.Duration {
	if full {
		return look
	}
	next, err := w.DB.NextDue(ctx)
	if err != nil || next.IsZero() {
		return look
	}
	return min(max(time.Until(next), 10*time.Millisecond), look)
}

type stopKey struct{}

// WithStop lets work see that its process wants to end, without cutting off the
// call that is in flight.
func WithStop(calls, stop context.Context) context.Context {
	return context.WithValue(calls, stopKey{}, stop)
}

// Stopping reports whether the process wants to end: finish the step and return.
func Stopping(ctx context.Context) bool {
	if ctx.Err() != nil {
		return true
	}
	stop, ok := ctx.Value(stopKey{}).(context.Context)
	return ok && stop.Err() != nil
}

// stopOf is closed when the process wants to end.
func stopOf(ctx context.Context) <-chan struct{} {
	if stop, ok := ctx.Value(stopKey{}).(context.Context); ok {
		return stop.Done()
	}
	return nil
}
