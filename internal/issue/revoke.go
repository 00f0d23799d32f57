package issue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/store"
)

// ReasonKeyCompromise is the revocation reason after which a key is never used
// again (RFC 5280 section 5.3.1).
const ReasonKeyCompromise = 1

// Revoke revokes a version and makes its certificate due at once, if the version
// is the one in use. The order is: the CA, then us; a repeat is harmless.
func (r *Room) Revoke(ctx context.Context, id int64, reason int) error {
	v, err := r.DB.Version(ctx, id)
	if err != nil {
		return err
	}
	if !v.RevokedAt.IsZero() {
		return nil
	}
	ctx, said := withRecord(ctx)
	if err := r.revokeAt(ctx, v, reason); err != nil && !acme.Is(err, "alreadyRevoked") {
		return errors.Join(err, r.keep(ctx, said))
	}
	list := said.take()
	return r.DB.Tx(context.WithoutCancel(ctx), time.Now(), func(tx *store.Tx) error {
		if err := tx.AddExchanges(ctx, list); err != nil {
			return err
		}
		return r.revoked(ctx, tx, v, reason)
	})
}

// revokeAt signs with the account that issued, else with the certificate's own
// key (RFC 8555 section 7.6).
func (r *Room) revokeAt(ctx context.Context, v *certfleet.Version, reason int) error {
	certs, err := pki.ParseCertificates(v.ChainPEM)
	if err != nil {
		return err
	}
	if v.AuthorityID == 0 {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("version %d was imported: its CA is not known here", v.ID), Advice: "revoke it where it was issued"}
	}
	client, err := r.ClientOf(ctx, v.AuthorityID)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(acme.WithOrder(ctx, v.OrderID, 0, v.AuthorityID), callTime)
	defer cancel()
	if o, err := r.DB.Order(ctx, v.OrderID); err == nil {
		acct, err := r.DB.Account(ctx, o.AccountID)
		if err != nil {
			return err
		}
		if acct.State == certfleet.AccountValid {
			as, err := r.identity(ctx, client, acct)
			if err != nil {
				return err
			}
			return client.Revoke(ctx, as, certs[0].Raw, reason)
		}
	}
	key, err := r.DB.Key(ctx, v.KeyID)
	if err != nil {
		return err
	}
	signer, err := r.Keys.OpenKey(ctx, key)
	if err != nil {
		return err
	}
	if err := r.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error { return tx.KeyOpened(ctx, key.ID, "revocation") }); err != nil {
		return err
	}
	return client.RevokeWithKey(ctx, signer, certs[0].Raw, reason)
}

func (r *Room) revoked(ctx context.Context, tx *store.Tx, v *certfleet.Version, reason int) error {
	v.RevokedAt, v.RevokeReason, v.ARIPollAt = tx.Now(), reason, time.Time{}
	if err := tx.SaveVersion(ctx, v); err != nil {
		return err
	}
	if reason == ReasonKeyCompromise && v.KeyID != 0 {
		if err := tx.CompromiseKey(ctx, v.KeyID); err != nil {
			return err
		}
	}
	if err := tx.Event(ctx, certfleet.Event{Kind: "version.revoked", Tenant: v.Tenant, CertificateID: v.CertificateID, VersionID: v.ID, Msg: fmt.Sprintf("serial %s was revoked, reason %d", v.Serial, reason)}); err != nil {
		return err
	}
	if is, err := backupDue(ctx, tx, v, tx.Now(), "its certificate was revoked", certfleet.LaneEmergency); err != nil || is {
		return err
	}
	cert, err := tx.Certificate(ctx, v.CertificateID)
	if err != nil || cert.VersionID != v.ID || cert.State != certfleet.Active {
		return ignoreNotFound(err)
	}
	for _, slot := range []certfleet.SlotKind{certfleet.SlotECDSA, certfleet.SlotRSA, certfleet.SlotBackup} {
		_, err := tx.LiveOrder(ctx, cert.ID, slot)
		if err == nil {
			return nil
		}
		if certfleet.KindOf(err) != certfleet.NotFound {
			return err
		}
	}
	cert.DueAt, cert.DueReason, cert.Lane = tx.Now(), "its certificate was revoked", certfleet.LaneEmergency
	tx.Wake()
	return tx.SaveCertificate(ctx, cert)
}

func ignoreNotFound(err error) error {
	if certfleet.KindOf(err) == certfleet.NotFound {
		return nil
	}
	return err
}
