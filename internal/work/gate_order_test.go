package work

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// queued is how many wait at the gate.
func (g *gate) queued() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.queue)
}

func TestTheGateGoesByTurnAndThenByArrival(t *testing.T) {
	g := newGate(1)
	if !g.enter(t.Context(), time.Now()) {
		t.Fatal("an empty gate lets nobody in")
	}
	now := time.Now()
	arrivals := []time.Time{now.Add(3), now.Add(1), back, now.Add(3), now.Add(1), back, now.Add(2)}
	order := make(chan int, len(arrivals))
	var all sync.WaitGroup
	for i, turn := range arrivals {
		all.Go(func() {
			if g.enter(t.Context(), turn) {
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
			if !g.enter(ctx, time.Unix(rand.Int64N(4), 0)) {
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
		if !g.enter(ctx, back) {
			t.Fatal("an empty gate lets nobody in")
		}
		in := make(chan bool)
		for range 3 {
			go func() { in <- g.enter(ctx, back) }()
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
		if g.enter(ctx, back) {
			t.Fatal("one that came after the end went in")
		}
		if g.free != 1 {
			t.Fatalf("%d places are free", g.free)
		}
	}
}
