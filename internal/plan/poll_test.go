package plan

import (
	"testing"
	"time"

	"github.com/certfleet/certfleet"
)

func TestACAIsAskedTheLessTheLongerItTakes(t *testing.T) {
	for _, c := range []struct{ took, retryAfter, most, want time.Duration }{
		{0, 0, time.Hour, 100 * time.Millisecond},
		{10 * time.Second, 0, time.Hour, 5 * time.Second},
		{time.Minute, 0, time.Hour, 15 * time.Second},
		{80 * time.Minute, 0, time.Hour, 10 * time.Minute},
		{10 * day, 0, time.Hour, time.Hour},
		{10 * day, 0, 5 * time.Minute, 5 * time.Minute},
		{0, 3 * time.Second, time.Hour, 3 * time.Second},
		{0, 20 * time.Minute, time.Hour, 20 * time.Minute},
		{0, 20 * time.Minute, 5 * time.Minute, 5 * time.Minute},
		{0, 30 * day, time.Hour, time.Hour},
		{2 * time.Hour, 3 * time.Second, time.Hour, 15 * time.Minute},
	} {
		if got := Poll(t0.Add(c.took), t0, c.retryAfter, c.most); got != c.want {
			t.Errorf("after %s, with Retry-After %s and %s at most, it waits %s, want %s", c.took, c.retryAfter, c.most, got, c.want)
		}
	}
}

func TestNoWordOfACASleepsThroughAnEmergency(t *testing.T) {
	for _, c := range []struct {
		lane certfleet.Lane
		left time.Duration // zero for no certificate
		want time.Duration
	}{
		{certfleet.LaneRoutine, 0, time.Hour},
		{certfleet.LaneEmergency, 0, 5 * time.Minute},
		{certfleet.LaneRoutine, 30 * day, time.Hour},
		{certfleet.LaneEmergency, 30 * day, 5 * time.Minute},
		{certfleet.LaneExpiring, 4 * time.Hour, 30 * time.Minute},
		{certfleet.LaneExpiring, time.Minute, time.Minute},
		{certfleet.LaneExpiring, -time.Hour, time.Minute},
	} {
		expiry := time.Time{}
		if c.left != 0 {
			expiry = t0.Add(c.left)
		}
		if got := Patience(c.lane, t0, expiry); got != c.want {
			t.Errorf("in lane %s with %s left a CA is believed for %s, want %s", c.lane, c.left, got, c.want)
		}
	}
}

func TestACAIsEnduredWhileThereIsTime(t *testing.T) {
	for left, want := range map[time.Duration]time.Duration{0: LookMost, 90 * day: LookMost, 8 * time.Hour: 2 * time.Hour, time.Minute: 10 * time.Minute, -day: 10 * time.Minute} {
		expiry := time.Time{}
		if left != 0 {
			expiry = t0.Add(left)
		}
		if got := EnduredUntil(t0, expiry, LookMost).Sub(t0); got != want {
			t.Errorf("with %s left it is endured for %s, want %s", left, got, want)
		}
	}
}
