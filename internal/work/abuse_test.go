package work_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/trial"
	"github.com/certfleet/certfleet/internal/work"
)

// pile is a kind of work in memory: rows that are due until they were done. It
// counts what is asked of it, and notes who does a row while it is done already.
type pile struct {
	name string
	do   func(ctx context.Context, id int64) (done bool, err error)

	mu    sync.Mutex
	due   []int64               // guarded by mu
	doing map[int64]int         // guarded by mu
	tries map[int64][]time.Time // guarded by mu
	twice int                   // rows that two did at a time; guarded by mu
	asked atomic.Int64
	fails atomic.Bool // Due does
	hangs atomic.Bool // Due does, until it is cut off
}

func newPile(name string, n int, do func(ctx context.Context, id int64) (bool, error)) *pile {
	p := &pile{name: name, do: do, doing: map[int64]int{}, tries: map[int64][]time.Time{}}
	p.add(1, n)
	return p
}

func (p *pile) add(from int64, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range n {
		p.due = append(p.due, from+int64(i))
	}
}

func (p *pile) kind() work.Kind {
	return work.Kind{Name: p.name, Due: p.list, Do: p.work, Say: func(context.Context, int64) string { return p.name }}
}

func (p *pile) list(ctx context.Context, _ time.Time, limit int) ([]int64, error) {
	p.asked.Add(1)
	if p.hangs.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if p.fails.Load() {
		return nil, errors.New("the table cannot be read")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.due[:min(limit, len(p.due))]), nil
}

func (p *pile) work(ctx context.Context, id int64) error {
	p.begin(id)
	defer p.end(id)
	done, err := p.do(ctx, id)
	if done {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.due = slices.DeleteFunc(p.due, func(d int64) bool { return d == id })
	}
	return err
}

func (p *pile) begin(id int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tries[id] = append(p.tries[id], time.Now())
	if p.doing[id]++; p.doing[id] > 1 {
		p.twice++
	}
}

func (p *pile) end(id int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doing[id]--
}

// left is how many rows are due, tried how often all of them were begun, and twice
// how many were begun while another did them.
func (p *pile) state() (left, tried, twice int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range p.tries {
		tried += len(at)
	}
	return len(p.due), tried, p.twice
}

// empties waits until all is done.
func (p *pile) empties(t *testing.T) {
	t.Helper()
	trial.Until(t, "do all of "+p.name, func() (bool, string) {
		left, tried, _ := p.state()
		return left == 0, fmt.Sprintf("%d left, %d tries", left, tried)
	})
}

// gaps are the times between the tries of a row, in words.
func (p *pile) gaps(id int64) (out []time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := 1; i < len(p.tries[id]); i++ {
		out = append(out, p.tries[id][i].Sub(p.tries[id][i-1]).Round(100*time.Millisecond))
	}
	return out
}

// lines is a log that tests read.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lines) count() int { return strings.Count(l.String(), "\n") }

func (l *lines) log() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// turn runs a node of its own until the returned func stops it and says how long
// that took.
func turn(t *testing.T, db *store.DB, owner string, kinds ...*pile) (*lines, func() time.Duration) {
	t.Helper()
	said := &lines{}
	w := &work.Work{DB: db, Owner: owner, Log: said.log(), Grace: 5 * time.Second}
	for _, p := range kinds {
		w.Kinds = append(w.Kinds, p.kind())
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s said:\n%.6000s", owner, said)
		}
	})
	return said, running(t, w)
}

// running has w run until the returned func is called, or the test ends.
func running(t *testing.T, w *work.Work) func() time.Duration {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	stop := sync.OnceValue(func() time.Duration {
		began := time.Now()
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("%s ended with %v", w.Owner, err)
			}
		case <-time.After(trial.Patience):
			t.Errorf("%s did not end", w.Owner)
		}
		return time.Since(began)
	})
	t.Cleanup(func() { stop() })
	return stop
}
