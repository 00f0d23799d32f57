package agent

import (
	"context"

	"github.com/certfleet/certfleet"
)

// pullRounds bounds how often one sync asks for more.
const pullRounds = 100

// fetchAll brings live what waits at the manager, for one-shot use. A manager
// that is away costs a warning.
func (a *Agent) fetchAll(ctx context.Context) {
	if !a.report(ctx) || !a.told.pullNow() {
		return
	}
	for range pullRounds {
		n, err := a.told.pullOnce(ctx, 0, make(chan struct{}, 1))
		if err != nil {
			a.log.Warn("not all could be fetched", "error", err, "advice", certfleet.AdviceOf(err))
		}
		if n == 0 || err != nil {
			return
		}
	}
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
