package issue

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/plan"
	"github.com/certfleet/certfleet/internal/store"
)

// finalize makes the key, if there is none, and commits it; only then, in the
// same step or a later one, the request for it leaves.
func (r *Room) finalize(ctx context.Context, j *job, ord acme.Order) (time.Duration, error) {
	if j.order.KeyID == 0 {
		if err := r.makeKey(ctx, j); err != nil {
			return 0, err
		}
		r.at("key made")
	}
	key, err := r.usableKey(ctx, j)
	if err != nil {
		return 0, err
	}
	signer, err := r.Keys.OpenKey(ctx, key)
	if err != nil {
		return 0, err
	}
	j.opened = key.ID
	csr, err := pki.CSR(signer, j.order.Names)
	if err != nil {
		return 0, err
	}
	got, err := j.client.Finalize(ctx, j.as, ord.Finalize, csr)
	if err != nil {
		return 0, err
	}
	r.at("finalized")
	j.order.CAStatus, j.order.Attempts = got.Status, 0
	wait := time.Duration(0)
	if got.Status == statusProcessing {
		wait = plan.Poll(j.now, j.now, got.RetryAfter, j.patience())
	}
	if err := r.commit(ctx, j, nil); err != nil || !onward(j, got.Status == statusValid && got.Certificate != "") {
		return wait, err
	}
	return r.follow(ctx, j, got)
}

// processing waits for a CA that signs, unless it has taken too long, or the policy
// has another that it is high time for. A step after one that went wrong does not
// judge: the CA may only just be back.
func (r *Room) processing(ctx context.Context, j *job, ord acme.Order) (time.Duration, error) {
	since, back := r.provedAt(ctx, j), j.order.Attempts > 0
	j.order.Attempts = 0
	if !back && (r.movesOn(ctx, j) || j.now.After(plan.EnduredUntil(since, j.cert.NotAfter, plan.SignMost))) {
		return 0, r.fail(ctx, j, stuck("the CA has not signed since "+since.Format(time.RFC3339), j))
	}
	return plan.Poll(j.now, since, ord.RetryAfter, j.patience()), r.commit(ctx, j, nil)
}

// provedAt is when the CA had found the names proved, as far as we know: an order
// is finalized then.
func (r *Room) provedAt(ctx context.Context, j *job) time.Time {
	at := j.order.PlacingAt
	list, _ := r.DB.AuthorizationsOf(ctx, j.order.ID) // without them it is asked less often
	for _, a := range list {
		if a.SeenAt.After(at) {
			at = a.SeenAt
		}
	}
	return at
}

// download fetches all chains, checks that they are what was ordered, and ends
// the order with a stored version.
func (r *Room) download(ctx context.Context, j *job, ord acme.Order) (time.Duration, error) {
	key, err := r.DB.Key(ctx, j.order.KeyID)
	if err != nil && certfleet.KindOf(err) != certfleet.NotFound {
		return 0, err
	}
	if err != nil {
		return 0, r.fail(ctx, j, failure{typ: "noKey", msg: "the CA issued for an order whose key is not here", advice: "wait: a new order follows"})
	}
	got, err := j.client.Certificate(ctx, j.as, ord.Certificate)
	if err != nil {
		return 0, err
	}
	r.at("downloaded")
	chains, leaf, err := r.check(j, key, got)
	if err != nil {
		return 0, r.fail(ctx, j, failure{typ: "badCertificate", msg: err.Error(), advice: "report it to the CA; a new order follows"})
	}
	usable, err := r.usable(ctx, j, leaf, chains)
	if err != nil {
		return 0, err
	}
	if len(usable) == 0 {
		return r.later(ctx, j, "shortChain", errShortChain, "wait: the CA is asked for the chain again; report it to the CA if it stays so", time.Time{})
	}
	v := versionOf(j, leaf, chains, choose(usable, j.terms.ChainIssuer))
	return 0, r.issued(ctx, j, v, chains)
}

// check parses the chains and refuses a leaf that is not what we asked for.
func (r *Room) check(j *job, key *certfleet.Key, got [][]byte) ([]certfleet.Chain, *x509.Certificate, error) {
	var out []certfleet.Chain
	var leaf *x509.Certificate
	for i, pem := range got {
		certs, err := pki.ParseCertificates(pem)
		if err != nil {
			return nil, nil, fmt.Errorf("chain %d: %w", i+1, err)
		}
		if leaf == nil {
			leaf = certs[0]
		}
		if !leaf.Equal(certs[0]) {
			return nil, nil, fmt.Errorf("chain %d is of another certificate", i+1)
		}
		out = append(out, certfleet.Chain{Position: i, Issuer: pki.TopIssuer(certs), PEM: pem})
	}
	if leaf == nil {
		return nil, nil, fmt.Errorf("the CA sent no chain")
	}
	if pki.SPKI(leaf.PublicKey) != key.SPKI {
		return nil, nil, fmt.Errorf("the certificate is for another key than the one committed")
	}
	if missing := pki.Missing(leaf, j.order.Names); len(missing) > 0 {
		return nil, nil, fmt.Errorf("the certificate lacks %s", missing[0])
	}
	return out, leaf, nil
}

// choose is the chain whose topmost issuer is preferred, else the CA's default.
func choose(chains []certfleet.Chain, issuer string) []byte {
	for _, c := range chains {
		if issuer != "" && c.Issuer == issuer {
			return c.PEM
		}
	}
	return chains[0].PEM
}

