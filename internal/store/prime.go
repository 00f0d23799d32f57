package store

import (
	"context"

	"github.com/certfleet/certfleet"
)

// HoldsAt are the deliveries that say what a target should hold, one a
// certificate, in the order of certificates after one. What waits for a canary,
// or failed for good, is left out: what is there stays there.
func (q Q) HoldsAt(ctx context.Context, target, after int64, limit int) ([]certfleet.Delivery, error) {
	return deliveries.list(ctx, q, `JOIN certificate_target ct ON ct.certificate_id = delivery.certificate_id AND ct.target_id = delivery.target_id
		WHERE ct.target_id = $1 AND ct.certificate_id > $2 AND delivery.state <> 'superseded' AND delivery.held = 0 AND NOT (delivery.state = 'failed' AND delivery.due_at = 0)
		ORDER BY ct.certificate_id LIMIT $3`, target, after, limit)
}

// CountAt is how many certificates go to a target.
func (q Q) CountAt(ctx context.Context, target int64) (int, error) {
	n, err := q.number(ctx, "SELECT COUNT(*) FROM certificate_target WHERE target_id = $1", target)
	return int(n), err
}
