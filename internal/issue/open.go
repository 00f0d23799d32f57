package issue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/plan"
	"github.com/certfleet/certfleet/internal/store"
)

// Open opens the next order of a certificate that is due. It is harmless to
// call twice: a certificate has at most one live order.
func (r *Room) Open(ctx context.Context, id int64, now time.Time) error {
	cert, err := r.DB.CertificateAlone(ctx, id)
	if err != nil {
		return err
	}
	if cert.State == certfleet.Parked {
		return r.Watch(ctx, id, now)
	}
	if cert.State != certfleet.Active || cert.DueAt.IsZero() {
		return nil
	}
	if cert.DueAt.After(now) {
		// A limit may free earlier than it said.
		if in, err := r.DB.LetIn(ctx, id, now); err != nil || !in {
			return err
		}
	}
	o, err := r.draft(ctx, cert)
	if err != nil {
		return r.cannotOpen(ctx, cert, now, err)
	}
	if err = r.openOrder(ctx, cert, o, now, true); !errors.Is(err, errElsewhere) {
		return err
	}
	if next := r.elsewhere(ctx, cert, o); next != nil {
		o = next
	}
	return r.openOrder(ctx, cert, o, now, false)
}

// openOrder adds an order and its line in the ledger. If it may move, a limit
// that frees too late is answered by errElsewhere, and nothing is written.
func (r *Room) openOrder(ctx context.Context, cert *certfleet.Certificate, o *certfleet.Order, now time.Time, move bool) error {
	line, err := r.entry(ctx, o, cert, now)
	if err != nil {
		return err
	}
	line.move = move
	return r.DB.Tx(ctx, now, func(tx *store.Tx) error {
		if _, err := tx.LiveOrder(ctx, cert.ID, o.Slot); err == nil {
			cert.DueAt = time.Time{}
			return tx.SaveCertificate(ctx, cert)
		}
		if ok, err := r.admit(ctx, tx, line, cert); err != nil || !ok {
			return err
		}
		cert.DueAt, cert.DueReason = time.Time{}, ""
		if err := tx.SaveCertificate(ctx, cert); err != nil {
			return err
		}
		if err := tx.AddOrder(ctx, o); err != nil {
			return err
		}
		return line.hold(ctx, tx, o.ID)
	})
}

// Draft is the order that Open would add, for a dry run.
func (r *Room) Draft(ctx context.Context, cert *certfleet.Certificate) (*certfleet.Order, error) {
	return r.draft(ctx, cert)
}

func (r *Room) draft(ctx context.Context, cert *certfleet.Certificate) (*certfleet.Order, error) {
	policy, err := r.DB.Policy(ctx, cert.PolicyID)
	if err != nil {
		return nil, err
	}
	if err := r.forbidden(ctx, cert.Tenant, cert.Names); err != nil {
		return nil, err
	}
	return r.draftFor(ctx, cert, policy, "")
}

// forbidden refuses names of which one was put on the blocklist.
func (r *Room) forbidden(ctx context.Context, tenant int64, names []certfleet.Name) error {
	for _, n := range names {
		b, err := r.DB.BlockedBy(ctx, tenant, n)
		if err == nil {
			return &certfleet.Error{Kind: certfleet.Denied, Msg: fmt.Sprintf("%s is on the blocklist (%s %s)", n, b.Kind, b.Pattern), Advice: "leave the name out, or take it off with certfleet blocklist remove"}
		}
		if certfleet.KindOf(err) != certfleet.NotFound {
			return err
		}
	}
	return nil
}

// draftFor is the order that a policy asks for; an empty slot is that of its key type.
func (r *Room) draftFor(ctx context.Context, cert *certfleet.Certificate, policy *certfleet.Policy, slot certfleet.SlotKind) (*certfleet.Order, error) {
	authority, acct, err := r.choose(ctx, cert, policy)
	if err != nil {
		return nil, err
	}
	return r.draftAt(ctx, cert, policy, authority, acct, slot)
}

func (r *Room) draftAt(ctx context.Context, cert *certfleet.Certificate, policy *certfleet.Policy, authority *certfleet.Authority, acct *certfleet.Account, slot certfleet.SlotKind) (*certfleet.Order, error) {
	terms, err := r.terms(ctx, policy, acct.ID)
	if err != nil {
		return nil, err
	}
	o := &certfleet.Order{Tenant: cert.Tenant, CertificateID: cert.ID, AuthorityID: authority.ID, AccountID: acct.ID,
		Slot: cmp.Or(slot, SlotFor(terms.KeyType)), Lane: cert.Lane, Profile: terms.Profile, Names: cert.Names}
	if v, err := r.inUse(ctx, cert); err == nil && v.AuthorityID == authority.ID {
		o.Names = plan.Names(cert.Lane, cert.Names, v.Names)
	}
	o.Replaces = r.replaces(ctx, cert, o)
	return o, nil
}

