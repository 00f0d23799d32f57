package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/certfleet/certfleet"
)

// Standing is what a step of an order stands on.
type Standing struct {
	Certificate certfleet.Certificate // its own row, as CertificateAlone reads it
	Policy      certfleet.Policy
	Account     certfleet.Account
	Defaults    certfleet.AccountDefaults
	Key         *certfleet.Key // the account's, nil before it has one
}

// StandingOf reads in one question what five would say: it is put for every step.
func (q Q) StandingOf(ctx context.Context, certificate, account int64) (*Standing, error) {
	s := &Standing{Key: &certfleet.Key{}}
	var into []any
	for _, fs := range [][]field{certificates.fields(&s.Certificate), policies.fields(&s.Policy), accounts.fields(&s.Account), keys.fields(s.Key)} {
		into = append(into, places(fs)...)
	}
	into = append(into, &s.Defaults.KeyCycle, &s.Defaults.KeyType, &s.Defaults.Profile)
	err := q.x.QueryRowContext(q.brief(ctx), standing, certificate, account).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return q.standingOf(ctx, certificate, account)
	}
	if err != nil {
		return nil, explain(fmt.Errorf("read what an order stands on: %w", err), "")
	}
	s.Certificate.Policy = s.Policy.Label
	return s, nil
}

var standing = "SELECT " + certificates.cols("certificate.") + ", " + policies.cols("policy.") + ", " + accounts.cols("account.") + ", " + keys.cols("key.") + `,
		coalesce(account_default.key_cycle, ''), coalesce(account_default.key_type, ''), coalesce(account_default.profile, '')
	FROM certificate JOIN policy ON policy.id = certificate.policy_id JOIN account ON account.id = $2 JOIN key ON key.id = account.key_id
	LEFT JOIN account_default ON account_default.account_id = account.id WHERE certificate.id = $1`

// standingOf asks one by one, for an account that has no key yet, and to say
// what it is that is missing.
func (q Q) standingOf(ctx context.Context, certificate, account int64) (*Standing, error) {
	c, err := q.CertificateAlone(ctx, certificate)
	if err != nil {
		return nil, err
	}
	p, err := q.Policy(ctx, c.PolicyID)
	if err != nil {
		return nil, err
	}
	a, err := q.Account(ctx, account)
	if err != nil {
		return nil, err
	}
	d, err := q.AccountDefaults(ctx, account)
	c.Policy = p.Label
	return &Standing{Certificate: *c, Policy: *p, Account: *a, Defaults: d}, err
}

// CertificateAlone reads a certificate's own row. The labels of its policy and
// targets are left out, which SaveCertificate does not need.
func (q Q) CertificateAlone(ctx context.Context, id int64) (*certfleet.Certificate, error) {
	return certificates.one(ctx, q, "WHERE id = $1", id)
}
