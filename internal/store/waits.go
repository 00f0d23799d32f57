package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

// LaneWait is what waits in a lane for its order.
type LaneWait struct {
	Lane   certfleet.Lane
	N      int       // due now, as far as they are counted
	Oldest time.Time // since when the longest of them waits
}

// LaneWaits are the lanes in which certificates are due and wait for no limit,
// each counted up to most.
func (q Q) LaneWaits(ctx context.Context, now time.Time, most int) ([]LaneWait, error) {
	rows, err := q.x.QueryContext(ctx, laneWaits, now.UnixMilli(), most)
	if err != nil {
		return nil, explain(fmt.Errorf("count due certificates: %w", err), "")
	}
	defer rows.Close()
	var out []LaneWait
	for rows.Next() {
		var w LaneWait
		if err := rows.Scan(&w.Lane, &w.N, ms(&w.Oldest)); err != nil {
			return nil, err
		}
		if w.N > 0 {
			out = append(out, w)
		}
	}
	return out, explain(rows.Err(), "")
}

var laneWaits = func() string {
	var out []string
	for _, l := range certfleet.Lanes {
		out = append(out, fmt.Sprintf(`SELECT %d AS lane, count(*), coalesce(min(due_at), 0) FROM (SELECT due_at FROM certificate
			WHERE state = 'active' AND lane = %d AND waits_for = '' AND due_at > 0 AND due_at <= $1 ORDER BY due_at, id LIMIT $2) AS d`, l, l))
	}
	return strings.Join(out, " UNION ALL ")
}()

// oldest are by kind of work the questions for the moment since which the
// longest of it is due.
var oldest = map[string]string{
	"agents":     "SELECT quiet_at FROM agent WHERE quiet_at > 0 AND quiet_at <= $1 ORDER BY quiet_at LIMIT 1",
	"raises":     "SELECT urgent_at FROM certificate WHERE urgent_at > 0 AND urgent_at <= $1 AND due_at > 0 AND lane > 20 AND state = 'active' ORDER BY urgent_at, id LIMIT 1",
	"parked":     "SELECT due_at FROM certificate WHERE due_at > 0 AND due_at <= $1 AND state = 'parked' ORDER BY due_at, id LIMIT 1",
	"orders":     "SELECT coalesce(min(due_at), 0) FROM orders WHERE state IN ('wanted', 'open') AND manual = 0 AND due_at <= $1 AND lease_until <= $1",
	"cleanups":   "SELECT clean_due_at FROM challenge WHERE clean_due_at > 0 AND clean_due_at <= $1 ORDER BY clean_due_at LIMIT 1",
	"deliveries": "SELECT due_at FROM delivery WHERE due_at > 0 AND due_at <= $1 AND lease_until <= $1 ORDER BY due_at, id LIMIT 1",
	"windows":    "SELECT ari_poll_at FROM version WHERE ari_poll_at > 0 AND ari_poll_at <= $1 ORDER BY ari_poll_at, id LIMIT 1",
}

// OldestDue is since when the longest due work of a kind waits; zero when
// nothing waits, or for a kind that has no rows of its own.
func (q Q) OldestDue(ctx context.Context, kind string, now time.Time) (time.Time, error) {
	ask, ok := oldest[kind]
	if !ok {
		return time.Time{}, nil
	}
	n, err := q.number(ctx, "SELECT coalesce(("+ask+"), 0)", now.UnixMilli())
	return certfleet.FromMillis(n), err
}

// FailedDeliveries are those that went wrong last and are tried again, newest first.
func (q Q) FailedDeliveries(ctx context.Context, tenant int64, limit int) ([]certfleet.Delivery, error) {
	list, err := deliveries.list(ctx, q, "WHERE tenant_id = $1 AND state = 'failed' ORDER BY id DESC LIMIT $2", tenant, limit)
	if err != nil {
		return nil, err
	}
	return list, q.nameTargets(ctx, list)
}
