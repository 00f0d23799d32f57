package store

import (
	"context"

	"github.com/certfleet/certfleet"
)

var authorities = table[certfleet.Authority]{"authority", "authority", func(a *certfleet.Authority) []field {
	return []field{
		{"id", &a.ID}, {"tenant_id", &a.Tenant}, {"label", &a.Label}, {"directory_url", &a.DirectoryURL}, {"trust_pem", &a.TrustPEM},
		{"unverified", flag(&a.Unverified)}, {"eab", flag(&a.EAB)}, {"note", &a.Note}, {"labels", doc(&a.Labels)},
	}
}}

var accounts = table[certfleet.Account]{"account", "account", func(a *certfleet.Account) []field {
	return []field{
		{"id", &a.ID}, {"tenant_id", &a.Tenant}, {"authority_id", &a.AuthorityID}, {"label", &a.Label}, {"contact", doc(&a.Contact)},
		{"url", &a.URL}, {"key_id", ref(&a.KeyID)}, {"next_key_id", ref(&a.NextKeyID)}, {"state", &a.State}, {"agreed_at", ms(&a.AgreedAt)},
		{"eab_key_id", &a.EABKeyID}, {"eab_sealed", &a.EABSealed}, {"problem", &a.Problem}, {"labels", doc(&a.Labels)}, {"created_at", ms(&a.CreatedAt)}, {"rev", &a.Rev},
	}
}}

var policies = table[certfleet.Policy]{"policy", "policy", func(p *certfleet.Policy) []field {
	return []field{{"id", &p.ID}, {"tenant_id", &p.Tenant}, {"label", &p.Label}, {"labels", doc(&p.Labels)}, {"spec", doc(&p.Spec)}}
}}

// AddAuthority stores a CA.
func (t *Tx) AddAuthority(ctx context.Context, a *certfleet.Authority) error {
	if err := authorities.insert(ctx, t, a); err != nil {
		return err
	}
	return t.setLabels(ctx, "authority", a.ID, a.Labels)
}

// SaveAuthority writes a CA; its label stays.
func (t *Tx) SaveAuthority(ctx context.Context, a *certfleet.Authority) error {
	err := t.changeOne(ctx, "UPDATE authority SET directory_url = $1, trust_pem = $2, unverified = $3, eab = $4, note = $5, labels = $6 WHERE id = $7",
		a.DirectoryURL, a.TrustPEM, flag(&a.Unverified), flag(&a.EAB), a.Note, doc(&a.Labels), a.ID)
	if err != nil {
		return err
	}
	return t.setLabels(ctx, "authority", a.ID, a.Labels)
}

// Authority reads one CA.
func (q Q) Authority(ctx context.Context, id int64) (*certfleet.Authority, error) {
	return authorities.one(ctx, q, "WHERE id = $1", id)
}

// AuthorityByLabel reads one CA by its label.
func (q Q) AuthorityByLabel(ctx context.Context, tenant int64, label string) (*certfleet.Authority, error) {
	return authorities.one(ctx, q, "WHERE tenant_id = $1 AND label = $2", orDefault(tenant), label)
}

// Authorities lists them all; they are few.
func (q Q) Authorities(ctx context.Context, tenant int64) ([]certfleet.Authority, error) {
	return authorities.list(ctx, q, "WHERE tenant_id = $1 ORDER BY id", orDefault(tenant))
}

// AddAccount stores an account that is to be registered, or was.
func (t *Tx) AddAccount(ctx context.Context, a *certfleet.Account) error {
	a.CreatedAt = t.now
	if a.State == "" {
		a.State = certfleet.AccountWanted
	}
	if err := accounts.insert(ctx, t, a); err != nil {
		return err
	}
	return t.Event(ctx, certfleet.Event{Kind: "account.added", Tenant: a.Tenant, Msg: "account " + a.Label})
}

// SaveAccount writes an account.
func (t *Tx) SaveAccount(ctx context.Context, a *certfleet.Account) error {
	return accounts.save(ctx, t, a, &a.Rev)
}

// Account reads one account.
func (q Q) Account(ctx context.Context, id int64) (*certfleet.Account, error) {
	return accounts.one(ctx, q, "WHERE id = $1", id)
}

// AccountByLabel reads one account by its label.
func (q Q) AccountByLabel(ctx context.Context, tenant int64, label string) (*certfleet.Account, error) {
	return accounts.one(ctx, q, "WHERE tenant_id = $1 AND label = $2", orDefault(tenant), label)
}

// Accounts lists them all.
func (q Q) Accounts(ctx context.Context, tenant int64) ([]certfleet.Account, error) {
	return accounts.list(ctx, q, "WHERE tenant_id = $1 ORDER BY id", orDefault(tenant))
}

// AccountAt is the account to use at an authority: the oldest that is registered,
// else the oldest that is to be.
func (q Q) AccountAt(ctx context.Context, tenant, authority int64) (*certfleet.Account, error) {
	return accounts.one(ctx, q, "WHERE tenant_id = $1 AND authority_id = $2 AND state <> 'deactivated' ORDER BY CASE WHEN state = 'valid' THEN 0 ELSE 1 END, id", orDefault(tenant), authority)
}

// AddPolicy stores a policy.
func (t *Tx) AddPolicy(ctx context.Context, p *certfleet.Policy) error {
	if err := policies.insert(ctx, t, p); err != nil {
		return err
	}
	return t.setLabels(ctx, "policy", p.ID, p.Labels)
}

// SavePolicy writes what a policy says.
func (t *Tx) SavePolicy(ctx context.Context, p *certfleet.Policy) error {
	if err := t.changeOne(ctx, "UPDATE policy SET spec = $1, labels = $2 WHERE id = $3", doc(&p.Spec), doc(&p.Labels), p.ID); err != nil {
		return err
	}
	return t.setLabels(ctx, "policy", p.ID, p.Labels)
}

// Policy reads one policy.
func (q Q) Policy(ctx context.Context, id int64) (*certfleet.Policy, error) {
	return policies.one(ctx, q, "WHERE id = $1", id)
}

// PolicyByLabel reads one policy by its label.
func (q Q) PolicyByLabel(ctx context.Context, tenant int64, label string) (*certfleet.Policy, error) {
	return policies.one(ctx, q, "WHERE tenant_id = $1 AND label = $2", orDefault(tenant), label)
}

// Policies lists them all.
func (q Q) Policies(ctx context.Context, tenant int64) ([]certfleet.Policy, error) {
	return policies.list(ctx, q, "WHERE tenant_id = $1 ORDER BY id", orDefault(tenant))
}
