package work

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/riverqueue/river/riverdriver/riversqlite"
	_ "modernc.org/sqlite" // the driver
)

// memory is River's queue beside a SQLite store. In the store itself it would
// wait for, or hold, the one writer, and each of its changes would wait for the
// disk; all of it follows from the rows, so it may be lost.
type memory struct {
	db   *sql.DB
	kept *sql.Conn // with the last connection the memory would go
	id   string
}

// quiet is River's SQLite driver without its poll for notifications every 50 ms:
// who inserts in this process tells the workers directly.
type quiet struct{ *riversqlite.Driver }

// SupportsListener says that there is none.
func (quiet) SupportsListener() bool { return false }

// SupportsListenNotify says that there is none.
func (quiet) SupportsListenNotify() bool { return false }

func (q *queue) inMemory(ctx context.Context) error {
	db, err := sql.Open("sqlite", fmt.Sprintf("file:/queue-%d?vfs=memdb&_pragma=busy_timeout(5000)", clients.Load()))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(2) // one is kept, one works
	m := &memory{db: db, id: q.id}
	q.tables = m
	if m.kept, err = db.Conn(ctx); err == nil {
		q.river, err = open(ctx, q, quiet{riversqlite.New(db)})
	}
	if err != nil {
		m.close()
	}
	return err
}

func (m *memory) close() {
	if m.kept != nil {
		m.kept.Close()
	}
	m.db.Close()
}

// leader is this process: nobody else sees its memory.
func (m *memory) leader(context.Context) (string, error) { return m.id, nil }

// freeDead has nothing to do: the queue died with who held something.
func (m *memory) freeDead(context.Context) (bool, error) { return false, nil }

func (m *memory) drop(ctx context.Context, jobs []int64, _ time.Duration) error {
	for _, id := range jobs { // few: what rests
		if _, err := m.db.ExecContext(ctx, "DELETE FROM river_job WHERE id = $1 AND state <> 'running'", id); err != nil {
			return err
		}
	}
	return nil
}

// beat has nobody to tell.
func (m *memory) beat(context.Context, []int64, time.Duration) error { return nil }

func (m *memory) held(ctx context.Context, _ time.Duration) (map[row]held, error) {
	rows, err := m.db.QueryContext(ctx, `SELECT id, json_extract(args, '$.of'), json_extract(args, '$.id'), state = 'running', attempt > 0 AND state <> 'running',
		coalesce(86400 * (julianday('now') - julianday(attempted_at)), 0) FROM river_job WHERE state IN ('available', 'running', 'retryable', 'scheduled')`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[row]held{}
	for rows.Next() {
		var r row
		var h held
		var ago float64
		if err := rows.Scan(&h.id, &r.kind, &r.id, &h.begun, &h.rests, &ago); err != nil {
			return nil, err
		}
		h.tried = before(ago)
		out[r] = h
	}
	return out, rows.Err()
}

// before is a moment that the database reckons as so many seconds ago.
func before(seconds float64) time.Time {
	return time.Now().Add(-time.Duration(seconds * float64(time.Second)))
}
