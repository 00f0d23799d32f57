package bench

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/work"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
)

// piece is what River is given: a kind of work and the row it is about.
type piece struct {
	Of string `json:"of" river:"unique"`
	ID int64  `json:"id" river:"unique"`
}

// Kind is River's word for who does it.
func (piece) Kind() string { return "row" }

// InsertOpts keeps a row from being queued twice. A piece is tried once: what
// failed has its next due time on its row.
func (piece) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: 1, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning, rivertype.JobStateScheduled}}}
}

// doer does a piece and says when few are left.
type doer struct {
	river.WorkerDefaults[piece]
	w     *work.Work
	stop  context.Context
	ahead atomic.Int64
	low   chan struct{}
}

// Work does one; what went wrong is on the row.
func (d *doer) Work(ctx context.Context, j *river.Job[piece]) error {
	k, err := d.w.KindNamed(j.Args.Of)
	if err != nil {
		return err
	}
	k.Do(work.WithStop(ctx, d.stop), j.Args.ID)
	if d.ahead.Add(-1) < 32 {
		select {
		case d.low <- struct{}{}:
		default:
		}
	}
	return nil
}

// rivers is River on one engine.
type rivers struct {
	insert func(context.Context, []river.InsertManyParams) ([]*rivertype.JobInsertResult, error)
	start  func(context.Context) error
	stop   func(context.Context) error
	queued func(context.Context) (map[piece]bool, error) // true: begun
	leads  func(context.Context) (bool, error)
}

// byRiver turns the handle by River.
func byRiver(ctx context.Context, a *app.App) error {
	d := &doer{w: a.Work, stop: ctx, low: make(chan struct{}, 1)}
	if a.DB.Postgres() {
		return byPostgres(ctx, a, d)
	}
	return inMemory(ctx, d)
}

var memories atomic.Int64

// quiet is the SQLite driver without its poll for notifications every 50 ms:
// who inserts in this process tells the workers directly.
type quiet struct{ *riversqlite.Driver }

// SupportsListener says that there is none.
func (quiet) SupportsListener() bool { return false }

// SupportsListenNotify says that there is none.
func (quiet) SupportsListenNotify() bool { return false }

// inMemory is the queue beside a SQLite store. In the store itself it would
// hold, or wait for, the one writer; all of it follows from the rows, so it may
// be lost.
func inMemory(ctx context.Context, d *doer) error {
	db, err := sql.Open("sqlite", fmt.Sprintf("file:/queue-%d?vfs=memdb&_pragma=busy_timeout(5000)", memories.Add(1)))
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(2) // one works, one is held: with the last the memory goes
	held, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer held.Close()
	r, err := open(ctx, d, quiet{riversqlite.New(db)})
	if err != nil {
		return err
	}
	r.leads = func(context.Context) (bool, error) { return true, nil }
	r.queued = func(ctx context.Context) (map[piece]bool, error) {
		rows, err := db.QueryContext(ctx, "SELECT json_extract(args, '$.of'), json_extract(args, '$.id'), state = 'running' FROM river_job WHERE state IN ('available', 'running')")
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		out := map[piece]bool{}
		for rows.Next() {
			var p piece
			var begun bool
			if err := rows.Scan(&p.Of, &p.ID, &begun); err != nil {
				return nil, err
			}
			out[p] = begun
		}
		return out, rows.Err()
	}
	return d.run(ctx, r)
}

func byPostgres(ctx context.Context, a *app.App, d *doer) error {
	pool, err := pgxpool.New(ctx, string(a.Config.Database))
	if err != nil {
		return err
	}
	defer pool.Close()
	one, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	if _, err := one.Exec(ctx, "SELECT pg_advisory_lock(1)"); err != nil { // one node makes the tables
		return err
	}
	r, err := open(ctx, d, riverpgxv5.New(pool))
	one.Conn().Close(ctx)
	one.Release()
	if err != nil {
		return err
	}
	r.leads = func(ctx context.Context) (bool, error) {
		var who string
		err := pool.QueryRow(ctx, "SELECT leader_id FROM river_leader WHERE expires_at > now()").Scan(&who)
		if errors.Is(err, pgx.ErrNoRows) {
			return true, nil
		}
		return who == a.Work.Owner, err
	}
	r.queued = func(ctx context.Context) (map[piece]bool, error) {
		rows, err := pool.Query(ctx, "SELECT args, state = 'running' FROM river_job WHERE state IN ('available', 'running')")
		if err != nil {
			return nil, err
		}
		out := map[piece]bool{}
		var args []byte
		var begun bool
		_, err = pgx.ForEachRow(rows, []any{&args, &begun}, func() error {
			var p piece
			err := json.Unmarshal(args, &p)
			out[p] = begun
			return err
		})
		return out, err
	}
	return d.run(ctx, r)
}

func open[T any](ctx context.Context, d *doer, driver riverdriver.Driver[T]) (*rivers, error) {
	silent := slog.New(slog.DiscardHandler)
	m, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: silent})
	if err != nil {
		return nil, err
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, fmt.Errorf("make the tables of the queue: %w", err)
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, d)
	c, err := river.NewClient(driver, &river.Config{
		ID: d.w.Owner, Workers: workers, Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 32}},
		FetchCooldown: 20 * time.Millisecond, FetchPollInterval: time.Second, JobTimeout: -1, RescueStuckJobsAfter: 10 * time.Minute,
		CompletedJobRetentionPeriod: 10 * time.Second, Logger: silent,
	})
	if err != nil {
		return nil, err
	}
	return &rivers{insert: c.InsertMany, start: c.Start, stop: c.Stop}, nil
}
