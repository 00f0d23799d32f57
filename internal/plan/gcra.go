package plan

import "time"

// Bucket is what is known of one limit's bucket: a generic cell rate algorithm
// (GCRA), as CAs count. The zero Bucket is full.
//
// What an order may still cost is held from before the request leaves until we
// know whether the CA counted it, so that our bucket is never fuller than the
// CA's, however long the answer takes.
type Bucket struct {
	TAT  time.Time // theoretical arrival time: when the bucket is full again
	Held int       // promised to orders under way, not yet counted
}

// Spend takes cost tokens now if they are there. Otherwise the bucket stays as
// it is and retryAt says when they will be; it is zero when the bucket never
// holds as many, or none come back.
func Spend(b Bucket, l Limit, now time.Time, cost int) (next Bucket, ok bool, retryAt time.Time) {
	if ok, retryAt := allows(b, l, now, cost); !ok {
		return b, false, retryAt
	}
	return Bucket{TAT: later(b.TAT, now).Add(l.interval(cost)), Held: b.Held}, true, time.Time{}
}

// Hold promises cost tokens to an order if they are there, as Spend would.
func Hold(b Bucket, l Limit, now time.Time, cost int) (next Bucket, ok bool, retryAt time.Time) {
	if ok, retryAt := allows(b, l, now, cost); !ok {
		return b, false, retryAt
	}
	b.Held += cost
	return b, true, time.Time{}
}

// Settle turns held tokens into spent ones when the CA has counted them, or may
// have. It is never refused: what happened, happened.
func Settle(b Bucket, l Limit, now time.Time, cost int) Bucket {
	b = Release(b, cost)
	full := later(b.TAT, now).Add(l.interval(cost))
	if empty := now.Add(l.interval(l.burst())); full.After(empty) {
		full = later(b.TAT, empty) // a CA's bucket is not emptier than empty
	}
	b.TAT = full
	return b
}

// Release gives held tokens back that the CA did not count.
func Release(b Bucket, cost int) Bucket {
	b.Held = max(b.Held-cost, 0)
	return b
}

// Left is how many tokens could be spent now.
func Left(b Bucket, l Limit, now time.Time) int {
	if !l.set() {
		return 0
	}
	used := later(b.TAT, now).Sub(now)
	one := l.interval(1)
	return max(l.burst()-b.Held-int((used+one-1)/one), 0)
}

func allows(b Bucket, l Limit, now time.Time, cost int) (ok bool, retryAt time.Time) {
	if !l.set() || cost+b.Held > l.burst() {
		return false, retryOf(b, l, now, cost)
	}
	if at := allowedAt(b, l, now, cost); at.After(now) {
		return false, at
	}
	return true, time.Time{}
}

// allowedAt is when the bucket would have room, if all that is held is counted now.
func allowedAt(b Bucket, l Limit, now time.Time, cost int) time.Time {
	return later(b.TAT, now).Add(l.interval(cost + b.Held - l.burst()))
}

func retryOf(b Bucket, l Limit, now time.Time, cost int) time.Time {
	if !l.set() || cost > l.burst() {
		return time.Time{}
	}
	return allowedAt(b, l, now, cost)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
