package intake

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/plan"
	"github.com/certfleet/certfleet/internal/store"
)

// stillGood decides whether a removed certificate that is asked for again has its
// last version back: it must be for exactly these names, valid and not near its
// renewal, not revoked or replaced, with a key that is here and was not lost. Else
// the certificate has none, and an order is due.
func stillGood(ctx context.Context, tx *store.Tx, c *certfleet.Certificate) error {
	if c.VersionID != 0 {
		v, err := tx.Version(ctx, c.VersionID)
		if err != nil {
			return err
		}
		if good, err := usable(ctx, tx, c, v); good || err != nil {
			return err
		}
	}
	c.VersionID, c.NotAfter, c.UrgentAt = 0, time.Time{}, time.Time{}
	return nil
}

func usable(ctx context.Context, tx *store.Tx, c *certfleet.Certificate, v *certfleet.Version) (bool, error) {
	due := plan.RenewAt(v.NotBefore, v.NotAfter, v.ARIAt, 1).At // the earliest that luck could draw
	if !v.RevokedAt.IsZero() || v.ReplacedBy != 0 || v.KeyID == 0 || !due.After(tx.Now()) || certfleet.SetKey(v.Names) != certfleet.SetKey(c.Names) {
		return false, nil
	}
	k, err := tx.Key(ctx, v.KeyID)
	if err != nil {
		return false, err
	}
	return k.CompromisedAt.IsZero() && k.Custody == certfleet.CustodyCentral && len(k.Sealed) > 0, nil
}

// takeBack has the names of a certificate that was removed serve its version
// again, and brings it to the targets.
func takeBack(ctx context.Context, tx *store.Tx, c *certfleet.Certificate) error {
	v, err := tx.Version(ctx, c.VersionID)
	if err != nil {
		return err
	}
	slot, err := slotOf(ctx, tx, v)
	if err != nil {
		return err
	}
	for _, n := range v.Names {
		if err := tx.FillSlot(ctx, certfleet.Slot{Tenant: v.Tenant, Name: n, Kind: slot, VersionID: v.ID}); err != nil {
			return err
		}
	}
	if v.OrderID != 0 && v.ARIID != "" {
		v.ARIPollAt = tx.Now()
		if err := tx.SaveVersion(ctx, v); err != nil {
			return err
		}
	}
	if err := tx.WantDeliveries(ctx, v); err != nil {
		return err
	}
	return tx.Event(ctx, certfleet.Event{Kind: "version.taken_back", Tenant: c.Tenant, CertificateID: c.ID, VersionID: v.ID,
		Msg: fmt.Sprintf("serial %s is taken back, no order is needed: it is valid until %s", v.Serial, v.NotAfter.Format(time.RFC3339))})
}

// slotOf is the slot that a version was got for; of an import, that of its key.
func slotOf(ctx context.Context, tx *store.Tx, v *certfleet.Version) (certfleet.SlotKind, error) {
	if v.OrderID != 0 {
		o, err := tx.Order(ctx, v.OrderID)
		if err != nil {
			return "", err
		}
		return o.Slot, nil
	}
	k, err := tx.Key(ctx, v.KeyID)
	if err != nil {
		return "", err
	}
	if slices.Contains([]certfleet.KeyType{certfleet.RSA2048, certfleet.RSA3072, certfleet.RSA4096}, k.Type) {
		return certfleet.SlotRSA, nil
	}
	return certfleet.SlotECDSA, nil
}
