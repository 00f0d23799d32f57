package work

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

// shared is River's queue in a PostgreSQL store, one for all nodes. Its jobs
// follow from our rows, so they are kept in an unlogged table.
type shared struct {
	pool *pgxpool.Pool
	id   string // this process's among River's clients
}

// connections are River's own, one of which listens.
const connections = 6

// makers is the advisory lock of who makes River's tables.
const makers = 0x63657274666c6574

func (q *queue) inPostgres(ctx context.Context) error {
	pool, err := q.w.DB.Pool(ctx, connections)
	if err != nil {
		return err
	}
	s := &shared{pool, q.id}
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
	if err := errors.Join(alone(ctx, one.Conn()), whole(ctx, one.Conn())); err != nil {
		return may(err)
	}
	if q.river, err = open(ctx, q, riverpgxv5.New(s.pool)); err != nil {
		return may(err)
	}
	return may(unlogged(ctx, one.Conn()))
}

// unlogged has the jobs not written to the log of the server, but their numbers:
// those of jobs that are under way must not be given again when a crash empties
// the table. Servers before PostgreSQL 15 know nothing else.
func unlogged(ctx context.Context, c *pgx.Conn) error {
	for _, it := range []struct{ name, is, want string }{{"river_job", "p", "TABLE river_job SET UNLOGGED"}, {"river_job_id_seq", "u", "SEQUENCE river_job_id_seq SET LOGGED"}} {
		var change bool
		err := c.QueryRow(ctx, "SELECT relpersistence = $1::text FROM pg_class WHERE oid = $2::text::regclass", it.is, it.name).Scan(&change)
		if err == nil && change {
			_, err = c.Exec(ctx, "ALTER "+it.want)
		}
		if err != nil {
			return err
		}
	}
	return nil
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

// whole takes away what is left of the tables when somebody took others of them,
// because River would make none anew.
func whole(ctx context.Context, c *pgx.Conn) error {
	var there int
	err := c.QueryRow(ctx, "SELECT count(to_regclass(t)) FROM unnest(ARRAY['river_job', 'river_leader', 'river_queue', 'river_migration']) AS t").Scan(&there)
	if err != nil || there == 4 {
		return err
	}
	var begun bool // to be made: River does one step after the other
	if err := c.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_class WHERE oid = to_regclass('river_job') AND relpersistence = 'p')").Scan(&begun); err != nil || begun {
		return err
	}
	_, err = c.Exec(ctx, `DROP TABLE IF EXISTS river_job, river_leader, river_queue, river_migration, river_notification, river_client, river_client_queue CASCADE;
		DROP FUNCTION IF EXISTS river_job_state_in_bitmask CASCADE; DROP FUNCTION IF EXISTS river_job_notify CASCADE; DROP TYPE IF EXISTS river_job_state CASCADE`)
	return err
}

// may says what to do about a role that may not make tables.
func may(err error) error {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || pg.Code != "42501" {
		return err
	}
	return &certfleet.Error{Kind: certfleet.Denied, Msg: "the database role may not make the tables of the queue", Advice: "have the role own the database's schema, or grant it CREATE there", Err: err}
}

// errGone says that somebody took the tables of the queue away.
var errGone = errors.New("the tables of the queue are gone")

// gone knows errGone by the server's words: no such table, type or function.
func gone(err error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && (pg.Code == "42P01" || pg.Code == "42704" || pg.Code == "42883") {
		return errors.Join(errGone, err)
	}
	return err
}

// close waits for what is under way, but not for a server that does not answer:
// the connections end with their own timeouts.
func (s *shared) close() {
	closed := make(chan struct{})
	go func() { defer close(closed); s.pool.Close() }()
	select {
	case <-closed:
	case <-time.After(brief):
	}
}

// leader goes by the server's clock, as River does.
func (s *shared) leader(ctx context.Context) (string, error) {
	var id string
	err := s.pool.QueryRow(ctx, "SELECT leader_id FROM river_leader WHERE expires_at > now()").Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	return id, gone(err)
}

func (s *shared) held(ctx context.Context, lease time.Duration) (map[row]held, error) {
	rows, err := s.pool.Query(ctx, `SELECT id, args, state = 'running', state = 'running' AND attempted_at < now() - $1::interval, attempt > 0 AND state <> 'running',
		coalesce(extract(epoch FROM now() - attempted_at), 0)::float8 FROM river_job
		WHERE state IN ('available', 'running', 'retryable', 'scheduled') AND kind = $2`, lease, ours)
	if err != nil {
		return nil, gone(err)
	}
	out := map[row]held{}
	var args []byte
	var h held
	var ago float64
	_, err = pgx.ForEachRow(rows, []any{&h.id, &args, &h.begun, &h.stale, &h.rests, &ago}, func() error {
		var p job
		err := json.Unmarshal(args, &p)
		h.tried = before(ago)
		out[row{p.Of, p.ID}] = h
		return err
	})
	return out, gone(err)
}

func (s *shared) drop(ctx context.Context, jobs []int64, lease time.Duration) error {
	_, err := s.pool.Exec(ctx, "DELETE FROM river_job WHERE id = ANY($1) AND (state <> 'running' OR attempted_at < now() - $2::interval)", jobs, lease)
	return gone(err)
}

// lost is how long a job may be begun in this process's name before it knows.
const lost = 20 * time.Second

// beat has the jobs look as if they were begun now, so that nobody takes them for
// abandoned, and takes away those of which this process never heard: the answer
// was lost with the connection.
func (s *shared) beat(ctx context.Context, jobs []int64, lease time.Duration) error {
	if _, err := s.pool.Exec(ctx, "UPDATE river_job SET attempted_at = now() WHERE id = ANY($1) AND state = 'running' AND attempted_at < now() - $2::interval", jobs, lease/3); err != nil {
		return gone(err)
	}
	_, err := s.pool.Exec(ctx, "DELETE FROM river_job WHERE state = 'running' AND attempted_by[array_upper(attempted_by, 1)] = $1 AND attempted_at < now() - $2::interval AND id <> ALL($3)", s.id, lost, jobs)
	return gone(err)
}

// freeDead takes away what dead processes of this host had begun.
func (s *shared) freeDead(ctx context.Context) (bool, error) {
	rows, err := s.pool.Query(ctx, "SELECT DISTINCT attempted_by[array_upper(attempted_by, 1)] FROM river_job WHERE state = 'running'")
	if err != nil {
		return false, gone(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return false, gone(err)
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
