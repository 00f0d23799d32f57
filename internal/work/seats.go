package work

import (
	"context"
	"time"
)

// seats are the places at which work is done: so many in all, and of one kind not
// as many, so that a CA that does not answer leaves some for deliveries.
type seats struct {
	all     chan struct{}            // holds one value for each seat that is taken
	of      map[string]chan struct{} // the same by kind
	resting chan struct{}            // holds one for each that left its seat for a while
	freed   chan struct{}            // gets a value when a seat was left
}

// restPerSeat is how many may rest for each seat there is; each costs some memory.
const restPerSeat = 8

func (w *Work) seats() *seats {
	s := &seats{all: make(chan struct{}, w.workers()), of: map[string]chan struct{}{}, resting: make(chan struct{}, restPerSeat*w.workers()), freed: make(chan struct{}, 1)}
	for _, k := range w.Kinds {
		s.of[k.Name] = make(chan struct{}, w.most())
	}
	return s
}

// full reports whether none is free of any kind.
func (s *seats) full() bool { return len(s.all) == cap(s.all) }

// free is how many are free for a kind.
func (s *seats) free(kind string) int {
	return min(cap(s.all)-len(s.all), cap(s.of[kind])-len(s.of[kind]))
}

// take takes a seat if one is free now.
func (s *seats) take(kind string) (*seat, bool) {
	if !enter(s.of[kind]) {
		return nil, false
	}
	if !enter(s.all) {
		<-s.of[kind]
		return nil, false
	}
	return &seat{s, kind, true}, true
}

func enter(c chan<- struct{}) bool {
	select {
	case c <- struct{}{}:
		return true
	default:
		return false
	}
}

// seat is one piece of work's own; only who does it touches it.
type seat struct {
	*seats
	kind  string
	taken bool
}

// leave gives the seat to whoever waits for one.
func (s *seat) leave() {
	if !s.taken {
		return
	}
	s.taken = false
	<-s.all
	<-s.of[s.kind]
	select {
	case s.freed <- struct{}{}:
	default:
	}
}

// back takes a seat again, ahead of what is not begun yet.
func (s *seat) back(ctx context.Context) bool {
	select {
	case s.of[s.kind] <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	select {
	case s.all <- struct{}{}:
		s.taken = true
	case <-ctx.Done():
		<-s.of[s.kind]
	}
	return s.taken
}

type seatKey struct{}

// rest waits for d. Who has a seat leaves it to others meanwhile, because most of
// the time of an order is spent waiting for its CA to look. False says to give back
// what was claimed: the process ends, or all seats are taken for long.
func rest(ctx context.Context, d time.Duration) bool {
	s, ok := ctx.Value(seatKey{}).(*seat)
	if !ok || !enter(s.resting) {
		return sleep(ctx, d)
	}
	defer func() { <-s.resting }()
	s.leave()
	if !sleep(ctx, d) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, near)
	defer cancel()
	return s.back(ctx)
}

// sleep is false when it was ended early.
func sleep(ctx context.Context, d time.Duration) bool {
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
