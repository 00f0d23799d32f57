package agent

import (
	"context"
	"crypto/rand"
	"maps"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/updater"
)

// How a manager is told.
const (
	reportEvery = 15 * time.Minute // at the longest, less a tenth by chance
	wholeEvery  = 12 * time.Hour   // everything, not only what changed
	gather      = 300 * time.Millisecond
	reportPart  = 200              // lineages in one request
	reportLooks = 20 * time.Second // at the service beside us, for one report
	updaterSaid = 2000             // bytes that are told of an updater
	lineageSaid = 500              // and of a lineage, so that a full request stays far below what a manager takes
	lookAgain   = 2 * time.Second  // at a service that serves something else; doubles with each look
	relooked    = 50               // certificates that an interval's report looks at again
)

// reporter tells the manager what this agent holds. What it has not told yet is
// one mark a certificate, so a manager that is down costs no memory but that.
type reporter struct {
	a *Agent
	m *manager

	sending sync.Mutex // one report at a time

	mu       sync.Mutex
	changed  map[string]bool            // labels to tell of, guarded by mu
	updaters map[string]api.UpdaterNote // guarded by mu
	round    string                     // of the last whole report, guarded by mu
	wholeAt  time.Time                  // when that was, guarded by mu
	pull     bool                       // the manager wants us to fetch, guarded by mu
	unseen   map[string]bool            // labels that the service did not serve at the last look, guarded by mu
	relooks  int                        // after how many looks in a row, guarded by mu
	turn     string                     // the label that was looked at again last, guarded by mu

	refused map[int64]untaken // versions that could not be taken; whoever fetches alone uses it

	wake    chan struct{} // something is to be told
	pulling chan struct{} // something is to be fetched from now on
}

func newReporter(a *Agent, id *identity) *reporter {
	return &reporter{a: a, m: newManager(id), changed: map[string]bool{}, unseen: map[string]bool{}, refused: map[int64]untaken{}, updaters: map[string]api.UpdaterNote{}, wake: make(chan struct{}, 1), pulling: make(chan struct{}, 1)}
}

// touched notes that something about these certificates is to be told.
func (r *reporter) touched(labels ...string) {
	if r == nil || len(labels) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range labels {
		r.changed[l] = true
	}
	nudge(r.wake)
}

// updated notes what came of the updaters.
func (r *reporter) updated(results []updater.Result, bundles []certfleet.Bundle) {
	if r == nil {
		return
	}
	r.mu.Lock()
	for _, u := range results {
		if u.Skipped {
			continue
		}
		n := api.UpdaterNote{Name: u.Name, OK: u.OK, At: time.Now().UTC()}
		if u.Err != nil {
			n.Problem, n.Advice = bounded(u.Err.Error(), updaterSaid), bounded(certfleet.AdviceOf(u.Err), updaterSaid)
		}
		r.updaters[u.Name] = n
	}
	r.mu.Unlock()
	for _, b := range bundles {
		r.touched(b.Certificate)
	}
}

func bounded(s string, most int) string { return strings.ToValidUTF8(s[:min(len(s), most)], "") }

// run tells the manager after each change and at an interval, until ctx ends.
// While the manager is away nothing else waits for it.
func (r *reporter) run(ctx context.Context) error {
	failures := 0
	for wait := time.Duration(0); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
			r.lookOver()
		case <-r.wakeUnless(failures > 0):
			if !pause(ctx, gather) {
				return nil
			}
		}
		if err := r.send(ctx); err != nil && ctx.Err() == nil {
			if failures++; failures == 1 {
				r.a.log.Warn("the manager was not told; this goes on without it", "error", err, "advice", certfleet.AdviceOf(err))
			}
			wait = backoff(failures)
			continue
		}
		failures, wait = 0, r.next()
	}
}

// next is how long until the next report when nothing changes: soon while a service
// serves something else, because it may only be slow to reload.
func (r *reporter) next() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.unseen) == 0 {
		r.relooks = 0
		return jitter(reportEvery)
	}
	r.relooks++
	return jitter(min(lookAgain<<min(r.relooks-1, 10), reportEvery))
}

