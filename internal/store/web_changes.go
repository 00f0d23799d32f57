package store

import (
	"context"

	"github.com/certfleet/certfleet"
)

// EmptySlot takes one slot from a name, if it still holds that version.
func (t *Tx) EmptySlot(ctx context.Context, s certfleet.Slot) error {
	_, err := t.change(ctx, "DELETE FROM slot WHERE tenant_id = $1 AND name = $2 AND slot = $3 AND version_id = $4", orDefault(s.Tenant), s.Name.String(), string(s.Kind), s.VersionID)
	return err
}

// WantMissingDeliveries makes deliveries of the version for those targets of its
// certificate that have none; the others stay as they are. What goes to a target
// that the certificate no longer has is superseded.
func (t *Tx) WantMissingDeliveries(ctx context.Context, v *certfleet.Version) error {
	_, err := t.change(ctx, `UPDATE delivery SET state = 'superseded', due_at = 0, held = 0, rollback = 0, rev = rev + 1
		WHERE certificate_id = $1 AND state <> 'superseded' AND target_id NOT IN (SELECT target_id FROM certificate_target WHERE certificate_id = $1)`, v.CertificateID)
	if err != nil {
		return err
	}
	_, err = t.change(ctx, `INSERT INTO delivery (tenant_id, version_id, target_id, certificate_id, state, due_at, created_at)
		SELECT c.tenant_id, CAST($1 AS BIGINT), ct.target_id, c.id, 'due', CAST($2 AS BIGINT), CAST($2 AS BIGINT) FROM certificate_target ct JOIN certificate c ON c.id = ct.certificate_id WHERE c.id = $3
		ON CONFLICT (version_id, target_id) DO UPDATE SET state = 'due', due_at = excluded.due_at, rev = delivery.rev + 1 WHERE delivery.state = 'superseded'`, v.ID, t.now.UnixMilli(), v.CertificateID)
	if err != nil {
		return err
	}
	t.Wake()
	return t.holdForCanary(ctx, v.ID)
}

// StopDeliveries ends all deliveries of a certificate: nothing more is sent or
// looked at. What targets hold stays there.
func (t *Tx) StopDeliveries(ctx context.Context, certificate int64) error {
	_, err := t.change(ctx, "UPDATE delivery SET state = 'superseded', due_at = 0, held = 0, rollback = 0, rev = rev + 1 WHERE certificate_id = $1 AND state <> 'superseded'", certificate)
	return err
}