func versionOf(j *job, leaf *x509.Certificate, chains []certfleet.Chain, chain []byte) *certfleet.Version {
	v := VersionOf(leaf, chain)
	v.Tenant, v.CertificateID, v.OrderID, v.KeyID = j.order.Tenant, j.order.CertificateID, j.order.ID, j.order.KeyID
	v.Origin, v.AuthorityID, v.Profile = "issued", j.order.AuthorityID, j.order.Profile
	v.ARIPollAt = j.now
	return v
}

// VersionOf describes a leaf and its chain as a version that belongs to nothing yet.
func VersionOf(leaf *x509.Certificate, chain []byte) *certfleet.Version {
	v := &certfleet.Version{
		Names: pki.NamesOf(leaf), Serial: pki.Serial(leaf), Fingerprint: pki.Fingerprint(leaf), SPKI: pki.SPKI(leaf.PublicKey),
		Issuer: cmp.Or(leaf.Issuer.CommonName, strings.Join(leaf.Issuer.Organization, ", ")), IssuerName: leaf.Issuer.String(), Subject: leaf.Subject.CommonName, NotBefore: leaf.NotBefore.UTC(), NotAfter: leaf.NotAfter.UTC(), ChainPEM: chain,
	}
	v.ARIID, _ = acme.ARIID(leaf) // a certificate without a key identifier has none
	return v
}

// issued ends the order: the version, what its names serve, what is delivered
// where, and when it is renewed, in one commit.
func (r *Room) issued(ctx context.Context, j *job, v *certfleet.Version, chains []certfleet.Chain) error {
	return r.commit(ctx, j, func(ctx context.Context, tx *store.Tx) error {
		// The download waited on the network: what the operator said meanwhile stands.
		cert, err := tx.CertificateAlone(ctx, j.cert.ID)
		if err != nil {
			return err
		}
		if err := tx.AddVersion(ctx, v, chains); err != nil {
			return err
		}
		if err := Adopt(ctx, tx, cert, v, j.order.Slot); err != nil {
			return err
		}
		if j.order.Manual {
			if err := takeUp(ctx, tx, v); err != nil {
				return err
			}
		}
		o := j.order
		o.State, o.VersionID, o.FinishedAt, o.Problem, o.ProblemType, o.Advice = certfleet.OrderIssued, v.ID, tx.Now(), "", "", ""
		o.Owner, o.LeaseUntil = "", time.Time{}
		if err := tx.CleanLater(ctx, o.ID); err != nil {
			return err
		}
		j.cost = allWell
		return tx.Event(ctx, j.event("version.issued", fmt.Sprintf("%s issued serial %s, valid until %s", v.Issuer, v.Serial, v.NotAfter.Format(time.RFC3339))))
	})
}

// Adopt makes a stored version what its certificate serves from now on: slots,
// deliveries and the next renewal. A certificate that was removed meanwhile only
// keeps it on record; one whose names changed meanwhile is due again at once. In
// the slot backup it is kept warm.
func Adopt(ctx context.Context, tx *store.Tx, cert *certfleet.Certificate, v *certfleet.Version, slot certfleet.SlotKind) error {
	if slot == certfleet.SlotBackup {
		return adoptBackup(ctx, tx, cert, v)
	}
	return adoptPrimary(ctx, tx, cert, v, slot)
}

func adoptPrimary(ctx context.Context, tx *store.Tx, cert *certfleet.Certificate, v *certfleet.Version, slot certfleet.SlotKind) error {
	if cert.VersionID != 0 && cert.VersionID != v.ID {
		if err := tx.Replaced(ctx, cert.VersionID, v.ID); err != nil {
			return err
		}
	}
	cert.VersionID, cert.NotAfter = v.ID, v.NotAfter
	cert.Failures, cert.Problem, cert.Advice, cert.FailedAt = 0, "", "", time.Time{}
	planRenewal(cert, v, tx.Now(), luck())
	if err := tx.SaveCertificate(ctx, cert); err != nil || cert.State == certfleet.Removed {
		return err
	}
	if flipped, err := besideBackup(ctx, tx, cert); err != nil || flipped {
		return err // the backup is served until somebody flips back
	}
	for _, n := range v.Names {
		if err := tx.FillSlot(ctx, certfleet.Slot{Tenant: v.Tenant, Name: n, Kind: slot, VersionID: v.ID}); err != nil {
			return err
		}
	}
	return tx.WantDeliveries(ctx, v)
}

func planRenewal(cert *certfleet.Certificate, v *certfleet.Version, now time.Time, luck float64) {
	next := plan.RenewAt(v.NotBefore, v.NotAfter, v.ARIAt, luck)
	cert.UrgentAt = plan.UrgentAt(v.NotBefore, v.NotAfter)
	switch {
	case cert.State != certfleet.Active:
		cert.DueAt, cert.DueReason = time.Time{}, ""
	case !covers(v.Names, cert.Names):
		cert.DueAt, cert.DueReason, cert.Lane = now, "its names changed meanwhile", certfleet.LaneWaiting
	default:
		cert.DueAt, cert.DueReason, cert.Lane = next.At, next.Reason, certfleet.LaneRoutine
	}
}

// covers reports whether every wanted name is one of have.
func covers(have, want []certfleet.Name) bool {
	for _, n := range want {
		if !slices.Contains(have, n) {
			return false
		}
	}
	return true
}
