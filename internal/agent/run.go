package agent

import (
	"context"
	"net"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/certfleet/certfleet/internal/updater"
)

// How often the daemon looks at all of staging (what waited for the clock, or for
// another file system to have room), and how long it waits before it runs
// updaters again that failed.
const (
	rescan    = 5 * time.Minute
	retryWait = time.Minute
	retryMax  = time.Hour
)

// pushed reports whether somebody may push. An agent that never joined has no
// other way to get anything, so there it is an error when nobody may.
func (a *Agent) pushed() bool {
	return a.told == nil || len(a.c.SFTP.AuthorizedKeys) > 0 || a.c.SFTP.AuthorizedKeysFile != ""
}

// Listen opens the daemon's listener.
func (a *Agent) Listen(ctx context.Context) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", string(a.c.SFTP.Listen))
	if err != nil {
		return nil, invalid("choose a free port, or run as a user who may listen there", "listen on %s: %v", a.c.SFTP.Listen, err)
	}
	return l, nil
}

// Run is the daemon: it serves SFTP on l, which it closes, and brings what comes
// to live, until ctx ends. Without l it only fetches.
func (a *Agent) Run(ctx context.Context, l net.Listener) error {
	changed := make(chan struct{}, 1)
	g, ctx := errgroup.WithContext(ctx)
	if l != nil {
		s, err := a.newServer(changed)
		if err != nil {
			l.Close()
			return err
		}
		g.Go(func() error { return s.serve(ctx, l) })
	}
	g.Go(func() error { return a.keep(ctx, changed) })
	if a.told != nil {
		g.Go(func() error { return a.told.run(ctx) })
		g.Go(func() error { return a.told.pulls(ctx, changed) })
	}
	return g.Wait()
}

// keep runs the updaters when they are due, one run at a time. What changes
// during a run has another one.
func (a *Agent) keep(ctx context.Context, changed chan struct{}) error {
	a.rescan(ctx, changed)
	if _, left, _ := a.dueNow(); len(left) > 0 { // by an earlier process
		nudge(changed)
	}
	ticks := time.NewTicker(rescan)
	defer ticks.Stop()
	w := wait{delay: time.Duration(a.c.UpdateDelay), max: time.Duration(a.c.MaxWait)}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C:
			a.rescan(ctx, changed)
		case <-changed:
			w.more(time.Now())
		case <-w.after(time.Now()):
			ok, err := a.allTold(ctx)
			if err != nil {
				return err
			}
			w.done(time.Now(), ok)
		}
	}
}

func (a *Agent) rescan(ctx context.Context, changed chan struct{}) {
	r, err := a.apply(ctx, nil)
	if err != nil {
		a.log.Error("staging could not be looked through", "error", err)
	}
	if len(r.Live) > 0 {
		nudge(changed)
	}
}

func (a *Agent) allTold(ctx context.Context) (ok bool, err error) {
	results := a.update(ctx)
	ok = !slices.ContainsFunc(results, func(r updater.Result) bool { return r.Err != nil })
	if a.Told != nil && ctx.Err() == nil {
		err = a.Told(results)
	}
	return ok, err
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // one is enough
	}
}

// wait decides when the updaters run: delay after the last change, max after the
// first, and again a while after they failed.
type wait struct {
	delay, max  time.Duration
	first, last time.Time // changes since the last run; zero when there were none
	retry       time.Time
	failures    int
}

func (w *wait) more(now time.Time) {
	if w.last = now; w.first.IsZero() {
		w.first = now
	}
}

func (w *wait) done(now time.Time, ok bool) {
	w.first, w.last, w.retry = time.Time{}, time.Time{}, time.Time{}
	if w.failures++; ok {
		w.failures = 0
		return
	}
	w.retry = now.Add(min(retryWait<<min(w.failures-1, 10), retryMax))
}

// at is when the updaters run next; zero for not at all.
func (w *wait) at() time.Time {
	if w.last.IsZero() {
		return w.retry
	}
	due := w.last.Add(w.delay)
	if latest := w.first.Add(w.max); latest.Before(due) {
		return latest
	}
	return due
}

func (w *wait) after(now time.Time) <-chan time.Time {
	if w.at().IsZero() {
		return nil
	}
	return time.After(w.at().Sub(now))
}
