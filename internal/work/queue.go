package work

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
)

// job is what River is given: the row that is to be worked on. Nothing else is in
// it, so that a queue that is lost loses nothing.
type job struct {
	Of string `json:"of" river:"unique"` // the kind of work
	ID int64  `json:"id" river:"unique"` // its row
}

// ours is the kind of all jobs; River's own tables have nothing else in them.
const ours = "certfleet"

// Kind is River's word for who does it.
func (job) Kind() string { return ours }

// tries is how often River tries a job itself; then its row is queued anew.
const tries = 8

// InsertOpts queues a row once, however often it is found due.
func (j job) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: j.Of, MaxAttempts: tries, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning, rivertype.JobStateRetryable, rivertype.JobStateScheduled}}}
}

// ladder is when a job is tried again that failed without saying so on its row:
// after 1, 2, 4 seconds and so on, at most a minute, and in the first of River's looks
// after that (see poll).
type ladder struct{}

// NextRetry is River's question.
func (ladder) NextRetry(j *rivertype.JobRow) time.Time {
	return time.Now().Add(min(time.Second<<(max(j.Attempt, 1)-1), time.Minute))
}

// client is River on either database.
type client interface {
	InsertMany(context.Context, []river.InsertManyParams) ([]*rivertype.JobInsertResult, error)
	JobList(context.Context, *river.JobListParams) (*river.JobListResult, error)
	Start(context.Context) error
	Stop(context.Context) error
	StopAndCancel(context.Context) error
}

// held is a job that River has.
type held struct {
	id    int64
	begun bool      // somebody works on it
	stale bool      // and has not said so for longer than a claim may be held without renewing it
	rests bool      // it failed and is tried again later
	tried time.Time // when it was begun last
}

// tables is what we ask of River's tables that it does not tell itself.
type tables interface {
	held(ctx context.Context, lease time.Duration) (map[row]held, error)
	leader(ctx context.Context) (string, error)                        // empty where there is none now
	freeDead(ctx context.Context) (bool, error)                        // true when somebody dead held something
	drop(ctx context.Context, jobs []int64, lease time.Duration) error // of those that are stale or rest
	beat(ctx context.Context, jobs []int64, lease time.Duration) error // says that this process works on these and on no others
	close()
}

// queue is River at work.
type queue struct {
	tables
	w     *Work
	id    string
	river client
	gate  *gate
	ahead map[string]*level
	low   chan struct{} // gets a value when few of a kind wait and more are due
	stops context.Context
	log   *slog.Logger

	mu   sync.Mutex
	mine map[int64]bool // River's jobs that are worked on or wait at the gate here; guarded by mu
}

// level is how many rows of a kind wait, as far as this process knows.
type level struct {
	n    atomic.Int64
	more atomic.Bool // more were due than there was room for
}

// taken notes that one waits no more, and asks for a look when few do.
func (q *queue) taken(kind string) {
	if l := q.ahead[kind]; l.n.Add(-1) < few && l.more.Load() {
		select {
		case q.low <- struct{}{}:
		default:
		}
	}
}

// waits is how many rows of all kinds wait.
func (q *queue) waits() int64 {
	n := int64(0)
	for _, l := range q.ahead {
		n += max(0, l.n.Load())
	}
	return n
}

var clients atomic.Int64

// queue opens the queue that goes with the store.
func (w *Work) queue(ctx context.Context) (*queue, error) {
	q := &queue{w: w, id: fmt.Sprintf("%s~%d", w.Owner, clients.Add(1)), gate: newGate(w.workers()), ahead: map[string]*level{}, low: make(chan struct{}, 1), stops: ctx,
		log: slog.New(newCalm(w.Log.Handler())), mine: map[int64]bool{}}
	for _, k := range w.Kinds {
		q.ahead[k.Name] = &level{}
	}
	q.id = q.id[max(0, len(q.id)-100):] // River takes no more; what is cut off is of the host's name
	var err error
	if w.DB.Postgres() {
		err = q.inPostgres(ctx)
	} else {
		err = q.inMemory(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("open the queue of work: %w", err)
	}
	return q, nil
}

// perPlace is how many orders may wait for their CA for each that is worked on;
// each costs some memory.
const perPlace = 8

// queues has a queue for each kind of work: a CA that does not answer must not
// keep what is to be delivered waiting.
func (q *queue) queues() map[string]river.QueueConfig {
	out := map[string]river.QueueConfig{}
	for _, k := range q.w.Kinds {
		n := q.w.workers()
		if k.Gated {
			n += n * perPlace
		}
		out[k.Name] = river.QueueConfig{MaxWorkers: n}
	}
	return out
}

// poll is how often River looks by itself whether something waits. It is told of
// what is queued; what it tries again is all it finds so.
const poll = 5 * time.Second

// open migrates River's tables and makes a client, which is not started yet.
func open[T any](ctx context.Context, q *queue, driver riverdriver.Driver[T]) (client, error) {
	log := slog.New(rivers{q.log.Handler()})
	m, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: log})
	if err != nil {
		return nil, err
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, fmt.Errorf("make the tables of the queue: %w", err)
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &worker{q: q})
	return river.NewClient(driver, &river.Config{
		ID: q.id, Workers: workers, Queues: q.queues(), Logger: log, RetryPolicy: ladder{},
		FetchCooldown: 50 * time.Millisecond, FetchPollInterval: poll,
		JobTimeout:                  -1, // every wait in there has its own end
		CompletedJobRetentionPeriod: 10 * time.Second, DiscardedJobRetentionPeriod: time.Hour,
	})
}

// moment is how long work may take to end that was cut off, for the store has ten
// seconds to take back what was claimed; brief how long the queue may take to write
// down what is done when nothing is worked on.
const (
	moment = 12 * time.Second
	brief  = 2 * time.Second
)

// stop lets what is in flight finish, and cuts it off when that takes too long.
func (q *queue) stop(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	grace, cancel := context.WithTimeout(ctx, q.w.grace())
	defer cancel()
	err := q.river.Stop(grace)
	if err == nil || !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	left := moment
	if len(q.w.Running()) == 0 {
		left = brief
	}
	cut, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	err = q.river.StopAndCancel(cut)
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if n := len(q.w.Running()); n > 0 {
		return fmt.Errorf("end the work: %d rows are still worked on %s after they were cut off", n, left)
	}
	q.log.Warn("the queue could not be told what is done, for its database does not answer; nothing is lost")
	return nil
}

// who is the process behind a client's name.
func who(client string) string {
	owner, _, _ := strings.Cut(client, "~")
	return owner
}
