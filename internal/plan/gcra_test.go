package plan

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// tokens is a bucket as one would explain it: it fills by one nanosecond's worth
// every nanosecond, and a token is an interval's worth.
type tokens struct {
	level, full, one time.Duration
	at               time.Time
}

func newTokens(l Limit, at time.Time) *tokens {
	return &tokens{l.interval(l.burst()), l.interval(l.burst()), l.interval(1), at}
}

func (k *tokens) spend(now time.Time, cost int) bool {
	k.level, k.at = min(k.full, k.level+now.Sub(k.at)), now
	need := time.Duration(cost) * k.one
	if k.level < need {
		return false
	}
	k.level -= need
	return true
}

func someLimit(r *rand.Rand) Limit {
	return Limit{Count: 1 + r.IntN(50), Period: time.Duration(1+r.IntN(1000)) * time.Minute, Burst: r.IntN(60)}
}

func TestGCRAIsATokenBucket(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		l, now := someLimit(r), t0
		b, brute := Bucket{}, newTokens(l, t0)
		for range 400 {
			now = now.Add(time.Duration(r.Int64N(int64(l.interval(2)))))
			cost := 1 + r.IntN(min(3, l.burst()))
			next, ok, at := Spend(b, l, now, cost)
			if want := brute.spend(now, cost); ok != want {
				t.Fatalf("seed %d: %+v at %s: allowed %v, the token bucket says %v", seed, l, now.Sub(t0), ok, want)
			}
			if !ok {
				if _, ok, _ := Spend(b, l, at, cost); !ok || !at.After(now) {
					t.Fatalf("seed %d: still refused at the time it named", seed)
				}
				if _, ok, _ := Spend(b, l, at.Add(-1), cost); ok {
					t.Fatalf("seed %d: allowed before the time it named", seed)
				}
			}
			b = next
		}
	}
}

func TestGCRANeverAllowsMoreThanBurstAndRate(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 2))
		l, now, b := someLimit(r), t0, Bucket{}
		var allowed []time.Time
		for range 600 {
			now = now.Add(time.Duration(r.Int64N(int64(l.interval(1)))))
			next, ok, _ := Spend(b, l, now, 1)
			if b = next; ok {
				allowed = append(allowed, now)
			}
		}
		for i, from := range allowed {
			for j := i; j < len(allowed); j++ {
				if most := l.burst() + int(allowed[j].Sub(from)/l.interval(1)); j-i+1 > most {
					t.Fatalf("seed %d: %d in %s, at most %d", seed, j-i+1, allowed[j].Sub(from), most)
				}
			}
		}
	}
}

// TestHeldTokensKeepUsUnderTheCAsCount lets requests take their time on the way
// there and back: whatever our bucket allows, the CA's has room for.
func TestHeldTokensKeepUsUnderTheCAsCount(t *testing.T) {
	type step struct {
		at      time.Time
		answer  bool // else the CA counts
		counted bool
	}
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 3))
		l, now := someLimit(r), t0
		ours, theirs := Bucket{}, Bucket{}
		var under []step
		tried, allowed := 0, 0
		for range 500 {
			now = now.Add(time.Duration(r.Int64N(int64(l.interval(1)))))
			slices.SortStableFunc(under, func(a, b step) int { return a.at.Compare(b.at) })
			for len(under) > 0 && !under[0].at.After(now) {
				s := under[0]
				under = under[1:]
				switch {
				case s.answer && s.counted:
					ours = Settle(ours, l, s.at, 1)
				case s.answer:
					ours = Release(ours, 1)
				case s.counted:
					next, ok, _ := Spend(theirs, l, s.at, 1)
					if theirs = next; !ok {
						t.Fatalf("seed %d: %+v: the CA refuses the %dth", seed, l, allowed)
					}
				}
			}
			tried++
			next, ok, _ := Hold(ours, l, now, 1)
			if ours = next; !ok {
				continue
			}
			allowed++
			counts := r.IntN(4) > 0
			there := now.Add(time.Duration(r.Int64N(int64(l.interval(3)))))
			under = append(under, step{there, false, counts}, step{there.Add(time.Duration(r.Int64N(int64(l.interval(2))))), true, counts})
		}
		if allowed == 0 || allowed == tried && l.burst() < 5 {
			t.Fatalf("seed %d: %d of %d allowed: this proves nothing", seed, allowed, tried)
		}
	}
}

func TestSettleEmptiesABucketOnlyOnce(t *testing.T) {
	l := Limit{Count: 5, Period: week}
	b := Bucket{}
	for range 50 {
		b = Settle(b, l, t0, 1)
	}
	if _, ok, at := Spend(b, l, t0, 1); ok || at.Sub(t0) > l.interval(1) {
		t.Errorf("allowed %v, at %s; a CA's bucket is not emptier than empty", ok, at)
	}
}

func TestACostBeyondTheBucketIsNeverAllowed(t *testing.T) {
	l := Limit{Count: 5, Period: time.Hour}
	for cost, want := range map[int]bool{5: true, 6: false} {
		if _, ok, at := Spend(Bucket{}, l, t0, cost); ok != want || !at.IsZero() {
			t.Errorf("cost %d: %v, again at %s", cost, ok, at)
		}
	}
	if _, ok, at := Spend(Bucket{}, Limit{}, t0, 1); ok || !at.IsZero() {
		t.Errorf("a limit of nothing allows %v, again at %s", ok, at)
	}
}

func TestLeftCountsWhatCanBeSpent(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 4))
		l := someLimit(r)
		b := Bucket{TAT: t0.Add(time.Duration(r.Int64N(int64(l.interval(l.burst()))))), Held: r.IntN(2)}
		n := 0
		for c := b; ; n++ {
			next, ok, _ := Spend(c, l, t0, 1)
			if !ok {
				break
			}
			c = next
		}
		if got := Left(b, l, t0); got != n {
			t.Errorf("seed %d: %d left, but %d could be spent", seed, got, n)
		}
	}
}

func TestABucketSurvivesAStoreInMilliseconds(t *testing.T) {
	l := Limit{Count: 7, Period: 3 * time.Hour} // no whole interval
	b, _, _ := Spend(Bucket{}, l, t0, 1)
	if stored := time.UnixMilli(b.TAT.UnixMilli()); !stored.Equal(b.TAT) {
		t.Errorf("%s becomes %s", b.TAT, stored)
	}
	if total := l.interval(7); total < l.Period {
		t.Errorf("seven come back in %s, before their %s are over", total, l.Period)
	}
}
