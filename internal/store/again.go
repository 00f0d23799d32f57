package store

import (
	"context"

	"github.com/certfleet/certfleet"
)

// DeliverAgain makes the newest delivery of each certificate to a target due now,
// of one certificate or (zero) of all. One that lies there and was not seen served
// yet is looked at now, one that an agent refused waits for that agent again. Those
// that arrived are left out unless all is set, which also ends the wait for a canary.
// It says how many are due.
func (t *Tx) DeliverAgain(ctx context.Context, target, certificate int64, all bool) (int64, error) {
	if all {
		if err := t.endRollbacks(ctx, target, certificate); err != nil {
			return 0, err
		}
	}
	n, err := t.change(ctx, `UPDATE delivery SET state = CASE WHEN state = 'applied' AND $4 = 0 THEN state ELSE 'due' END, due_at = $1, attempts = 0, held = 0, rev = rev + 1
		WHERE target_id = $2 AND state <> 'superseded' AND lease_until <= $1 AND (CAST($3 AS BIGINT) = 0 OR certificate_id = $3) AND ($4 = 1 OR (held = 0 AND (state IN ('due', 'sent') OR (state IN ('failed', 'applied') AND due_at > 0)
			OR (state = 'failed' AND EXISTS (SELECT 1 FROM target g WHERE g.id = $2 AND g.type = 'pull' AND g.canary = 0)))))`,
		t.now.UnixMilli(), target, certificate, flag(&all))
	t.Wake()
	return n, err
}

// endRollbacks lets the version that was rolled back have another try: the older
// one that took its place at the target is superseded again.
func (t *Tx) endRollbacks(ctx context.Context, target, certificate int64) error {
	_, err := t.change(ctx, `UPDATE delivery SET state = 'superseded', due_at = 0, rollback = 0, rev = rev + 1
		WHERE target_id = $1 AND rollback = 1 AND lease_until <= $2 AND (CAST($3 AS BIGINT) = 0 OR certificate_id = $3)`, target, t.now.UnixMilli(), certificate)
	return err
}

// CertificateAgain does the same for one certificate at all of its targets.
func (t *Tx) CertificateAgain(ctx context.Context, certificate int64, all bool) (int64, error) {
	list, err := t.TargetsOf(ctx, certificate)
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, g := range list {
		n, err := t.DeliverAgain(ctx, g.ID, certificate, all)
		if err != nil {
			return sum, err
		}
		sum += n
	}
	return sum, nil
}

// RollBack makes the last version that was seen served at the target of a delivery
// due there once more, and ends the delivery itself: it failed for good, and waits
// for somebody. It says which version that is; NotFound when there is none that
// could be.
func (t *Tx) RollBack(ctx context.Context, d *certfleet.Delivery) (*certfleet.Delivery, error) {
	good, err := deliveries.one(ctx, t.Q, `JOIN version v ON v.id = delivery.version_id WHERE delivery.certificate_id = $1 AND delivery.target_id = $2 AND delivery.version_id < $3
		AND delivery.served_at > 0 AND v.not_after > $4 AND v.revoked_at = 0 AND v.key_id IS NOT NULL ORDER BY delivery.version_id DESC`, d.CertificateID, d.TargetID, d.VersionID, t.now.UnixMilli())
	if err != nil {
		return nil, err
	}
	good.State, good.DueAt, good.Rollback, good.Attempts, good.Problem, good.Advice = certfleet.DeliveryDue, t.now, true, 0, "", ""
	t.Wake()
	return good, t.SaveDelivery(ctx, good)
}
