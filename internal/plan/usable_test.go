package plan

import (
	"testing"
	"time"
)

func TestTheUsablePartOfAWindowIsInGoodTime(t *testing.T) {
	for what, c := range map[string]struct {
		life       time.Duration
		start, end time.Duration // after t0
		last       time.Duration
	}{
		"long life: but for its last hour":              {90 * day, 59 * day, 61 * day, 61*day - time.Hour},
		"a narrow window: but for its last twentieth":   {90 * day, 60 * day, 60*day + 20*time.Minute, 60*day + 19*time.Minute},
		"six days: until three and a bit are left":      {160 * time.Hour, 78 * time.Hour, 82 * time.Hour, 80 * time.Hour},
		"a window that leaves too little is kept whole": {160 * time.Hour, 100 * time.Hour, 110 * time.Hour, 110 * time.Hour},
	} {
		w := Window{t0.Add(c.start), t0.Add(c.end)}
		got := Usable(w, t0, t0.Add(c.life))
		if !got.Start.Equal(w.Start) || !got.End.Equal(t0.Add(c.last)) {
			t.Errorf("%s: ends %s after the start of life, want %s", what, got.End.Sub(t0), c.last)
		}
	}
}

func TestARenewalOfSixDaysIsInItsWindow(t *testing.T) {
	end := t0.Add(160 * time.Hour)
	w := Window{end.Add(-81 * time.Hour), end.Add(-78 * time.Hour)}
	for _, luck := range []float64{0, 0.5, 0.999} {
		at := DrawARI(Usable(w, t0, end), t0, luck)
		if r := RenewAt(t0, end, at, luck); !w.Holds(r.At) {
			t.Errorf("luck %v renews with %s left, outside of the window", luck, end.Sub(r.At))
		}
	}
}
