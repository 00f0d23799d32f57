package web

import (
	"context"
	"crypto/x509"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/intake"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/store"
)

// holder is the certificate that an import belongs to: one that is made or
// changed for it, or for a second certificate the one that is here.
func (s *server) holder(ctx context.Context, a *arrival) (*intake.Result, error) {
	if !a.ask.Backup {
		return s.intake(ctx).Add(ctx, a.certificate(), "import")
	}
	c, err := s.DB.CertificateByLabel(ctx, tenant(ctx), a.ask.Label)
	if err != nil {
		return nil, err
	}
	p, err := s.DB.Policy(ctx, c.PolicyID)
	switch {
	case err != nil:
		return nil, err
	case p.ForBackup() == nil:
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "the policy " + p.Label + " of certificate " + c.Label + " has no backup", Advice: "give the policy a backup authority with certfleet policies set " + p.Label + " --backup-authority"}
	case certfleet.SetKey(c.Names) != certfleet.SetKey(a.pair.Names):
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "the second certificate is for other names than certificate " + c.Label, Advice: "import it as a certificate of its own"}
	}
	return &intake.Result{Certificate: c}, nil
}

// slot is where the names of an import serve it.
func (a *arrival) slot() certfleet.SlotKind {
	if a.ask.Backup {
		return certfleet.SlotBackup
	}
	return slotOf(a.key.Type)
}

// wantBackup makes the row that a second certificate is kept on, where there is none.
func (a *arrival) wantBackup(ctx context.Context, tx *store.Tx, c *certfleet.Certificate) error {
	if !a.ask.Backup {
		return nil
	}
	if is, err := tx.MaybeBackup(ctx, c.ID); err != nil || is != nil {
		return err
	}
	return tx.WantBackup(ctx, c)
}

// otherChains reads further chains of a leaf.
func otherChains(leaf *x509.Certificate, texts []string) (out []certfleet.Chain, err error) {
	for _, text := range texts {
		chain, err := pki.ParseChain([]byte(text))
		if err != nil {
			return nil, err
		}
		if !chain[0].Equal(leaf) {
			return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "an alternate chain begins with another certificate", Advice: "give each alternate chain with the same leaf"}
		}
		out = append(out, certfleet.Chain{Position: len(out) + 1, Issuer: pki.TopIssuer(chain), PEM: pki.EncodeChain(chain)})
	}
	return out, nil
}
