package issue

import (
	"context"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/plan"
	"github.com/certfleet/certfleet/internal/store"
)

// A backup is the same order with another authority and the slot backup. How it
// stands is on a row of its own, so that trouble with it never moves the
// primary's due time; the rest of the way is the primary's.

// DueBackups are the certificates whose backup order opens now; while more orders
// wait than can soon be worked on, only backups that are served go on.
func (r *Room) DueBackups(ctx context.Context, now time.Time, limit int) ([]int64, error) {
	list, err := r.DB.DueBackups(ctx, now, limit)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	n, err := r.DB.OrdersAhead(ctx, now, ahead)
	if err != nil {
		return nil, err
	}
	var out []int64
	for _, b := range list {
		if n < ahead || b.Flipped() {
			out, n = append(out, b.CertificateID), n+1
		}
	}
	return out, nil
}

// asBackup is a certificate as its backup's orders see it: with the backup's
// version, expiry and failures in place of its own.
func asBackup(c *certfleet.Certificate, b *certfleet.Backup) *certfleet.Certificate {
	out := *c
	out.VersionID, out.NotAfter, out.Failures, out.Lane = b.VersionID, b.NotAfter, b.Failures, b.Lane
	return &out
}

// loadBackup lets the job of a backup order see the backup's side of things.
func (r *Room) loadBackup(ctx context.Context, j *job) error {
	if j.order.Slot != certfleet.SlotBackup {
		return nil
	}
	b, err := r.DB.BackupOf(ctx, j.cert.ID)
	if err != nil {
		return err
	}
	j.cert = asBackup(j.cert, b)
	if p := j.policy.ForBackup(); p != nil {
		j.policy = p
	} else {
		j.unwanted = true
	}
	return nil
}

// OpenBackup opens the order of a backup that is due.
func (r *Room) OpenBackup(ctx context.Context, certificate int64, now time.Time) error {
	cert, err := r.DB.Certificate(ctx, certificate)
	if err != nil {
		return err
	}
	b, err := r.DB.BackupOf(ctx, certificate)
	if err != nil || b.DueAt.IsZero() || b.DueAt.After(now) {
		return err
	}
	policy, err := r.DB.Policy(ctx, cert.PolicyID)
	if err != nil {
		return err
	}
	if policy = policy.ForBackup(); policy == nil || cert.State != certfleet.Active {
		return r.backupWaits(ctx, b, cert, policy, now)
	}
	o, err := r.draftBackup(ctx, cert, b, policy)
	if err != nil {
		return r.noBackup(ctx, cert, failure{msg: err.Error(), advice: certfleet.AdviceOf(err)}, now)
	}
	o.Lane = backupLane(b, now)
	line, err := r.entry(ctx, o, asBackup(cert, b), now)
	if err != nil {
		return err
	}
	return r.DB.Tx(ctx, now, func(tx *store.Tx) error {
		if _, err := tx.LiveOrder(ctx, cert.ID, certfleet.SlotBackup); err == nil {
			b.DueAt = time.Time{}
			return tx.SaveBackup(ctx, b)
		}
		no, err := line.open(ctx, tx)
		if err != nil {
			return err
		}
		if no != nil {
			b.DueAt, b.DueReason = later(no.until, now), fmt.Sprintf("it waits for the limit %s: %s", no.bucket.Name, no.why)
			return tx.SaveBackup(ctx, b)
		}
		b.DueAt, b.DueReason = time.Time{}, ""
		if err := tx.SaveBackup(ctx, b); err != nil {
			return err
		}
		if err := tx.AddOrder(ctx, o); err != nil {
			return err
		}
		return line.hold(ctx, tx, o.ID)
	})
}

func (r *Room) draftBackup(ctx context.Context, cert *certfleet.Certificate, b *certfleet.Backup, policy *certfleet.Policy) (*certfleet.Order, error) {
	if err := r.forbidden(ctx, cert.Tenant, cert.Names); err != nil {
		return nil, err
	}
	return r.draftFor(ctx, asBackup(cert, b), policy, certfleet.SlotBackup)
}

// later is when a limit frees, a day from now if a person is waited for, drawn
// out so that those who wait do not come all at once.
func later(until, now time.Time) time.Time {
	if until.IsZero() {
		until = now.Add(24 * time.Hour)
	}
	return until.Add(time.Duration(luck() * float64(until.Sub(now)) / 5))
}

// backupLane is behind all else, unless the backup is what is served.
func backupLane(b *certfleet.Backup, now time.Time) certfleet.Lane {
	if b.Flipped() && !b.NotAfter.IsZero() && b.NotAfter.Sub(now) < 3*24*time.Hour {
		return certfleet.LaneExpiring
	}
	return b.Lane
}

