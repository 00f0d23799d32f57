package web

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/intake"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/porter"
	"github.com/certfleet/certfleet/internal/store"
)

func (s *server) importRoutes() {
	on(s, "POST", "/v1/import", route{certfleet.ScopeIssue, "import-certificate", "certificates", "Bring a certificate along that came from elsewhere",
		"Its key is sealed at once. The certificate is paused until it is resumed, unless manage is set."}, s.importCertificate)
}

// arrival is a certificate that came from elsewhere, checked.
type arrival struct {
	pair   porter.Pair
	key    *certfleet.Key
	row    *certfleet.Version
	ask    api.Import
	others []certfleet.Chain // of the same leaf
}

func (s *server) importCertificate(ctx context.Context, in *ask[api.Import]) (*out[api.Imported], error) {
	if s.Acts.VersionOf == nil || s.Acts.Adopt == nil {
		return nil, unable("importing")
	}
	a, err := s.arrive(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	if known, err := s.DB.VersionByFingerprint(ctx, tenant(ctx), a.row.Fingerprint); err == nil && known.CertificateID != 0 {
		return s.knownImport(ctx, known, a)
	}
	if err := s.oursStays(ctx, a); err != nil {
		return nil, err
	}
	cert, err := s.holder(ctx, a)
	if err != nil {
		return nil, err
	}
	if err := s.adopt(ctx, cert, a); err != nil {
		return nil, err
	}
	return answer(api.Imported{Certificate: certificateAnswer(cert), Version: api.OfVersion(a.row)}), nil
}

// oursStays refuses what somebody else renewed of a certificate that is renewed here.
func (s *server) oursStays(ctx context.Context, a *arrival) error {
	by, label := a.ask.External, cmp.Or(a.ask.Label, a.pair.Names[0].String())
	if by == "" || a.ask.Manage {
		return nil
	}
	c, err := s.DB.CertificateByLabel(ctx, tenant(ctx), label)
	if certfleet.KindOf(err) == certfleet.NotFound || err == nil && (c.State == certfleet.Paused || c.State == certfleet.Removed) {
		return nil
	}
	if err != nil {
		return err
	}
	return &certfleet.Error{Kind: certfleet.Conflict, Msg: fmt.Sprintf("%s renewed %s too, which is renewed here; ours stays", by, label),
		Advice: "end " + by + "'s timer for it, or run certfleet pause " + label + " to leave it to " + by}
}

// knownImport answers what is here already. What was removed is asked for again,
// and takes it back.
func (s *server) knownImport(ctx context.Context, v *certfleet.Version, a *arrival) (*out[api.Imported], error) {
	c, err := s.DB.Certificate(ctx, v.CertificateID)
	if err != nil {
		return nil, err
	}
	if c.State == certfleet.Removed {
		n := a.certificate()
		n.Label = c.Label
		r, err := s.intake(ctx).Add(ctx, n, "import")
		if err != nil {
			return nil, err
		}
		return answer(api.Imported{Certificate: certificateAnswer(r), Version: api.OfVersion(v), Known: true}), nil
	}
	if c, err = s.gains(ctx, c, a.ask); err != nil {
		return nil, err
	}
	if c, err = s.renewedBy(ctx, c, v, a.ask); err != nil {
		return nil, err
	}
	return answer(api.Imported{Certificate: api.CertificateAnswer{Certificate: api.OfCertificate(c)}, Version: api.OfVersion(v), Known: true}), nil
}

// gains gives a certificate that is here the targets, labels and policy that an
// import names. What it has beside them stays.
func (s *server) gains(ctx context.Context, c *certfleet.Certificate, i api.Import) (*certfleet.Certificate, error) {
	var ch api.CertificateChange
	if len(i.Targets) > 0 {
		all := slices.Compact(slices.Sorted(slices.Values(slices.Concat(c.Targets, i.Targets))))
		ch.Targets = &all
	}
	if len(i.Labels) > 0 {
		all := maps.Clone(map[string]string(c.Labels))
		if all == nil {
			all = map[string]string{}
		}
		maps.Copy(all, i.Labels)
		ch.Labels = &all
	}
	if i.Policy != "" {
		ch.Policy = &i.Policy
	}
	if ch == (api.CertificateChange{}) {
		return c, nil
	}
	r, err := s.intake(ctx).Update(ctx, c.ID, ch)
	if err != nil {
		return nil, err
	}
	return r.Certificate, nil
}

// renewedBy settles who renews a paused certificate whose version is here: we do
// from now on, somebody else does, or nobody as before.
func (s *server) renewedBy(ctx context.Context, c *certfleet.Certificate, v *certfleet.Version, i api.Import) (*certfleet.Certificate, error) {
	switch {
	case c.State != certfleet.Paused:
	case i.Manage:
		r, err := s.intake(ctx).Resume(ctx, c.ID)
		if err != nil {
			return nil, err
		}
		return r.Certificate, nil
	case i.External != "" && c.External != i.External:
		return c, s.write(ctx, func(tx *store.Tx) error {
			c.External, c.ExternalAt = i.External, v.CreatedAt
			if err := tx.SaveCertificate(ctx, c); err != nil {
				return err
			}
			return tx.Event(ctx, certfleet.Event{Kind: "certificate.external", Tenant: c.Tenant, CertificateID: c.ID, Msg: i.External + " renews it, and it is taken over from there"})
		})
	}
	return c, nil
}

// arrive reads and checks what is imported and seals its key.
func (s *server) arrive(ctx context.Context, i api.Import) (*arrival, error) {
	text := []byte(i.PEM + "\n" + i.ChainPEM + "\n" + i.KeyPEM)
	pairs, err := porter.ParsePEMBundle(bytes.TrimSpace(text))
	if err != nil {
		return nil, err
	}
	if len(pairs) != 1 {
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("the text holds %d certificates", len(pairs)), Advice: "import them one at a time, each with its chain and key"}
	}
	a := &arrival{pair: pairs[0], ask: i}
	defer a.pair.KeyPEM.Wipe()
	if err := checkArrival(a.pair, i.Force, time.Now()); err != nil {
		return nil, err
	}
	if a.others, err = otherChains(a.pair.Chain[0], i.Alternates); err != nil {
		return nil, err
	}
	signer, err := pki.ParseKey(a.pair.KeyPEM)
	if err != nil {
		return nil, err
	}
	if a.key, err = s.Keys.SealImported(ctx, tenant(ctx), "certificate", signer); err != nil {
		return nil, err
	}
	if i.KeyMadeAt.Before(time.Now()) {
		a.key.CreatedAt = i.KeyMadeAt
	}
	a.row = s.Acts.VersionOf(a.pair.Chain[0], a.pair.ChainPEM)
	a.row.Tenant, a.row.Origin = tenant(ctx), "imported"
	return a, nil
}

