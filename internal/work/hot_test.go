package work_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/trial"
	"github.com/certfleet/certfleet/internal/work"
)

// never and done do nothing; after done the row is not due any more.
func never(context.Context, int64) (bool, error) { return false, nil }

func done(context.Context, int64) (bool, error) { return true, nil }

// TestWhatStaysDueIsNotLookedForHotly counts what a row costs that stays due
// whatever is done about it.
func TestWhatStaysDueIsNotLookedForHotly(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	const during = 3 * time.Second
	for engine, open := range map[string]func(testing.TB) *store.DB{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		for _, c := range []struct {
			what  string
			do    func(context.Context, int64) (bool, error)
			tries int // at most
			lines int
		}{
			{"it fails", func(context.Context, int64) (bool, error) { return false, errors.New("no answer") }, 2, 2},
			{"it panics", func(context.Context, int64) (bool, error) { panic("what nobody thought of") }, 2, 2},
			{"nothing comes of it", never, 20, 0},
			{"it takes long", func(ctx context.Context, _ int64) (bool, error) { sleeps(ctx, during+time.Second); return true, nil }, 1, 0},
		} {
			t.Run(engine+"/"+c.what, func(t *testing.T) {
				t.Parallel()
				p, other := newPile("hot", 1, c.do), newPile("other", 0, done)
				said, stop := turn(t, open(t), work.OwnerName(), p, other)
				time.Sleep(during)
				_, tried, twice := p.state()
				asked, lines := p.asked.Load()+other.asked.Load(), said.count()
				stop()
				if tried == 0 || tried > c.tries || twice != 0 {
					t.Errorf("in %s it was tried %d times, %d of them while it was under way; want 1 to %d", during, tried, twice, c.tries)
				}
				if asked > 60 { // of each kind every 100 ms
					t.Errorf("in %s the kinds were asked %d times what is due", during, asked)
				}
				if lines > c.lines {
					t.Errorf("%d lines in the log, want at most %d", lines, c.lines)
				}
			})
		}
	}
}

// TestWhatNoKindListsIsNotLookedForHotly has an order that is due by its row, and
// nobody who says so: as rows are that must wait for others.
func TestWhatNoKindListsIsNotLookedForHotly(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Parallel()
		wanted(t, db)
		p := newPile("other", 0, done)
		_, stop := turn(t, db, work.OwnerName(), p)
		time.Sleep(4 * time.Second)
		if n := p.asked.Load(); n > 15 {
			t.Errorf("in four seconds it was looked for %d times", n)
		}
		stop()
	})
}

// TestWhatWaitsForAPlaceIsNotQueuedAgainAndAgain empties the queue while orders wait
// at the gate.
func TestWhatWaitsForAPlaceIsNotQueuedAgainAndAgain(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	url := storetest.PostgresURL(t)
	db := openStore(t, url)
	more(t, db, wanted(t, db), 9)
	begun := make(chan int64, 100)
	step := func(ctx context.Context, o *certfleet.Order) (time.Time, error) {
		begun <- o.ID
		<-ctx.Done()
		return time.Time{}, ctx.Err()
	}
	said := &lines{}
	stop := running(t, &work.Work{DB: db, Kinds: []work.Kind{work.Orders(db, "node:a", step)}, Workers: 2, Owner: "node:a", Log: said.log(), Grace: time.Millisecond})
	numbered := func() int {
		n, err := number(t, url, "SELECT last_value FROM river_job_id_seq")
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	trial.Until(t, "queue all", func() (bool, string) { return len(begun) == 2 && numbered() >= 10, fmt.Sprint(len(begun), " begun") })
	time.Sleep(200 * time.Millisecond) // they are at the gate
	before := numbered()
	if _, err := number(t, url, "WITH d AS (DELETE FROM river_job RETURNING 1) SELECT count(*) FROM d"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * time.Second)
	if n := numbered() - before; n > 0 {
		t.Errorf("what waits already was queued %d times more", n)
	}
	if len(begun) != 2 {
		t.Errorf("%d orders were begun at two places", len(begun))
	}
	stop()
}

func sleeps(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func TestAKindThatCannotSayWhatIsDueKeepsNoOtherWaiting(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		bad, good := newPile("bad", 1, done), newPile("good", 300, done)
		bad.fails.Store(true)
		said, stop := turn(t, db, work.OwnerName(), bad, good)
		good.empties(t)
		for range 50 { // commits that want action
			if err := db.Tx(t.Context(), time.Now(), func(tx *store.Tx) error { tx.Wake(); return nil }); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		stop()
		if n := said.count(); n != 1 {
			t.Errorf("it is told in %d lines: %s", n, said)
		}
		if n := bad.asked.Load(); n > 100 {
			t.Errorf("it was asked %d times", n)
		}
	})
}

func TestAKindThatHangsKeepsNoOtherWaitingForLong(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Parallel()
		bad, good := newPile("bad", 1, done), newPile("good", 50, done)
		bad.hangs.Store(true)
		_, stop := turn(t, db, work.OwnerName(), bad, good)
		good.empties(t)
		bad.hangs.Store(false)
		bad.empties(t)
		stop()
	})
}

// TestRowsThatAlwaysFailKeepNoOthersOut has more of them than are queued at a time,
// and more urgent than all others.
func TestRowsThatAlwaysFailKeepNoOthersOut(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		const bad = 350
		p := newPile("mixed", bad+200, func(_ context.Context, id int64) (bool, error) {
			if id <= bad {
				return false, fmt.Errorf("row %d is spoilt", id)
			}
			return true, nil
		})
		_, stop := turn(t, db, work.OwnerName(), p)
		trial.Until(t, "do the others", func() (bool, string) { left, _, _ := p.state(); return left == bad, fmt.Sprint(left, " left") })
		stop()
	})
}

// TestACommitHurriesWhatRestsAfterAFailure waits until River would try again much
// later, as after a database that was gone for minutes.
func TestACommitHurriesWhatRestsAfterAFailure(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Parallel()
		p := newPile("late", 1, func(context.Context, int64) (bool, error) { return false, errors.New("no answer") })
		_, stop := turn(t, db, work.OwnerName(), p)
		trial.Until(t, "try four times", func() (bool, string) { _, tried, _ := p.state(); return tried == 4, fmt.Sprint(p.gaps(1)) })
		began := time.Now()
		if err := db.Tx(t.Context(), began, func(tx *store.Tx) error { tx.Wake(); return nil }); err != nil {
			t.Fatal(err)
		}
		trial.Until(t, "try once more", func() (bool, string) { _, tried, _ := p.state(); return tried == 5, fmt.Sprint(p.gaps(1)) })
		if took := time.Since(began); took > 5*time.Second { // by itself it rests for eight
			t.Errorf("what wants action was tried after %s", took)
		}
		stop()
		t.Log(p.gaps(1))
	})
}
