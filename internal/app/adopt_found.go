package app

import (
	"context"
	"crypto"
	"crypto/x509"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/issue"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/store"
)

// found is a chain that was met somewhere.
type found struct {
	tenant    int64
	chains    [][]byte      // PEM, the CA's default first
	key       crypto.Signer // where the key was met too
	authority int64         // zero where only the chain tells
	where     string
	seen      bool // in a handshake only: anybody may have issued it
}

// take keeps what was found if it is new, and puts it to use where its key is
// here and a certificate wants just its names.
func (a *adopter) take(ctx context.Context, f found) error {
	chain, err := pki.ParseChain(f.chains[0])
	if err != nil {
		return err
	}
	leaf := chain[0]
	if time.Now().After(leaf.NotAfter) {
		return nil
	}
	if _, err := a.DB.VersionByFingerprint(ctx, f.tenant, pki.Fingerprint(leaf)); certfleet.KindOf(err) != certfleet.NotFound {
		return err
	}
	cert, err := a.wanting(ctx, f.tenant, pki.NamesOf(leaf))
	if err != nil {
		return err
	}
	key, err := a.keyOf(ctx, f, leaf)
	if err != nil {
		return err
	}
	if key == nil && f.seen {
		return a.lost(ctx, f, cert, leaf)
	}
	return a.record(ctx, f, leaf, cert, key)
}

// keyOf is the row of the leaf's key: one of the backup's, or the one that was
// met, sealed and not yet stored; nil when it is not here.
func (a *adopter) keyOf(ctx context.Context, f found, leaf *x509.Certificate) (*certfleet.Key, error) {
	key, err := a.DB.KeyBySPKI(ctx, f.tenant, pki.SPKI(leaf.PublicKey))
	if certfleet.KindOf(err) != certfleet.NotFound {
		return key, err
	}
	if f.key == nil {
		return nil, nil
	}
	return a.Keys.SealImported(ctx, f.tenant, "certificate", f.key)
}

// record stores a version, and its key if that is new.
func (a *adopter) record(ctx context.Context, f found, leaf *x509.Certificate, cert *certfleet.Certificate, key *certfleet.Key) error {
	v := issue.VersionOf(leaf, f.chains[0])
	v.Tenant, v.Origin = f.tenant, "issued"
	v.AuthorityID = a.authorityOf(ctx, f, cert, v)
	if v.AuthorityID != 0 {
		v.ARIPollAt = time.Now()
	}
	out := a.describe(ctx, f, v, cert)
	err := a.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		out.InUse, out.Due = false, false // a transaction may be tried again
		if key != nil && key.ID == 0 {
			if err := tx.AddKey(ctx, key); err != nil {
				return err
			}
		}
		if key != nil {
			v.KeyID, out.KeyHere = key.ID, true
		}
		if cert != nil {
			v.CertificateID = cert.ID
		}
		if err := tx.AddVersion(ctx, v, chainsOf(f.chains)); err != nil {
			return err
		}
		out.VersionID = v.ID
		if err := settleFound(ctx, tx, v, leaf, &out); err != nil {
			return err
		}
		return tx.Event(ctx, certfleet.Event{Kind: "version.adopted", Tenant: v.Tenant, CertificateID: v.CertificateID, VersionID: v.ID, Msg: out.Say()})
	})
	return a.tell(out, err)
}

// settleFound puts a version to use that is not older than what its certificate has,
// or makes the certificate due where the key is not here.
func settleFound(ctx context.Context, tx *store.Tx, v *certfleet.Version, leaf *x509.Certificate, out *Adopted) error {
	if v.CertificateID == 0 {
		return nil
	}
	cert, err := tx.Certificate(ctx, v.CertificateID)
	if err != nil || v.NotAfter.Before(cert.NotAfter) {
		return err
	}
	if v.KeyID == 0 {
		out.Due, err = dueFor(ctx, tx, cert)
		return err
	}
	out.InUse = true
	typ, err := pki.KeyTypeOf(leaf.PublicKey)
	if err != nil {
		return err
	}
	return issue.Adopt(ctx, tx, cert, v, issue.SlotFor(typ))
}

