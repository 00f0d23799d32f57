package issue_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/trial"
)

// TestNoOrderIsAskedForTwice counts the new-order requests of two nodes that share
// the work, and of one on SQLite.
func TestNoOrderIsAskedForTwice(t *testing.T) {
	t.Parallel()
	n := 200
	if trial.Long() {
		n = 2000
	}
	herd(t, 4*time.Millisecond, func(f *fleet, nodes int) {
		f.share(certfleet.LaneNew, "all", n)
		d := &desk{ca: f.ca.RoundTripper()}
		stop := f.river(d, nodes)
		trial.Within(f, time.Hour, "all are issued", func() (bool, string) {
			time.Sleep(100 * time.Millisecond)
			done := f.issued()
			return done == n, fmt.Sprint(done)
		})
		stop()
		s := f.ca.Stats()
		if got := len(d.asked()); got != n || s.Orders != n || s.Issued != n {
			f.Errorf("%d new-orders for %d certificates: %d orders, %d issued", got, n, s.Orders, s.Issued)
		}
		(&judge{fleet: f, came: d.asked()}).nothingTwice(n)
		live, err := f.db.OrdersAhead(f.Context(), time.Now(), 10)
		if err != nil || live != 0 {
			f.Errorf("%d orders are left over: %v", live, err)
		}
	})
}
