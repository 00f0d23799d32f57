package work

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// look is how often the leader asks the store for what became due, leaderless how
// often any process asks, and reap how often each looks for what a dead one of its
// host held: an order goes on within five seconds of a kill.
const (
	look       = time.Second
	leaderless = 5 * time.Second
	reap       = 3 * time.Second
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

// Run has River do what is due until ctx ends, then lets what is in flight finish
// its step within Grace.
func (w *Work) Run(ctx context.Context) error {
	q, err := w.queue(ctx)
	if ctx.Err() != nil {
		err = nil
	}
	if q == nil {
		return err
	}
	for {
		err := q.run(ctx)
		if !errors.Is(err, errGone) {
			return err
		}
		w.Log.Warn("somebody took the tables of the queue away; they are made anew, and nothing is lost", "err", err)
		if q = w.anew(ctx); q == nil {
			return nil
		}
	}
}

// run has River work until ctx ends, or its tables are gone.
func (q *queue) run(ctx context.Context) error {
	defer q.close()
	q.w.holds(q)
	defer q.w.holds(nil)
	if err := q.river.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("start the queue of work: %w", gone(err))
	}
	err := q.feed(ctx)
	return errors.Join(err, q.stop(ctx))
}

// anew opens the queue when its tables are gone, as soon as that is possible; nil
// says that ctx ended first.
func (w *Work) anew(ctx context.Context) *queue {
	log := slog.New(newCalm(w.Log.Handler()))
	for sleep(ctx, time.Second) {
		q, err := w.queue(ctx)
		if err == nil {
			return q
		}
		log.Warn("cannot open the queue of work", "err", err)
	}
	return nil
}

func (w *Work) grace() time.Duration {
	if w.Grace <= 0 {
		return 20 * time.Second
	}
	return w.Grace
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
