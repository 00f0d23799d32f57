// Package updater runs updaters in their configured order after something was
// delivered, so that the services beside it use what changed.
package updater

import (
	"context"
	"log/slog"
	"path"
	"slices"
	"time"

	"github.com/certfleet/certfleet"
)

// The defaults of an Item.
const (
	Timeout = 60 * time.Second // of one attempt
	Retries = 2                // after the first attempt
	Pause   = time.Second      // before the first retry; doubles with each
	maxWait = time.Minute      // the longest pause
)

// Teller is an Updater that also answers what the service said.
type Teller interface {
	certfleet.Updater
	Tell(ctx context.Context, changed []certfleet.Bundle) (said string, err error)
}

// Item is one updater in the list.
type Item struct {
	Name    string
	Updater certfleet.Updater
	// For are the labels of the certificates that it depends on; a star stands
	// for anything (path.Match). None means all.
	For []string
	// Only narrows For further; nil means that it does not.
	Only func(certfleet.Bundle) bool
	// Always runs it when anything changed, whatever For says.
	Always bool
	// Timeout ends one attempt; zero means Timeout.
	Timeout time.Duration
	// Retries follow a failed attempt; zero means Retries, negative means none.
	Retries int
	// Pause comes before the first retry and doubles with each; zero means Pause.
	Pause time.Duration
}

// Result is what came of one Item.
type Result struct {
	Name     string
	OK       bool
	Skipped  bool // nothing that it depends on changed, or an earlier one failed fast
	Said     string
	Attempts int
	Took     time.Duration
	Err      error
}

// Options are about the list as a whole.
type Options struct {
	// FailFast leaves out all that follow a failure. Else one failure stops no other.
	FailFast bool
	Log      *slog.Logger
}

// Run runs the items that depend on what changed, one after the other, and
// answers one Result for each item of the list. When nothing changed none runs.
func Run(ctx context.Context, list []Item, changed []certfleet.Bundle, o Options) []Result {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	results := make([]Result, len(list))
	stopped := false
	for i, item := range list {
		about := item.concerns(changed)
		if stopped || len(about) == 0 {
			results[i] = Result{Name: item.Name, Skipped: true}
			continue
		}
		results[i] = item.run(ctx, about)
		results[i].log(o.Log)
		stopped = !results[i].OK && (o.FailFast || ctx.Err() != nil)
	}
	return results
}

// concerns are the bundles of changed that the item is about.
func (it Item) concerns(changed []certfleet.Bundle) []certfleet.Bundle {
	return slices.DeleteFunc(slices.Clone(changed), func(b certfleet.Bundle) bool {
		return !it.Concerns(b.Certificate) || it.Only != nil && !it.Only(b)
	})
}

// Concerns reports whether the item depends on the certificate with this label.
func (it Item) Concerns(label string) bool {
	return it.Always || len(it.For) == 0 || slices.ContainsFunc(it.For, func(pattern string) bool {
		ok, _ := path.Match(pattern, label)
		return ok || pattern == label
	})
}

func (it Item) run(ctx context.Context, changed []certfleet.Bundle) Result {
	began, r := time.Now(), Result{Name: it.Name}
	tries, pause := 1+max(0, it.retries()), it.pause()
	for r.Attempts < tries {
		if r.Attempts > 0 && !sleep(ctx, pause) {
			break
		}
		if r.Attempts > 0 {
			pause = min(2*pause, maxWait)
		}
		r.Attempts++
		r.Said, r.Err = it.once(ctx, changed)
		if r.OK = r.Err == nil; r.OK || hopeless(r.Err) {
			break
		}
	}
	r.Took = time.Since(began)
	return r
}

// hopeless is an error that the same attempt meets again.
func hopeless(err error) bool { return certfleet.KindOf(err) == certfleet.Invalid }

func (it Item) once(ctx context.Context, changed []certfleet.Bundle) (string, error) {
	limit := it.Timeout
	if limit <= 0 {
		limit = Timeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if t, ok := it.Updater.(Teller); ok {
		return t.Tell(ctx, changed)
	}
	return "", it.Updater.Update(ctx, changed)
}

func (it Item) retries() int {
	if it.Retries == 0 {
		return Retries
	}
	return it.Retries
}

func (it Item) pause() time.Duration {
	if it.Pause <= 0 {
		return Pause
	}
	return it.Pause
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func (r Result) log(l *slog.Logger) {
	if r.OK {
		l.Info("service updated", "updater", r.Name, "took", r.Took, "attempts", r.Attempts)
		return
	}
	l.Error("service not updated", "updater", r.Name, "took", r.Took, "attempts", r.Attempts, "error", r.Err, "advice", certfleet.AdviceOf(r.Err))
}
