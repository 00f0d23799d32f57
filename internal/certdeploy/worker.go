package certdeploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
)

// After a round of tries without success the next one waits for firstWait, and
// twice as long each time, up to lastWait.
const (
	firstWait = 5 * time.Minute
	lastWait  = 6 * time.Hour
)

// work pushes a client's jobs through one connection, all of them once.
func (s *server) work(ctx context.Context, p peer, jobs []job) {
	release, ok, err := s.q.hold(p.identity())
	if err != nil {
		s.log.Error(fmt.Sprintf("Pushing to %s: %v", p, err))
	}
	if !ok {
		return // another process pushes there now
	}
	defer release()
	var going []job
	var bundles []certfleet.Bundle
	for _, j := range jobs {
		b, err := loadLineage(j.lineage)
		switch {
		case errors.Is(err, errGone):
			s.log.Warn(fmt.Sprintf("Lineage %s is gone, so that there is nothing to push to %s.", j.lineage, p))
			s.note(s.q.done(ctx, j))
		case err != nil:
			j.tries = *p.retries // trying again soon would meet the same file
			s.unpushed(ctx, p, j, err)
		default:
			s.log.Info(fmt.Sprintf("Pushing %s to %s", j.lineage, p))
			going, bundles = append(going, j), append(bundles, b)
		}
	}
	if len(going) > 0 {
		s.deliver(ctx, p, going, bundles)
	}
}

func (s *server) deliver(ctx context.Context, p peer, jobs []job, bundles []certfleet.Bundle) {
	receipts, err := p.target.Deliver(ctx, bundles, nil)
	if ctx.Err() != nil {
		return // we are stopped; what was pushed is pushed again
	}
	good := 0
	for i, j := range jobs {
		failed := err
		if failed == nil {
			failed = receipts[i].Err
		}
		if failed != nil {
			s.unpushed(ctx, p, j, failed)
			continue
		}
		good++
		s.log.Info(fmt.Sprintf("Pushed %s to %s in %d attempts", j.lineage, p, j.tries+1))
		s.note(s.q.done(ctx, j))
	}
	if good == len(jobs) {
		s.log.Info(fmt.Sprintf("Done pushing all lineages to %s", p))
	}
}

// unpushed keeps a job: for a retry of this round, or for the next round.
func (s *server) unpushed(ctx context.Context, p peer, j job, err error) {
	now := time.Now()
	j.tries++
	if j.tries <= *p.retries && !s.c.failFast {
		wait := time.Duration(*p.retryInterval) * time.Second
		s.log.Info(fmt.Sprintf("Attempt #%d failed. Retrying sync to %s in %d seconds.", j.tries, p, *p.retryInterval), "error", err)
		s.note(s.q.later(ctx, j, now.Add(wait), err.Error()))
		return
	}
	s.log.Warn(fmt.Sprintf("Attempt #%d of %d failed. Not retrying sync %s to %s.", j.tries, 1+*p.retries, j.lineage, p))
	wait := min(firstWait<<min(j.rounds, 10), lastWait)
	j.tries, j.rounds = 0, j.rounds+1
	s.note(s.q.later(ctx, j, now.Add(wait), err.Error()))
	s.log.Error(fmt.Sprintf("Lineage %s is not pushed to %s and stays in the queue: %v", j.lineage, p, err), "advice", certfleet.AdviceOf(err))
	s.fail(fmt.Errorf("push %s to %s: %w", j.lineage, p, err))
}

// note reports that the queue could not be written; the job is then tried again.
func (s *server) note(err error) {
	if err != nil {
		s.log.Error(fmt.Sprintf("The queue cannot be written: %v", err))
	}
}
