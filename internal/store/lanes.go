package store

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

// Due is a certificate whose next order waits for its turn.
type Due struct {
	ID    int64
	Lane  certfleet.Lane
	Share string // its label tenant: tenants take turns within a lane
	At    time.Time
}

var dues = table[Due]{"certificate", "certificate", func(d *Due) []field {
	return []field{{"id", &d.ID}, {"lane", &d.Lane}, {"share", &d.Share}, {"due_at", ms(&d.At)}}
}}

// DueInLane are the certificates of a lane that are due, longest first: those
// that wait in the room of a bucket, or with an empty room those that wait for
// no limit.
func (q Q) DueInLane(ctx context.Context, lane certfleet.Lane, room string, now time.Time, limit int) ([]Due, error) {
	return dues.list(ctx, q, "WHERE lane = $1 AND waits_for = $2 AND state = 'active' AND due_at > 0 AND due_at <= $3 ORDER BY due_at, id LIMIT $4", int64(lane), room, now.UnixMilli(), limit)
}

// DueByLane is a page of every lane, of those that wait for no limit, in one
// question: it is put often.
func (q Q) DueByLane(ctx context.Context, now time.Time, page int) ([]Due, error) {
	rows, err := q.x.QueryContext(ctx, dueByLane, now.UnixMilli(), page)
	if err != nil {
		return nil, explain(fmt.Errorf("list due certificates: %w", err), "")
	}
	defer rows.Close()
	var out []Due
	for rows.Next() {
		var d Due
		if err := rows.Scan(places(dues.fields(&d))...); err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, explain(rows.Err(), "")
}

var dueByLane = func() string {
	var out []string
	for _, l := range certfleet.Lanes {
		out = append(out, fmt.Sprintf(`SELECT id, lane, share, due_at FROM (SELECT id, lane, share, due_at FROM certificate
			WHERE state = 'active' AND lane = %d AND waits_for = '' AND due_at > 0 AND due_at <= $1 ORDER BY due_at, id LIMIT $2) AS d`, l))
	}
	return strings.Join(out, " UNION ALL ")
}()

// LetIn reports whether a certificate waits for a limit that has tokens again.
func (q Q) LetIn(ctx context.Context, certificate int64, now time.Time) (bool, error) {
	n, err := q.number(ctx, "SELECT count(*) FROM certificate c JOIN bucket b ON b.k = c.waits_for WHERE c.id = $1 AND c.waits_for <> '' AND b.free_at > 0 AND b.free_at <= $2", certificate, now.UnixMilli())
	return n > 0, err
}

// DueByShare are a few due certificates of each of the next tenants after one,
// going round, for a lane so long that one tenant may fill a page of it.
func (q Q) DueByShare(ctx context.Context, lane certfleet.Lane, room, after string, now time.Time, tenants, each int) ([]Due, error) {
	const next = "SELECT share FROM certificate WHERE lane = $1 AND waits_for = $2 AND state = 'active' AND due_at > 0 AND share "
	const order = " ORDER BY share LIMIT 1"
	shares, err := q.strings(ctx, "WITH RECURSIVE s (share) AS (SELECT * FROM ("+next+"> $3"+order+") AS first UNION ALL SELECT ("+next+"> s.share"+order+
		") FROM s WHERE s.share IS NOT NULL) SELECT share FROM s WHERE share IS NOT NULL LIMIT $4", int64(lane), room, after, tenants)
	if err != nil {
		return nil, err
	}
	if len(shares) < tenants && after != "" { // round the corner
		first, err := q.DueByShare(ctx, lane, room, "", now, tenants-len(shares), each)
		if err != nil {
			return nil, err
		}
		rest, err := q.dueOf(ctx, lane, room, shares, now, each)
		return append(rest, first...), err
	}
	if after == "" {
		shares = append(shares, "")
	}
	return q.dueOf(ctx, lane, room, shares, now, each)
}

func (q Q) dueOf(ctx context.Context, lane certfleet.Lane, room string, shares []string, now time.Time, each int) ([]Due, error) {
	var out []Due
	for _, s := range shares {
		list, err := dues.list(ctx, q, "WHERE lane = $1 AND waits_for = $2 AND share = $3 AND state = 'active' AND due_at > 0 AND due_at <= $4 ORDER BY due_at, id LIMIT $5", int64(lane), room, s, now.UnixMilli(), each)
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}

// anyLane names all lanes, so that an index that begins with the lane leads to
// what is due in each, past the orders that wait for another day.
var anyLane = func() string {
	var out []string
	for _, l := range certfleet.Lanes {
		out = append(out, strconv.Itoa(int(l)))
	}
	return "lane IN (" + strings.Join(out, ", ") + ")"
}()

// OrdersAhead counts the orders that nobody has begun to work on although they
// are due, up to most.
func (q Q) OrdersAhead(ctx context.Context, now time.Time, most int) (int, error) {
	n, err := q.number(ctx, `SELECT count(*) FROM (SELECT id FROM orders WHERE state IN ('wanted', 'open') AND manual = 0 AND `+anyLane+` AND due_at <= $1 AND lease_until <= $1 LIMIT $2) AS d`, now.UnixMilli(), most)
	return int(n), err
}

// DueRaises are the certificates that wait in a lane although little of their
// life is left.
func (q Q) DueRaises(ctx context.Context, now time.Time, limit int) ([]Due, error) {
	return dues.list(ctx, q, "WHERE urgent_at > 0 AND urgent_at <= $1 AND due_at > 0 AND lane > 20 AND state = 'active' ORDER BY urgent_at, id LIMIT $2", now.UnixMilli(), limit)
}

// Raise puts a certificate with little life left into the lane of the expiring;
// it keeps its place in a room.
func (t *Tx) Raise(ctx context.Context, id int64) error {
	_, err := t.change(ctx, "UPDATE certificate SET lane = 20, rev = rev + 1 WHERE id = $1 AND urgent_at > 0 AND urgent_at <= $2 AND due_at > 0 AND lane > 20 AND state = 'active'", id, t.now.UnixMilli())
	return err
}

// nextTurns are the earliest moments at which a certificate of each lane, a room,
// a raise or a parked certificate is due.
func nextTurns() string {
	var out []string
	for _, l := range certfleet.Lanes {
		out = append(out, fmt.Sprintf("SELECT (SELECT due_at FROM certificate WHERE lane = %d AND waits_for = '' AND state = 'active' AND due_at > 0 ORDER BY due_at, id LIMIT 1) AS at", l),
			fmt.Sprintf("SELECT (SELECT due_at FROM orders WHERE lane = %d AND state IN ('wanted', 'open') AND manual = 0 AND lease_until = 0 ORDER BY due_at, id LIMIT 1)", l))
	}
	out = append(out, "SELECT (SELECT free_at FROM bucket WHERE free_at > 0 AND "+waited+" ORDER BY free_at, k LIMIT 1)",
		"SELECT (SELECT urgent_at FROM certificate WHERE urgent_at > 0 AND due_at > 0 AND lane > 20 AND state = 'active' ORDER BY urgent_at, id LIMIT 1)",
		"SELECT (SELECT due_at FROM certificate WHERE due_at > 0 AND state = 'parked' ORDER BY due_at, id LIMIT 1)")
	return strings.Join(out, "\n\t\tUNION ALL ")
}

// shareOf is a column derived from the labels.
type shareOf struct{ labels *certfleet.Labels }

// Scan ignores what is stored.
func (s shareOf) Scan(any) error { return nil }

// Value is the tenant's label.
func (s shareOf) Value() (driver.Value, error) { return (*s.labels)["tenant"], nil }

// nobody is the room that a certificate waits in whenever it is written as a
// whole: none.
type nobody struct{}

// Scan ignores what is stored.
func (nobody) Scan(any) error { return nil }

// Value is the empty room.
func (nobody) Value() (driver.Value, error) { return "", nil }
