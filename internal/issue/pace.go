package issue

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/plan"
)

// maxTurn bounds how long a request waits for its turn, inside callTime, and
// nodesAge how long a count of the nodes is believed.
const (
	maxTurn  = 40 * time.Second
	nodesAge = 2 * time.Second
)

// Pace is what spaces this process's requests to an authority below the rates that
// it publishes or an operator has set, see acme.Options; where nobody knows any,
// nothing waits. Authorities that are one CA share it. An error is of kind
// Limited: the wait would be too long.
func (r *Room) Pace(a *certfleet.Authority) func(ctx context.Context, endpoint string) error {
	name := plan.BookName(a.Label, a.DirectoryURL)
	g, published := r.gates.of(name), plan.NewBook(name, nil)
	return func(ctx context.Context, endpoint string) error {
		b := published
		if with, err := r.book(ctx, a.ID); err == nil {
			b = with.Book
		}
		l, ok := b.Pace(endpoint)
		if !ok {
			return nil
		}
		return g.wait(ctx, l.Share(r.nodes(ctx)))
	}
}

// gates are those of all CAs, by the names their limits are kept under.
type gates struct {
	mu sync.Mutex
	by map[string]*gate // guarded by mu
}

func (s *gates) of(name string) *gate {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil {
		s.by = map[string]*gate{}
	}
	if s.by[name] == nil {
		s.by[name] = &gate{ca: name, buckets: map[plan.LimitName]plan.Bucket{}}
	}
	return s.by[name]
}

// gate gives turns at the endpoints of one CA.
type gate struct {
	ca      string
	mu      sync.Mutex
	buckets map[plan.LimitName]plan.Bucket // guarded by mu
}

// wait returns when a request may be sent that is held to a limit.
func (g *gate) wait(ctx context.Context, l plan.Limit) error {
	now := time.Now()
	until := now.Add(maxTurn)
	if end, ok := ctx.Deadline(); ok && end.Before(until) {
		until = end
	}
	at, ok := g.turn(l, now, until)
	if !ok {
		return &certfleet.Error{Kind: certfleet.Limited, Msg: fmt.Sprintf("too many requests to %s wait already (%s)", g.ca, l.Name), Advice: "wait: requests are spaced below the rate that the CA takes", Retry: at}
	}
	return sleepUntil(ctx, at)
}

// turn takes the next turn unless it comes too late.
func (g *gate) turn(l plan.Limit, now, until time.Time) (at time.Time, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	next, at := plan.Turn(g.buckets[l.Name], l, now)
	if at.After(until) {
		return at, false
	}
	g.buckets[l.Name] = next
	return at, true
}

func sleepUntil(ctx context.Context, at time.Time) error {
	d := time.Until(at)
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// census is how many nodes work for the store, as it was last counted.
type census struct {
	mu sync.Mutex
	n  int       // guarded by mu
	at time.Time // guarded by mu
}

// nodes counts those that hold work now; they may share one address. Whoever
// finds the count old looks, while the others go on with it.
func (r *Room) nodes(ctx context.Context) int {
	r.census.mu.Lock()
	n, old := r.census.n, time.Since(r.census.at) > nodesAge
	if old {
		r.census.at = time.Now()
	}
	r.census.mu.Unlock()
	if !old {
		return n
	}
	ctx, cancel := context.WithTimeout(ctx, nodesAge)
	defer cancel()
	owners, err := r.DB.Holders(ctx, time.Now())
	if err != nil {
		return n
	}
	r.census.mu.Lock()
	defer r.census.mu.Unlock()
	r.census.n = len(owners)
	return r.census.n
}
