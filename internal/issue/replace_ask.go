package issue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
)

// ask makes the certificate of one item due before all others, and keeps when it
// was due before. An order that is on its way brings another version anyway.
func ask(ctx context.Context, tx *store.Tx, i *certfleet.ReplacementItem) error {
	from := i.State
	v, err := tx.Version(ctx, i.VersionID)
	if err != nil {
		return err
	}
	if v.ReplacedBy != 0 {
		i.State = certfleet.ItemReplaced
		return tx.SaveReplacementItem(ctx, i, from)
	}
	c, err := tx.Certificate(ctx, i.CertificateID)
	if err != nil {
		return err
	}
	if left(i, c) {
		return tx.SaveReplacementItem(ctx, i, from)
	}
	i.State = certfleet.ItemAsked
	reason := fmt.Sprintf("replacement %d takes version %d out of use", i.ReplacementID, v.ID)
	if is, err := askBackup(ctx, tx, i, v, reason); err != nil || is {
		return errors.Join(err, tx.SaveReplacementItem(ctx, i, from))
	}
	if c.DueAt.IsZero() {
		return tx.SaveReplacementItem(ctx, i, from)
	}
	i.DueAt, i.DueReason, i.Lane = c.DueAt, c.DueReason, c.Lane
	c.DueAt, c.DueReason, c.Lane = tx.Now(), reason, certfleet.LaneEmergency
	if err := tx.SaveCertificate(ctx, c); err != nil {
		return err
	}
	tx.Wake()
	return tx.SaveReplacementItem(ctx, i, from)
}

// left says of an item whose certificate nobody looks after now what becomes of
// it, and reports whether that is so.
func left(i *certfleet.ReplacementItem, c *certfleet.Certificate) bool {
	switch c.State {
	case certfleet.Active:
		return false
	case certfleet.Removed:
		i.State = certfleet.ItemReplaced
	default:
		i.State, i.Problem = certfleet.ItemSkipped, "its certificate is "+string(c.State)
	}
	return true
}

// heldByHand leaves an item aside whose certificate has an order that advances by
// request only, which may be never, and reports whether that is so.
func heldByHand(ctx context.Context, tx *store.Tx, i *certfleet.ReplacementItem) (bool, error) {
	o, err := tx.ByHand(ctx, i.CertificateID)
	if err != nil {
		return false, ignoreNotFound(err)
	}
	i.State, i.Problem = certfleet.ItemSkipped, fmt.Sprintf("order %d of its certificate advances by hand: step it, then resume the replacement", o.ID)
	return true, nil
}

// askBackup is ask for a version that is a backup.
func askBackup(ctx context.Context, tx *store.Tx, i *certfleet.ReplacementItem, v *certfleet.Version, reason string) (bool, error) {
	b, err := tx.MaybeBackup(ctx, v.CertificateID)
	if err != nil || b == nil || b.VersionID != v.ID {
		return false, err
	}
	i.DueAt, i.DueReason, i.Lane = b.DueAt, b.DueReason, b.Lane
	return backupDue(ctx, tx, v, tx.Now(), reason, certfleet.LaneEmergency)
}

// leaveStrays leaves aside what was asked for and whose certificate was paused,
// parked or removed since, or waits for an order that advances by hand.
func (r *Room) leaveStrays(ctx context.Context, p *certfleet.Replacement) (int, error) {
	list, err := r.DB.StrayItems(ctx, p.ID, askPage)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	return len(list), r.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		for n := range list {
			i := &list[n]
			c, err := tx.Certificate(ctx, i.CertificateID)
			if err != nil {
				return err
			}
			if !left(i, c) {
				is, err := heldByHand(ctx, tx, i)
				if err != nil {
					return err
				}
				if !is {
					continue
				}
			}
			if err := tx.SaveReplacementItem(ctx, i, certfleet.ItemAsked); err != nil {
				return err
			}
		}
		return nil
	})
}

// takeBack gives certificates that are due for an aborted replacement the due
// time they had. Orders that are on their way end as they will.
func (r *Room) takeBack(ctx context.Context, p *certfleet.Replacement) (int, error) {
	list, err := r.DB.ReplacementItems(ctx, p.ID, certfleet.ItemAsked, 0, askPage)
	if err != nil {
		return 0, err
	}
	return len(list), r.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		for n := range list {
			i := &list[n]
			if err := giveBack(ctx, tx, i); err != nil {
				return err
			}
			i.State = certfleet.ItemReleased
			if err := tx.SaveReplacementItem(ctx, i, certfleet.ItemAsked); err != nil {
				return err
			}
		}
		return nil
	})
}

func giveBack(ctx context.Context, tx *store.Tx, i *certfleet.ReplacementItem) error {
	v, err := tx.Version(ctx, i.VersionID)
	if err != nil || !v.RevokedAt.IsZero() || i.DueAt.IsZero() {
		return err
	}
	b, err := tx.MaybeBackup(ctx, i.CertificateID)
	if err != nil {
		return err
	}
	if b != nil && b.VersionID == v.ID && !b.DueAt.IsZero() && b.Lane == certfleet.LaneEmergency {
		b.DueAt, b.DueReason, b.Lane = i.DueAt, i.DueReason, i.Lane
		return tx.SaveBackup(ctx, b)
	}
	c, err := tx.Certificate(ctx, i.CertificateID)
	if err != nil || c.VersionID != v.ID || c.DueAt.IsZero() || c.Lane != certfleet.LaneEmergency {
		return err
	}
	c.DueAt, c.DueReason, c.Lane = i.DueAt, i.DueReason, i.Lane
	return tx.SaveCertificate(ctx, c)
}
