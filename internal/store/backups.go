package store

import (
	"context"
	"time"

	"github.com/certfleet/certfleet"
)

var backups = table[certfleet.Backup]{"backup", "backup certificate", func(b *certfleet.Backup) []field {
	return []field{
		{"id", &b.ID}, {"tenant_id", &b.Tenant}, {"certificate_id", &b.CertificateID}, {"due_at", ms(&b.DueAt)}, {"due_reason", &b.DueReason},
		{"lane", &b.Lane}, {"failures", &b.Failures}, {"problem", &b.Problem}, {"advice", &b.Advice}, {"failed_at", ms(&b.FailedAt)},
		{"version_id", ref(&b.VersionID)}, {"not_after", ms(&b.NotAfter)}, {"flipped_at", ms(&b.FlippedAt)}, {"rev", &b.Rev},
	}
}}

// WantBackup makes a certificate's backup due now, unless there is one that is
// due or on its way.
func (t *Tx) WantBackup(ctx context.Context, c *certfleet.Certificate) error {
	n, err := t.change(ctx, `INSERT INTO backup (tenant_id, certificate_id, due_at, due_reason, lane) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (certificate_id) DO UPDATE SET due_at = excluded.due_at, due_reason = excluded.due_reason, lane = excluded.lane, rev = backup.rev + 1
		WHERE backup.due_at = 0 AND NOT EXISTS (SELECT 1 FROM orders WHERE orders.certificate_id = backup.certificate_id AND orders.slot = 'backup' AND orders.state IN ('wanted', 'open'))`,
		orDefault(c.Tenant), c.ID, t.now.UnixMilli(), "its policy wants a backup", int64(certfleet.LaneBackfill))
	if n > 0 {
		t.Wake()
	}
	return err
}

// SaveBackup writes a backup where nobody else did meanwhile.
func (t *Tx) SaveBackup(ctx context.Context, b *certfleet.Backup) error {
	return backups.save(ctx, t, b, &b.Rev)
}

// BackupOf is how the backup of a certificate stands, or NotFound.
func (q Q) BackupOf(ctx context.Context, certificate int64) (*certfleet.Backup, error) {
	return backups.one(ctx, q, "WHERE certificate_id = $1", certificate)
}

// MaybeBackup is BackupOf, nil where there is none.
func (q Q) MaybeBackup(ctx context.Context, certificate int64) (*certfleet.Backup, error) {
	b, err := q.BackupOf(ctx, certificate)
	if certfleet.KindOf(err) == certfleet.NotFound {
		return nil, nil
	}
	return b, err
}

// DueBackups are the backups whose order opens now.
func (q Q) DueBackups(ctx context.Context, now time.Time, limit int) ([]certfleet.Backup, error) {
	return backups.list(ctx, q, "WHERE due_at > 0 AND due_at <= $1 ORDER BY due_at, id LIMIT $2", now.UnixMilli(), limit)
}

// FlippedBackups lists one page of the backups that are delivered, by certificate.
func (q Q) FlippedBackups(ctx context.Context, tenant, after int64, limit int) ([]certfleet.Backup, error) {
	return backups.list(ctx, q, "WHERE tenant_id = $1 AND flipped_at > 0 AND certificate_id > $2 ORDER BY certificate_id LIMIT $3", orDefault(tenant), after, page(limit))
}

// ServingVersion is the version that is delivered for a certificate: its backup's
// while that is flipped to, else its newest; zero for none.
func (q Q) ServingVersion(ctx context.Context, c *certfleet.Certificate) (int64, error) {
	b, err := q.MaybeBackup(ctx, c.ID)
	if err != nil || !b.Flipped() {
		return c.VersionID, err
	}
	return b.VersionID, nil
}

// NewGeneration puts a version before all that were delivered so far, so that
// targets take it although a newer one was there.
func (t *Tx) NewGeneration(ctx context.Context, version int64) error {
	next := "UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'version' RETURNING seq"
	if t.pg {
		next = "SELECT nextval(pg_get_serial_sequence('version', 'id'))"
	}
	n, err := t.number(ctx, next)
	if err != nil {
		return err
	}
	_, err = t.change(ctx, "INSERT INTO generation (version_id, n) VALUES ($1, $2) ON CONFLICT (version_id) DO UPDATE SET n = excluded.n", version, n)
	return err
}

// Generation is the number under which a version is delivered: its id, unless it
// was put before others.
func (q Q) Generation(ctx context.Context, version int64) (int64, error) {
	n, err := q.number(ctx, "SELECT coalesce((SELECT n FROM generation WHERE version_id = $1), 0)", version)
	return max(n, version), err
}

// MoveSlots lets all names that serve one version serve another, the slot backup
// aside.
func (t *Tx) MoveSlots(ctx context.Context, from, to int64) error {
	_, err := t.change(ctx, "UPDATE slot SET version_id = $1, since = $2 WHERE version_id = $3 AND slot <> 'backup'", to, t.now.UnixMilli(), from)
	return err
}

// BackupFill is a policy whose certificates are to be looked at for backups.
type BackupFill struct {
	PolicyID int64
	AfterID  int64
	DueAt    time.Time
}

var backupFills = table[BackupFill]{"backup_fill", "backup fill", func(b *BackupFill) []field {
	return []field{{"policy_id", &b.PolicyID}, {"after_id", &b.AfterID}, {"due_at", ms(&b.DueAt)}}
}}

// FillBackups has all certificates of a policy looked at, from the first on.
func (t *Tx) FillBackups(ctx context.Context, policy int64) error {
	t.Wake()
	_, err := t.change(ctx, "INSERT INTO backup_fill (policy_id, after_id, due_at) VALUES ($1, 0, $2) ON CONFLICT (policy_id) DO UPDATE SET after_id = 0, due_at = excluded.due_at", policy, t.now.UnixMilli())
	return err
}

// DueBackupFills lists what FillBackups left to do.
func (q Q) DueBackupFills(ctx context.Context, now time.Time, limit int) ([]BackupFill, error) {
	return backupFills.list(ctx, q, "WHERE due_at <= $1 ORDER BY policy_id LIMIT $2", now.UnixMilli(), limit)
}

// FillPage wants a backup for the next certificates of a policy that have a
// version, and reports whether there are more.
func (t *Tx) FillPage(ctx context.Context, policy int64, size int) (bool, error) {
	after, err := t.number(ctx, "SELECT coalesce((SELECT after_id FROM backup_fill WHERE policy_id = $1), -1)", policy)
	if err != nil || after < 0 {
		return false, err
	}
	list, err := certificates.list(ctx, t.Q, "WHERE policy_id = $1 AND id > $2 ORDER BY id LIMIT $3", policy, after, size)
	if err != nil {
		return false, err
	}
	from := after
	for _, c := range list {
		after = c.ID
		if c.VersionID == 0 || c.State == certfleet.Removed {
			continue
		}
		if err := t.WantBackup(ctx, &c); err != nil {
			return false, err
		}
	}
	if len(list) < size {
		n, err := t.change(ctx, "DELETE FROM backup_fill WHERE policy_id = $1 AND after_id = $2", policy, from)
		return n == 0, err // it was asked for anew meanwhile
	}
	_, err = t.change(ctx, "UPDATE backup_fill SET after_id = $1 WHERE policy_id = $2 AND after_id = $3", after, policy, from)
	return true, err
}
