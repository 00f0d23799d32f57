package certdeploy

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/certfleet/certfleet"
)

// queueFile holds the queue, in queue_dir.
const queueFile = "certfleet-queue.sqlite"

// A job is one lineage for one client. It goes when its push succeeded; rev tells
// whether it was queued again meanwhile. A round is a first try and its retries;
// after a round without success there is a longer wait.
const queueSchema = `
CREATE TABLE IF NOT EXISTS job (
	id      INTEGER PRIMARY KEY,
	client  TEXT NOT NULL,
	lineage TEXT NOT NULL,
	rev     INTEGER NOT NULL,
	queued  INTEGER NOT NULL,
	due     INTEGER NOT NULL,
	tries   INTEGER NOT NULL,
	rounds  INTEGER NOT NULL,
	problem TEXT NOT NULL,
	UNIQUE (client, lineage)
);
CREATE INDEX IF NOT EXISTS job_due ON job (due);
PRAGMA user_version = 1;`

// queue is what waits to be pushed. Several processes may have it open.
type queue struct {
	dir string
	db  *sql.DB
}

// job is one lineage for one client.
type job struct {
	id, rev         int64
	client, lineage string
	due             time.Time
	tries, rounds   int64
}

func openQueue(ctx context.Context, dir string) (*queue, error) {
	file, err := filepath.Abs(filepath.Join(dir, queueFile))
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600) // SQLite would let others read it
	if err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	f.Close()
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: file}).EscapedPath()+"?_pragma=busy_timeout(10000)&_pragma=synchronous(FULL)&_txlock=immediate")
	if err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	db.SetMaxOpenConns(1)
	q := &queue{dir: dir, db: db}
	if err := q.prepare(ctx); err != nil {
		db.Close()
		return nil, &certfleet.Error{Kind: certfleet.Internal, Msg: fmt.Sprintf("The queue file %s cannot be used", file), Advice: "look for free space; if the file is damaged, move it away and queue the lineages again with --lineage and --domains", Err: err}
	}
	return q, nil
}

func (q *queue) prepare(ctx context.Context) error {
	var version int
	if err := q.db.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return err
	}
	if version > 1 {
		return fmt.Errorf("it was written by a newer release (version %d)", version)
	}
	if version == 1 {
		return nil
	}
	return q.tx(ctx, func(tx *sql.Tx) error { _, err := tx.ExecContext(ctx, queueSchema); return err })
}

func (q *queue) close() error { return q.db.Close() }

func (q *queue) tx(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := q.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// add queues lineages, by client; one that is there already is due anew.
func (q *queue) add(ctx context.Context, now time.Time, lineages map[string][]string) error {
	return q.tx(ctx, func(tx *sql.Tx) error {
		for _, client := range sortedKeys(lineages) {
			for _, l := range lineages[client] {
				if _, err := tx.ExecContext(ctx, `INSERT INTO job (client, lineage, rev, queued, due, tries, rounds, problem) VALUES ($1, $2, 1, $3, $3, 0, 0, '')
					ON CONFLICT (client, lineage) DO UPDATE SET rev = rev + 1, due = $3, tries = 0, rounds = 0, problem = ''`, client, l, now.UnixMilli()); err != nil {
					return fmt.Errorf("queue %s: %w", l, err)
				}
			}
		}
		return nil
	})
}

// due are the jobs whose time has come, in the order in which they were queued.
func (q *queue) due(ctx context.Context, now time.Time) ([]job, error) {
	return q.list(ctx, `SELECT id, rev, client, lineage, due, tries, rounds FROM job WHERE due <= $1 ORDER BY queued, id`, now.UnixMilli())
}

// fresh are the jobs that had no whole round since they were queued or renewed.
func (q *queue) fresh(ctx context.Context) ([]job, error) {
	return q.list(ctx, `SELECT id, rev, client, lineage, due, tries, rounds FROM job WHERE rounds = 0 ORDER BY queued, id`)
}

// all are the jobs that are there.
func (q *queue) all(ctx context.Context) ([]job, error) {
	return q.list(ctx, `SELECT id, rev, client, lineage, due, tries, rounds FROM job ORDER BY queued, id`)
}

func (q *queue) list(ctx context.Context, query string, args ...any) (out []job, err error) {
	rows, err := q.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read queue: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var j job
		var due int64
		if err := rows.Scan(&j.id, &j.rev, &j.client, &j.lineage, &due, &j.tries, &j.rounds); err != nil {
			return nil, fmt.Errorf("read queue: %w", err)
		}
		j.due = time.UnixMilli(due)
		out = append(out, j)
	}
	return out, rows.Err()
}

// renew makes every job due now, as if it had just been queued.
func (q *queue) renew(ctx context.Context, now time.Time) error {
	_, err := q.db.ExecContext(ctx, `UPDATE job SET due = $1, tries = 0, rounds = 0`, now.UnixMilli())
	return err
}

// done takes a job out, unless it was queued again meanwhile.
func (q *queue) done(ctx context.Context, j job) error {
	_, err := q.db.ExecContext(ctx, `DELETE FROM job WHERE id = $1 AND rev = $2`, j.id, j.rev)
	return err
}

// later keeps a job for another try.
func (q *queue) later(ctx context.Context, j job, due time.Time, problem string) error {
	_, err := q.db.ExecContext(ctx, `UPDATE job SET due = $3, tries = $4, rounds = $5, problem = $6 WHERE id = $1 AND rev = $2`, j.id, j.rev, due.UnixMilli(), j.tries, j.rounds, problem)
	return err
}

// hold keeps other processes from pushing to the same client, which takes one
// connection at a time. The kernel lets go of it when the process dies.
func (q *queue) hold(identity string) (release func(), ok bool, err error) {
	f, err := os.OpenFile(filepath.Join(q.dir, "certfleet-push-"+identity+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, false, fmt.Errorf("open lock: %w", err)
	}
	switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		f.Close()
		return nil, false, nil
	case err != nil:
		f.Close()
		return nil, false, fmt.Errorf("take lock: %w", err)
	}
	return func() { f.Close() }, true, nil
}