// lookOver has the next report look again at what was not served, and at some of
// the others in turn, so that a service that goes back to an older certificate is
// noticed.
func (r *reporter) lookOver() {
	if len(r.a.c.Serves) == 0 {
		return
	}
	all := r.a.labels()
	slices.Sort(all)
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.Copy(r.changed, r.unseen)
	from, _ := slices.BinarySearch(all, r.turn+"\x00")
	for i := range min(relooked, len(all)) {
		r.turn = all[(from+i)%len(all)]
		r.changed[r.turn] = true
	}
}

// wakeUnless is the channel of changes, but not while the manager is away: then
// they wait for the next try.
func (r *reporter) wakeUnless(away bool) <-chan struct{} {
	if away {
		return nil
	}
	return r.wake
}

func backoff(failures int) time.Duration {
	return jitter(min(retryFirst<<min(failures-1, 10), retryLast))
}

// jitter takes up to a tenth away by chance, so that many agents do not come at once.
func jitter(d time.Duration) time.Duration { return d - mathrand.N(d/10+1) }

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// send tells what changed, or everything when that is due.
func (r *reporter) send(ctx context.Context) error {
	r.sending.Lock()
	defer r.sending.Unlock()
	looking, enough := context.WithTimeout(ctx, reportLooks)
	defer enough()
	labels, round, whole := r.due()
	for part := range slices.Chunk(append(labels, ""), reportPart) { // "" so that there is always one part
		last := part[len(part)-1] == ""
		if last {
			part = part[:len(part)-1]
		}
		orders, err := r.part(ctx, looking, part, round, whole && last)
		if err != nil {
			r.touchedQuietly(labels)
			return err
		}
		if last {
			r.obey(ctx, orders, round, whole)
		}
	}
	return nil
}

// due takes what is to be told. All that is live is told of when the last whole
// report is long ago.
func (r *reporter) due() (labels []string, round string, whole bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	whole = r.round == "" || time.Since(r.wholeAt) > wholeEvery
	if round = r.round; whole {
		round = rand.Text()
		for _, l := range r.a.labels() {
			r.changed[l] = true
		}
	}
	labels = slices.Sorted(maps.Keys(r.changed))
	r.changed = map[string]bool{}
	return labels, round, whole
}

func (r *reporter) touchedQuietly(labels []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range labels {
		r.changed[l] = true
	}
}

func (r *reporter) part(ctx, looking context.Context, labels []string, round string, whole bool) (orders api.AgentOrders, err error) {
	w := api.AgentReport{Release: certfleet.Release, Round: round, Whole: whole}
	for _, l := range labels {
		w.Lineages = append(w.Lineages, r.lineage(looking, l))
	}
	r.mu.Lock()
	for _, name := range slices.Sorted(maps.Keys(r.updaters)) {
		w.Updaters = append(w.Updaters, r.updaters[name])
	}
	r.mu.Unlock()
	w.Clock = time.Now().UTC()
	err = r.m.call(ctx, "/v1/agent/report", w, &orders)
	return orders, err
}

// obey does what the manager asked for.
func (r *reporter) obey(ctx context.Context, o api.AgentOrders, round string, whole bool) {
	r.mu.Lock()
	if whole {
		r.round, r.wholeAt = round, time.Now()
	}
	if o.Whole && !whole {
		r.round = ""
		nudge(r.wake)
	}
	if r.pull = o.Pull; o.Pull {
		nudge(r.pulling)
	}
	r.mu.Unlock()
	if skew := time.Since(o.Clock); skew.Abs() > certfleet.MaxSkew {
		r.a.log.Warn("this machine's clock and the manager's differ", "by", skew.Round(time.Second), "advice", "set the clock, best by NTP")
	}
	if !o.Rejoin {
		return
	}
	if err := r.m.rejoin(ctx, r.a.c.Identity); err != nil {
		r.a.log.Warn("the identity was not renewed; it is tried again with the next report", "error", err)
		return
	}
	r.a.log.Info("the identity is renewed")
	nudge(r.wake) // so that the new key is used, and the old one ends
}
