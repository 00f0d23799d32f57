package store

import (
	"context"
	"time"

	"github.com/certfleet/certfleet"
)

// Count is a number under a word.
type Count struct {
	Word string
	N    int64
}

var counts = func(q Q, ctx context.Context, query string, args ...any) ([]Count, error) {
	rows, err := q.x.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, explain(err, "")
	}
	defer rows.Close()
	var out []Count
	for rows.Next() {
		var c Count
		if err := rows.Scan(&c.Word, &c.N); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, explain(rows.Err(), "")
}

// Gauges is the state of the fleet in numbers, for metrics and the overview.
type Gauges struct {
	Certificates []Count   // by state
	Orders       []Count   // live, by lane
	Deliveries   []Count   // by state
	Failures     []Count   // failing certificates, by kind of problem
	Due          int64     // orders that should open within a day
	Overdue      int64     // due for more than an hour
	Expiring     int64     // renewed here or elsewhere, with less than three days left
	Expired      int64     // the same, with none left
	OldestOpen   time.Time // creation of the oldest delivery that has not arrived
}

// Gauges counts; every count runs over an index. On a large store what was
// counted stays for a hundred times as long as counting took, so that whoever
// asks often costs one percent of a core at most.
func (d *DB) Gauges(ctx context.Context, now time.Time) (*Gauges, error) {
	d.counting.Lock()
	defer d.counting.Unlock()
	if d.counted != nil && time.Now().Before(d.countAgain) {
		return d.counted, nil
	}
	start := time.Now()
	g, err := d.Q.Gauges(ctx, now)
	if took := time.Since(start); err == nil && took > countAtOnce {
		d.counted, d.countAgain = g, time.Now().Add(100*took)
	}
	return g, err
}

// countAtOnce is how long counting may take without being spared.
const countAtOnce = 50 * time.Millisecond

// renewed are the certificates that somebody renews: we, or whoever is named.
const renewed = "(state NOT IN ('paused', 'parked') OR state = 'paused' AND external <> '')"

// Gauges counts anew.
func (q Q) Gauges(ctx context.Context, now time.Time) (*Gauges, error) {
	g := &Gauges{}
	var err error
	for _, c := range []struct {
		into *[]Count
		sql  string
	}{
		{&g.Certificates, "SELECT state, count(*) FROM certificate WHERE state IN ('paused', 'parked', 'removed') GROUP BY state"},
		{&g.Orders, "SELECT CAST(lane AS TEXT), count(*) FROM orders WHERE state IN ('wanted', 'open') GROUP BY lane"},
		{&g.Deliveries, "SELECT state, count(*) FROM delivery WHERE state IN ('due', 'sent', 'applied', 'served', 'failed') GROUP BY state"},
		{&g.Failures, "SELECT o.problem_type, count(*) FROM certificate c JOIN orders o ON o.id = (SELECT max(id) FROM orders WHERE certificate_id = c.id) WHERE c.failures > 0 AND c.state <> 'removed' GROUP BY o.problem_type"},
	} {
		if *c.into, err = counts(q, ctx, c.sql); err != nil {
			return nil, err
		}
	}
	if err := q.addActive(ctx, g); err != nil {
		return nil, err
	}
	for _, c := range []struct {
		into *int64
		sql  string
		at   time.Time
	}{
		{&g.Due, "SELECT count(*) FROM certificate WHERE due_at > 0 AND due_at <= $1", now.Add(24 * time.Hour)},
		{&g.Overdue, "SELECT count(*) FROM certificate WHERE due_at > 0 AND due_at <= $1", now.Add(-time.Hour)},
		{&g.Expiring, "SELECT count(*) FROM certificate WHERE not_after > 0 AND not_after <= $1 AND state <> 'removed' AND " + renewed, now.Add(72 * time.Hour)},
		{&g.Expired, "SELECT count(*) FROM certificate WHERE not_after > 0 AND not_after <= $1 AND state <> 'removed' AND " + renewed, now},
	} {
		if *c.into, err = q.number(ctx, c.sql, c.at.UnixMilli()); err != nil {
			return nil, err
		}
	}
	oldest, err := q.number(ctx, "SELECT coalesce(min(created_at), 0) FROM delivery WHERE state IN ('due', 'sent', 'failed')")
	g.OldestOpen = certfleet.FromMillis(oldest)
	return g, err
}

// addActive counts the active certificates as all but the others: both engines
// count a whole table much faster than its largest part.
func (q Q) addActive(ctx context.Context, g *Gauges) error {
	n, err := q.number(ctx, "SELECT count(*) FROM certificate")
	if err != nil {
		return err
	}
	for _, c := range g.Certificates {
		n -= c.N
	}
	g.Certificates = append([]Count{{string(certfleet.Active), n}}, g.Certificates...)
	return nil
}

// Issued counts the orders that ended with a version.
func (q Q) Issued(ctx context.Context) (int64, error) {
	return q.number(ctx, "SELECT count(*) FROM orders WHERE state = 'issued'")
}
