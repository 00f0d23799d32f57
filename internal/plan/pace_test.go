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
	for _, c := range []struct {
		count, burst int
		period       time.Duration
		nodes        int
		want         plan.Limit
	}{
		{20, 10, time.Second, 0, plan.Limit{Count: 20, Period: 1250 * time.Millisecond, Burst: 8}},
		{20, 10, time.Second, 1, plan.Limit{Count: 20, Period: 1250 * time.Millisecond, Burst: 8}},
		{20, 10, time.Second, 3, plan.Limit{Count: 20, Period: 3750 * time.Millisecond, Burst: 2}},
		{20, 10, time.Second, 100, plan.Limit{Count: 20, Period: 125 * time.Second, Burst: 1}},
		{6, 0, time.Minute, 2, plan.Limit{Count: 6, Period: 150 * time.Second, Burst: 2}},
	} {
		l := plan.Limit{Count: c.count, Period: c.period, Burst: c.burst}
		if s := l.Share(c.nodes); s != c.want {
			t.Errorf("one of %d nodes has %+v of %+v, want %+v", c.nodes, s, l, c.want)
		}
	}
}

func TestAnOperatorSetsThePaceOfACA(t *testing.T) {
	own := func(authority, endpoint string, n int) plan.Override {
		return plan.Override{Authority: authority, Limit: plan.Limit{Name: plan.PaceName(endpoint), Count: n, Period: time.Second}}
	}
	overrides := []plan.Override{own("zerossl", "other", 5), own("zerossl", "newOrder", 2), own("letsencrypt", "newOrder", 1000)}
	for _, c := range []struct {
		authority, endpoint string
		want                int // a second; 0 where nobody knows
	}{
		{"zerossl", "newOrder", 2}, {"zerossl", "newNonce", 5}, {"zerossl", "other", 5},
		{"letsencrypt", "newOrder", 1000}, {"letsencrypt", "newNonce", 20}, {"letsencrypt", "finalize", 250},
		{"letsencrypt-staging", "newNonce", 20}, {"google", "newOrder", 0},
	} {
		l, ok := plan.NewBook(c.authority, overrides).Pace(c.endpoint)
		if ok != (c.want > 0) || l.Count != c.want {
			t.Errorf("%s takes %+v at %s, want %d a second", c.authority, l, c.endpoint, c.want)
		}
	}
}
