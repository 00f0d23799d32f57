package work

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

// shared is River's queue in a PostgreSQL store, one for all nodes. Its jobs
// follow from our rows, so they are kept in an unlogged table.
type shared struct{ pool *pgxpool.Pool }

// connections are River's own, one of which listens.
const connections = 6

// makers is the advisory lock of who makes River's tables.
const makers = 0x63657274666c6574

func (q *queue) inPostgres(ctx context.Context) error {
	pool, err := q.w.DB.Pool(ctx, connections)
	if err != nil {
		return err
	}
	s := &shared{pool}
	q.tables = s
	if err = s.make(ctx, q); err != nil {
		s.close()
	}
	return err
}

// make has one node at a time make the tables.
func (s *shared) make(ctx context.Context, q *queue) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	one, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer one.Release()
	if _, err := one.Exec(ctx, "SELECT pg_advisory_lock($1)", makers); err != nil {
		return err
	}
	defer one.Conn().Close(context.WithoutCancel(ctx)) // and with it the lock
	if err := alone(ctx, one.Conn()); err != nil {
		return err
	}
	if q.river, err = open(ctx, q, riverpgxv5.New(s.pool)); err != nil {
		return err
	}
	var logged bool
	if err := one.QueryRow(ctx, "SELECT relpersistence = 'p' FROM pg_class WHERE oid = 'river_job'::regclass").Scan(&logged); err != nil || !logged {
		return err
	}
	_, err = one.Exec(ctx, "ALTER TABLE river_job SET UNLOGGED")
	return err
}

// alone refuses a database in which another program uses River: its jobs would
// be in the tables that are ours to lose.
func alone(ctx context.Context, c *pgx.Conn) error {
	var there, others bool
	if err := c.QueryRow(ctx, "SELECT to_regclass('river_job') IS NOT NULL").Scan(&there); err != nil || !there {
		return err
	}
	if err := c.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM river_job WHERE kind <> $1)", ours).Scan(&others); err != nil || !others {
		return err
	}
	return &certfleet.Error{Kind: certfleet.Conflict, Msg: "another program keeps its jobs (River) in this database", Advice: "give certfleet a database of its own"}
}

func (s *shared) close() { s.pool.Close() }

func (s *shared) leader(ctx context.Context) (string, error) {
	var id string
	err := s.pool.QueryRow(ctx, "SELECT leader_id FROM river_leader WHERE expires_at > $1", time.Now()).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	return id, err
}

func (s *shared) held(ctx context.Context, lease time.Duration) (map[row]held, error) {
	rows, err := s.pool.Query(ctx, `SELECT id, args, state = 'running', state = 'running' AND attempted_at < $1 FROM river_job
		WHERE state IN ('available', 'running', 'retryable', 'scheduled')`, time.Now().Add(-lease))
	if err != nil {
		return nil, err
	}
	out := map[row]held{}
	var args []byte
	var h held
	_, err = pgx.ForEachRow(rows, []any{&h.id, &args, &h.begun, &h.stale}, func() error {
		var p job
		err := json.Unmarshal(args, &p)
		out[row{p.Of, p.ID}] = h
		return err
	})
	return out, err
}

func (s *shared) drop(ctx context.Context, jobs []int64) error {
	_, err := s.pool.Exec(ctx, "DELETE FROM river_job WHERE id = ANY($1) AND state = 'running'", jobs)
	return err
}

// freeDead takes away what dead processes of this host had begun.
func (s *shared) freeDead(ctx context.Context) (bool, error) {
	rows, err := s.pool.Query(ctx, "SELECT DISTINCT attempted_by[array_upper(attempted_by, 1)] FROM river_job WHERE state = 'running'")
	if err != nil {
		return false, err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return false, err
	}
	freed := false
	for _, name := range names {
		if !dead(who(name), true) {
			continue
		}
		tag, err := s.pool.Exec(ctx, "DELETE FROM river_job WHERE state = 'running' AND attempted_by[array_upper(attempted_by, 1)] = $1", name)
		if err != nil {
			return freed, err
		}
		freed = freed || tag.RowsAffected() > 0
	}
	return freed, nil
}