// dueFor makes a certificate due now whose newest version lost its key. One that
// is paused stays so, and an order that is on its way does the same.
func dueFor(ctx context.Context, tx *store.Tx, cert *certfleet.Certificate) (bool, error) {
	if cert.State != certfleet.Active {
		return false, nil
	}
	for _, slot := range []certfleet.SlotKind{certfleet.SlotECDSA, certfleet.SlotRSA} {
		if _, err := tx.LiveOrder(ctx, cert.ID, slot); certfleet.KindOf(err) != certfleet.NotFound {
			return err == nil, err
		}
	}
	cert.DueAt, cert.DueReason, cert.Lane = tx.Now(), "the key of what is served was made after the backup", certfleet.LaneWaiting
	tx.Wake()
	return true, tx.SaveCertificate(ctx, cert)
}

// lost tells of a chain that is served and whose key is not here. Only one with
// just the names of a certificate, and not older than ours, may be ours.
func (a *adopter) lost(ctx context.Context, f found, cert *certfleet.Certificate, leaf *x509.Certificate) error {
	if cert == nil || leaf.NotAfter.Before(cert.NotAfter) {
		return nil
	}
	v := issue.VersionOf(leaf, f.chains[0])
	out := a.describe(ctx, f, v, cert)
	err := a.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		fresh, err := tx.Certificate(ctx, cert.ID)
		if err != nil {
			return err
		}
		if out.Due, err = dueFor(ctx, tx, fresh); err != nil {
			return err
		}
		return tx.Event(ctx, certfleet.Event{Kind: "version.lost", Tenant: f.tenant, CertificateID: cert.ID, Msg: out.Say()})
	})
	return a.tell(out, err)
}

func (a *adopter) tell(out Adopted, err error) error {
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.out.Adopted = append(a.out.Adopted, out)
	return nil
}

func (a *adopter) describe(ctx context.Context, f found, v *certfleet.Version, cert *certfleet.Certificate) Adopted {
	out := Adopted{Names: certfleet.Strings(v.Names), Where: f.where, Serial: v.Serial, NotAfter: v.NotAfter}
	if cert != nil {
		out.Certificate = cert.Label
	}
	if ca, err := a.DB.Authority(ctx, v.AuthorityID); err == nil {
		out.Authority = ca.Label
	}
	return out
}

// authorityOf is where a version came from: as is known, else where the version
// before came from, if the same issuer signed it.
func (a *adopter) authorityOf(ctx context.Context, f found, cert *certfleet.Certificate, v *certfleet.Version) int64 {
	if f.authority != 0 || cert == nil || cert.VersionID == 0 {
		return f.authority
	}
	if before, err := a.DB.Version(ctx, cert.VersionID); err == nil && before.Issuer == v.Issuer {
		return before.AuthorityID
	}
	return 0
}

func chainsOf(pems [][]byte) (kept []certfleet.Chain) {
	for i, pem := range pems {
		if c, err := pki.ParseChain(pem); err == nil {
			kept = append(kept, certfleet.Chain{Position: i, Issuer: pki.TopIssuer(c), PEM: pem})
		}
	}
	return kept
}

// wanting is the certificate that wants exactly these names, if there is one.
func (a *adopter) wanting(ctx context.Context, tenant int64, names []certfleet.Name) (*certfleet.Certificate, error) {
	if len(names) == 0 {
		return nil, nil
	}
	list, err := a.DB.CertificatesOf(ctx, tenant, names[0])
	for _, c := range list {
		if c.State != certfleet.Removed && certfleet.SetKey(c.Names) == certfleet.SetKey(names) {
			return &c, err
		}
	}
	return nil, err
}

// unknown tells of a certificate that a target holds and of which only the
// fingerprint can be had.
func (a *adopter) unknown(ctx context.Context, c *certfleet.Certificate, fingerprint, target string) error {
	out := Adopted{Names: certfleet.Strings(c.Names), Certificate: c.Label, Where: "held by target " + target, Fingerprint: fingerprint}
	err := a.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		fresh, err := tx.Certificate(ctx, c.ID)
		if err != nil {
			return err
		}
		if out.Due, err = dueFor(ctx, tx, fresh); err != nil {
			return err
		}
		return tx.Event(ctx, certfleet.Event{Kind: "version.lost", Tenant: c.Tenant, CertificateID: c.ID, Msg: out.Say()})
	})
	return a.tell(out, err)
}
