package plan

import (
	"time"

	"github.com/certfleet/certfleet"
)

// How long a CA's Retry-After for an order or a challenge is believed at most (RFC
// 8555 sections 7.4 and 7.5.1), and in an emergency.
const (
	believed       = time.Hour
	believedUrgent = 5 * time.Minute
)

// Patience is the longest wait until a CA is asked once more how an order stands: an
// hour, five minutes in the emergency lane, and never more than an eighth of what is
// left until expiry (zero for none), though a minute at least.
func Patience(lane certfleet.Lane, now, expiry time.Time) time.Duration {
	most := believed
	if lane == certfleet.LaneEmergency {
		most = believedUrgent
	}
	if expiry.IsZero() {
		return most
	}
	return min(most, max(expiry.Sub(now)/8, time.Minute))
}

// Poll says how long to wait before asking a CA once more how something stands
// that began at since: a fraction of the time that it has taken, the smaller the
// longer it takes, and not before the CA said, but never longer than most.
func Poll(now, since time.Time, retryAfter, most time.Duration) time.Duration {
	took := now.Sub(since)
	wait := min(max(took/2, 100*time.Millisecond), max(took/8, 15*time.Second))
	if retryAfter > 0 {
		wait = max(retryAfter, took/8)
	}
	return min(wait, most)
}

// How long a CA may take: to look at a challenge, and to sign what was proved, which
// some do by hand.
const (
	LookMost = 6 * time.Hour
	SignMost = 3 * day
)

// endureLeast is how long a CA is given in any case.
const endureLeast = 10 * time.Minute

// EnduredUntil is when a CA has taken too long over what began at since: after most,
// or when a quarter of what was left then until expiry (zero for none) is gone.
func EnduredUntil(since, expiry time.Time, most time.Duration) time.Time {
	if !expiry.IsZero() {
		most = min(most, max(expiry.Sub(since)/4, endureLeast))
	}
	return since.Add(most)
}