// backupWaits puts a backup off while its certificate is not looked after, and
// for good when nobody wants it any more.
func (r *Room) backupWaits(ctx context.Context, b *certfleet.Backup, cert *certfleet.Certificate, policy *certfleet.Policy, now time.Time) error {
	b.DueAt, b.DueReason = time.Time{}, "its policy wants no backup"
	if policy != nil && cert.State != certfleet.Removed {
		b.DueAt, b.DueReason = now.Add(time.Hour), "its certificate is "+string(cert.State)
	}
	return r.DB.Tx(ctx, now, func(tx *store.Tx) error { return tx.SaveBackup(ctx, b) })
}

func (r *Room) noBackup(ctx context.Context, cert *certfleet.Certificate, f failure, now time.Time) error {
	return r.DB.Tx(ctx, now, func(tx *store.Tx) error { return putOffBackup(ctx, tx, cert, f) })
}

// putOffBackup plans a backup's next order after a failure. Nothing waits for it
// while the primary is well, so it is tried less often.
func putOffBackup(ctx context.Context, tx *store.Tx, cert *certfleet.Certificate, f failure) error {
	b, err := tx.BackupOf(ctx, cert.ID)
	if err != nil {
		return ignoreNotFound(err)
	}
	b.Failures++
	b.Problem, b.Advice, b.FailedAt = f.msg, f.advice, tx.Now()
	b.DueAt = plan.Backoff(tx.Now(), b.Failures+1, b.NotAfter, luck())
	if f.retry.After(b.DueAt) {
		b.DueAt = plan.Again(tx.Now(), 1, f.retry, 0)
	}
	b.DueReason = fmt.Sprintf("try %d after a failure", b.Failures+1)
	if err := tx.SaveBackup(ctx, b); err != nil {
		return err
	}
	return tx.Event(ctx, certfleet.Event{Kind: "backup.failed", Tenant: cert.Tenant, CertificateID: cert.ID, Msg: f.msg})
}

// adoptBackup keeps a version warm: in the slot backup, and where the primary
// would be only while the backup is flipped to.
func adoptBackup(ctx context.Context, tx *store.Tx, cert *certfleet.Certificate, v *certfleet.Version) error {
	b, err := tx.BackupOf(ctx, cert.ID)
	if err != nil {
		return err
	}
	if b.VersionID != 0 && b.VersionID != v.ID {
		if err := tx.Replaced(ctx, b.VersionID, v.ID); err != nil {
			return err
		}
	}
	next := plan.RenewAt(v.NotBefore, v.NotAfter, v.ARIAt, luck())
	before := b.VersionID
	b.VersionID, b.NotAfter, b.DueAt, b.DueReason, b.Lane = v.ID, v.NotAfter, next.At, next.Reason, certfleet.LaneRoutine
	b.Failures, b.Problem, b.Advice, b.FailedAt = 0, "", "", time.Time{}
	if err := tx.SaveBackup(ctx, b); err != nil || cert.State == certfleet.Removed {
		return err
	}
	for _, n := range v.Names {
		if err := tx.FillSlot(ctx, certfleet.Slot{Tenant: v.Tenant, Name: n, Kind: certfleet.SlotBackup, VersionID: v.ID}); err != nil {
			return err
		}
	}
	if !b.Flipped() {
		return nil
	}
	if err := tx.MoveSlots(ctx, before, v.ID); err != nil {
		return err
	}
	return tx.WantDeliveries(ctx, v)
}

// besideBackup sees to the backup of a certificate that has a new version, and
// reports whether the backup is what is served.
func besideBackup(ctx context.Context, tx *store.Tx, cert *certfleet.Certificate) (bool, error) {
	b, err := tx.MaybeBackup(ctx, cert.ID)
	if err != nil || b.Flipped() {
		return err == nil, err
	}
	p, err := tx.Policy(ctx, cert.PolicyID)
	if err != nil || p.Spec.Backup == nil {
		return false, err
	}
	return false, tx.WantBackup(ctx, cert)
}

// backupDue makes the backup that a version belongs to due now, or at another
// time, and reports whether there is one.
func backupDue(ctx context.Context, tx *store.Tx, v *certfleet.Version, at time.Time, reason string, lane certfleet.Lane) (bool, error) {
	b, err := tx.MaybeBackup(ctx, v.CertificateID)
	if err != nil || b == nil || b.VersionID != v.ID {
		return false, err
	}
	if _, err := tx.LiveOrder(ctx, v.CertificateID, certfleet.SlotBackup); err == nil {
		return true, nil
	}
	b.DueAt, b.DueReason, b.Lane = at, reason, lane
	tx.Wake()
	return true, tx.SaveBackup(ctx, b)
}

// FillBackups wants backups for the certificates of a policy that has just begun
// to keep them, a batch at a time.
func (r *Room) FillBackups(ctx context.Context, policy int64, now time.Time) error {
	const batch = 200
	for more := true; more && ctx.Err() == nil; {
		err := r.DB.Tx(ctx, now, func(tx *store.Tx) (err error) {
			more, err = tx.FillPage(ctx, policy, batch)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
