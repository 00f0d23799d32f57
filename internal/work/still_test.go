package work_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/work"
)

// TestAFleetWithNothingDueIsAskedLittle has an order come due after a quiet minute
// in which each kind is asked now and then.
func TestAFleetWithNothingDueIsAskedLittle(t *testing.T) {
	bubble(t, func(t *testing.T, db *store.DB) {
		o := wanted(t, db)
		o.DueAt = time.Now().Add(90*time.Second + 300*time.Millisecond)
		if err := db.Tx(t.Context(), time.Now(), func(tx *store.Tx) error { return tx.SaveOrder(t.Context(), o) }); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
		defer stop()
		asked, last := 0, time.Duration(0)
		k := work.Kind{
			Name: "order",
			Due: func(ctx context.Context, now time.Time, limit int) (ids []int64, err error) {
				asked++
				list, err := db.DueOrders(ctx, now, limit)
				for _, o := range list {
					ids = append(ids, o.ID)
				}
				return ids, err
			},
			Do: func(context.Context, int64) error {
				last = time.Since(o.DueAt)
				stop()
				return nil
			},
		}
		w := &work.Work{DB: db, Kinds: []work.Kind{k}, Owner: "node:a", Log: slog.New(slog.DiscardHandler)}
		if err := w.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if asked < 10 || asked > 30 {
			t.Errorf("in 90 seconds it was asked %d times, want about 18", asked)
		}
		if last < 0 || last > time.Second {
			t.Errorf("the order was begun %s after it was due", last)
		}
	})
}
