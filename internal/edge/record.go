package edge

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/certfleet/certfleet/internal/store"
)

// every is how often counts are written.
const every = 5 * time.Second

// seat is one row of the record.
type seat struct {
	edge    string
	version int64
	hour    int64 // Unix hours
}

// given counts what edges were given.
type given struct {
	mu    sync.Mutex
	known map[seat]int64 // not written yet, guarded by mu
	told  map[seat]bool  // has its row in the store, guarded by mu
}

// record counts one answer. The first of an hour is written before it returns.
func (r *Room) record(ctx context.Context, edge string, version int64) error {
	now := time.Now()
	s := seat{edge, version, now.Unix() / 3600}
	r.given.mu.Lock()
	told := r.given.told[s]
	if told {
		r.given.known[s]++
	}
	r.given.mu.Unlock()
	if told {
		return nil
	}
	err := r.DB.Tx(ctx, now, func(tx *store.Tx) error {
		return tx.AddLookup(ctx, store.Lookup{Edge: edge, VersionID: version, Hour: now, N: 1})
	})
	if err != nil {
		return err
	}
	r.given.mu.Lock()
	defer r.given.mu.Unlock()
	r.given.told[s] = true
	return nil
}

// Run writes what was counted every few seconds, and a last time when ctx ends.
func (r *Room) Run(ctx context.Context, log *slog.Logger) error {
	r.setUp()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			return r.write(last)
		case <-tick.C:
			if err := r.write(ctx); err != nil && ctx.Err() == nil {
				log.Warn("cannot write what edges looked up", "err", err)
			}
		}
	}
}

func (r *Room) take(hour int64) map[seat]int64 {
	r.given.mu.Lock()
	defer r.given.mu.Unlock()
	out := r.given.known
	r.given.known = map[seat]int64{}
	for s := range r.given.told {
		if s.hour < hour {
			delete(r.given.told, s)
		}
	}
	return out
}

// giveBack keeps counts that could not be written.
func (r *Room) giveBack(counts map[seat]int64) {
	r.given.mu.Lock()
	defer r.given.mu.Unlock()
	for s, n := range counts {
		r.given.known[s] += n
	}
}

func (r *Room) write(ctx context.Context) error {
	counts := r.take(time.Now().Unix() / 3600)
	if len(counts) == 0 {
		return nil
	}
	err := r.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		for s, n := range counts {
			if err := tx.AddLookup(ctx, store.Lookup{Edge: s.edge, VersionID: s.version, Hour: time.Unix(s.hour*3600, 0), N: n}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		r.giveBack(counts)
	}
	return err
}
