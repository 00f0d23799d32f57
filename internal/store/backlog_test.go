package store_test

import (
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// BenchmarkBacklog asks what is to be handed over next where a million deliveries
// wait for one target, as behind a slow pace.
func BenchmarkBacklog(b *testing.B) {
	for engine, open := range map[string]func(testing.TB) *store.DB{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(engine, func(b *testing.B) {
			db := open(b)
			million(b, db)
			if _, err := db.Raw().Exec("UPDATE delivery SET state = 'due', due_at = id WHERE id > 0"); err != nil {
				b.Fatal(err)
			}
			if db.Postgres() {
				if _, err := db.Raw().Exec("VACUUM ANALYZE delivery"); err != nil {
					b.Fatal(err)
				}
			}
			ctx, at := b.Context(), now.Add(time.Hour)
			first, err := db.DueDeliveries(ctx, at, 1)
			if err != nil || len(first) != 1 {
				b.Fatal(first, err)
			}
			resting := []int64{first[0].TargetID}
			for what, ask := range map[string]func() ([]certfleet.Delivery, error){
				"due":         func() ([]certfleet.Delivery, error) { return db.DueDeliveries(ctx, at, 500) },
				"due-resting": func() ([]certfleet.Delivery, error) { return db.DueDeliveriesBut(ctx, resting, at, 500) },
				"siblings":    func() ([]certfleet.Delivery, error) { return db.DueSiblings(ctx, &first[0], at, 500) },
			} {
				b.Run(what, func(b *testing.B) {
					for b.Loop() {
						if _, err := ask(); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		})
	}
}
