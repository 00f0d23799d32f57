package intake

import (
	"context"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

// backupSpec checks what a policy says of backups; an empty authority is none.
func backupSpec(b *api.Backup) (*certfleet.BackupSpec, error) {
	if b == nil || *b == (api.Backup{}) {
		return nil, nil
	}
	if b.Authority == "" {
		return nil, invalid("name the backup's authority", "a backup needs another CA")
	}
	out := &certfleet.BackupSpec{Authority: b.Authority, Profile: b.Profile}
	var err error
	if b.KeyType != "" {
		if out.KeyType, err = certfleet.ParseKeyType(b.KeyType); err != nil {
			return nil, err
		}
	}
	out.KeyCycle, err = certfleet.ParseKeyCycle(b.KeyCycle)
	return out, err
}

// checkBackup refuses a backup that would fail with the primary: it must come
// from another CA.
func (r Room) checkBackup(ctx context.Context, tx *store.Tx, p *certfleet.Policy) error {
	if p.Spec.Backup == nil {
		return nil
	}
	label := p.Spec.Backup.Authority
	b, err := tx.AuthorityByLabel(ctx, r.tenant(), label)
	if err != nil {
		return orMissing(err, "authority", label)
	}
	first, err := tx.AuthorityByLabel(ctx, r.tenant(), p.Spec.Authorities[0])
	if err != nil {
		return orMissing(err, "authority", p.Spec.Authorities[0])
	}
	if first.DirectoryURL == b.DirectoryURL {
		return invalid("choose another CA for the backup", fmt.Sprintf("the backup of policy %q would come from its first authority", p.Label))
	}
	return nil
}

// stopBackup ends the backup of a certificate that is removed.
func stopBackup(ctx context.Context, tx *store.Tx, certificate int64) error {
	b, err := tx.MaybeBackup(ctx, certificate)
	if err != nil || b == nil {
		return err
	}
	b.DueAt, b.DueReason, b.FlippedAt = time.Time{}, "", time.Time{}
	if err := forgetWindow(ctx, tx, b.VersionID); err != nil {
		return err
	}
	return tx.SaveBackup(ctx, b)
}

// Flip serves a certificate's backup in place of its primary, or with back the
// primary again: slots and deliveries change in one transaction. What targets
// hold is replaced when the delivery arrives.
func (r Room) Flip(ctx context.Context, id int64, back bool) (*Result, error) {
	var res *Result
	err := r.write(ctx, func(tx *store.Tx) error {
		c, err := r.certificate(ctx, tx, id)
		if err != nil {
			return err
		}
		res = &Result{Certificate: c}
		res.Changed, err = flip(ctx, tx, c, back)
		return err
	})
	return res, err
}

func flip(ctx context.Context, tx *store.Tx, c *certfleet.Certificate, back bool) (bool, error) {
	b, err := tx.MaybeBackup(ctx, c.ID)
	if err != nil || b.Flipped() == !back {
		return false, err
	}
	to := c.VersionID
	if !back {
		if b == nil || b.VersionID == 0 {
			return false, conflict("let the policy name a backup authority, and wait until the backup is there", "certificate "+c.Label+" has no backup")
		}
		to = b.VersionID
	}
	v, err := servable(ctx, tx, c, to)
	if err != nil {
		return false, err
	}
	kind, msg := "backup.flipped", "the backup is served in place of the primary"
	if b.FlippedAt = tx.Now(); back {
		b.FlippedAt, kind, msg = time.Time{}, "backup.flipped_back", "the primary is served again"
	}
	if err := tx.SaveBackup(ctx, b); err != nil {
		return false, err
	}
	if err := serve(ctx, tx, c, v); err != nil {
		return false, err
	}
	return true, tx.Event(ctx, certfleet.Event{Kind: kind, Tenant: c.Tenant, CertificateID: c.ID, VersionID: v.ID, Msg: msg})
}

// servable reads a version that is to be served now.
func servable(ctx context.Context, tx *store.Tx, c *certfleet.Certificate, id int64) (*certfleet.Version, error) {
	if id == 0 {
		return nil, conflict("wait for its order", "certificate "+c.Label+" has no version of its own to go back to")
	}
	v, err := tx.Version(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case !v.RevokedAt.IsZero():
		return nil, conflict("wait for the next version", fmt.Sprintf("version %d of %s was revoked", v.ID, c.Label))
	case !v.NotAfter.After(tx.Now()):
		return nil, conflict("wait for the next version", fmt.Sprintf("version %d of %s has expired", v.ID, c.Label))
	}
	return v, nil
}

// serve makes a version what the names of a certificate serve: in every slot
// that the certificate fills, and at its targets, as the newest there.
func serve(ctx context.Context, tx *store.Tx, c *certfleet.Certificate, v *certfleet.Version) error {
	for _, n := range v.Names {
		slots, err := tx.SlotsOf(ctx, c.Tenant, n)
		if err != nil {
			return err
		}
		for _, s := range slots {
			has, err := tx.Version(ctx, s.VersionID)
			if err != nil {
				return err
			}
			if s.Kind == certfleet.SlotBackup || has.CertificateID != c.ID {
				continue
			}
			s.VersionID = v.ID
			if err := tx.FillSlot(ctx, s); err != nil {
				return err
			}
		}
	}
	if err := tx.NewGeneration(ctx, v.ID); err != nil {
		return err
	}
	return tx.WantDeliveries(ctx, v)
}

// flipPage is how many certificates are flipped in one transaction.
const flipPage = 100

// FlipMany flips one page of certificates: all whose version in use has the
// issuer and that carry the labels, or with back all that are flipped.
func (r Room) FlipMany(ctx context.Context, f api.Flips) (*api.Flipped, error) {
	list, next, err := r.toFlip(ctx, f)
	if err != nil {
		return nil, err
	}
	out := &api.Flipped{Next: next}
	err = r.write(ctx, func(tx *store.Tx) error {
		out.Flipped, out.Without, out.Labels = 0, 0, nil
		for _, id := range list {
			c, err := tx.Certificate(ctx, id)
			if err != nil {
				return err
			}
			did, err := flip(ctx, tx, c, f.Back)
			switch {
			case certfleet.KindOf(err) == certfleet.Conflict:
				out.Without, out.Labels = out.Without+1, append(out.Labels, c.Label)
			case err != nil:
				return err
			case did:
				out.Flipped++
			}
		}
		if f.DryRun {
			return errDry
		}
		return nil
	})
	if f.DryRun && err == errDry {
		err = nil
	}
	return out, err
}

// toFlip is one page of those that are asked for, and where the next begins.
func (r Room) toFlip(ctx context.Context, f api.Flips) (ids []int64, next int64, err error) {
	if f.Back {
		list, err := r.DB.FlippedBackups(ctx, r.tenant(), f.After, flipPage)
		for _, b := range list {
			ids = append(ids, b.CertificateID)
		}
		return page(ids, next, err)
	}
	if f.Issuer == "" && len(f.Labels) == 0 {
		return nil, 0, invalid("name the issuer or a label", "all certificates at once are flipped for a reason only")
	}
	list, _, err := r.DB.Certificates(ctx, store.CertificateFilter{Tenant: r.tenant(), Issuer: f.Issuer, Labels: f.Labels, After: store.Cursor{ID: f.After}, Limit: flipPage})
	for _, c := range list {
		ids = append(ids, c.ID)
	}
	return page(ids, next, err)
}

func page(ids []int64, next int64, err error) ([]int64, int64, error) {
	if len(ids) == flipPage {
		next = ids[len(ids)-1]
	}
	return ids, next, err
}
