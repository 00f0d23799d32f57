// Package plan decides and does nothing: when to renew, how long to wait after
// a failure, when to look again. Every decision takes the moment and the luck
// it needs as arguments.
package plan

import (
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
)

const day = 24 * time.Hour

// shortLife is the lifetime below which half of it is left for renewing, above
// it a third (Let's Encrypt's integration guide).
const shortLife = 10 * day

// floor is how long a certificate should still hold when it is renewed, so that
// a CA may be gone for three days; half of a short life is the most one can ask.
const floor = 80 * time.Hour

// Window is the renewal window a CA suggests (RFC 9773 section 4.2).
type Window struct{ Start, End time.Time }

// Renewal is when to renew and why then.
type Renewal struct {
	At     time.Time
	Reason string
}

// DrawARI draws the one instant at which to renew in the CA's window; luck is
// uniform in [0, 1). A window in the past means now (RFC 9773 section 4.2).
func DrawARI(w Window, now time.Time, luck float64) time.Time {
	if !w.End.After(now) {
		return now
	}
	return w.Start.Add(time.Duration(luck * float64(w.End.Sub(w.Start))))
}

// Usable is the part of a CA's window in which a renewal is in good time: not so
// late that too little is left for an outage, and not so close to the window's
// end that the order reaches the CA after it. Where nothing is left the window
// stays as it is.
func Usable(w Window, notBefore, notAfter time.Time) Window {
	last := w.End.Add(-min(w.End.Sub(w.Start)/20, endMargin))
	if latest := notAfter.Add(-min(floor, notAfter.Sub(notBefore)/2)); latest.Before(last) {
		last = latest
	}
	if !last.After(w.Start) {
		return w
	}
	return Window{w.Start, last}
}

// endMargin is how long an order may take to reach the CA when much is due.
const endMargin = time.Hour

// RenewAt says when a certificate is renewed: at the instant drawn in the CA's
// window, unless that leaves too little for an outage, else when a fraction of
// its life is left. That instant is earlier by up to a twentieth of the life, as luck has it, so that a
// fleet issued in one hour does not renew in one hour.
func RenewAt(notBefore, notAfter, ariAt time.Time, luck float64) Renewal {
	life := notAfter.Sub(notBefore)
	latest := notAfter.Add(-min(floor, life/2))
	if !ariAt.IsZero() && ariAt.Before(latest) {
		return Renewal{ariAt, "the CA's renewal window (ARI)"}
	}
	lead := Lead(life)
	at := notAfter.Add(-lead - time.Duration(luck*float64(life)/20))
	return Renewal{at, fmt.Sprintf("%s of its %s are left then", round(notAfter.Sub(at)), round(life))}
}

// Moves reports whether a CA's window that moved changes when a certificate is due.
// It never puts off what was asked for or is urgent, such as a version that is to
// be taken out of use or names that changed, and cuts no wait after a failure short.
func Moves(lane certfleet.Lane, failures int, due, next time.Time) bool {
	return failures == 0 && (next.Before(due) || lane >= certfleet.LaneRoutine)
}

// Lead is how much of a life is left when a certificate is renewed.
func Lead(life time.Duration) time.Duration {
	if life < shortLife {
		return life / 2
	}
	return max(life/3, min(floor, life/2))
}

// UrgentAt is when so little of a life is left that renewing goes before all
// that can wait: a quarter of what was left when it was due.
func UrgentAt(notBefore, notAfter time.Time) time.Time {
	return notAfter.Add(-Lead(notAfter.Sub(notBefore)) / 4)
}

// round shortens a duration for reading.
func round(d time.Duration) string {
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%d days", int(d.Round(day/2)/day))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", int(d/time.Hour))
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d minutes", int(d/time.Minute))
	}
	if s := int(d / time.Second); s != 1 {
		return fmt.Sprintf("%d seconds", s)
	}
	return "1 second"
}

// The bounds of a CA's Retry-After for renewal information (RFC 9773 section 4.3.2).
const (
	pollLeast   = time.Minute
	pollMost    = day
	pollDefault = 6 * time.Hour
)

// PollARI says when to ask for renewal information again: as the CA says within
// bounds, and often enough for a short life.
func PollARI(now, notBefore, notAfter time.Time, retryAfter time.Duration) time.Time {
	if retryAfter <= 0 {
		retryAfter = pollDefault
	}
	wait := min(max(retryAfter, pollLeast), pollMost)
	if often := notAfter.Sub(notBefore) / 8; often > 0 {
		wait = min(wait, often)
	}
	return now.Add(wait)
}

// ladder is how long to wait after the nth failure in a row, then daily, as
// Let's Encrypt proposes.
var ladder = []time.Duration{time.Minute, 10 * time.Minute, 100 * time.Minute}

// Backoff says when to try again after failures in a row. It never waits longer
// than a quarter of what is left until expiry (zero for none), and is drawn out
// by up to a tenth as luck has it.
func Backoff(now time.Time, failures int, expiry time.Time, luck float64) time.Time {
	wait := day
	if failures <= len(ladder) {
		wait = ladder[max(failures, 1)-1]
	}
	if left := expiry.Sub(now); !expiry.IsZero() && left > 0 {
		wait = min(wait, max(left/4, time.Minute))
	}
	return now.Add(wait + time.Duration(luck*float64(wait)/10))
}

// Again says when to repeat a step that met a passing fault (a CA that is down,
// a target that does not answer): soon, then less often, at most every ten
// minutes, and never before the other side said.
func Again(now time.Time, attempts int, notBefore time.Time, luck float64) time.Time {
	wait := min(time.Second<<min(max(attempts, 1), 10), 10*time.Minute)
	at := now.Add(wait + time.Duration(luck*float64(wait)/10))
	if bound := now.Add(30 * day); notBefore.After(bound) {
		notBefore = bound
	}
	if notBefore.After(at) {
		return notBefore
	}
	return at
}

// Relook says when to look again at a name that was seen served: once or twice a
// day, spread out.
func Relook(now time.Time, life time.Duration, luck float64) time.Time {
	every := min(18*time.Hour, max(life/4, time.Minute))
	return now.Add(every/2 + time.Duration(luck*float64(every)/2))
}

// patienceWithout is how long a certificate that was never got waits for a limit
// before the next authority is asked.
const patienceWithout = 6 * time.Hour

// TooLate reports whether a limit that frees at until (zero: when a person helps)
// frees too late to wait for: when half of the time set aside for renewing would
// be gone. A certificate that was never got (zero notAfter) waits a few hours.
func TooLate(now, until, urgentAt, notAfter time.Time) bool {
	switch {
	case until.IsZero():
		return true
	case notAfter.IsZero():
		return until.Sub(now) > patienceWithout
	}
	return until.After(notAfter.Add(-2 * notAfter.Sub(urgentAt)))
}

// triesWithout is after how many failures a certificate that was never got is
// asked for at the next authority.
const triesWithout = 3

// FailsOver says whether the next order goes to another authority: when the
// first has failed and half of the time set aside for renewing is gone, or when
// a certificate that was never got (zero times) has failed a few times.
func FailsOver(now, notBefore, notAfter time.Time, failures int) bool {
	if notAfter.IsZero() {
		return failures >= triesWithout
	}
	return failures > 0 && notAfter.Sub(now) < Lead(notAfter.Sub(notBefore))/2
}
