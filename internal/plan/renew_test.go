package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
)

var t0 = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func TestRenewAtLeavesTimeForAnOutage(t *testing.T) {
	for _, c := range []struct {
		life       time.Duration
		leastLeft  time.Duration
		mostLeft   time.Duration
		threeDays  bool
		reasonWord string
	}{
		{90 * day, 30 * day, 35 * day, true, "days"},
		{64 * day, 21 * day, 25 * day, true, "days"},
		{45 * day, 15 * day, 18 * day, true, "days"},
		{160 * time.Hour, 80 * time.Hour, 88 * time.Hour, true, "days"},
		{10 * day, 80 * time.Hour, 92 * time.Hour, true, "days"},
		{2 * time.Minute, time.Minute, 66 * time.Second, false, "seconds"},
	} {
		for _, luck := range []float64{0, 0.5, 0.999} {
			r := RenewAt(t0, t0.Add(c.life), time.Time{}, luck)
			left := t0.Add(c.life).Sub(r.At)
			if left < c.leastLeft || left > c.mostLeft {
				t.Errorf("life %s luck %v: %s left, want %s to %s", c.life, luck, left, c.leastLeft, c.mostLeft)
			}
			if want := round(left) + " of its "; !strings.HasPrefix(r.Reason, want) || !strings.Contains(r.Reason, c.reasonWord) {
				t.Errorf("life %s luck %v: %s are left, and the reason is %q", c.life, luck, left, r.Reason)
			}
			if c.threeDays && left < 72*time.Hour {
				t.Errorf("life %s: a three day outage would expire it", c.life)
			}
		}
	}
}

func TestRenewAtSpreadsAFleet(t *testing.T) {
	early, late := RenewAt(t0, t0.Add(90*day), time.Time{}, 0.99), RenewAt(t0, t0.Add(90*day), time.Time{}, 0)
	if spread := late.At.Sub(early.At); spread < 4*day {
		t.Errorf("a fleet issued at once renews within %s", spread)
	}
}

func TestARIInstantIsInsideTheWindow(t *testing.T) {
	w := Window{t0.Add(time.Hour), t0.Add(3 * time.Hour)}
	for _, luck := range []float64{0, 0.25, 0.999} {
		if at := DrawARI(w, t0, luck); at.Before(w.Start) || !at.Before(w.End) {
			t.Errorf("luck %v: %s is outside", luck, at)
		}
	}
	if at := DrawARI(Window{t0.Add(-2 * time.Hour), t0.Add(-time.Hour)}, t0, 0.5); !at.Equal(t0) {
		t.Errorf("a window in the past means now, not %s", at)
	}
}

func TestAWindowTooCloseToExpiryIsNotBelieved(t *testing.T) {
	end := t0.Add(90 * day)
	if r := RenewAt(t0, end, end.Add(time.Hour), 0); !r.At.Before(end.Add(-20 * day)) {
		t.Errorf("renews at %s, after the CA's word, though that is past expiry", r.At)
	}
}

func TestTheWindowOfAShortLifeLeavesTimeForAnOutage(t *testing.T) {
	end := t0.Add(160 * time.Hour)
	for left, want := range map[time.Duration]time.Duration{29 * time.Hour: 80 * time.Hour, 77 * time.Hour: 80 * time.Hour, 81 * time.Hour: 81 * time.Hour} {
		if r := RenewAt(t0, end, end.Add(-left), 0); end.Sub(r.At) != want {
			t.Errorf("an instant with %s left renews with %s left, want %s", left, end.Sub(r.At), want)
		}
	}
}

func TestBackoffNeverSleepsThroughExpiry(t *testing.T) {
	for n, want := range map[int]time.Duration{1: time.Minute, 2: 10 * time.Minute, 3: 100 * time.Minute, 4: day, 99: day} {
		if got := Backoff(t0, n, time.Time{}, 0).Sub(t0); got != want {
			t.Errorf("failure %d waits %s, want %s", n, got, want)
		}
	}
	if got := Backoff(t0, 9, t0.Add(8*time.Hour), 0).Sub(t0); got != 2*time.Hour {
		t.Errorf("waits %s with 8 hours left", got)
	}
}

func TestAgainHonoursRetryAfterWithinBounds(t *testing.T) {
	if got := Again(t0, 1, t0.Add(time.Hour), 0); got != t0.Add(time.Hour) {
		t.Errorf("tries again at %s", got)
	}
	if got := Again(t0, 1, t0.Add(9999*day), 0); got != t0.Add(30*day) {
		t.Errorf("an absurd Retry-After is kept: %s", got)
	}
	if got := Again(t0, 64, time.Time{}, 0).Sub(t0); got != 10*time.Minute {
		t.Errorf("attempt 64 waits %s", got)
	}
}

func TestPollARIStaysWithinBounds(t *testing.T) {
	end := t0.Add(90 * day)
	for retry, want := range map[time.Duration]time.Duration{0: 6 * time.Hour, time.Second: time.Minute, 30 * day: day, 7 * time.Hour: 7 * time.Hour} {
		if got := PollARI(t0, t0, end, retry).Sub(t0); got != want {
			t.Errorf("Retry-After %s asks again in %s, want %s", retry, got, want)
		}
	}
	if got := PollARI(t0, t0, t0.Add(80*time.Second), 6*time.Hour).Sub(t0); got != 10*time.Second {
		t.Errorf("a life of 80 s is asked for every %s", got)
	}
}

func TestFailsOverAtHalfOfTheSlack(t *testing.T) {
	end := t0.Add(90 * day)
	for _, c := range []struct {
		left     time.Duration
		failures int
		want     bool
	}{
		{30 * day, 5, false}, {16 * day, 5, false}, {14 * day, 1, true}, {14 * day, 0, false}, {-day, 1, true},
	} {
		if got := FailsOver(end.Add(-c.left), t0, end, c.failures); got != c.want {
			t.Errorf("%s left after %d failures: %v", c.left, c.failures, got)
		}
	}
	if FailsOver(t0, time.Time{}, time.Time{}, 2) || !FailsOver(t0, time.Time{}, time.Time{}, 3) {
		t.Error("a certificate that was never got fails over after three failures")
	}
}

func TestAWindowPutsNothingOffThatWasAskedFor(t *testing.T) {
	soon, late := t0.Add(time.Hour), t0.Add(60*day)
	for _, c := range []struct {
		lane      certfleet.Lane
		failures  int
		due, next time.Time
		want      bool
	}{
		{certfleet.LaneRoutine, 0, late, soon, true},
		{certfleet.LaneRoutine, 0, soon, late, true},
		{certfleet.LaneBackfill, 0, soon, late, true},
		{certfleet.LaneEmergency, 0, soon, late, false},
		{certfleet.LaneExpiring, 0, soon, late, false},
		{certfleet.LaneWaiting, 0, soon, late, false},
		{certfleet.LaneNew, 0, soon, late, false},
		{certfleet.LaneWaiting, 0, late, soon, true},
		{certfleet.LaneRoutine, 2, late, soon, false},
		{certfleet.LaneEmergency, 1, soon, late, false},
	} {
		if got := Moves(c.lane, c.failures, c.due, c.next); got != c.want {
			t.Errorf("in lane %s after %d failures, due in %s, an instant in %s moves it: %v", c.lane, c.failures, c.due.Sub(t0), c.next.Sub(t0), got)
		}
	}
}
