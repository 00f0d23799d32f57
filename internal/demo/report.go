package demo

import (
	"encoding/json"
	"fmt"
	"time"
)

// row is what is known of one name at the end; in JSON it is one line.
type row struct {
	Name        string     `json:"name"`
	Certificate string     `json:"certificate"`
	State       string     `json:"state"`
	Serial      string     `json:"serial"`
	NotAfter    *time.Time `json:"not_after"` // null while there is no version
	Served      bool       `json:"served"`
	Problem     string     `json:"problem"`
}

func (t *track) row(name string) row {
	r := row{Name: name, Certificate: t.label, State: t.state(), Served: t.shows(name), Problem: t.problem}
	if t.version != nil {
		at := t.version.NotAfter.UTC()
		r.Serial, r.NotAfter = t.version.Serial, &at
	}
	if err := t.proofOf(name).err; err != nil && r.Problem == "" {
		r.Problem = err.Error()
	}
	return r
}

// report tells how every name ended: a table, or JSON.
func (d *demo) report() error {
	if d.JSON {
		for _, t := range d.fleet.tracks {
			if err := d.lines(t); err != nil {
				return err
			}
		}
		return nil
	}
	d.screen.say("")
	d.screen.write(part{fmt.Sprintf("%-20s %-8s %-16s %-9s %s", "NAME", "STATE", "SERIAL", "VALID FOR", "HANDSHAKE"), bold})
	for _, t := range d.fleet.tracks {
		for _, name := range t.names {
			d.tableRow(t, name)
		}
	}
	d.failures()
	return nil
}

// lines writes one line of JSON for each name of a certificate.
func (d *demo) lines(t *track) error {
	for _, name := range t.names {
		if err := json.NewEncoder(d.Out).Encode(t.row(name)); err != nil {
			return fmt.Errorf("write the answer: %w", err)
		}
	}
	return nil
}

func (d *demo) tableRow(t *track, name string) {
	r, p := t.row(name), t.proofOf(name)
	tone, valid, seen := yellow, "-", "-"
	if r.NotAfter != nil && r.State != "failed" {
		valid = span(time.Until(*r.NotAfter))
	}
	switch {
	case r.Served:
		tone, seen = green, p.protocol+", "+p.root
	case r.State == "failed":
		tone = red
	}
	serial := r.Serial
	if serial == "" {
		serial = "-"
	}
	d.screen.write(part{pad(name, 20) + " ", ""}, part{pad(r.State, 8) + " ", tone}, part{fmt.Sprintf("%-16s %-9s %s", serial, valid, seen), ""})
}

// failures says why what failed did: in the CA's words, and with our advice.
func (d *demo) failures() {
	for _, t := range d.fleet.tracks {
		if t.failed.IsZero() {
			continue
		}
		meant := ""
		if t.fails {
			meant = ", as it must (" + t.how + ")"
		}
		d.screen.say("")
		d.screen.write(part{t.label + " failed" + meant, red})
		d.screen.say("  the CA says: " + cut(t.problem, 500))
		if t.advice != "" {
			d.screen.say("  advice:      " + t.advice)
		}
	}
}

// span is a stretch of time for reading.
func span(t time.Duration) string {
	switch {
	case t >= 48*time.Hour:
		return fmt.Sprintf("%d days", int(t.Round(time.Hour)/(24*time.Hour)))
	case t >= 2*time.Hour:
		return fmt.Sprintf("%d h", int(t/time.Hour))
	case t >= 10*time.Minute:
		return fmt.Sprintf("%d min", int(t/time.Minute))
	}
	return fmt.Sprintf("%d s", max(0, int(t/time.Second)))
}
