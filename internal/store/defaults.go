package store

import (
	"context"

	"github.com/certfleet/certfleet"
)

// AccountDefaults are what an account says of its orders; nothing if it says nothing.
func (q Q) AccountDefaults(ctx context.Context, account int64) (certfleet.AccountDefaults, error) {
	d, err := accountDefaults.one(ctx, q, "WHERE account_id = $1", account)
	if certfleet.KindOf(err) == certfleet.NotFound {
		return certfleet.AccountDefaults{}, nil
	}
	if err != nil {
		return certfleet.AccountDefaults{}, err
	}
	return d.AccountDefaults, nil
}

type accountDefault struct {
	account int64
	certfleet.AccountDefaults
}

var accountDefaults = table[accountDefault]{"account_default", "account default", func(d *accountDefault) []field {
	return []field{{"account_id", &d.account}, {"key_cycle", &d.KeyCycle}, {"key_type", &d.KeyType}, {"profile", &d.Profile}}
}}

// SetAccountDefaults says what the orders of an account are like.
func (t *Tx) SetAccountDefaults(ctx context.Context, account int64, d certfleet.AccountDefaults) error {
	_, err := t.change(ctx, `INSERT INTO account_default (account_id, key_cycle, key_type, profile) VALUES ($1, $2, $3, $4)
		ON CONFLICT (account_id) DO UPDATE SET key_cycle = excluded.key_cycle, key_type = excluded.key_type, profile = excluded.profile`,
		account, string(d.KeyCycle), string(d.KeyType), d.Profile)
	return err
}

// DefaultPolicy is the policy for a purpose, or NotFound.
func (q Q) DefaultPolicy(ctx context.Context, tenant int64, p certfleet.Purpose) (*certfleet.Policy, error) {
	return policies.one(ctx, q, "JOIN default_policy d ON d.policy_id = policy.id WHERE d.tenant_id = $1 AND d.purpose = $2", orDefault(tenant), string(p))
}

// SetDefaultPolicy says which policy is for a purpose; zero means none.
func (t *Tx) SetDefaultPolicy(ctx context.Context, tenant int64, p certfleet.Purpose, policy int64) error {
	if policy == 0 {
		_, err := t.change(ctx, "DELETE FROM default_policy WHERE tenant_id = $1 AND purpose = $2", orDefault(tenant), string(p))
		return err
	}
	_, err := t.change(ctx, `INSERT INTO default_policy (tenant_id, purpose, policy_id) VALUES ($1, $2, $3)
		ON CONFLICT (tenant_id, purpose) DO UPDATE SET policy_id = excluded.policy_id`, orDefault(tenant), string(p), policy)
	return err
}
