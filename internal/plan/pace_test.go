package plan_test

import (
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/plan"
)

func TestTurnsComeInOrderAtThePace(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	l := plan.Limit{Count: 10, Period: time.Second, Burst: 3}
	var b plan.Bucket
	for i, want := range []time.Duration{0, 0, 0, 100 * time.Millisecond, 200 * time.Millisecond} {
		var at time.Time
		if b, at = plan.Turn(b, l, now); at.Sub(now) != want {
			t.Errorf("turn %d is after %s, want %s", i, at.Sub(now), want)
		}
	}
	if _, at := plan.Turn(b, l, now.Add(time.Minute)); !at.Equal(now.Add(time.Minute)) {
		t.Errorf("after a quiet minute a turn comes at %s", at)
	}
}

func TestAShareOfAPaceIsNeverMoreThanItsPart(t *testing.T) {
	p := plan.Pace{Endpoint: "newNonce", PerSecond: 20, Burst: 10}
	for _, c := range []struct{ nodes, perSecond, burst int }{{0, 16, 8}, {1, 16, 8}, {3, 5, 2}, {100, 1, 1}} {
		if s := p.Share(c.nodes); s.PerSecond != c.perSecond || s.Burst != c.burst {
			t.Errorf("one of %d nodes has %d a second and %d at once, want %d and %d", c.nodes, s.PerSecond, s.Burst, c.perSecond, c.burst)
		}
	}
}
