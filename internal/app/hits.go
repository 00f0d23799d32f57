package app

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/certfleet/certfleet/internal/store"
)

// hits gathers looks at challenges in memory and writes them together, so that
// a flood of requests costs one write a second.
type hits struct {
	db *store.DB

	mu     sync.Mutex
	known  map[string]hit // by token, guarded by mu
	strays hit            // guarded by mu
}

type hit struct {
	n      int64
	client string
	sample string
}

// mostTokens bounds how many tokens are remembered between two writes.
const mostTokens = 10000

func newHits(db *store.DB) *hits { return &hits{db: db, known: map[string]hit{}} }

// add counts one look; it never blocks on the store.
func (h *hits) add(token, client string, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !known {
		h.strays = hit{h.strays.n + 1, client, sample(token)}
		return
	}
	if len(h.known) < mostTokens || h.known[token].n > 0 {
		h.known[token] = hit{n: h.known[token].n + 1, client: client}
	}
}

// sample shortens what a stranger asked for.
func sample(s string) string { return s[:min(len(s), 80)] }

func (h *hits) take() (map[string]hit, hit) {
	h.mu.Lock()
	defer h.mu.Unlock()
	known, strays := h.known, h.strays
	h.known, h.strays = map[string]hit{}, hit{}
	return known, strays
}

// run writes once a second, and a last time at the end.
func (h *hits) run(ctx context.Context, log *slog.Logger) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return h.write(context.WithoutCancel(ctx))
		case <-tick.C:
			if err := h.write(ctx); err != nil && ctx.Err() == nil {
				log.Warn("cannot count challenge hits", "err", err)
			}
		}
	}
}

func (h *hits) write(ctx context.Context) error {
	known, strays := h.take()
	if len(known) == 0 && strays.n == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	return h.db.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		for token, k := range known {
			if err := tx.Hits(ctx, token, k.client, k.n); err != nil {
				return err
			}
		}
		if strays.n > 0 {
			return tx.Strays(ctx, strays.sample, strays.client, strays.n)
		}
		return nil
	})
}
