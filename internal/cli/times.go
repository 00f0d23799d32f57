package cli

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

// relative says how far t is from now: in 29 d, 3 h ago, now.
func relative(t, now time.Time) string {
	d := t.Sub(now)
	switch {
	case d.Abs() < time.Second:
		return "now"
	case d < 0:
		return span(-d) + " ago"
	}
	return "in " + span(d)
}

// span is a duration in its largest fitting unit.
func span(d time.Duration) string {
	units := []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}}
	for _, u := range units {
		if d >= 2*u.size || u.name == "s" {
			return fmt.Sprintf("%d %s", int64(math.Floor(float64(d)/float64(u.size))), u.name)
		}
	}
	return d.String()
}

// when is a moment for people: the absolute time and how far it is. Never is "-".
func when(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04") + " (" + relative(t, now) + ")"
}

// day is when to the day, for tables.
func day(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02") + " (" + relative(t, now) + ")"
}

func (p *program) when(t time.Time) string { return when(t, p.now()) }
func (p *program) day(t time.Time) string  { return day(t, p.now()) }

// dash stands where there is nothing.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// few is the beginning of a list, and how much follows.
func few(list []string, n int) string {
	switch {
	case len(list) == 0:
		return "-"
	case len(list) > n:
		return fmt.Sprintf("%s +%d", strings.Join(list[:n], ", "), len(list)-n)
	}
	return strings.Join(list, ", ")
}

// ident is an id, or nothing.
func ident(id int64) string {
	if id == 0 {
		return "-"
	}
	return fmt.Sprint(id)
}

// short is the beginning of a fingerprint.
func short(s string) string { return s[:min(len(s), 16)] }

// cut keeps a table's last column from running over.
func cut(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// duration is a flag that takes days too.
type duration struct{ d certfleet.Duration }

// String is how help shows it.
func (d *duration) String() string {
	if d.d == 0 {
		return ""
	}
	b, _ := d.d.MarshalText()
	return string(b)
}

// Set reads 90s, 15m, 36h or 7d.
func (d *duration) Set(s string) error {
	var got certfleet.Duration
	if err := got.UnmarshalText([]byte(s)); err != nil {
		return err
	}
	if got < 0 {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: s + " is less than nothing", Advice: "write how long without a sign, such as 36h"}
	}
	d.d = got
	return nil
}

// Type names it in help.
func (d *duration) Type() string { return "TIME" }

// howMany is a flag that is never negative.
type howMany int

// String is how help shows it.
func (n *howMany) String() string { return strconv.Itoa(int(*n)) }

// Set reads a number.
func (n *howMany) Set(s string) error {
	got, err := strconv.Atoi(s)
	if err != nil || got < 0 {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("%q is not a number of things", s), Advice: "write 0 or more"}
	}
	*n = howMany(got)
	return nil
}

// Type names it in help.
func (n *howMany) Type() string { return "INT" }
