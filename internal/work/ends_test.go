package work_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/trial"
	"github.com/certfleet/certfleet/internal/work"
)

// goroutines are those of River, of its database drivers and of this package,
// each by where it was started.
func goroutines() string {
	var b bytes.Buffer
	pprof.Lookup("goroutine").WriteTo(&b, 2)
	var out []string
	for one := range strings.SplitSeq(b.String(), "\n\n") {
		if strings.Contains(one, "riverqueue") || strings.Contains(one, "certfleet/internal/work.") || strings.Contains(one, "pgxpool") {
			out = append(out, one)
		}
	}
	return strings.Join(out, "\n\n")
}

// TestNothingOfTheQueueStaysBehind runs twice in a process.
func TestNothingOfTheQueueStaysBehind(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		quickest := time.Hour
		for i := range 2 {
			p := newPile("rows", 300, done)
			p.add(int64(1000*i), 100)
			said, stop := turn(t, db, work.OwnerName(), p)
			p.empties(t)
			quickest = min(quickest, stop())
			if said.count() != 0 {
				t.Errorf("a harmless run says %s", said)
			}
		}
		if quickest > 4*time.Second { // work that is waited for has five
			t.Errorf("with nothing to do it took %s to end", quickest)
		}
		trial.Until(t, "end all", func() (bool, string) { s := goroutines(); return s == "", s })
	})
}

// TestOrdersEndWithTheProcess has some hang, some rest and others wait for a place
// when the process is told to end.
func TestOrdersEndWithTheProcess(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	const grace, places, hang = 2 * time.Second, 6, 4
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		first := wanted(t, db)
		more(t, db, first, 39)
		var hung atomic.Int64
		late := make(chan int64, 100)
		ctx, cancel := context.WithCancel(t.Context())
		step := func(calls context.Context, o *certfleet.Order) (time.Time, error) {
			if ctx.Err() != nil {
				late <- o.ID
			}
			if o.ID%4 == 0 && hung.Add(1) <= hang {
				<-calls.Done() // hangs until it is cut off
				return time.Time{}, calls.Err()
			}
			time.Sleep(50 * time.Millisecond)
			return time.Now().Add(1500 * time.Millisecond), nil
		}
		said := &lines{}
		w := &work.Work{DB: db, Kinds: []work.Kind{work.Orders(db, "node:a", step)}, Workers: places, Owner: "node:a", Log: said.log(), Grace: grace}
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()
		trial.Until(t, "hang", func() (bool, string) { n := hung.Load(); return n >= hang, fmt.Sprint(n, " hang") })
		cancel()
		select {
		case err := <-ended: // also when what was cut off is not given back in time
			if err != nil {
				t.Error(err)
			}
		case <-time.After(trial.Patience):
			t.Errorf("it does not end: %s", goroutines())
		}
		if len(late) > places { // who has a place may be about to begin
			t.Errorf("%d steps were begun after the end", len(late))
		}
		if owners, err := db.Owners(t.Context()); err != nil || len(owners) != 0 {
			t.Errorf("orders are still held by %v: %v", owners, err)
		}
		if len(w.Running()) != 0 {
			t.Errorf("it still works on %v", w.Running())
		}
		if said.count() > 0 {
			t.Errorf("an end says %s", said)
		}
	})
}

// TestWorkThatDoesNotEndIsLeft is about a call that heeds nothing.
func TestWorkThatDoesNotEndIsLeft(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	never := make(chan struct{})
	defer close(never)
	begun := make(chan struct{})
	kind, _ := once(func(context.Context) { close(begun); <-never })
	ctx, cancel := context.WithCancel(t.Context())
	w := &work.Work{DB: storetest.SQLite(t), Kinds: []work.Kind{kind}, Log: (&lines{}).log(), Grace: 100 * time.Millisecond}
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	<-begun
	cancel()
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "1 rows") {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(trial.Patience):
		t.Error("it does not end")
	}
}

// TestTheQueueIsSmallAfterMuchWork looks at the memory of the queue beside SQLite,
// and at its table in PostgreSQL.
func TestTheQueueIsSmallAfterMuchWork(t *testing.T) {
	if !trial.Long() {
		t.Skip("it does fifty thousand rows; set CERTFLEET_LONG=1, as make test-long does")
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		before := inUse(t)
		p := newPile("rows", 50_000, done)
		_, stop := turn(t, db, work.OwnerName(), p)
		began := time.Now()
		trial.Within(t, 10*time.Minute, "do all", func() (bool, string) { left, _, _ := p.state(); return left == 0, fmt.Sprint(left) })
		took, peak := time.Since(began), inUse(t)
		time.Sleep(50 * time.Second) // what was done is kept for ten seconds, and looked for each thirty
		after := inUse(t)
		t.Logf("%s; %d MB before, %d after all, %d later", took, before>>20, peak>>20, after>>20)
		if after > before+64<<20 {
			t.Errorf("%d MB more are in use", (after-before)>>20)
		}
		stop()
	})
}

// inUse is the memory of this process: SQLite's is not on Go's heap.
func inUse(t *testing.T) int64 {
	t.Helper()
	debug.FreeOSMemory()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("this system does not say how much memory a process has: ", err)
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(b), &size, &resident); err != nil {
		t.Fatal(err)
	}
	return resident * int64(os.Getpagesize())
}
