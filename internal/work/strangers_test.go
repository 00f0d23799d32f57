package work_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/trial"
	"github.com/certfleet/certfleet/internal/work"
)

// TestARoleThatMayNotMakeTheQueueIsToldWhatToDo has a database whose tables were
// made by somebody else.
func TestARoleThatMayNotMakeTheQueueIsToldWhatToDo(t *testing.T) {
	srv := storetest.OwnServer(t)
	openStore(t, srv.URL()).Close()
	srv.Do(t, "CREATE ROLE reader LOGIN PASSWORD 'tell-nobody'; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO reader")
	db := openStore(t, strings.Replace(srv.URL(), "postgres@", "reader:tell-nobody@", 1))
	w := &work.Work{DB: db, Owner: "node:a", Kinds: []work.Kind{newPile("rows", 1, done).kind()}, Log: (&lines{}).log()}
	err := w.Run(t.Context())
	e, ok := errors.AsType[*certfleet.Error](err)
	if !ok || e.Kind != certfleet.Denied || !strings.Contains(e.Advice, "CREATE") {
		t.Fatalf("it ended with %v", err)
	}
	if strings.Contains(err.Error(), "tell-nobody") {
		t.Errorf("the error has the password: %v", err)
	}
}

// TestAnotherProgramsRiver is refused when it is there first, and left alone when it comes later.
func TestAnotherProgramsRiver(t *testing.T) {
	const insert = `INSERT INTO river_job (kind, queue, args, max_attempts, state) VALUES ('mailer', 'default', '{"id": "not-a-number", "of": 7}', 3, 'available')`
	url := storetest.PostgresURL(t)
	p := newPile("rows", 10, done)
	_, stop := turn(t, openStore(t, url), work.OwnerName(), p)
	p.empties(t)
	if _, err := number(t, url, insert+" RETURNING id"); err != nil {
		t.Fatal(err)
	}
	p.add(100, 50)
	p.empties(t)
	stop()
	if n, err := number(t, url, "SELECT count(*) FROM river_job WHERE kind = 'mailer' AND state = 'available'"); n != 1 || err != nil {
		t.Errorf("of its jobs %d are as they were: %v", n, err)
	}
	w := &work.Work{DB: openStore(t, url), Owner: "node:a", Kinds: []work.Kind{p.kind()}, Log: (&lines{}).log()}
	if err := w.Run(t.Context()); certfleet.KindOf(err) != certfleet.Conflict {
		t.Errorf("beside another program's jobs it ended with %v", err)
	}
}

// TestAnEndWhileTheServerIsGone must not wait for it.
func TestAnEndWhileTheServerIsGone(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	l := newLedger(t, 100_000)
	_, stop := l.node("first")
	trial.Until(t, "begin", func() (bool, string) { n, saw := l.left(); return n >= 0 && n < 99_900, saw })
	back := make(chan struct{})
	go func() { defer close(back); l.srv.Restart(t, true, 30*time.Second) }()
	trial.Until(t, "go", func() (bool, string) { n, saw := l.left(); return n < 0, saw })
	took := stop() // three seconds for the work, and what cut off work may take
	select {
	case <-back:
		t.Errorf("it took %s to end, as long as the server was gone", took)
	default:
		t.Log("it took", took)
	}
	<-back
}

// TestTwoProcessesShareOneFile has a manager and certfleet run --once at one SQLite
// store: each has a queue of its own, and claims keep them apart.
func TestTwoProcessesShareOneFile(t *testing.T) {
	file := storetest.EmptySQLiteFile(t)
	var dbs [2]*store.DB
	for i := range dbs {
		db, err := store.Open(t.Context(), file, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		dbs[i] = db
	}
	const n = 200
	more(t, dbs[0], wanted(t, dbs[0]), n-1)
	ca := &steps{seen: map[int64]int{}, by: map[string]bool{}, both: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	managed := &work.Work{DB: dbs[0], Kinds: []work.Kind{work.Orders(dbs[0], "manager", ca.of(dbs[0]))}, Workers: 4, Owner: "manager", Log: (&lines{}).log()}
	ended := make(chan error, 1)
	go func() { ended <- managed.Run(ctx) }()
	trial.Until(t, "begin", func() (bool, string) { _, saw := ca.all(n); return !strings.HasPrefix(saw, "0 "), saw })
	once := &work.Work{DB: dbs[1], Kinds: []work.Kind{work.Orders(dbs[1], "once", ca.of(dbs[1]))}, Workers: 4, Owner: "once", Log: (&lines{}).log()}
	if err := once.Drain(t.Context(), 2*time.Second); err != nil {
		t.Error(err)
	}
	trial.Until(t, "end all orders", func() (bool, string) { return ca.all(n) })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for id, times := range ca.seen {
		if times != 1 {
			t.Errorf("order %d was stepped %d times", id, times)
		}
	}
	if len(ca.by) != 2 {
		t.Errorf("only %v worked", ca.by)
	}
}

// steps ends each order with its first step, and counts.
type steps struct {
	mu   sync.Mutex
	seen map[int64]int   // guarded by mu
	by   map[string]bool // guarded by mu
	both chan struct{}   // closed when the second process has come
}

func (s *steps) of(db *store.DB) work.StepFunc {
	return func(ctx context.Context, o *certfleet.Order) (time.Time, error) {
		s.note(o)
		select { // or the first does all while the second starts
		case <-s.both:
		case <-time.After(trial.Patience):
		}
		time.Sleep(20 * time.Millisecond)
		o.State, o.Owner, o.LeaseUntil = certfleet.OrderFailed, "", time.Time{}
		return time.Time{}, db.Tx(ctx, time.Now(), func(tx *store.Tx) error { return tx.SaveOrder(ctx, o) })
	}
}

func (s *steps) note(o *certfleet.Order) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[o.ID]++
	if s.by[o.Owner] {
		return
	}
	if s.by[o.Owner] = true; len(s.by) == 2 {
		close(s.both)
	}
}

func (s *steps) all(n int) (bool, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen) == n, fmt.Sprint(len(s.seen), " of ", n)
}
