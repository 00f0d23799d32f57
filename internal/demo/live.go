package demo

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// status is how often the line with what comes next is drawn.
const status = time.Second

// live goes on until ctx ends: the short-lived certificates renew, and each
// renewal is looked at.
func (d *demo) live(ctx context.Context) error {
	d.screen.write(part{fmt.Sprintf("Certificates of profile %s hold %s here: watch them renew. Ctrl-C ends the demo.", shortlived, span(d.life)), bold})
	for drawn := (time.Time{}); ; {
		changed, err := d.hear(ctx, func(t *track) { d.renewal(ctx, t) })
		if err == nil && (changed || time.Since(drawn) > status) {
			err = d.next(ctx)
			drawn = time.Now()
		}
		if err == nil {
			err = sleep(ctx, listen)
		}
		if err != nil {
			d.screen.wipe()
			return ended(ctx, err)
		}
	}
}

// ended makes a person's Ctrl-C no error.
func ended(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// renewal tells what a person wants to see of a renewal: that it was seen, or
// why it was not.
func (d *demo) renewal(ctx context.Context, t *track) {
	clock := part{time.Now().Format(time.TimeOnly) + "  ", faint}
	name := part{pad(t.short(), 17) + " ", bold}
	switch {
	case !t.failed.IsZero(), t.problem != "":
		d.screen.write(clock, name, part{t.state() + " ", red}, part{cut(t.problem, 240), ""})
	case t.stage == served:
		d.prove(ctx, t)
		d.seen(t, clock, name)
	}
}

func (d *demo) seen(t *track, clock, name part) {
	if d.JSON {
		d.lines(t) // whoever reads them may have gone; the demo goes on
		return
	}
	for _, host := range t.names {
		if p := t.proofOf(host); !t.shows(host) {
			d.screen.write(clock, name, part{"not seen ", red}, part{t.why(p.name), ""})
			return
		}
	}
	p := t.proofs[0]
	d.screen.write(clock, name, part{"renewed ", green}, part{t.before + " → " + t.version.Serial + fmt.Sprintf(", seen with %s, holds %s", p.protocol, span(time.Until(p.notAfter))), ""})
}

// next draws what comes next and when.
func (d *demo) next(ctx context.Context) error {
	if !d.screen.terminal || d.screen.quiet {
		return nil
	}
	when, who, renewed := time.Time{}, "", 0
	for _, t := range d.fleet.tracks {
		renewed += max(0, t.rounds-1)
		c, err := d.fleet.db.Certificate(ctx, t.id)
		if err != nil {
			return err
		}
		if !c.DueAt.IsZero() && (when.IsZero() || c.DueAt.Before(when)) {
			when, who = c.DueAt, t.short()
		}
	}
	line := "  " + plural(renewed, "renewal") + " so far"
	if who != "" {
		line += "; next is " + who + " in " + span(time.Until(when))
	}
	d.screen.draw([][]part{{{line, faint}}})
	return nil
}
