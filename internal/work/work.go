// Package work turns the handle: it finds what is due and has it done.
//
// The truth is in the rows: everything with a next moment carries an indexed due
// time. A kind of work says what is due and does one of it; Tick does one round
// of every kind, Run goes on until its context ends, Drain until nothing is due.
// A row is claimed before it is worked on, by a write that repeats what made it
// due, so several processes may share one store.
package work

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
)

// Kind is one kind of work.
type Kind struct {
	Name string
	// Due lists the ids to work on now, most urgent first.
	Due func(ctx context.Context, now time.Time, limit int) ([]int64, error)
	// Lanes is Due with the lane of each, for kinds whose rows have one; nil for others.
	Lanes func(ctx context.Context, now time.Time, limit int) ([]Laned, error)
	// Do works on one; it claims the row and returns at once when another was faster.
	Do func(ctx context.Context, id int64) error
	// Say describes one in a line, for a dry run.
	Say func(ctx context.Context, id int64) string
	// Gated rows mostly wait for somebody: many are begun, few worked on at a time.
	Gated bool
}

// Laned is a due row in its lane.
type Laned struct {
	ID   int64
	Lane certfleet.Lane
}

// Work is what turns the handle.
type Work struct {
	DB      *store.DB
	Kinds   []Kind
	Workers int // how many rows of each kind are worked on at a time; 0 means 24
	Log     *slog.Logger
	Owner   string // see OwnerName
	Grace   time.Duration

	failed failures

	mu      sync.Mutex
	running map[row]time.Time // since when; zero for what waits at the gate; guarded by mu
	at      *queue            // while Run runs; guarded by mu
	waiting map[string]int    // in the queue, by kind, as this process saw it last; guarded by mu
	counted time.Time         // when it saw that; guarded by mu
}

// row is what there is to do: a kind of work and the row it is about.
type row struct {
	kind string
	id   int64
}

// Running is what a process works on now.
type Running struct {
	Kind  string
	ID    int64
	Since time.Time
	Node  string // its host and process, such as web1/4711
}

// Running lists what this process works on now.
func (w *Work) Running() []Running {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []Running
	for j, since := range w.running {
		if !since.IsZero() {
			out = append(out, Running{j.kind, j.id, since, node(w.Owner)})
		}
	}
	return out
}

// Waiting is how many rows wait in the queue, by kind, as this process saw it in the
// last seconds; nil where another process feeds the queue.
func (w *Work) Waiting() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.counted) > 2*reap {
		return nil
	}
	return maps.Clone(w.waiting)
}

// saw notes how many rows wait.
func (w *Work) saw(waiting map[string]int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting, w.counted = waiting, time.Now()
}

// holds notes the queue that Run works with, nil for none.
func (w *Work) holds(q *queue) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = q
}

func (w *Work) workers() int {
	if w.Workers <= 0 {
		return 24
	}
	return w.Workers
}

// begin notes a row as worked on since then, unless it is.
func (w *Work) begin(j row, since time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.running[j]; ok {
		return false
	}
	if w.running == nil {
		w.running = map[row]time.Time{}
	}
	w.running[j] = since
	return true
}

// entered notes that a row that waited at the gate is worked on now.
func (w *Work) entered(j row) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running[j] = time.Now()
}

// atGate reports whether a row waits at this process's gate.
func (w *Work) atGate(j row) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	since, ok := w.running[j]
	return ok && since.IsZero()
}

// gated adds the rows that wait at this process's gate to those that River has: it
// may have lost them meanwhile.
func (w *Work) gated(in map[row]held) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for r, since := range w.running {
		if _, ok := in[r]; !ok && since.IsZero() {
			in[r] = held{begun: true}
		}
	}
}

// idle are those of the rows of a kind that this process has not begun; what waits
// at the gate is as good as not begun.
func (w *Work) idle(kind string, ids []int64) []int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(ids, func(id int64) bool { return !w.running[row{kind, id}].IsZero() })
}

func (w *Work) end(j row) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.running, j)
}

// do works on one and says in the log what went wrong. An error it returns is
// one after which the row may be due as before; that another was faster is none.
func (w *Work) do(ctx context.Context, k Kind, id int64) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
			w.Log.Error("work panicked", "kind", k.Name, "id", id, "panic", fmt.Sprint(p))
		}
	}()
	err = k.Do(ctx, id)
	if errors.Is(err, store.ErrStale) || ctx.Err() != nil {
		return nil
	}
	if err != nil {
		w.failed.tell(w.Log, k.Name, id, err)
	}
	return err
}

// Tick does one round: of every kind, all that is due now, up to limit each
// (0 means 500). It returns how many rows it worked on.
func (w *Work) Tick(ctx context.Context, now time.Time, limit int) (int, error) {
	if limit <= 0 {
		limit = 500
	}
	did := 0
	for _, k := range w.Kinds {
		n, err := w.Round(ctx, k, now, limit)
		did += n
		if err != nil {
			return did, err
		}
	}
	return did, ctx.Err()
}

// Round does one round of one kind.
func (w *Work) Round(ctx context.Context, k Kind, now time.Time, limit int) (int, error) {
	ids, err := k.Due(ctx, now, limit)
	if err != nil {
		return 0, fmt.Errorf("find due %s: %w", k.Name, err)
	}
	slots := make(chan struct{}, w.workers())
	var all sync.WaitGroup
	for _, id := range ids {
		if ctx.Err() != nil {
			break
		}
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			j := row{k.Name, id}
			if w.begin(j, time.Now()) {
				defer w.end(j)
				w.do(ctx, k, id)
			}
		})
	}
	all.Wait()
	return len(ids), nil
}

// KindNamed finds a kind by its name.
func (w *Work) KindNamed(name string) (Kind, error) {
	var names string
	for _, k := range w.Kinds {
		if k.Name == name {
			return k, nil
		}
		names += " " + k.Name + ","
	}
	return Kind{}, &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("there is no kind of work called %.60q", name), Advice: "use one of" + strings.TrimSuffix(names, ",")}
}
