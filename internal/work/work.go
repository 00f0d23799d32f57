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
	// Do works on one; it claims the row and returns at once when another was faster.
	Do func(ctx context.Context, id int64) error
	// Say describes one in a line, for a dry run.
	Say func(ctx context.Context, id int64) string
}

// Work is what turns the handle.
type Work struct {
	DB      *store.DB
	Kinds   []Kind
	Workers int // how many rows at a time; 0 means 32
	Log     *slog.Logger
	Owner   string // see OwnerName
	Grace   time.Duration

	mu      sync.Mutex
	running map[job]time.Time // guarded by mu

	first int // the kind that is asked first, see handOut; Run's alone
}

type job struct {
	kind string
	id   int64
}

// Running is what this process works on now.
type Running struct {
	Kind  string
	ID    int64
	Since time.Time
}

// Running lists what this process works on now.
func (w *Work) Running() []Running {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []Running
	for j, since := range w.running {
		out = append(out, Running{j.kind, j.id, since})
	}
	return out
}

func (w *Work) workers() int {
	if w.Workers <= 0 {
		return 32
	}
	return w.Workers
}

// most is how many workers one kind may have at a time: a CA that does not answer
// must not keep them all waiting while there is something to deliver.
func (w *Work) most() int { return w.workers() - w.workers()/4 }

// begin notes a job as running, unless it is.
func (w *Work) begin(j job) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.running[j]; ok {
		return false
	}
	if w.running == nil {
		w.running = map[job]time.Time{}
	}
	w.running[j] = time.Now()
	return true
}

func (w *Work) end(j job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.running, j)
}

// do works on one and says in the log what went wrong.
func (w *Work) do(ctx context.Context, k Kind, id int64) {
	defer func() {
		if p := recover(); p != nil {
			w.Log.Error("work panicked", "kind", k.Name, "id", id, "panic", fmt.Sprint(p))
		}
	}()
	err := k.Do(ctx, id)
	switch {
	case err == nil, errors.Is(err, store.ErrStale), ctx.Err() != nil:
	default:
		w.Log.Warn("work failed", "kind", k.Name, "id", id, "err", err)
	}
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
			j := job{k.Name, id}
			if w.begin(j) {
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
