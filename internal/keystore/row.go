package keystore

import (
	"context"
	"crypto"
	"fmt"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
)

// SealKey makes a private key and its row. It must run outside of a
// transaction, because the first seal of all writes a data key.
func (k *Keystore) SealKey(ctx context.Context, tenant int64, use string, t certfleet.KeyType) (*certfleet.Key, error) {
	signer, pem, err := k.MakeKey(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	defer pem.Wipe()
	return k.sealRow(ctx, tenant, use, signer, pem, "generated")
}

// SealImported makes the row of a private key that came from elsewhere. It must
// run outside of a transaction.
func (k *Keystore) SealImported(ctx context.Context, tenant int64, use string, signer crypto.Signer) (*certfleet.Key, error) {
	pem, err := pki.MarshalKey(signer)
	if err != nil {
		return nil, err
	}
	defer pem.Wipe()
	return k.sealRow(ctx, tenant, use, signer, pem, "imported")
}

func (k *Keystore) sealRow(ctx context.Context, tenant int64, use string, signer crypto.Signer, pem certfleet.Secret, origin string) (*certfleet.Key, error) {
	typ, err := pki.KeyTypeOf(signer.Public())
	if err != nil {
		return nil, err
	}
	row := &certfleet.Key{Tenant: max(tenant, certfleet.DefaultTenant), Use: use, Type: typ, SPKI: pki.SPKI(signer.Public()), Custody: certfleet.CustodyCentral, Origin: origin}
	row.Sealed, err = k.Seal(ctx, pem, keyAAD(row))
	return row, err
}

// keyAAD binds a sealed private key to its row.
func keyAAD(k *certfleet.Key) string { return fmt.Sprintf("key:%d:%s", k.Tenant, k.SPKI) }

// OpenPEM opens a private key as PKCS #8 in PEM form; the caller wipes it, and
// puts the opening on record when the key leaves.
func (k *Keystore) OpenPEM(ctx context.Context, row *certfleet.Key) (certfleet.Secret, error) {
	if row.Custody != certfleet.CustodyCentral {
		return nil, &certfleet.Error{Kind: certfleet.Denied, Msg: fmt.Sprintf("key %d is not kept here (%s)", row.ID, row.Custody), Advice: "renew with a key of our own"}
	}
	return k.Open(ctx, row.Sealed, keyAAD(row))
}

// OpenKey opens a private key to sign with.
func (k *Keystore) OpenKey(ctx context.Context, row *certfleet.Key) (crypto.Signer, error) {
	pem, err := k.OpenPEM(ctx, row)
	if err != nil {
		return nil, err
	}
	defer pem.Wipe()
	return pki.ParseKey(pem)
}

// SealEAB seals the HMAC key of an external account binding, decoded, for its
// account. It must run outside of a transaction.
func (k *Keystore) SealEAB(ctx context.Context, a *certfleet.Account, hmac certfleet.Secret) ([]byte, error) {
	return k.Seal(ctx, hmac, eabAAD(a))
}

// OpenEAB opens what SealEAB sealed; the caller wipes it.
func (k *Keystore) OpenEAB(ctx context.Context, a *certfleet.Account) (certfleet.Secret, error) {
	return k.Open(ctx, a.EABSealed, eabAAD(a))
}

// eabAAD binds a sealed HMAC key to its account.
func eabAAD(a *certfleet.Account) string {
	return fmt.Sprintf("eab:%d:%s", max(a.Tenant, certfleet.DefaultTenant), a.Label)
}
