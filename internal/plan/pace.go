package plan

import "time"

// Turn gives the next token of a bucket away and says from when on it may be
// used. Turns come in the order in which they are asked for, and one that is
// not used is lost.
func Turn(b Bucket, l Limit, now time.Time) (next Bucket, at time.Time) {
	at = later(now, allowedAt(b, l, now, 1))
	return Bucket{TAT: later(b.TAT, at).Add(l.interval(1)), Held: b.Held}, at
}

// paceShare is how much of a published pace is used, in percent: what leaves
// evenly may arrive in bunches.
const paceShare = 80

// Share is what one of n that ask from one address may use of a pace.
func (l Limit) Share(n int) Limit {
	n = max(n, 1) * 100
	l.Burst = max(l.burst()*paceShare/n, 1)
	l.Period = times(l.Period, n) / paceShare
	return l
}

// Pace is what requests to an endpoint are held to, by an override or in writing;
// an endpoint without one of its own shares that of the others. It is not set
// where nobody knows.
func (b *Book) Pace(endpoint string) (Limit, bool) {
	for _, e := range []string{endpoint, "other"} {
		if l, _ := b.limit(PaceName(e), "", ""); l.set() {
			return l, true
		}
	}
	return Limit{}, false
}
