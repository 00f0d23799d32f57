package certdeploy

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// schedule says when certificates are renewed, in this machine's time zone.
type schedule struct {
	every int64  // units; at least one
	unit  string // minute, hour, day, week, or a weekday
	at    *clock // nil for whenever it was
}

// clock is the part of a time that a schedule fixes; -1 leaves it as it is.
type clock struct{ hour, minute, second int }

var weekdays = map[string]time.Weekday{
	"sunday": time.Sunday, "monday": time.Monday, "tuesday": time.Tuesday, "wednesday": time.Wednesday,
	"thursday": time.Thursday, "friday": time.Friday, "saturday": time.Saturday,
}

const unitWords = "be one of minute, hour, day, week, monday, tuesday, wednesday, thursday, friday, saturday, sunday"

// unitOf reads a unit as certdeploy does: trimmed, in any case.
func unitOf(word string) (string, bool) {
	u := strings.ToLower(strings.TrimSpace(word))
	_, day := weekdays[u]
	return u, day || u == "minute" || u == "hour" || u == "day" || u == "week"
}

var (
	atDay    = regexp.MustCompile(`^([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?$`)
	atHour   = regexp.MustCompile(`^([0-5]\d)?:([0-5]\d)$`)
	atMinute = regexp.MustCompile(`^:([0-5]\d)$`)
)

// parseAt reads renew_at for a unit: :SS for minutes, :MM or MM:SS for hours, and
// HH:MM or HH:MM:SS for the rest.
func parseAt(unit, text string) (*clock, error) {
	n := func(s string) int { v, _ := strconv.Atoi(s); return v }
	switch unit {
	case "minute":
		if m := atMinute.FindStringSubmatch(text); m != nil {
			return &clock{-1, -1, n(m[1])}, nil
		}
		return nil, badAt(text, ":SS")
	case "hour":
		m := atHour.FindStringSubmatch(text)
		switch {
		case m == nil:
			return nil, badAt(text, ":MM or MM:SS")
		case m[1] == "":
			return &clock{-1, n(m[2]), 0}, nil
		}
		return &clock{-1, n(m[1]), n(m[2])}, nil
	}
	if m := atDay.FindStringSubmatch(text); m != nil {
		return &clock{n(m[1]), n(m[2]), n(m[3])}, nil
	}
	return nil, badAt(text, "HH:MM or HH:MM:SS")
}

func badAt(text, form string) error {
	return invalid("write "+form+", the form for this renew_unit", "Invalid `renew_at` value: %.50s", text)
}

// next is the first moment after now at which the schedule is due. A weekday that
// comes every few weeks comes first on the next such day.
func (s schedule) next(now time.Time) time.Time {
	t, weekday := now, false
	if day, ok := weekdays[s.unit]; ok {
		t, weekday = t.AddDate(0, 0, (int(day)-int(t.Weekday())+7)%7), true
	}
	if s.at != nil {
		t = s.at.on(t)
	}
	if s.every > 1 && !weekday {
		t = s.step(t)
	}
	for n := 0; !t.After(now) && n < 400; n++ { // an hour that a change of clocks leaves out takes two
		t = s.step(t)
	}
	return t
}

// step goes one interval on. Days and weeks keep the time of day across changes
// of clocks, and come back to it after one that left it out.
func (s schedule) step(t time.Time) time.Time {
	switch s.unit {
	case "minute":
		return t.Add(time.Duration(s.every) * time.Minute)
	case "hour":
		return t.Add(time.Duration(s.every) * time.Hour)
	case "day":
		t = t.AddDate(0, 0, int(s.every))
	default:
		t = t.AddDate(0, 0, 7*int(s.every))
	}
	if s.at != nil {
		return s.at.on(t)
	}
	return t
}

func (c clock) on(t time.Time) time.Time {
	hour, minute := t.Hour(), t.Minute()
	if c.hour >= 0 {
		hour = c.hour
	}
	if c.minute >= 0 {
		minute = c.minute
	}
	return time.Date(t.Year(), t.Month(), t.Day(), hour, minute, c.second, 0, t.Location())
}
