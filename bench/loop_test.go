package bench

import (
	"context"
	"sync"
	"time"

	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/work"
)

// loop turns the handle without a queue, as the least that can: it asks what is
// due, hands it to so many goroutines, and asks again.
func loop(ctx context.Context, a *app.App) error {
	wakes, off := a.DB.Wakes()
	defer off()
	eased := make(chan error, 1)
	go func() { eased <- app.Ease(ctx) }()
	l := &looping{at: map[string]map[int64]bool{}}
	defer l.all.Wait()
	for ctx.Err() == nil {
		for _, k := range a.Work.Kinds {
			l.start(ctx, k)
		}
		next, err := a.DB.NextDue(ctx)
		pause := time.Second
		if err == nil && !next.IsZero() {
			pause = min(max(time.Until(next), 10*time.Millisecond), time.Second)
		}
		select {
		case <-ctx.Done():
		case <-wakes:
			time.Sleep(10 * time.Millisecond)
		case <-time.After(pause):
		}
	}
	return <-eased
}

type looping struct {
	mu  sync.Mutex
	at  map[string]map[int64]bool // rows that are worked on, guarded by mu
	all sync.WaitGroup
}

// most is how many rows of a kind are worked on, among them those that wait.
const most = 200

func (l *looping) start(ctx context.Context, k work.Kind) {
	ids, err := k.Due(ctx, time.Now(), most)
	if err != nil {
		return
	}
	for _, id := range ids {
		if l.enter(k.Name, id) {
			l.all.Go(func() {
				defer l.leave(k.Name, id)
				k.Do(ctx, id)
			})
		}
	}
}

func (l *looping) enter(kind string, id int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.at[kind]
	if at == nil {
		at = map[int64]bool{}
		l.at[kind] = at
	}
	if at[id] || len(at) >= most {
		return false
	}
	at[id] = true
	return true
}

func (l *looping) leave(kind string, id int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.at[kind], id)
}
