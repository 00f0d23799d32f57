package work_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/trial"
	"github.com/certfleet/certfleet/internal/work"
)

// endless is a kind of work of which there is always more.
func endless(do func(context.Context)) work.Kind {
	var next atomic.Int64
	return work.Kind{
		Name: "endless",
		Due: func(_ context.Context, _ time.Time, limit int) (ids []int64, err error) {
			for range limit {
				ids = append(ids, next.Add(1))
			}
			return ids, nil
		},
		Do: func(ctx context.Context, _ int64) error { do(ctx); return nil },
	}
}

// TestOneKindOfWorkStarvesNoOther has orders in mind, and deliveries that wait
// behind them.
func TestOneKindOfWorkStarvesNoOther(t *testing.T) {
	for _, c := range []struct {
		what    string
		workers int
		do      func(context.Context)
	}{
		{"there is always more", 1, func(context.Context) { time.Sleep(5 * time.Millisecond) }},
		{"it does not come to an end", 8, func(ctx context.Context) { <-ctx.Done() }},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			ctx, stop := context.WithTimeout(t.Context(), trial.Patience)
			defer stop()
			other, begun := once(func(context.Context) { stop() })
			w := &work.Work{DB: storetest.SQLite(t), Kinds: []work.Kind{endless(c.do), other}, Workers: c.workers, Log: slog.New(slog.DiscardHandler), Grace: time.Millisecond}
			if err := w.Run(ctx); err != nil || begun.Load() != 1 {
				t.Errorf("beside endless work other work was begun %d times: %v", begun.Load(), err)
			}
		})
	}
}
