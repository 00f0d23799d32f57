package deliver_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// swift holds whatever it is given, at once.
type swift struct{}

// Deliver says that each bundle is applied.
func (swift) Deliver(_ context.Context, bundles []certfleet.Bundle, _ []certfleet.Receipt) (out []certfleet.Receipt, err error) {
	for _, b := range bundles {
		out = append(out, certfleet.Receipt{Certificate: b.Certificate, Version: b.Version, Fingerprint: b.Fingerprint, Applied: true})
	}
	return out, nil
}

// BenchmarkDeliver is what the manager itself needs for a delivery: reading,
// opening the key, claiming, and keeping what came of it.
func BenchmarkDeliver(b *testing.B) {
	for engine, open := range map[string]func(testing.TB) *store.DB{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(engine, func(b *testing.B) {
			const many = 1000
			y := build(b, open(b))
			y.target.Probe = nil
			y.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SaveTarget(ctx, y.target) })
			r := y.room(1)
			r.Target = func(*certfleet.StoredTarget) (certfleet.Target, error) { return swift{}, nil }
			for i := range many {
				y.version(y.certificate(fmt.Sprintf("site%04d.example", i)).ID)
			}
			n := 0
			for b.Loop() {
				b.StopTimer()
				y.tx(func(ctx context.Context, tx *store.Tx) error {
					_, err := tx.DeliverAgain(ctx, y.target.ID, 0, true)
					return err
				})
				b.StartTimer()
				for {
					due, err := r.Due(b.Context(), time.Now(), 1)
					if err != nil {
						b.Fatal(err)
					}
					if len(due) == 0 {
						break
					}
					if err := r.Do(b.Context(), due[0]); err != nil {
						b.Fatal(err)
					}
					n++
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*many), "µs/delivery")
			b.ReportMetric(float64(n)/float64(b.N), "batches")
		})
	}
}
