package demo

import (
	"fmt"
	"time"
)

// block is one line a certificate: its way so far, with the seconds it took,
// and the last words about it.
func (d *demo) block(now time.Time) [][]part {
	var out [][]part
	for _, t := range d.fleet.tracks {
		out = append(out, append([]part{{" " + pad(t.short(), 17), bold}}, t.way(now)...))
	}
	return out
}

// short is the label, and how many names more there are.
func (t *track) short() string {
	if more := len(t.names) - 1; more > 0 {
		return fmt.Sprintf("%s +%d", t.label, more)
	}
	return t.label
}

// way is wanted -> open 0.1 -> issued 0.6 and so on, in seconds since it was wanted.
func (t *track) way(now time.Time) []part {
	out := []part{{stageWords[wanted], t.tint(wanted)}}
	for s := open; s <= t.stage; s++ {
		if !t.reached[s].IsZero() {
			out = append(out, part{" → ", faint}, part{fmt.Sprintf("%s %.1f", stageWords[s], t.since(t.reached[s])), t.tint(s)})
		}
	}
	switch {
	case !t.failed.IsZero():
		return append(out, part{" → ", faint}, part{fmt.Sprintf("failed %.1f", t.since(t.failed)), red}, part{"  " + t.problem, ""})
	case t.stage == served:
		return append(out, part{" s", ""})
	}
	return append(out, part{fmt.Sprintf(" … %.1f s  ", t.since(now)), faint}, part{t.word, faint})
}

func (t *track) tint(s stage) string {
	switch {
	case s == served:
		return green
	case s == t.stage && t.failed.IsZero():
		return yellow
	}
	return ""
}

// since is in seconds; a clock that went back counts as none.
func (t *track) since(at time.Time) float64 { return max(0, at.Sub(t.reached[wanted]).Seconds()) }

// tell writes a change as a line, where no block shows it.
func (d *demo) tell(t *track) {
	if d.screen.terminal {
		return
	}
	state, tone := t.state(), yellow
	switch state {
	case "served":
		tone = green
	case "failed":
		tone = red
	}
	d.screen.write(part{fmt.Sprintf("%6.2f s  ", time.Since(d.began).Seconds()), faint}, part{pad(t.short(), 17) + " ", bold}, part{pad(state, 9) + " ", tone}, part{cut(t.word, 240), ""})
}
