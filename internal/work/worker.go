package work

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/riverqueue/river"
)

// worker does jobs of all kinds.
type worker struct {
	river.WorkerDefaults[job]
	q *queue
}

// Work does one.
func (d *worker) Work(ctx context.Context, j *river.Job[job]) error {
	q := d.q
	q.take(j.ID)
	defer q.leave(j.ID)
	k, err := q.w.KindNamed(j.Args.Of)
	if err != nil {
		return river.JobCancel(err) // another release's
	}
	ctx = WithStop(ctx, q.stops)
	r, since := row{k.Name, j.Args.ID}, time.Now()
	taken := sync.OnceFunc(func() { q.taken(k.Name) })
	defer taken()
	if k.Gated {
		ctx, since = guarded(ctx, q.gate, func() { taken(); q.w.entered(r) }), time.Time{}
	} else {
		taken()
	}
	if Stopping(ctx) || !q.w.begin(r, since) {
		return nil
	}
	defer q.w.end(r)
	return failed(q.w.do(ctx, k, r.id))
}

// take notes a job as this process's until it leaves it.
func (q *queue) take(job int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mine[job] = true
}

func (q *queue) leave(job int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.mine, job)
}

// jobs are those that were taken and not left.
func (q *queue) jobs() []int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Collect(maps.Keys(q.mine))
}
