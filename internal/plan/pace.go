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
func (p Pace) Share(n int) Pace {
	n = max(n, 1) * 100
	p.PerSecond, p.Burst = max(p.PerSecond*paceShare/n, 1), max(p.Burst*paceShare/n, 1)
	return p
}