// SlotFor is the slot that a key type fills.
func SlotFor(k certfleet.KeyType) certfleet.SlotKind {
	switch k {
	case certfleet.RSA2048, certfleet.RSA3072, certfleet.RSA4096:
		return certfleet.SlotRSA
	}
	return certfleet.SlotECDSA
}

// choose is the authority of the policy whose turn it is, and the account to use
// there: the first, unless it has failed for so long that half of the time that
// was set aside for renewing is gone. Then all of them have a turn.
func (r *Room) choose(ctx context.Context, cert *certfleet.Certificate, p *certfleet.Policy) (*certfleet.Authority, *certfleet.Account, error) {
	labels := p.Spec.Authorities
	if len(labels) == 0 {
		return nil, nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("policy %q names no authority", p.Label), Advice: "set authorities in the policy"}
	}
	v, err := r.inUse(ctx, cert)
	if err != nil {
		return r.accountAt(ctx, cert, p, labels[0])
	}
	last := func() int { return r.failedAt(ctx, cert, labels) }
	n := plan.Chooses(len(labels), time.Now(), v.NotBefore, v.NotAfter, cert.Failures, last, func(i int) bool { return r.permitted(ctx, cert, p, labels[i]) })
	return r.accountAt(ctx, cert, p, labels[n])
}

// failedAt is where in a list of authorities the last order of a certificate
// failed, -1 for nowhere.
func (r *Room) failedAt(ctx context.Context, cert *certfleet.Certificate, labels []string) int {
	o, err := r.DB.LastOrder(ctx, cert.ID)
	if err != nil || o.State != certfleet.OrderFailed {
		return -1
	}
	return r.placeOf(ctx, cert.Tenant, o.AuthorityID, labels)
}

// placeOf is where an authority is in a list of labels, -1 for nowhere.
func (r *Room) placeOf(ctx context.Context, tenant, authority int64, labels []string) int {
	return slices.IndexFunc(labels, func(label string) bool {
		a, err := r.DB.AuthorityByLabel(ctx, tenant, label)
		return err == nil && a.ID == authority
	})
}

// accountAt is an authority that a policy names, and the account to use there.
func (r *Room) accountAt(ctx context.Context, cert *certfleet.Certificate, p *certfleet.Policy, label string) (*certfleet.Authority, *certfleet.Account, error) {
	a, err := r.DB.AuthorityByLabel(ctx, cert.Tenant, label)
	if err != nil {
		return nil, nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("policy %q names authority %q, which does not exist", p.Label, label), Advice: "create the authority or correct the policy", Err: err}
	}
	acct, err := r.DB.AccountAt(ctx, cert.Tenant, a.ID)
	if certfleet.KindOf(err) == certfleet.NotFound {
		return nil, nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("there is no account at authority %q", label), Advice: "run certfleet accounts new --authority " + label + " --contact mailto:you@example.com --agree"}
	}
	return a, acct, err
}

// inUse is the version in use, a zero one for none.
func (r *Room) inUse(ctx context.Context, cert *certfleet.Certificate) (*certfleet.Version, error) {
	if cert.VersionID == 0 {
		return &certfleet.Version{}, nil
	}
	return r.DB.Version(ctx, cert.VersionID)
}

// replaces is the version that a renewal stands for: the one in use, from the
// same account, not replaced before (RFC 9773 section 5).
func (r *Room) replaces(ctx context.Context, cert *certfleet.Certificate, o *certfleet.Order) int64 {
	if cert.VersionID == 0 {
		return 0
	}
	v, err := r.DB.Version(ctx, cert.VersionID)
	if err != nil || v.OrderID == 0 {
		return 0
	}
	if prev, err := r.DB.Order(ctx, v.OrderID); err != nil || !plan.Replaces(v, o, prev.AccountID) {
		return 0
	}
	return v.ID
}

// cannotOpen puts the certificate off and says why on it.
func (r *Room) cannotOpen(ctx context.Context, cert *certfleet.Certificate, now time.Time, cause error) error {
	kind := certfleet.KindOf(cause)
	if kind != certfleet.Invalid && kind != certfleet.Denied {
		return cause
	}
	cert.DueAt, cert.DueReason = now.Add(10*time.Minute), "an order could not be opened"
	cert.Problem, cert.Advice, cert.FailedAt = cause.Error(), certfleet.AdviceOf(cause), now
	cert.Failures++
	return r.DB.Tx(ctx, now, func(tx *store.Tx) error {
		if err := tx.SaveCertificate(ctx, cert); err != nil {
			return err
		}
		return tx.Event(ctx, certfleet.Event{Kind: "certificate.blocked", Tenant: cert.Tenant, CertificateID: cert.ID, Msg: cause.Error()})
	})
}
