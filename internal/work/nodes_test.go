package work_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/trial"
	"github.com/certfleet/certfleet/internal/work"
)

// TestAnotherNodeGoesOnWithWhatAKilledOneBegan kills the node that leads.
func TestAnotherNodeGoesOnWithWhatAKilledOneBegan(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	for _, c := range []struct {
		what, name string
		end        func(t *testing.T, pid int)
		lease      time.Duration
		least      time.Duration
	}{
		{"of the same host", "", kill, 2 * trial.Patience, 0}, // its claims end too late for this test
		{"of another host", "elsewhere/1/1/1", kill, childLease, childLease - 8*time.Second},
		{"that sleeps", "", sleepLong, childLease, childLease - 8*time.Second},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			url := storetest.PostgresURL(t)
			pid := child(t, url, c.name, c.lease).Process.Pid
			p := newPile("rows", 1, done)
			_, stop := turn(t, openHolding(t, url, c.lease), work.OwnerName(), p)
			time.Sleep(childLease + 2*time.Second) // as long as it lives it is left alone, whatever it does with its lease
			if _, tried, _ := p.state(); tried != 0 {
				t.Error("what the other works on was begun once more")
			}
			began := time.Now()
			c.end(t, pid)
			p.empties(t)
			took := time.Since(began)
			t.Log("went on after", took)
			if took < c.least {
				t.Errorf("it went on after %s, before a claim can have ended", took)
			}
			wakeUp(t, pid)
			time.Sleep(reapsEach + time.Second)
			if _, tried, twice := p.state(); tried != 1 || twice != 0 {
				t.Errorf("the row was begun %d times, %d at a time", tried, twice+1)
			}
			stop()
		})
	}
}

// reapsEach is how often a node looks after what it and others began.
const reapsEach = 5 * time.Second

func kill(t *testing.T, pid int) {
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
}

func sleepLong(t *testing.T, pid int) {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Error(err)
	}
}

func wakeUp(t *testing.T, pid int) {
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Error(err)
	}
}

func openStore(t *testing.T, url string) *store.DB {
	t.Helper()
	return openHolding(t, url, childLease)
}

// openHolding opens a store in which claims hold so long.
func openHolding(t *testing.T, url string, lease time.Duration) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), url, store.Options{Lease: lease})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// number asks for one by a connection of its own.
func number(t *testing.T, url, question string) (n int, err error) {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	return n, db.QueryRowContext(context.Background(), question).Scan(&n)
}

// leads waits until a node of this name leads.
func leads(t *testing.T, url, name string) {
	t.Helper()
	trial.Until(t, "lead", func() (bool, string) {
		n, err := number(t, url, "SELECT count(*) FROM river_leader WHERE leader_id LIKE '"+name+"~%'")
		return n == 1, fmt.Sprint(err)
	})
}

// TestTheOthersFeedWhenTheLeaderEnds stops the leader as an update does.
func TestTheOthersFeedWhenTheLeaderEnds(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	url := storetest.PostgresURL(t)
	first, second := newPile("rows", 0, done), newPile("rows", 1, done)
	_, stopFirst := turn(t, openStore(t, url), "first", first)
	leads(t, url, "first")
	_, stopSecond := turn(t, openStore(t, url), "second", second)
	second.empties(t)
	stopFirst()
	quickest := time.Hour
	for i := range int64(5) {
		began := time.Now()
		second.add(i+2, 1)
		second.empties(t)
		if i > 0 { // the first waits for whatever look comes next
			quickest = min(quickest, time.Since(began))
		}
	}
	if quickest > 4*time.Second { // who does not lead looks every five
		t.Errorf("of rows that became due one after the other each took %s or longer", quickest)
	}
	stopSecond()
}

// TestTwoNodesStartAtOnceOnAnEmptyDatabase is the first start of a fleet.
func TestTwoNodesStartAtOnceOnAnEmptyDatabase(t *testing.T) {
	url := storetest.EmptyPostgresURL(t)
	const nodes = 3
	var piles [nodes]*pile
	var all sync.WaitGroup
	for i := range nodes {
		piles[i] = newPile("rows", 0, done)
		piles[i].add(int64(1000*i), 100)
		all.Go(func() { turn(t, openStore(t, url), fmt.Sprint("node-", i), piles[i]) })
	}
	all.Wait()
	for _, p := range piles { // each knows its own rows only, and may do those of others
		trial.Until(t, "begin work", func() (bool, string) { _, tried, _ := p.state(); return tried > 0, "nothing" })
	}
}

// TestWhatFailedTooOftenIsSweptUpAnew has River give a row up.
func TestWhatFailedTooOftenIsSweptUpAnew(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	url := storetest.PostgresURL(t)
	p := newPile("rows", 1, func(context.Context, int64) (bool, error) { return false, errors.New("no answer") })
	_, stop := turn(t, openStore(t, url), work.OwnerName(), p)
	trial.Until(t, "fail and rest", func() (bool, string) {
		n, err := number(t, url, "WITH w AS (UPDATE river_job SET max_attempts = attempt + 1 WHERE state IN ('available', 'retryable') AND attempt = 1 RETURNING 1) SELECT count(*) FROM w")
		return n == 1, fmt.Sprint(err)
	})
	trial.Until(t, "begin anew", func() (bool, string) { _, tried, _ := p.state(); return tried >= 3, fmt.Sprint(p.gaps(1)) })
	if n, err := number(t, url, "SELECT count(*) FROM river_job WHERE state = 'discarded'"); n != 1 || err != nil {
		t.Errorf("%d jobs were given up: %v", n, err)
	}
	stop()
	t.Log(p.gaps(1))
}

// TestTheQueueIsNotWrittenToTheServersLog, but the numbers of jobs are.
func TestTheQueueIsNotWrittenToTheServersLog(t *testing.T) {
	url := storetest.PostgresURL(t)
	p := newPile("rows", 1, done)
	_, stop := turn(t, openStore(t, url), work.OwnerName(), p)
	p.empties(t)
	stop()
	for relation, want := range map[string]string{"river_job": "u", "river_job_id_seq": "p"} {
		if n, err := number(t, url, "SELECT count(*) FROM pg_class WHERE oid = '"+relation+"'::regclass AND relpersistence = '"+want+"'"); n != 1 || err != nil {
			t.Errorf("%s is kept otherwise than %q: %v", relation, want, err)
		}
	}
}
