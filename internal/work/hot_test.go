package work_test

import (
	"context"
	"errors"
	"fmt"
	"math"
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
	const during = 3 * time.Second // a busy machine makes it longer
	for engine, open := range map[string]func(testing.TB) *store.DB{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		for _, c := range []struct {
			what  string
			do    func(context.Context, int64) (bool, error)
			tries func(during time.Duration) int // at most
			lines int                            // of each try
		}{
			{"it fails", func(context.Context, int64) (bool, error) { return false, errors.New("no answer") }, ladder, 1},
			{"it panics", func(context.Context, int64) (bool, error) { panic("what nobody thought of") }, ladder, 1},
			{"nothing comes of it", never, func(d time.Duration) int { return int(7 * d.Seconds()) }, 0},
			{"it takes long", func(ctx context.Context, _ int64) (bool, error) { sleeps(ctx, during+time.Second); return true, nil }, func(time.Duration) int { return 1 }, 0},
		} {
			t.Run(engine+"/"+c.what, func(t *testing.T) {
				t.Parallel()
				p, other := newPile("hot", 1, c.do), newPile("other", 0, done)
				db, began := open(t), time.Now()
				said, stop := turn(t, db, work.OwnerName(), p, other)
				trial.Until(t, "begin", func() (bool, string) { _, tried, _ := p.state(); return tried > 0, "no try" })
				time.Sleep(during)
				asked, lines := p.asked.Load()+other.asked.Load(), said.count()
				_, tried, twice := p.state()
				took := time.Since(began)
				stop()
				if most := c.tries(took); tried > most || twice != 0 {
					t.Errorf("in %s it was tried %d times, %d of them while it was under way; want 1 to %d", took, tried, twice, most)
				}
				if float64(asked) > 20*took.Seconds() { // of each kind every 100 ms
					t.Errorf("in %s the kinds were asked %d times what is due", took, asked)
				}
				if lines > c.lines*tried {
					t.Errorf("%d lines in the log of %d tries", lines, tried)
				}
			})
		}
	}
}

// ladder is how often something may be tried in so long that rests for a second,
// and then for twice as long each time.
func ladder(during time.Duration) int { return 1 + int(math.Log2(1+during.Seconds())) }

// TestWhatNoKindListsIsNotLookedForHotly has an order that is due by its row, and
// nobody who says so: as rows are that must wait for others.
func TestWhatNoKindListsIsNotLookedForHotly(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Parallel()
		wanted(t, db)
		p := newPile("other", 0, done)
		began := time.Now()
		_, stop := turn(t, db, work.OwnerName(), p)
		trial.Until(t, "look", func() (bool, string) { return p.asked.Load() > 0, "not asked" })
		time.Sleep(4 * time.Second)
		// Eight times until the looks are a second apart.
		if n, took := p.asked.Load(), time.Since(began); float64(n) > 10+2*took.Seconds() {
			t.Errorf("in %s it was looked for %d times", took, n)
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
	trial.Until(t, "hand out all", func() (bool, string) {
		n, err := number(t, url, "SELECT count(*) FROM river_job WHERE state = 'running'")
		return len(begun) == 2 && n == 10, fmt.Sprint(len(begun), " begun, ", n, " handed out ", err)
	})
	time.Sleep(500 * time.Millisecond) // they are at the gate
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
		began := time.Now()
		said, stop := turn(t, db, work.OwnerName(), bad, good)
		good.empties(t)
		for range 50 { // commits that want action
			if err := db.Tx(t.Context(), time.Now(), func(tx *store.Tx) error { tx.Wake(); return nil }); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		stop()
		took := time.Since(began)
		if n := said.count(); n < 1 || n > 1+int(took/(30*time.Second)) {
			t.Errorf("in %s it is told in %d lines: %s", took, n, said)
		}
		if n := bad.asked.Load(); float64(n) > 80+20*took.Seconds() { // one look a commit is all it costs
			t.Errorf("in %s it was asked %d times", took, n)
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
		trial.Within(t, 3*trial.Patience, "do the others", func() (bool, string) { left, _, _ := p.state(); return left == bad, fmt.Sprint(left, " left") })
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
		trial.Until(t, "try five times", func() (bool, string) { _, tried, _ := p.state(); return tried == 5, fmt.Sprint(p.gaps(1)) })
		began := time.Now()
		if err := db.Tx(t.Context(), began, func(tx *store.Tx) error { tx.Wake(); return nil }); err != nil {
			t.Fatal(err)
		}
		trial.Until(t, "try once more", func() (bool, string) { _, tried, _ := p.state(); return tried == 6, fmt.Sprint(p.gaps(1)) })
		if took := time.Since(began); took > 14*time.Second { // by itself it rests for sixteen
			t.Errorf("what wants action was tried after %s", took)
		}
		stop()
		t.Log(p.gaps(1))
	})
}
