package work

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/certfleet/certfleet"
)

// queued is how many wait at the gate.
func (g *gate) queued() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.queue)
}

func TestTheGateGoesByLaneAndThenByArrival(t *testing.T) {
	g := newGate(1)
	if !g.enter(t.Context(), 5) {
		t.Fatal("an empty gate lets nobody in")
	}
	arrivals := []certfleet.Lane{certfleet.LaneRoutine, certfleet.LaneWaiting, back, certfleet.LaneRoutine, certfleet.LaneWaiting, back, certfleet.LaneNew}
	order := make(chan int, len(arrivals))
	var all sync.WaitGroup
	for i, lane := range arrivals {
		all.Go(func() {
			if g.enter(t.Context(), lane) {
				order <- i
				g.leave()
			}
		})
		for g.queued() <= i {
			time.Sleep(time.Millisecond)
		}
	}
	g.leave()
	var got []int
	for range arrivals {
		got = append(got, <-order)
	}
	if want := []int{2, 5, 1, 4, 6, 0, 3}; !slices.Equal(got, want) {
		t.Errorf("they went in as %v, want %v", got, want)
	}
	all.Wait()
	if g.free != 1 || g.queued() != 0 {
		t.Errorf("afterwards %d places are free and %d wait", g.free, g.queued())
	}
}

// TestTheGateShutsNoLaneOut has who waits for long go before more urgent lanes, but
// for those that always go first.
func TestTheGateShutsNoLaneOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(0)
		var got []certfleet.Lane
		for _, lane := range []certfleet.Lane{certfleet.LaneBackfill, certfleet.LaneRoutine, certfleet.LaneNew, certfleet.LaneExpiring} {
			go func() {
				if g.enter(t.Context(), lane) {
					got = append(got, lane)
					g.leave()
				}
			}()
			time.Sleep(certfleet.LaneRoutine.Yields())
		}
		g.leave()
		synctest.Wait()
		if want := []certfleet.Lane{certfleet.LaneExpiring, certfleet.LaneRoutine, certfleet.LaneNew, certfleet.LaneBackfill}; !slices.Equal(got, want) {
			t.Errorf("they went in as %v, want %v", got, want)
		}
	})
}

// TestNoPlaceIsLostWhenManyGiveUp has waiters give up in the very moment in which
// they may be let in.
func TestNoPlaceIsLostWhenManyGiveUp(t *testing.T) {
	const places, guests = 3, 2000
	g := newGate(places)
	var inside, most atomic.Int64
	var all sync.WaitGroup
	for range guests {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.Int64N(int64(3*time.Millisecond))))
			defer cancel()
			if !g.enter(ctx, certfleet.Lane(rand.IntN(4)-1)) {
				return
			}
			for n := inside.Add(1); ; {
				if m := most.Load(); n <= m || most.CompareAndSwap(m, n) {
					break
				}
			}
			time.Sleep(time.Duration(rand.Int64N(int64(20 * time.Microsecond))))
			inside.Add(-1)
			g.leave()
		})
	}
	all.Wait()
	if g.free != places || g.queued() != 0 {
		t.Errorf("of %d places %d are free, and %d wait", places, g.free, g.queued())
	}
	if most.Load() > places {
		t.Errorf("%d were inside at a time", most.Load())
	}
}

func TestNobodyGoesInAfterTheProcessWantsToEnd(t *testing.T) {
	for range 200 {
		g := newGate(1)
		stop, end := context.WithCancel(t.Context())
		ctx := WithStop(t.Context(), stop)
		if !g.enter(ctx, 0) {
			t.Fatal("an empty gate lets nobody in")
		}
		in := make(chan bool)
		for range 3 {
			go func() { in <- g.enter(ctx, 0) }()
		}
		for g.queued() < 3 {
			time.Sleep(10 * time.Microsecond)
		}
		end()
		g.leave() // in the same moment
		for range 3 {
			if <-in {
				t.Fatal("one went in after the end")
			}
		}
		if g.enter(ctx, 0) {
			t.Fatal("one that came after the end went in")
		}
		if g.free != 1 {
			t.Fatalf("%d places are free", g.free)
		}
	}
}
