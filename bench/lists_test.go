package bench

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/config"
	serving "github.com/certfleet/certfleet/internal/edge"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// BenchmarkLists asks about one of a million certificates: the whole API in
// process, edges' lookups, and what the sweep asks, with the 99th percentile
// beside the mean.
func BenchmarkLists(b *testing.B) {
	for _, at := range []struct {
		name string
		url  func(testing.TB) string
	}{{"sqlite", func(testing.TB) string { return "" }}, {"postgres", storetest.PostgresURL}} {
		b.Run(at.name, func(b *testing.B) {
			url := at.url(b)
			a := nodeAt(b, config.Database(url), sealing(b))
			n := large(b)
			fillFleet(b, a, url, n)
			askLists(b, a, n)
			askEdges(b, a, n)
			askSweeps(b, a)
			b.Run("node", func(b *testing.B) {
				dir := a.Config.StateDir
				if url != "" {
					dir = b.TempDir()
				}
				runLarge(b, dir, url) // once, however often the rest is asked
				b.ReportMetric(0, "ns/op")
			})
		})
	}
}

func askLists(b *testing.B, a *app.App, n int) {
	h := a.Offline("user:bench")
	pick := func(i int) int { return 1 + i*7919%n }
	for _, c := range []struct {
		name string
		url  func(i int) string
	}{
		{"why", func(i int) string { return "/v1/why/" + largeName(pick(i)) }},
		{"certificate", func(i int) string { return "/v1/certificates/" + largeName(pick(i)) }},
		{"certificates", func(int) string { return "/v1/certificates?limit=50" }},
		{"certificates expiring", func(int) string { return "/v1/certificates?limit=50&expires_within=2400h" }},
		{"certificates due", func(int) string { return "/v1/certificates?limit=50&due_within=2400h" }},
		{"certificates of a policy", func(int) string { return "/v1/certificates?limit=50&policy=default" }},
		{"certificates by label", func(i int) string { return "/v1/certificates?limit=50&label=tenant%3Dt" + strconv.Itoa(i%100) }},
		{"certificates failing", func(int) string { return "/v1/certificates?limit=50&state=failing" }},
		{"orders", func(int) string { return "/v1/orders?limit=50" }},
		{"orders by label", func(i int) string { return "/v1/orders?limit=50&label=tenant%3Dt" + strconv.Itoa(i%100) }},
		{"orders live", func(int) string { return "/v1/orders?limit=50&state=live" }},
		{"versions", func(int) string { return "/v1/versions?limit=50" }},
		{"versions by label", func(i int) string { return "/v1/versions?limit=50&label=tenant%3Dt" + strconv.Itoa(i%100) }},
		{"deliveries", func(int) string { return "/v1/deliveries?limit=50" }},
		{"deliveries of a target", func(int) string { return "/v1/deliveries?limit=50&target=edge-1" }},
		{"deliveries by label", func(i int) string { return "/v1/deliveries?limit=50&label=tenant%3Dt" + strconv.Itoa(i%100) }},
		{"deliveries failed", func(int) string { return "/v1/deliveries?limit=50&state=failed" }},
		{"events", func(int) string { return "/v1/events?limit=50" }},
		{"events of a kind", func(int) string { return "/v1/events?limit=50&kind=version.issued" }},
		{"events of a certificate", func(i int) string { return "/v1/events?limit=50&certificate=" + largeName(pick(i)) }},
		{"domains", func(int) string { return "/v1/domains?limit=50" }},
		{"keys", func(int) string { return "/v1/keys?limit=50" }},
		{"jobs", func(int) string { return "/v1/jobs" }},
		{"limits", func(int) string { return "/v1/limits" }},
		{"search of a part", func(i int) string { return "/v1/search?limit=50&q=shop" + strconv.Itoa(pick(i)) }},
		{"search of a common part", func(int) string { return "/v1/search?limit=50&q=net" }},
		{"search of a serial", func(i int) string { return "/v1/search?q=" + largeSerial + strconv.Itoa(1_000_000+pick(i)) }},
		{"overview", func(int) string { return "/v1/overview" }},
		{"metrics", func(int) string { return "/metrics" }},
	} {
		b.Run(c.name, func(b *testing.B) {
			took := first(b, h, c.url(0))
			ask(b, h, c.url)
			b.ReportMetric(float64(took.Microseconds())/1000, "first-ms")
		})
	}
	walkList(b, h, n)
}

// first asks once, as whoever comes first does after a start.
func first(b *testing.B, h http.RoundTripper, url string) time.Duration {
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "http://api"+url, nil)
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	w, err := h.RoundTrip(r)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, w.Body); err != nil {
		b.Fatal(err)
	}
	w.Body.Close()
	return time.Since(began)
}

// askEdges looks names up as edges do: each for the first time, then again.
func askEdges(b *testing.B, a *app.App, n int) {
	find := func(b *testing.B, fresh bool, pick func(i int) int) {
		var took []time.Duration
		for i := 0; b.Loop(); i++ {
			name, err := certfleet.ParseName(largeName(pick(i)))
			if err != nil {
				b.Fatal(err)
			}
			began := time.Now()
			if _, err := a.Edge.Find(b.Context(), serving.Asked{Tenant: 1, Edge: "bench", Name: name, Fresh: fresh}); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(began))
		}
		reportP99(b, took)
	}
	asked := 0
	b.Run("edge, new names", func(b *testing.B) {
		find(b, false, func(int) int { asked++; return 1 + asked*7919%n })
	})
	b.Run("edge, known names", func(b *testing.B) { find(b, false, func(i int) int { return 1 + i%100 }) })
	b.Run("edge, known names, looked at again", func(b *testing.B) { find(b, true, func(i int) int { return 1 + i%100 }) })
}

func reportP99(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// askSweeps puts the questions that the loop puts all the time, while all of the
// fleet waits to be asked about at its CA, and again while nothing does.
func askSweeps(b *testing.B, a *app.App) {
	for _, at := range []struct {
		name string
		now  time.Time
	}{{"nothing due", time.Now()}, {"all due", time.Now().Add(365 * 24 * time.Hour)}} {
		for i := range a.Work.Kinds {
			k := &a.Work.Kinds[i]
			b.Run("due "+k.Name+", "+at.name, func(b *testing.B) {
				for b.Loop() {
					if _, err := k.Due(b.Context(), at.now, 64); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
	b.Run("next due", func(b *testing.B) {
		for b.Loop() {
			if _, err := a.DB.NextDue(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
