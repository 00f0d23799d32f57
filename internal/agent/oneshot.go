package agent

import (
	"context"

	"github.com/certfleet/certfleet"
)

const (
	pullRounds = 100 // how often one sync asks for more
	syncLooks  = 5   // how often it looks at a service that is slow to reload
)

// fetchAll brings live what waits at the manager, for one-shot use, and answers
// what that was. A manager that is away costs a warning.
func (a *Agent) fetchAll(ctx context.Context) (live []string) {
	if !a.report(ctx) || !a.told.pullNow() {
		return nil
	}
	for range pullRounds {
		n, more, err := a.told.pullOnce(ctx, 0, make(chan struct{}, 1))
		live = append(live, more...)
		if err != nil {
			a.log.Warn("not all could be fetched", "error", err, "advice", certfleet.AdviceOf(err))
		}
		if n == 0 || err != nil {
			break
		}
	}
	return live
}

// report tells the manager, where there is one, and reports whether it took it.
func (a *Agent) report(ctx context.Context) bool {
	if a.told == nil {
		return false
	}
	err := a.told.send(ctx)
	if err != nil {
		a.log.Warn("the manager was not told; this goes on without it", "error", err, "advice", certfleet.AdviceOf(err))
	}
	return err == nil
}

// reportServed tells the manager, and again when a service that was slow to reload
// serves what is live.
func (a *Agent) reportServed(ctx context.Context) {
	for range syncLooks {
		if !a.report(ctx) || !a.told.unserved() || !pause(ctx, lookAgain/2) {
			return
		}
		a.told.lookOver()
	}
}

// unserved reports whether the service served something else at the last look.
func (r *reporter) unserved() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.unseen) > 0
}