// checkArrival refuses what would not serve anybody, unless forced.
func checkArrival(p porter.Pair, force bool, now time.Time) error {
	leaf := p.Chain[0]
	switch {
	case len(p.KeyPEM) == 0:
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: "the private key of the certificate is missing", Advice: "give the key along with the chain"}
	case len(p.Names) == 0:
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: "the certificate is for no name that can be served", Advice: "give a certificate of a server"}
	case !force && selfSigned(leaf) && leaf.IsCA:
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: "the certificate is self-signed, and a CA certificate (CA:TRUE)", Advice: "add the names to have a real one ordered, or import with force"}
	case !force && selfSigned(leaf):
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: "the certificate is self-signed", Advice: "add the names to have a real one ordered, or import with force"}
	case !force && !leaf.NotAfter.After(now):
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: "the certificate has expired on " + leaf.NotAfter.UTC().Format(time.DateOnly), Advice: "add the names to have a new one ordered, or import with force"}
	}
	return nil
}

func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// certificate is what is asked for to hold the import.
func (a *arrival) certificate() api.NewCertificate {
	i := a.ask
	return api.NewCertificate{Label: i.Label, Names: certfleet.Strings(a.pair.Names), Policy: i.Policy, Targets: i.Targets, Labels: i.Labels,
		Challenge: i.Challenge, Solver: i.Solver, Proofs: i.Proofs, Paused: !i.Manage, Update: true}
}

// adopt stores key and version and makes them what the certificate serves, in
// one transaction.
func (s *server) adopt(ctx context.Context, r *intake.Result, a *arrival) error {
	return s.write(ctx, func(tx *store.Tx) error {
		c, err := tx.Certificate(ctx, r.Certificate.ID)
		if err != nil {
			return err
		}
		if err := ownKey(ctx, tx, a); err != nil {
			return err
		}
		a.row.ID, a.row.CertificateID = 0, c.ID
		chain := certfleet.Chain{Issuer: pki.TopIssuer(a.pair.Chain), PEM: a.pair.ChainPEM}
		if err := tx.AddVersion(ctx, a.row, append([]certfleet.Chain{chain}, a.others...)); err != nil {
			return err
		}
		from := ""
		if by := a.ask.External; by != "" && c.State == certfleet.Paused {
			c.External, c.ExternalAt, from = by, tx.Now(), " from "+by
		}
		if err := a.wantBackup(ctx, tx, c); err != nil {
			return err
		}
		if err := s.Acts.Adopt(ctx, tx, c, a.row, a.slot()); err != nil {
			return err
		}
		r.Certificate = c
		return tx.Event(ctx, certfleet.Event{Kind: "version.imported", Tenant: c.Tenant, CertificateID: c.ID, VersionID: a.row.ID,
			Msg: fmt.Sprintf("imported%s serial %s of %s, valid until %s", from, a.row.Serial, a.row.Issuer, a.row.NotAfter.Format(time.RFC3339))})
	})
}

// ownKey stores the key, or takes the row of the same key that is there.
func ownKey(ctx context.Context, tx *store.Tx, a *arrival) error {
	is, err := tx.KeyBySPKI(ctx, a.key.Tenant, a.key.SPKI)
	switch {
	case err == nil && !is.CompromisedAt.IsZero():
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("key %d is compromised", is.ID), Advice: "add the names to have a certificate with a new key ordered"}
	case err == nil:
		a.row.KeyID = is.ID
		return nil
	case certfleet.KindOf(err) != certfleet.NotFound:
		return err
	}
	a.key.ID = 0
	if err := tx.AddKey(ctx, a.key); err != nil {
		return err
	}
	a.row.KeyID = a.key.ID
	return nil
}

func slotOf(t certfleet.KeyType) certfleet.SlotKind {
	if slices.Contains([]certfleet.KeyType{certfleet.RSA2048, certfleet.RSA3072, certfleet.RSA4096}, t) {
		return certfleet.SlotRSA
	}
	return certfleet.SlotECDSA
}
