package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

var engines = []struct {
	name string
	run  engine
}{{"river", river}, {"loop", loop}}

// BenchmarkEngine issues b.N certificates of one name each from the fake CA, with
// River and with a bare loop over the same kinds of work, on both stores.
func BenchmarkEngine(b *testing.B) {
	for _, at := range []struct {
		name string
		url  func(testing.TB) string
	}{{"sqlite", func(testing.TB) string { return "" }}, {"postgres", storetest.PostgresURL}} {
		for _, nodes := range []int{1, 2} {
			if at.name == "sqlite" && nodes > 1 {
				continue
			}
			for _, e := range engines {
				b.Run(fmt.Sprintf("%s/%d/%s", at.name, nodes, e.name), func(b *testing.B) {
					benchmarkEngine(b, config.Database(at.url(b)), nodes, e.run)
				})
			}
		}
	}
}

func benchmarkEngine(b *testing.B, database config.Database, nodes int, run engine) {
	ca, key := fake(b), sealing(b)
	var all []*app.App
	for range nodes {
		all = append(all, nodeAt(b, database, key))
	}
	for i, a := range all {
		a.Work.Owner = fmt.Sprintf("%s-%d", a.Work.Owner, i)
	}
	policy := settle(b, all[0], ca)
	add(b, all[0], policy, b.N)
	began := cpu()
	b.ResetTimer()
	issueAll(b, all, run)
	report(b, began)
}

// BenchmarkIdle has an engine do nothing for a while, and says what share of a
// core that takes.
func BenchmarkIdle(b *testing.B) {
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			a := nodeAt(b, "", sealing(b))
			ctx, stop := context.WithTimeout(b.Context(), 20*time.Second)
			defer stop()
			began := cpu()
			if err := e.run(ctx, a); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64((cpu()-began).Microseconds())/20e6*100, "core-%")
		})
	}
}
