package issue_test

import (
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/trial"
)

// TestAMigrationStarvesNeitherANewCustomerNorRenewals has both come while the names
// of another tenant are moved here, in the lane for that or in that of what is new.
func TestAMigrationStarvesNeitherANewCustomerNorRenewals(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	n := 1500
	if trial.Long() {
		n = 100_000
	}
	for lane, most := range map[certfleet.Lane]int{
		certfleet.LaneBackfill: queuedAhead,
		certfleet.LaneNew:      openedAhead + queuedAhead, // they take turns only while orders are opened
	} {
		t.Run(lane.String(), func(t *testing.T) {
			t.Parallel()
			herd(t, 200*time.Millisecond, func(f *fleet, nodes int) {
				f.share(lane, "mover", n)
				d := &desk{ca: f.ca.RoundTripper()}
				defer f.river(d, nodes)()
				f.comes(d, 100)
				f.share(certfleet.LaneNew, "customer", 1)
				f.share(certfleet.LaneRoutine, "others", 20)
				came := len(d.asked())
				time.Sleep(certfleet.LaneRoutine.Yields() - certfleet.LaneNew.Yields())
				passed := len(d.asked())
				f.sees(d, "the customer and all renewals are begun", func(came []string) bool {
					return len(of(came, "customer")) == 1 && len(of(came, "others")) == 20 || len(of(came, "mover")) == n
				})
				all := d.asked()
				customer, others := of(all, "customer"), of(all, "others")
				if len(customer) != 1 || customer[0]-came > most+nodes*atGates {
					f.Errorf("the customer who came after %d others was begun at %d", came, customer)
				}
				if len(others) != 20 || others[19]-passed > openedAhead+queuedAhead+nodes*atGates {
					f.Errorf("the renewals that came after %d others, and let new ones pass until %d, were begun at %d", came, passed, others)
				}
				f.Logf("after %d (%d) others: the customer at %d, renewals at %d", came, passed, customer, others)
			})
		})
	}
}
