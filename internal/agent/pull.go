package agent

import (
	"context"
	"encoding/json"
	"fmt"

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
		_, _, err := r.pullOnce(ctx, pullWait, changed)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			failures = 0
			continue
		}
		if failures++; failures == 1 {
			r.a.log.Warn("nothing could be fetched; it is tried again", "error", err, "advice", certfleet.AdviceOf(err))
		}
		if k := certfleet.KindOf(err); k == certfleet.Conflict || k == certfleet.NotFound {
			r.mu.Lock()
			r.pull = false // until a report says otherwise
			r.mu.Unlock()
		}
		if !pause(ctx, backoff(failures)) {
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
		return 0, nil, err
	}
	var labels, names []string
	var failed error
	for _, v := range list.Versions[:min(len(list.Versions), pullPart)] {
		labels = append(labels, v.Certificate)
		if l, _ := r.holding(v.Certificate); l.Fingerprint == v.Fingerprint {
			continue // it is here; only the manager does not know
		}
		name, err := r.fetch(ctx, v)
		if err != nil {
			failed = fmt.Errorf("fetch %s: %w", v.Certificate, err)
			break
		}
		names = append(names, name)
	}
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
