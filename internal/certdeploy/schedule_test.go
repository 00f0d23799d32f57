package certdeploy

import (
	"strings"
	"testing"
	"time"
)

func TestScheduleIsDueWhenTheOriginalIs(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("no time zones on this machine")
	}
	now := "2026-07-15 10:30:20" // a Wednesday
	for _, row := range []struct {
		every    int64
		unit, at string
		now      string
		want     string
	}{
		{1, "minute", "", now, "2026-07-15 10:31:20"},
		{5, "minute", ":40", now, "2026-07-15 10:35:40"},
		{1, "minute", ":40", now, "2026-07-15 10:30:40"},
		{1, "minute", ":20", now, "2026-07-15 10:31:20"},
		{1, "hour", ":45", now, "2026-07-15 10:45:00"},
		{1, "hour", ":15", now, "2026-07-15 11:15:00"},
		{2, "hour", "15:30", now, "2026-07-15 12:15:30"},
		{1, "day", "", now, "2026-07-16 10:30:20"},
		{1, "day", "15:00", now, "2026-07-15 15:00:00"},
		{1, "day", "09:00", now, "2026-07-16 09:00:00"},
		{1, "day", "9:00", now, "2026-07-16 09:00:00"},
		{2, "day", "15:00", now, "2026-07-17 15:00:00"},
		{2, "day", "09:00:30", now, "2026-07-17 09:00:30"},
		{1, "week", "", now, "2026-07-22 10:30:20"},
		{1, "week", "09:00", now, "2026-07-22 09:00:00"},
		{1, "monday", "", now, "2026-07-20 10:30:20"},
		{1, "wednesday", "", now, "2026-07-22 10:30:20"},
		{1, "wednesday", "12:00", now, "2026-07-15 12:00:00"},
		{1, "wednesday", "09:00", now, "2026-07-22 09:00:00"},
		{2, "monday", "09:00", now, "2026-07-20 09:00:00"},
		{2, "monday", "09:00", "2026-07-20 09:00:05", "2026-08-03 09:00:00"},
		{1, "day", "", "2026-03-28 12:00:00", "2026-03-29 12:00:00"},      // clocks go forward between
		{1, "day", "02:30", "2026-03-29 01:00:00", "2026-03-29 03:30:00"}, // an hour that is left out
		{1, "day", "02:30", "2026-03-29 05:00:00", "2026-03-30 02:30:00"},
		{1, "day", "02:30", "2026-10-25 01:00:00", "2026-10-25 02:30:00"}, // an hour that comes twice
	} {
		parse := func(s string) time.Time {
			v, err := time.ParseInLocation(time.DateTime, s, zone)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		s := schedule{every: row.every, unit: row.unit}
		if row.at != "" {
			if s.at, err = parseAt(row.unit, row.at); err != nil {
				t.Errorf("%+v: %v", row, err)
				continue
			}
		}
		if got := s.next(parse(row.now)); !got.Equal(parse(row.want)) {
			t.Errorf("every %d %s at %q, from %s: due %s, want %s", row.every, row.unit, row.at, row.now, got.Format(time.DateTime), row.want)
		}
	}
}

func TestRenewAtHasAFormForEachUnit(t *testing.T) {
	t.Parallel()
	for unit, bad := range map[string][]string{
		"minute": {"12:00", ":60", "30", ""}, "hour": {"12:00:00", ":60", "60:00"}, "day": {":30", "24:00", "12:60", "12", "012:00", "12:00:60"}, "monday": {":30"}, "week": {"25:00"},
	} {
		for _, at := range bad {
			if _, err := parseAt(unit, at); err == nil || !strings.Contains(err.Error(), "Invalid `renew_at` value") {
				t.Errorf("%s at %q: %v", unit, at, err)
			}
		}
	}
}

func FuzzSchedule(f *testing.F) {
	f.Add("day", "15:00", int64(1), int64(1_700_000_000))
	f.Add("monday", ":30", int64(3), int64(0))
	f.Add("hour", "59:59", int64(1), int64(1<<31))
	f.Fuzz(func(t *testing.T, unit, at string, every, now int64) {
		u, ok := unitOf(unit)
		if !ok || every < 1 || every > maxSeconds || now < 0 || now > 1<<33 {
			return
		}
		s := schedule{every: every, unit: u}
		if c, err := parseAt(u, at); err == nil {
			s.at = c
		}
		from := time.Unix(now, 0)
		if due := s.next(from); !due.After(from) {
			t.Errorf("%+v from %v is due at %v, which is not after it", s, from, due)
		}
	})
}
