package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

// DueOrders are the orders to step now that nobody holds. Emergencies and what
// expires go first; the other lanes let each other pass for a while, see
// certfleet.Lane.Yields: by the lane alone, renewals would wait behind a migration
// for as long as that goes on.
func (q Q) DueOrders(ctx context.Context, now time.Time, limit int) ([]certfleet.Order, error) {
	list, err := orders.read(q.x.QueryContext(ctx, dueOrders, now.UnixMilli(), limit))
	slices.SortFunc(list, func(a, b certfleet.Order) int { return cmp.Or(a.Turn().Compare(b.Turn()), cmp.Compare(a.ID, b.ID)) })
	return list[:min(len(list), limit)], err
}

// dueOrders is a page of each lane, so that an index that begins with the lane leads
// to what is due in it, past the orders that wait for another day.
var dueOrders = func() string {
	var out []string
	for _, l := range certfleet.Lanes {
		out = append(out, fmt.Sprintf(`SELECT * FROM (SELECT %s FROM orders
			WHERE state IN ('wanted', 'open') AND manual = 0 AND lane = %d AND due_at <= $1 AND lease_until <= $1 ORDER BY due_at, id LIMIT $2) AS d`, orders.cols(""), l))
	}
	return strings.Join(out, " UNION ALL ")
}()
