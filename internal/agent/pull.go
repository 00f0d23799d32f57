package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/pki/lineage"
)

const (
	pullWait  = 25               // seconds that the manager may let us wait
	pullPart  = 50               // versions that go live together
	pullPause = 10 * time.Second // while nothing waits but what was refused
)

// untaken is a version that could not be taken, and when it is tried again.
type untaken struct {
	times int
	until time.Time
}

// pulls fetches what is assigned to this agent while the manager wants that,
// until ctx ends. What came goes live as if it had been pushed. What is refused
// waits for its own next try, and makes nothing else wait.
func (r *reporter) pulls(ctx context.Context, changed chan struct{}) error {
	failures := 0
	for {
		if !r.pullNow() {
			select {
			case <-ctx.Done():
				return nil
			case <-r.pulling:
				continue
			}
		}
		n, live, err := r.pullOnce(ctx, pullWait, changed)
		if ctx.Err() != nil {
			return nil
		}
		rest := time.Duration(0)
		if len(live) > 0 || err == nil {
			failures = 0
		}
		switch {
		case err != nil:
			if failures++; failures == 1 {
				r.a.log.Warn("not all could be fetched; it is tried again", "error", err, "advice", certfleet.AdviceOf(err))
			}
			rest = backoff(failures)
		case n > 0 && len(live) == 0:
			rest = lookAgain // it is here, and the manager does not know yet
		case n == 0 && len(r.refused) > 0:
			rest = pullPause
		}
		if rest > 0 && !pause(ctx, rest) {
			return nil
		}
	}
}

func (r *reporter) pullNow() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pull
}

// pullOnce asks once, and tells the manager what came of it before it is asked
// again: what it does not know to be here it would hand out again. It answers how
// many there were, and what went live.
func (r *reporter) pullOnce(ctx context.Context, wait int, changed chan struct{}) (n int, live []string, err error) {
	var list api.Assigned
	if err := r.m.call(ctx, "/v1/agent/assigned", api.Ask{WaitSeconds: wait}, &list); err != nil || len(list.Versions) == 0 {
		r.nothingHere(err)
		return 0, nil, err
	}
	ready := r.tried(list.Versions, time.Now())
	if len(ready) == 0 {
		return 0, nil, nil
	}
	labels, staged, failed := r.fetchSome(ctx, r.a.hopefulFirst(ready))
	if len(staged) > 0 {
		got, err := r.a.apply(context.WithoutCancel(ctx), slices.Sorted(maps.Keys(staged)))
		if err != nil {
			return 0, nil, err
		}
		if live = got.Live; len(live) > 0 {
			nudge(changed)
		}
		for name := range got.Problems { // which are told of already
			r.refuse(staged[name])
		}
	}
	r.touched(labels...)
	if err := r.send(ctx); err != nil {
		return 0, live, err
	}
	return len(labels), live, failed
}

// nothingHere ends the asking until a report says otherwise, when the manager has
// nothing that this agent could fetch.
func (r *reporter) nothingHere(err error) {
	if k := certfleet.KindOf(err); k == certfleet.Conflict || k == certfleet.NotFound {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.pull = false
	}
}

// fetchSome stages as many as go live together. One that cannot be had holds up no
// other, unless the manager is away or has no more for us. labels are all that were
// looked at, staged the versions by their lineages.
func (r *reporter) fetchSome(ctx context.Context, list []api.Assignment) (labels []string, staged map[string]int64, failed error) {
	staged = map[string]int64{}
	for _, v := range list {
		if len(staged) == pullPart {
			break
		}
		labels = append(labels, v.Certificate)
		if l, _ := r.holding(v.Certificate); l.Fingerprint == v.Fingerprint {
			continue // it is here; only the manager does not know
		}
		name, err := r.fetch(ctx, v)
		if k := certfleet.KindOf(err); err != nil && (k == certfleet.Unreachable || k == certfleet.Denied) {
			return labels, staged, fmt.Errorf("fetch %s: %w", v.Certificate, err)
		}
		if err != nil {
			r.a.log.Warn("certificate not fetched", "certificate", v.Certificate, "error", err, "advice", certfleet.AdviceOf(err))
			r.refuse(v.Version)
			continue
		}
		staged[name] = v.Version
	}
	return labels, staged, nil
}

// tried are the versions that may be tried now; refusals of others are forgotten.
func (r *reporter) tried(list []api.Assignment, now time.Time) (ready []api.Assignment) {
	kept := map[int64]untaken{}
	for _, v := range list {
		is, refused := r.refused[v.Version]
		if refused {
			kept[v.Version] = is
		}
		if !now.Before(is.until) {
			ready = append(ready, v)
		}
	}
	r.refused = kept
	return ready
}

func (r *reporter) refuse(version int64) {
	is := r.refused[version]
	is.times++
	is.until = time.Now().Add(backoff(is.times))
	r.refused[version] = is
}

// hopefulFirst puts what did not go live before behind the rest.
func (a *Agent) hopefulFirst(list []api.Assignment) []api.Assignment {
	a.mu.Lock()
	defer a.mu.Unlock()
	troubled := func(v api.Assignment) int {
		if name, err := certfleet.LineageName(v.Certificate); err != nil || a.problems[name] != nil {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(list, func(a, b api.Assignment) int { return troubled(a) - troubled(b) })
	return list
}

// fetch puts one version into staging, whole.
func (r *reporter) fetch(ctx context.Context, v api.Assignment) (name string, err error) {
	var w api.AgentBundle
	if err := r.m.call(ctx, fmt.Sprintf("/v1/agent/fetch/%d", v.Version), struct{}{}, &w); err != nil {
		return "", err
	}
	b := certfleet.Bundle{Certificate: v.Certificate, Version: v.Version, ChainPEM: []byte(w.ChainPEM), KeyPEM: certfleet.Secret(w.KeyPEM), Fingerprint: v.Fingerprint}
	defer b.KeyPEM.Wipe()
	if b.Names, err = certfleet.ParseNames(w.Names); err != nil {
		return "", err
	}
	if name, err = certfleet.LineageName(b.Certificate); err != nil {
		return "", err
	}
	return name, r.a.stage(name, b)
}

// stage writes a bundle into staging; the manifest makes it whole.
func (a *Agent) stage(name string, b certfleet.Bundle) error {
	parts, err := lineage.Split(b)
	if err != nil {
		return err
	}
	paper := lineage.Paper{Certificate: b.Certificate, Version: b.Version, Names: b.Names, Files: map[string]string{}}
	for f, text := range parts {
		paper.Files[f] = lineage.Sum(text)
	}
	text, err := json.Marshal(paper)
	if err != nil {
		return err
	}
	a.staging.hold(name)
	defer a.staging.release(name)
	for f, text := range parts {
		if err := a.staging.put(name, f, text); err != nil {
			return err
		}
	}
	return a.staging.put(name, lineage.Manifest, text)
}
