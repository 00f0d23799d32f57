package intake

import (
	"context"
	"fmt"
	"net/url"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/store"
)

// Mode says what becomes of an object that has the label already.
type Mode int

// The modes of a Put.
const (
	Create Mode = iota // the same is answered, another is a Conflict
	Ensure             // it is changed to be so
)

// PolicyRow checks a policy and answers the row that says so.
func PolicyRow(p api.Policy) (*certfleet.Policy, error) {
	row := &certfleet.Policy{Label: p.Label, Labels: p.Labels}
	row.Spec = certfleet.PolicySpec{Authorities: p.Authorities, Profile: p.Profile, Solver: p.Solver, ChainIssuer: p.ChainIssuer, ReuseKey: p.ReuseKey}
	if err := checkObject(p.Label, p.Labels); err != nil {
		return nil, err
	}
	if len(p.Authorities) == 0 {
		return nil, invalid("name at least one authority in authorities", fmt.Sprintf("policy %q names no authority", p.Label))
	}
	var err error
	if p.KeyType != "" {
		if row.Spec.KeyType, err = certfleet.ParseKeyType(p.KeyType); err != nil {
			return nil, err
		}
	}
	if row.Spec.KeyCycle, err = certfleet.ParseKeyCycle(p.KeyCycle); err != nil {
		return nil, err
	}
	if row.Spec.Backup, err = backupSpec(p.Backup); err != nil {
		return nil, err
	}
	if row.Spec.Challenge, err = certfleet.ParseChallengeType(p.Challenge); err != nil {
		return nil, err
	}
	if p.Validity != "" {
		err = row.Spec.Validity.UnmarshalText([]byte(p.Validity))
	}
	if err == nil && row.Spec.Validity < 0 {
		err = invalid("write a lifetime such as 36h or 7d", "a validity below zero cannot be had")
	}
	return row, err
}

func checkObject(label string, labels certfleet.Labels) error {
	if err := CheckLabel(label); err != nil {
		return err
	}
	return checkWords(labels)
}

// PutPolicy makes a policy, or changes the one with its label.
func (r Room) PutPolicy(ctx context.Context, p api.Policy, m Mode) (out *certfleet.Policy, err error) {
	err = r.write(ctx, func(tx *store.Tx) error {
		out, _, err = r.putPolicy(ctx, tx, p, m)
		return err
	})
	return out, err
}

func (r Room) putPolicy(ctx context.Context, tx *store.Tx, p api.Policy, m Mode) (*certfleet.Policy, *api.Change, error) {
	row, err := PolicyRow(p)
	if err != nil {
		return nil, nil, err
	}
	for _, label := range p.Authorities {
		if _, err := tx.AuthorityByLabel(ctx, r.tenant(), label); err != nil {
			return nil, nil, orMissing(err, "authority", label)
		}
	}
	if err := r.checkBackup(ctx, tx, row); err != nil {
		return nil, nil, err
	}
	row.Tenant = r.tenant()
	is, err := tx.PolicyByLabel(ctx, row.Tenant, row.Label)
	if gone(err) {
		return row, created("policy", row.Label), r.noted(ctx, tx, "policy.added", row.Label, tx.AddPolicy(ctx, row))
	}
	if err != nil {
		return nil, nil, err
	}
	ch, err := compare("policy", row.Label, api.OfPolicy(is), api.OfPolicy(row), m)
	if err != nil || ch == nil {
		return is, ch, err
	}
	row.ID = is.ID
	if row.Spec.Backup != nil && is.Spec.Backup == nil {
		if err := tx.FillBackups(ctx, row.ID); err != nil {
			return nil, nil, err
		}
	}
	return row, ch, r.noted(ctx, tx, "policy.changed", row.Label, tx.SavePolicy(ctx, row))
}

// orMissing says that something named does not exist.
func orMissing(err error, what, label string) error {
	if gone(err) {
		return invalid("make it first, or name one that exists", fmt.Sprintf("%s %q does not exist", what, label))
	}
	return err
}

// noted writes the event that goes with a write that went well.
func (r Room) noted(ctx context.Context, tx *store.Tx, kind, label string, err error) error {
	if err != nil {
		return err
	}
	return tx.Event(ctx, certfleet.Event{Kind: kind, Tenant: r.tenant(), Msg: label})
}

// AuthorityRow checks an authority and answers the row that says so.
func AuthorityRow(a api.Authority) (*certfleet.Authority, error) {
	if err := checkObject(a.Label, a.Labels); err != nil {
		return nil, err
	}
	u, err := url.Parse(a.DirectoryURL)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.User != nil {
		return nil, invalid("give the URL of the CA's ACME directory, beginning with https://", fmt.Sprintf("authority %q has no directory URL that can be used", a.Label))
	}
	if a.TrustPEM != "" {
		if _, err := pki.ParseCertificates([]byte(a.TrustPEM)); err != nil {
			return nil, err
		}
	}
	return &certfleet.Authority{Label: a.Label, DirectoryURL: a.DirectoryURL, TrustPEM: a.TrustPEM, Unverified: a.Unverified, EAB: a.EAB, Note: a.Note, Labels: a.Labels}, nil
}

// PutAuthority makes an authority, or changes the one with its label.
func (r Room) PutAuthority(ctx context.Context, a api.Authority, m Mode) (out *certfleet.Authority, err error) {
	err = r.write(ctx, func(tx *store.Tx) error {
		out, _, err = r.putAuthority(ctx, tx, a, m)
		return err
	})
	return out, err
}

func (r Room) putAuthority(ctx context.Context, tx *store.Tx, a api.Authority, m Mode) (*certfleet.Authority, *api.Change, error) {
	row, err := AuthorityRow(a)
	if err != nil {
		return nil, nil, err
	}
	row.Tenant = r.tenant()
	is, err := tx.AuthorityByLabel(ctx, row.Tenant, row.Label)
	if gone(err) {
		return row, created("authority", row.Label), r.noted(ctx, tx, "authority.added", row.Label, tx.AddAuthority(ctx, row))
	}
	if err != nil {
		return nil, nil, err
	}
	ch, err := compare("authority", row.Label, api.OfAuthority(is), api.OfAuthority(row), m)
	if err != nil || ch == nil {
		return is, ch, err
	}
	row.ID, row.Unverified = is.ID, is.Unverified
	return row, ch, r.noted(ctx, tx, "authority.changed", row.Label, tx.SaveAuthority(ctx, row))
}
