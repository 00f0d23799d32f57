package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/updater"
)

// Agent brings what lies in staging to where services read it.
type Agent struct {
	c       Config
	log     *slog.Logger
	staging *staging
	live    liveFolder
	items   []updater.Item
	linger  time.Duration // of a connection without a channel
	told    *reporter     // nil when this agent never joined a manager

	// Told hears what came of each run of the updaters in Run; an error ends it. It
	// is set before Run, or nil.
	Told func([]updater.Result) error

	mu       sync.Mutex       // guards what follows, and everything between staging and live
	due      map[string]*due  // services are to be told of these, by label
	problems map[string]error // why what was sent last is not live, by lineage
}

// New opens the staging folder; it listens nowhere and changes nothing.
func New(c Config, log *slog.Logger) (*Agent, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c = c.settled()
	if err := c.check(); err != nil {
		return nil, err
	}
	list, err := items(c.Updaters, log)
	if err != nil {
		return nil, err
	}
	live, err := newLive(c, log)
	if err != nil {
		return nil, err
	}
	s, err := openStaging(c.Staging, int64(c.SFTP.MaxFile))
	if err != nil {
		return nil, err
	}
	s.all = c.Layout == Verbatim
	a := &Agent{c: c, log: log, staging: s, live: live, items: list, linger: linger, due: map[string]*due{}, problems: map[string]error{}}
	if err := a.recall(); err != nil {
		s.close()
		return nil, err
	}
	if c.Alone {
		return a, nil
	}
	id, err := loadIdentity(c.Identity)
	if err != nil {
		s.close()
		return nil, err
	}
	if id != nil {
		a.told = newReporter(a, id)
	}
	return a, nil
}

// Close lets go of the staging folder.
func (a *Agent) Close() error { return a.staging.close() }

// Report is what one Sync did.
type Report struct {
	Live     []string         // labels that went live
	Removed  []string         // labels that were taken away
	Problems map[string]error // why a lineage stays in staging
	Updates  []updater.Result
}

// Err joins the problems and the failures of updaters.
func (r Report) Err() error {
	var all []error
	for name, err := range r.Problems {
		all = append(all, &certfleet.Error{Kind: certfleet.KindOf(err), Msg: "lineage " + name, Advice: certfleet.AdviceOf(err), Err: err})
	}
	for _, u := range r.Updates {
		if u.Err != nil {
			all = append(all, &certfleet.Error{Kind: certfleet.KindOf(u.Err), Msg: "updater " + u.Name, Advice: certfleet.AdviceOf(u.Err), Err: u.Err})
		}
	}
	return errors.Join(all...)
}

// Sync brings all of staging to live and runs the updaters at once: the one-shot
// use, for a timer. Others may still be writing into the folder, so that what has
// no manifest waits until it was quiet for a moment.
func (a *Agent) Sync(ctx context.Context) (Report, error) {
	if err := a.quiet(ctx); err != nil {
		return Report{}, err
	}
	r, err := a.apply(ctx, nil)
	if err != nil {
		return r, err
	}
	r.Updates = a.update(ctx)
	return r, nil
}

// apply brings lineages of staging to live, all of them when none is named.
func (a *Agent) apply(ctx context.Context, only []string) (Report, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := Report{Problems: map[string]error{}}
	names := only
	if only == nil {
		var err error
		if names, err = a.staging.lineages(); err != nil {
			return r, fmt.Errorf("list staging: %w", err)
		}
	}
	for part := range slices.Chunk(names, together) {
		a.golive(ctx, a.ready(part, &r), &r)
		a.note(part, r)
	}
	a.tell(names, r)
	return r, nil
}

// together is how many lineages go live at a time: they share one barrier, and
// their keys are in memory.
const together = 1000

// ready are the lineages that may go live now.
func (a *Agent) ready(names []string, r *Report) (ready []proposal) {
	for _, name := range names {
		if a.staging.held(name) {
			continue
		}
		p, err := a.propose(name, time.Now())
		if a.staging.held(name) {
			continue // a session began to write; its end brings us back
		}
		if err != nil {
			r.Problems[name] = err
			continue
		}
		if p.label != "" {
			ready = append(ready, p)
		} else if len(p.files) == 0 {
			a.staging.prune(name)
		}
	}
	return ready
}

// note keeps the problems for whoever asks, and says each once.
func (a *Agent) note(names []string, r Report) {
	for _, name := range names {
		err, bad := r.Problems[name]
		if !bad {
			delete(a.problems, name)
			continue
		}
		if was := a.problems[name]; was == nil || was.Error() != err.Error() {
			a.log.Error("certificate not taken", "lineage", name, "error", err, "advice", certfleet.AdviceOf(err))
		}
		a.problems[name] = err
	}
}

// tell has the manager told of what changed.
func (a *Agent) tell(names []string, r Report) {
	labels := slices.Concat(r.Live, r.Removed)
	for _, name := range names {
		if r.Problems[name] == nil {
			continue
		}
		if label, err := certfleet.LabelOf(name); err == nil {
			labels = append(labels, label)
		}
	}
	a.told.touched(labels...)
}

// golive hands the proposals to the live folder. The marks for the updaters are
// written first.
func (a *Agent) golive(ctx context.Context, ready []proposal, r *Report) {
	var going []proposal
	for _, p := range ready {
		switch err := a.prepare(ctx, p, r); {
		case err != nil:
			r.Problems[p.name] = err
		case !p.remove && !p.same:
			going = append(going, p)
		}
	}
	if len(going) == 0 {
		return
	}
	receipts, err := a.live.put(ctx, going)
	for i, p := range going {
		failed := err
		if failed == nil {
			failed = receipts[i].Err
		}
		if failed != nil {
			r.Problems[p.name] = errors.Join(failed, a.unless(ctx, p))
			continue
		}
		if err := a.leave(p); err != nil {
			r.Problems[p.name] = err
		}
		r.Live = append(r.Live, p.label)
		a.log.Info("certificate is live", "certificate", p.label, "fingerprint", p.bundle.Fingerprint, "not_after", p.bundle.NotAfter)
	}
}

// unless takes the mark back of what did not go live. Some things go wrong behind the
// change, and then services are to be told all the same.
func (a *Agent) unless(ctx context.Context, p proposal) error {
	if held, err := a.live.Holds(ctx, p.label, certfleet.Receipt{}); err == nil && held == p.bundle.Fingerprint {
		return nil
	}
	return a.unmark(p.label)
}

// prepare does what comes before a change: removals are done here, what is the
// same already only leaves staging, and for the rest the updaters are marked due.
func (a *Agent) prepare(ctx context.Context, p proposal, r *Report) error {
	switch {
	case p.remove:
		if err := a.live.Remove(ctx, p.label, certfleet.Receipt{}); err != nil {
			return err
		}
		r.Removed = append(r.Removed, p.label)
		a.log.Info("certificate is removed", "certificate", p.label)
		return errors.Join(a.forget(p.label), a.leave(p))
	case p.same && !p.bundle.Again:
		if a.due[p.label] != nil { // services have not been told yet
			r.Live = append(r.Live, p.label)
		}
		return a.leave(p)
	case p.same:
		r.Live = append(r.Live, p.label) // so that services are told of it
		return errors.Join(a.mark(p.bundle), a.leave(p))
	}
	return a.mark(p.bundle)
}

// leave takes out of staging what is live. Of a parcel nothing lies there, but
// something older may.
func (a *Agent) leave(p proposal) error {
	if p.unstaged {
		return a.staging.drop(p.name)
	}
	return a.staging.clear(p.name, p.files)
}
