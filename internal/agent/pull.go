package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/pki/lineage"
)

const (
	pullWait = 25 // seconds that the manager may let us wait
	pullPart = 50 // versions that go live together
)

// pulls fetches what is assigned to this agent while the manager wants that,
// until ctx ends. What came goes live as if it had been pushed.
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
	labels, names, failed := r.fetchSome(ctx, r.a.hopefulFirst(list.Versions))
	if len(names) > 0 {
		got, err := r.a.apply(context.WithoutCancel(ctx), names)
		if err != nil {
			return 0, nil, err
		}
		if live = got.Live; len(live) > 0 {
			nudge(changed)
		}
		for name, p := range got.Problems {
			failed = fmt.Errorf("lineage %s: %w", name, p)
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
// looked at, names the lineages that were staged.
func (r *reporter) fetchSome(ctx context.Context, list []api.Assignment) (labels, names []string, failed error) {
	for _, v := range list {
		if len(names) == pullPart {
			break
		}
		labels = append(labels, v.Certificate)
		if l, _ := r.holding(v.Certificate); l.Fingerprint == v.Fingerprint {
			continue // it is here; only the manager does not know
		}
		name, err := r.fetch(ctx, v)
		if err != nil {
			failed = fmt.Errorf("fetch %s: %w", v.Certificate, err)
			if k := certfleet.KindOf(err); k == certfleet.Unreachable || k == certfleet.Denied {
				break
			}
			continue
		}
		names = append(names, name)
	}
	return labels, names, failed
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
