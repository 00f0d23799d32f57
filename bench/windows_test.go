package bench

import (
	"context"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/store"
)

// BenchmarkWindows asks the fake CA b.N times when a version should be renewed
// (RFC 9773), as the manager does for every version each few hours.
func BenchmarkWindows(b *testing.B) {
	ca := fake(b)
	a := nodeAt(b, "", sealing(b))
	policy := settle(b, a, ca)
	const versions = 200
	add(b, a, policy, versions)
	ctx, stop := context.WithTimeout(b.Context(), 2*time.Minute)
	defer stop()
	if err := a.Work.Drain(ctx, 0); err != nil {
		b.Fatal(err)
	}
	began, asked, before := cpu(), 0, ca.Stats().Requests["renewalInfo"]
	b.ResetTimer()
	for asked < b.N {
		b.StopTimer()
		poll(b, a, versions)
		b.StartTimer()
		n, err := a.Work.Tick(ctx, time.Now(), min(versions, b.N-asked))
		if err != nil || n == 0 {
			b.Fatalf("asked %d of %d: %v", asked, b.N, err)
		}
		asked += n
	}
	b.ReportMetric(float64(asked)/b.Elapsed().Seconds(), "asked/s")
	b.ReportMetric(float64((cpu()-began).Microseconds())/float64(asked)/1000, "cpu-ms/asked")
	if got := ca.Stats().Requests["renewalInfo"] - before; got < b.N {
		b.Errorf("the CA was asked %d times, want %d", got, b.N)
	}
}

// poll makes every version due to be asked about.
func poll(b *testing.B, a *app.App, most int) {
	b.Helper()
	ctx := b.Context()
	list, _, err := a.DB.Versions(ctx, store.VersionFilter{Limit: most})
	if err != nil || len(list) == 0 {
		b.Fatalf("%d versions: %v", len(list), err)
	}
	err = a.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		for i := range list {
			list[i].ARIPollAt = tx.Now()
			if err := tx.SaveVersion(ctx, &list[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}
