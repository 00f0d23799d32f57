package store

import (
	"context"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
)

// What simulations need besides. They own their store, which nobody else opens.

// At sets the moment of what follows in this transaction, so that one commit can
// hold the changes of many moments.
func (t *Tx) At(now time.Time) { t.now = now }

// CertificatesByID reads the rows of certificates, without what lies in other tables.
func (q Q) CertificatesByID(ctx context.Context, ids []int64) (map[int64]*certfleet.Certificate, error) {
	return byID(ctx, q, certificates, ids, func(c *certfleet.Certificate) int64 { return c.ID })
}

// VersionsByID reads versions.
func (q Q) VersionsByID(ctx context.Context, ids []int64) (map[int64]*certfleet.Version, error) {
	return byID(ctx, q, versions, ids, func(v *certfleet.Version) int64 { return v.ID })
}

// together is how many rows one statement reads or adds, whose text so stays the same.
const together = 50

func byID[T any](ctx context.Context, q Q, t table[T], ids []int64, id func(*T) int64) (map[int64]*T, error) {
	out := make(map[int64]*T, len(ids))
	for len(ids) > 0 {
		args := make([]any, together)
		n := min(together, len(ids))
		for i := range args {
			args[i] = ids[min(i, n-1)]
		}
		list, err := t.list(ctx, q, "WHERE id IN ("+marks(together)+")", args...)
		if err != nil {
			return nil, err
		}
		for i := range list {
			out[id(&list[i])] = &list[i]
		}
		ids = ids[n:]
	}
	return out, nil
}

// AddFleet stores a certificate with the version that it has, if that is not
// nil, in a store without any history.
func (t *Tx) AddFleet(ctx context.Context, c *certfleet.Certificate, v *certfleet.Version) error {
	c.CreatedAt = t.now
	if err := certificates.insert(ctx, t, c); err != nil || v == nil {
		return err
	}
	v.CertificateID, v.CreatedAt = c.ID, t.now
	if err := versions.insert(ctx, t, v); err != nil {
		return err
	}
	c.VersionID = v.ID
	_, err := t.change(ctx, "UPDATE certificate SET version_id = $1 WHERE id = $2", v.ID, c.ID)
	return err
}

// RenewInPlace writes what a renewal changes of a certificate and its version,
// which keeps its row; a first version gets one.
func (t *Tx) RenewInPlace(ctx context.Context, c *certfleet.Certificate, v *certfleet.Version) error {
	if v.ID == 0 {
		v.CertificateID, v.Tenant, v.CreatedAt = c.ID, c.Tenant, t.now
		if err := versions.insert(ctx, t, v); err != nil {
			return err
		}
		c.VersionID = v.ID
	} else if err := t.reissue(ctx, v); err != nil {
		return err
	}
	err := t.changeOne(ctx, `UPDATE certificate SET due_at = $1, due_reason = $2, lane = $3, waits_for = '', urgent_at = $4, failures = $5, problem = $6, advice = '', failed_at = 0,
		version_id = $7, not_after = $8, rev = rev + 1 WHERE id = $9 AND rev = $10`,
		c.DueAt.UnixMilli(), c.DueReason, int64(c.Lane), c.UrgentAt.UnixMilli(), c.Failures, c.Problem, c.VersionID, c.NotAfter.UnixMilli(), c.ID, c.Rev)
	if err == nil {
		c.Rev++
	}
	return err
}

func (t *Tx) reissue(ctx context.Context, v *certfleet.Version) error {
	err := t.changeOne(ctx, `UPDATE version SET authority_id = $1, serial = $2, not_before = $3, not_after = $4, ari_id = $5, ari_start = $6, ari_end = $7, ari_at = $8,
		ari_poll_at = 0, rev = rev + 1 WHERE id = $9 AND rev = $10`,
		v.AuthorityID, v.Serial, v.NotBefore.UnixMilli(), v.NotAfter.UnixMilli(), v.ARIID, certfleet.Millis(v.ARIStart), certfleet.Millis(v.ARIEnd), certfleet.Millis(v.ARIAt), v.ID, v.Rev)
	if err == nil {
		v.Rev++
	}
	return err
}

// PollAt says when a version's renewal information is asked for next.
func (t *Tx) PollAt(ctx context.Context, version int64, at time.Time) error {
	return t.changeOne(ctx, "UPDATE version SET ari_poll_at = $1, rev = rev + 1 WHERE id = $2", at.UnixMilli(), version)
}

// Serials calls each with the serial number of every version, in the order of ids.
func (q Q) Serials(ctx context.Context, each func(version int64, serial string)) error {
	return q.pairs(ctx, "SELECT id, serial FROM version ORDER BY id", nil, each)
}

// Behind counts the certificates that are due and the orders that are under way.
func (q Q) Behind(ctx context.Context, now time.Time) (int64, error) {
	due, err := q.number(ctx, "SELECT count(*) FROM certificate WHERE state = 'active' AND due_at > 0 AND due_at <= $1", now.UnixMilli())
	if err != nil {
		return 0, err
	}
	live, err := q.number(ctx, "SELECT count(*) FROM orders WHERE state IN ('wanted', 'open')")
	return due + live, err
}

// Expired counts the certificates whose version no longer holds.
func (q Q) Expired(ctx context.Context, now time.Time) (int64, error) {
	return q.number(ctx, "SELECT count(*) FROM certificate WHERE not_after > 0 AND not_after <= $1 AND state = 'active'", now.UnixMilli())
}

// browsing are the indexes that only people's questions need: lists, searches, filters.
var browsing = []string{
	"certificate_state", "certificate_tenant", "certificate_kept", "certificate_none", "certificate_policy", "certificate_set", "certificate_failing", "certificate_expiry",
	"certificate_due", "version_certificate", "version_key", "version_tenant", "version_serial", "version_spki", "version_issuer", "version_subject", "version_ari", "version_expiry",
}

// Unbrowsed drops the indexes that only people's questions need, which a
// simulation never puts.
func (d *DB) Unbrowsed(ctx context.Context) error {
	for _, name := range browsing {
		if _, err := d.w.ExecContext(ctx, "DROP INDEX IF EXISTS "+name); err != nil {
			return explain(fmt.Errorf("drop index %s: %w", name, err), "")
		}
	}
	return nil
}

// Bare counts the certificates that never got a version.
func (q Q) Bare(ctx context.Context) (int64, error) {
	return q.number(ctx, "SELECT count(*) FROM certificate WHERE version_id IS NULL AND state = 'active'")
}
