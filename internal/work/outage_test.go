package work_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/trial"
	"github.com/certfleet/certfleet/internal/work"
)

// ledger is a table of rows that are claimed and done in the database, so that
// nodes and restarts see what the others did.
type ledger struct {
	t   *testing.T
	srv *storetest.Server
}

func newLedger(t *testing.T, rows int) *ledger {
	l := &ledger{t, storetest.OwnServer(t)}
	openStore(t, l.srv.URL()).Close()
	l.srv.Do(t, "CREATE TABLE todo (id bigint PRIMARY KEY, begun int NOT NULL DEFAULT 0, done int NOT NULL DEFAULT 0, claimed timestamptz NOT NULL DEFAULT 'epoch')")
	l.more(1, rows)
	return l
}

func (l *ledger) more(from, n int) {
	l.srv.Do(l.t, fmt.Sprintf("INSERT INTO todo (id) SELECT generate_series(%d, %d)", from, from+n-1))
}

// left is how many are to be done.
func (l *ledger) left() (int, string) {
	n, err := number(l.t, l.srv.URL(), "SELECT count(*) FROM todo WHERE done = 0")
	if err != nil {
		return -1, err.Error()
	}
	return n, fmt.Sprint(n, " left")
}

// empties waits until all is done. What an interrupted try claimed is free again
// after a while, and who leads is found out anew: half a minute on a machine that has
// nothing else to do.
func (l *ledger) empties() {
	l.t.Helper()
	trial.Within(l.t, 2*trial.Patience, "do all", func() (bool, string) { n, saw := l.left(); return n == 0, saw })
}

// node runs a node that does the rows.
func (l *ledger) node(name string) (*lines, func() time.Duration) {
	l.t.Helper()
	url := l.srv.URL() + "&password=tell-nobody"
	db := openStore(l.t, url)
	pool, err := db.Pool(l.t.Context(), 4)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(pool.Close)
	kind := work.Kind{Name: "todo", Due: func(ctx context.Context, _ time.Time, limit int) (ids []int64, err error) {
		err = pool.QueryRow(ctx, "SELECT coalesce(array_agg(id), '{}') FROM (SELECT id FROM todo WHERE done = 0 AND claimed < now() ORDER BY id LIMIT $1) AS d", limit).Scan(&ids)
		return ids, err
	}, Do: func(ctx context.Context, id int64) error {
		tag, err := pool.Exec(ctx, "UPDATE todo SET claimed = now() + '15 s', begun = begun + 1 WHERE id = $1 AND done = 0 AND claimed < now()", id)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		time.Sleep(20 * time.Millisecond)
		_, err = pool.Exec(context.WithoutCancel(ctx), "UPDATE todo SET done = done + 1, claimed = 'epoch' WHERE id = $1", id)
		return err
	}}
	said := &lines{}
	return said, l.run(&work.Work{DB: db, Kinds: []work.Kind{kind}, Owner: name, Log: said.log(), Grace: 3 * time.Second})
}

func (l *ledger) run(w *work.Work) func() time.Duration { return running(l.t, w) }

// TestWorkGoesOnThroughTroubleOfTheDatabase has two nodes work while something is
// done to their database, and while more becomes due after it.
func TestWorkGoesOnThroughTroubleOfTheDatabase(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	for _, c := range []struct {
		what string
		do   func(t *testing.T, l *ledger)
	}{
		{"the server is restarted", func(t *testing.T, l *ledger) { l.srv.Restart(t, false, 2*time.Second) }},
		{"the server crashes", func(t *testing.T, l *ledger) { l.srv.Restart(t, true, 2*time.Second) }},
		{"all connections are cut", func(t *testing.T, l *ledger) {
			l.srv.Do(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'")
		}},
		{"the connections that listen are cut", func(t *testing.T, l *ledger) {
			l.srv.Do(t, "SELECT 1 / count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query ILIKE 'LISTEN%' OR query ILIKE '-- ping%'")
		}},
		{"the queue is emptied", func(t *testing.T, l *ledger) { l.srv.Do(t, "TRUNCATE river_job, river_leader, river_queue") }},
		{"the queue is taken away", func(t *testing.T, l *ledger) {
			l.srv.Do(t, "DROP TABLE river_job, river_leader, river_queue, river_migration CASCADE")
		}},
		{"the table of jobs is taken away", func(t *testing.T, l *ledger) { l.srv.Do(t, "DROP TABLE river_job CASCADE") }},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			const rows = 3000
			l := newLedger(t, rows)
			firstSaid, stopFirst := l.node("first")
			leads(t, l.srv.URL(), "first")
			secondSaid, stopSecond := l.node("second")
			trial.Until(t, "begin", func() (bool, string) { n, saw := l.left(); return n >= 0 && n < rows-200, saw })
			next := rows + 1
			for n, _ := l.left(); n >= 0 && n < 1000; n, _ = l.left() { // to be troubled
				l.more(next, rows)
				next += rows
			}
			troubled := time.Now()
			c.do(t, l)
			began := time.Now()
			l.empties()
			took := time.Since(began)
			l.more(next, 50)
			began = time.Now()
			l.empties()
			t.Logf("all was done %s after it, and what became due then after %s", took, time.Since(began))
			for what, said := range map[string]*lines{"first": firstSaid, "second": secondSaid} {
				// Beside what it says of each row that failed; the same again after half a minute.
				halves := int(time.Since(troubled) / (30 * time.Second))
				if n := said.count() - strings.Count(said.String(), "work failed"); n > 3*(1+halves) {
					t.Errorf("%s said %d lines: %.3000s", what, n, said)
				}
				if strings.Contains(said.String(), "tell-nobody") {
					t.Errorf("%s told the password: %s", what, said)
				}
			}
			if n, err := number(t, l.srv.URL(), "SELECT count(*) FROM todo WHERE done <> 1"); n != 0 || err != nil {
				t.Errorf("%d rows were done more than once: %v", n, err)
			}
			if strings.Contains(l.srv.Log(), "tell-nobody") {
				t.Error("the server's log has the password")
			}
			t.Log("stopping took", stopFirst(), stopSecond())
		})
	}
}
