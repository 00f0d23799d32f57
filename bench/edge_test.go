package bench

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/demand"
	"github.com/certfleet/certfleet/internal/store"
)

// BenchmarkFlood sends orders on demand for names that nobody has, each another
// one and the same few, over connections of this machine, beside a bare handler
// that answers 200 with a body of the same size. Nothing of it may become an order.
func BenchmarkFlood(b *testing.B) {
	a := fleetOf(b, 10_000)
	a.Config.Edge.Trusted = config.Prefixes{netip.MustParsePrefix("127.0.0.0/8")}
	a.Demand.Rules = &demand.Rules{Inventory: true, Patterns: []*regexp.Regexp{regexp.MustCompile(`^[a-z]+\.allowed\.example$`)}}
	ours := httptest.NewServer(a.Handler())
	defer ours.Close()
	answer := strings.Repeat("x", 300)
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, answer)
	}))
	defer bare.Close()
	for _, c := range []struct {
		what string
		url  string
		name func(i int64) string
	}{
		{"bare handler", bare.URL, func(i int64) string { return fmt.Sprintf("h%d.bogus.example", i) }},
		{"the same names", ours.URL, func(i int64) string { return fmt.Sprintf("h%d.bogus.example", i%1000) }},
		{"ever new names", ours.URL, func(i int64) string { return fmt.Sprintf("h%d.bogus.example", i) }},
	} {
		b.Run(c.what, func(b *testing.B) { flood(b, c.url+config.DefaultEdgePrefix+"/api/domain/autocert.json", c.name) })
	}
	orders, _, err := a.DB.Orders(b.Context(), store.OrderFilter{})
	if err != nil || len(orders) != 0 {
		b.Fatalf("%d orders, %v", len(orders), err)
	}
}

func flood(b *testing.B, url string, name func(int64) string) {
	var n atomic.Int64
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	defer client.CloseIdleConnections()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			res, err := client.Post(url, "", strings.NewReader("domain_name="+name(n.Add(1))))
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if res.StatusCode != http.StatusOK {
				b.Errorf("status %d", res.StatusCode)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}
