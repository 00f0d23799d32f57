package issue_test

import (
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/fakeca"
)

// TestAnAbsurdWaitStopsAnAccountNoLongerThanItsLimitCan has a CA that says once to
// come again in ages, about a limit that is free again in three hours.
func TestAnAbsurdWaitStopsAnAccountNoLongerThanItsLimitCan(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{}, func(f *fleet) {
		f.ca.Inject(fakeca.Fault{Kind: fakeca.RateLimited, Endpoint: "newOrder", Times: 1, After: fakeca.AfterAbsurd})
		f.want(certfleet.LaneNew, "first.example", "second.example")
		f.live(2 * time.Hour)
		if n := f.issued(); n != 0 {
			t.Errorf("%d were issued although the CA said to wait", n)
		}
		f.live(2 * time.Hour)
		if n := f.issued(); n != 2 {
			t.Errorf("%d of 2 are issued after four hours: %s", n, f.reasons())
		}
	})
}
