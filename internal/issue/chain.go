package issue

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/plan"
)

// How long a CA is asked again for a chain that brings the leaf's issuer along:
// while nothing else serves the names, and while a version does. After that what
// there is is taken: a CA may sign with a root that clients know.
const (
	chainMost      = 10 * time.Minute
	chainMostInUse = plan.LookMost
)

var errShortChain = errors.New("the CA sent the certificate without the one that signed it")

// usable are the chains that can be served: those that bring the leaf's issuer
// along (RFC 8555 section 7.4.2), or all where a leaf may stand alone. None means
// that the CA is asked again.
func (r *Room) usable(ctx context.Context, j *job, leaf *x509.Certificate, chains []certfleet.Chain) ([]certfleet.Chain, error) {
	whole := slices.DeleteFunc(slices.Clone(chains), func(c certfleet.Chain) bool { return alone(c.PEM) })
	if len(whole) > 0 {
		return whole, nil
	}
	if ok, err := r.standsAlone(ctx, j, leaf); err != nil || !ok {
		return nil, err
	}
	return chains, nil
}

// alone reports whether a chain is the leaf and nothing else.
func alone(chain []byte) bool {
	return bytes.Count(chain, []byte("-----BEGIN CERTIFICATE-----")) < 2
}

// standsAlone reports whether a leaf without its issuer is what the CA means: it
// signs itself, a root that we were told to trust signs it, the version in use came
// so too, or the CA has sent nothing else for long enough.
func (r *Room) standsAlone(ctx context.Context, j *job, leaf *x509.Certificate) (bool, error) {
	if bytes.Equal(leaf.RawIssuer, leaf.RawSubject) {
		return true, nil
	}
	a, err := r.DB.Authority(ctx, j.order.AuthorityID)
	if err != nil {
		return false, err
	}
	roots, _ := pki.ParseCertificates([]byte(a.TrustPEM)) // an empty bundle has none
	if slices.ContainsFunc(roots, func(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, leaf.RawIssuer) }) {
		return true, nil
	}
	most := chainMost
	if j.cert.VersionID != 0 {
		was, err := r.DB.Version(ctx, j.cert.VersionID)
		if err != nil {
			return false, err
		}
		if was.Issuer == VersionOf(leaf, nil).Issuer && alone(was.ChainPEM) {
			return true, nil
		}
		most = chainMostInUse
	}
	return j.now.After(plan.EnduredUntil(r.provedAt(ctx, j), j.cert.NotAfter, most)), nil
}
