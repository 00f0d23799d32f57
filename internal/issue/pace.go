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

// Pace is what spaces this process's requests to an authority below the rates it
// publishes, see acme.Options; nil where it publishes none. Authorities that are
// one CA share it. An error is of kind Limited: the wait would be too long.
func (r *Room) Pace(a *certfleet.Authority) func(ctx context.Context, endpoint string) error {
	name := plan.BookName(a.Label, a.DirectoryURL)
	paces := plan.Paces(name)
	if len(paces) == 0 {
		return nil
	}
	g := r.gates.of(name, paces)
	return func(ctx context.Context, endpoint string) error { return g.wait(ctx, endpoint, r.nodes(ctx)) }
}

// gates are those of all CAs, by the names their limits are kept under.
type gates struct {
	mu sync.Mutex
	by map[string]*gate // guarded by mu
}

func (s *gates) of(name string, paces []plan.Pace) *gate {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil {
		s.by = map[string]*gate{}
	}
	if s.by[name] == nil {
		s.by[name] = newGate(name, paces)
	}
	return s.by[name]
}

// gate gives turns at the endpoints of one CA.
type gate struct {
	ca      string
	paces   map[string]plan.Pace // by endpoint, never changed
	mu      sync.Mutex
	buckets map[string]plan.Bucket // by endpoint, guarded by mu
}

func newGate(ca string, paces []plan.Pace) *gate {
	g := &gate{ca: ca, paces: map[string]plan.Pace{}, buckets: map[string]plan.Bucket{}}
	for _, p := range paces {
		g.paces[p.Endpoint] = p
	}
	return g
}

// wait returns when one of so many nodes may send a request to an endpoint.
func (g *gate) wait(ctx context.Context, endpoint string, nodes int) error {
	p, ok := g.paces[endpoint]
	if !ok {
		if p, ok = g.paces["other"]; !ok {
			return nil
		}
	}
	now := time.Now()
	until := now.Add(maxTurn)
	if end, ok := ctx.Deadline(); ok && end.Before(until) {
		until = end
	}
	at, ok := g.turn(p.Share(nodes), now, until)
	if !ok {
		return &certfleet.Error{Kind: certfleet.Limited, Msg: fmt.Sprintf("too many requests to %s wait already (%s)", g.ca, p.Endpoint), Advice: "wait: requests are spaced below the rate that the CA publishes", Retry: at}
	}
	return sleepUntil(ctx, at)
}

// turn takes the next turn unless it comes too late.
func (g *gate) turn(p plan.Pace, now, until time.Time) (at time.Time, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	next, at := plan.Turn(g.buckets[p.Endpoint], p.Limit(), now)
	if at.After(until) {
		return at, false
	}
	g.buckets[p.Endpoint] = next
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
	owners, err := r.DB.Owners(ctx)
	if err != nil {
		return n
	}
	r.census.mu.Lock()
	defer r.census.mu.Unlock()
	r.census.n = len(owners)
	return r.census.n
}
