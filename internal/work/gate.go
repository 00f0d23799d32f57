package work

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// gate lets so many orders be worked on at a time. Those that wait for it go by
// their turn (certfleet.Order.Turn); who was in before goes ahead of all that are not
// begun yet.
type gate struct {
	mu      sync.Mutex
	free    int     // guarded by mu
	queue   waiting // guarded by mu
	arrived int     // guarded by mu
}

func newGate(places int) *gate { return &gate{free: places} }

// back is the turn of who was in already: ahead of all others.
var back time.Time

// enter waits for a place. False says that ctx or the process ended first; nothing
// is begun then, even if a place came in the same moment.
func (g *gate) enter(ctx context.Context, turn time.Time) bool {
	in := g.wait(ctx, turn)
	if in && Stopping(ctx) {
		g.leave()
		return false
	}
	return in
}

func (g *gate) wait(ctx context.Context, turn time.Time) bool {
	w := g.join(turn)
	if w == nil {
		return true
	}
	select {
	case <-w.in:
		return true
	case <-ctx.Done():
	case <-stopOf(ctx):
	}
	return !g.giveUp(w)
}

// join takes a place, or a turn in the queue.
func (g *gate) join(turn time.Time) *waiter {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.free > 0 {
		g.free--
		return nil
	}
	g.arrived++
	w := &waiter{turn: turn, nth: g.arrived, in: make(chan struct{})}
	heap.Push(&g.queue, w)
	return w
}

// giveUp leaves the queue; false says that the place was given meanwhile.
func (g *gate) giveUp(w *waiter) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.at < 0 {
		return false
	}
	heap.Remove(&g.queue, w.at)
	return true
}

// leave gives the place to whom it matters most.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.queue) == 0 {
		g.free++
		return
	}
	close(heap.Pop(&g.queue).(*waiter).in)
}

// waiter is one that waits for a place.
type waiter struct {
	turn time.Time
	nth  int
	in   chan struct{} // closed when the place is given
	at   int           // in the queue; -1 when out of it
}

type waiting []*waiter

// Len, Less, Swap, Push and Pop are those of heap.Interface.
func (q waiting) Len() int { return len(q) }

// Less is the order of turns, and of equal ones that of arrival.
func (q waiting) Less(i, j int) bool {
	if c := q[i].turn.Compare(q[j].turn); c != 0 {
		return c < 0
	}
	return q[i].nth < q[j].nth
}

// Swap swaps two.
func (q waiting) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}

// Push adds one at the end.
func (q *waiting) Push(x any) {
	w := x.(*waiter)
	w.at = len(*q)
	*q = append(*q, w)
}

// Pop takes the last away.
func (q *waiting) Pop() any {
	old := *q
	w := old[len(old)-1]
	old[len(old)-1] = nil
	*q, w.at = old[:len(old)-1], -1
	return w
}

type gateKey struct{}

// guarded has what is done in ctx pass the gate; entered is called when it is in.
func guarded(ctx context.Context, g *gate, entered func()) context.Context {
	return context.WithValue(ctx, gateKey{}, &passage{g: g, entered: entered})
}

// passage is what one order has to do with the gate; nil where there is none.
type passage struct {
	g       *gate
	entered func()
	in      bool
}

// pass waits at the gate, if there is one. False says that it is too late to begin.
func pass(ctx context.Context, turn time.Time) (*passage, bool) {
	p, ok := ctx.Value(gateKey{}).(*passage)
	if !ok {
		return nil, true
	}
	if p.in = p.g.enter(ctx, turn); p.in {
		p.entered()
	}
	return p, p.in
}

// end leaves the place, if there is one.
func (p *passage) end() {
	if p != nil && p.in {
		p.in = false
		p.g.leave()
	}
}

// rest waits for d and leaves the place to others meanwhile, because most of the
// time of an order is spent waiting for its CA to look. False says to give back
// what was claimed: the process ends, or no place is free for long.
func (p *passage) rest(ctx context.Context, d time.Duration) bool {
	if p == nil {
		return sleep(ctx, d)
	}
	p.end()
	if !sleep(ctx, d) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, near)
	defer cancel()
	p.in = p.g.enter(ctx, back)
	return p.in
}

// sleep is false when it was ended early.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return !Stopping(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-stopOf(ctx):
	}
	return false
}
