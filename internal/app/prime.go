package app

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

// mostFindings is how many certificates of a run are told one by one.
const mostFindings = 100

// runs are the full writes and comparisons of targets on this node; the last of
// each target is remembered.
type runs struct {
	asked chan func(ctx context.Context)

	mu   sync.Mutex
	last map[runOf]*api.TargetRun // guarded by mu, what it points to as well
}

// runOf says which run: what is prime or verify.
type runOf struct {
	target int64
	what   string
}

func newRuns() *runs {
	return &runs{asked: make(chan func(context.Context)), last: map[runOf]*api.TargetRun{}}
}

// run does what is asked for until ctx ends, and waits for what is under way.
func (r *runs) run(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case do := <-r.asked:
			group.Go(func() { do(ctx) })
		}
	}
}

// change changes the row of a run.
func (r *runs) change(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

func (r *runs) of(k runOf) (api.TargetRun, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	row, ok := r.last[k]
	if !ok {
		return api.TargetRun{}, false
	}
	out := *row
	out.Findings = slices.Clone(row.Findings)
	return out, true
}

// begin takes the place of a target's run; false when one is under way.
func (r *runs) begin(k runOf, row *api.TargetRun) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now, ok := r.last[k]; ok && now.State == "running" {
		return false
	}
	r.last[k] = row
	return true
}

// StartRun starts a prime or a verify of a target, or finds the one that is under way.
func (a *App) StartRun(ctx context.Context, target int64, what string) (api.TargetRun, error) {
	stored, err := a.DB.Target(ctx, target)
	if err != nil {
		return api.TargetRun{}, err
	}
	if err := a.canPrime(stored); err != nil {
		return api.TargetRun{}, err
	}
	total, err := a.DB.CountAt(ctx, target)
	if err != nil {
		return api.TargetRun{}, err
	}
	k := runOf{target, what}
	row := &api.TargetRun{Target: stored.Label, What: what, State: "running", Total: total, StartedAt: time.Now().UTC(), Findings: []api.Finding{}}
	if a.runs.begin(k, row) {
		if err := a.hand(ctx, stored, row); err != nil {
			return api.TargetRun{}, err
		}
	}
	out, _ := a.runs.of(k)
	return out, nil
}

func (a *App) canPrime(stored *certfleet.StoredTarget) error {
	t, err := a.target(stored)
	if err != nil {
		return err
	}
	if _, ok := t.(certfleet.Primer); !ok {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("target %s is of type %s, which is not written whole", stored.Label, stored.Type),
			Advice: "deliver to it again: certfleet targets deliver " + stored.Label + " --force"}
	}
	return nil
}

// hand gives the run to the goroutine that owns runs. Where nothing runs, as with
// --offline, nobody takes it.
func (a *App) hand(ctx context.Context, stored *certfleet.StoredTarget, row *api.TargetRun) error {
	wait, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	select {
	case a.runs.asked <- func(ctx context.Context) { a.doRun(ctx, stored, row) }:
		return nil
	case <-wait.Done():
		a.runs.change(func() { row.State = "failed" })
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: "nothing works here that could do it", Advice: "leave --offline out, and start the manager: certfleet serve"}
	}
}

func (a *App) doRun(ctx context.Context, stored *certfleet.StoredTarget, row *api.TargetRun) {
	ctx = store.WithActor(ctx, "node:"+a.Work.Owner)
	do := a.doPrime
	if row.What == "verify" {
		do = a.doVerify
	}
	err := do(ctx, stored, row)
	a.runs.change(func() { endRun(row, err, ctx.Err() != nil) })
	done, _ := a.runs.of(runOf{stored.ID, row.What})
	if err := a.noteRun(context.WithoutCancel(ctx), stored, done); err != nil {
		a.Log.Warn("cannot note how a run ended", "target", stored.Label, "what", row.What, "err", err)
	}
}

func endRun(row *api.TargetRun, err error, ended bool) {
	now := time.Now().UTC()
	row.State, row.EndedAt = "done", &now
	switch {
	case err != nil && ended:
		row.State, row.Problem, row.Advice = "interrupted", "the node ended", "start it again; a prime goes on where it was"
	case err != nil:
		row.State, row.Problem, row.Advice = "failed", err.Error(), certfleet.AdviceOf(err)
	}
}

func (a *App) noteRun(ctx context.Context, stored *certfleet.StoredTarget, row api.TargetRun) error {
	msg := fmt.Sprintf("%s of %s: %s; %d of %d certificates, %d failed", row.What, stored.Label, row.State, row.Certificates, row.Total, row.Failed)
	if row.Problem != "" {
		msg += ": " + row.Problem
	}
	return a.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		return tx.Event(ctx, certfleet.Event{Kind: "target." + row.What, Tenant: stored.Tenant, TargetID: stored.ID, Msg: msg})
	})
}

func (a *App) doPrime(ctx context.Context, stored *certfleet.StoredTarget, row *api.TargetRun) error {
	_, err := a.Deliver.Prime(ctx, stored, func(p certfleet.Progress, failed []certfleet.Receipt) {
		a.runs.change(func() {
			row.Certificates, row.Names = max(row.Certificates, p.Certificates), max(row.Names, p.Names)
			for _, rc := range failed {
				addFinding(row, api.Finding{Certificate: rc.Certificate, Want: rc.Fingerprint}, rc.Err)
			}
		})
	})
	return err
}

func (a *App) doVerify(ctx context.Context, stored *certfleet.StoredTarget, row *api.TargetRun) error {
	_, err := a.Deliver.Verify(ctx, stored, func(n int) { a.runs.change(func() { row.Certificates = n }) }, func(d certfleet.Difference) {
		a.runs.change(func() { addFinding(row, api.Finding{Certificate: d.Certificate, Want: d.Want, Have: d.Have}, d.Err) })
	})
	return err
}

// addFinding notes one that is not as it should be.
func addFinding(row *api.TargetRun, f api.Finding, err error) {
	if row.Failed++; len(row.Findings) == mostFindings {
		return
	}
	if err != nil {
		f.Problem, f.Advice = err.Error(), certfleet.AdviceOf(err)
	}
	row.Findings = append(row.Findings, f)
}

// targetRun tells how the last prime or verify of a target stands on this node.
func (a *App) targetRun(target int64, what string) (api.TargetRun, bool) {
	return a.runs.of(runOf{target, what})
}

// fronted builds a target that has servers in front of it.
func (a *App) fronted(stored *certfleet.StoredTarget) (certfleet.Fronted, error) {
	t, err := a.target(stored)
	if err != nil {
		return nil, err
	}
	f, ok := t.(certfleet.Fronted)
	if !ok {
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("target %s is of type %s, which has no servers in front of it", stored.Label, stored.Type),
			Advice: "name a target of type redis"}
	}
	return f, nil
}
