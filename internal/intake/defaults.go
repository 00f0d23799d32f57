package intake

import (
	"context"
	"fmt"
	"slices"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

// DefaultPolicy is the label of the policy where none is named and none was set
// for the purpose.
const DefaultPolicy = "default"

// DefaultFor is the label of the policy for a purpose.
func (r Room) DefaultFor(ctx context.Context, q store.Q, p certfleet.Purpose) (string, error) {
	is, err := defaultSet(ctx, q, r.tenant(), p)
	if is == "" && err == nil {
		return DefaultPolicy, nil
	}
	return is, err
}

// defaultSet is the label of the policy that was set for a purpose, empty for none.
func defaultSet(ctx context.Context, q store.Q, tenant int64, p certfleet.Purpose) (string, error) {
	is, err := q.DefaultPolicy(ctx, tenant, p)
	if gone(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return is.Label, nil
}

// DefaultPolicies are the policies that were set for all purposes.
func (r Room) DefaultPolicies(ctx context.Context) (out api.Defaults, err error) {
	for _, p := range certfleet.Purposes {
		label, err := defaultSet(ctx, r.DB.Q, r.tenant(), p)
		if err != nil {
			return out, err
		}
		out.Defaults = append(out.Defaults, api.DefaultPolicy{Purpose: string(p), Policy: label})
	}
	return out, nil
}

// SetDefault says which policy is for a purpose; an empty label means none.
func (r Room) SetDefault(ctx context.Context, d api.DefaultPolicy) error {
	return r.write(ctx, func(tx *store.Tx) error {
		_, err := r.setDefault(ctx, tx, d)
		return err
	})
}

func (r Room) setDefault(ctx context.Context, tx *store.Tx, d api.DefaultPolicy) (*api.Change, error) {
	p := certfleet.Purpose(d.Purpose)
	if !slices.Contains(certfleet.Purposes, p) {
		return nil, invalid("use one of global, autocert, certificate-if-needed", fmt.Sprintf("purpose %q is not known", d.Purpose))
	}
	is, err := defaultSet(ctx, tx.Q, r.tenant(), p)
	if err != nil || is == d.Policy {
		return nil, err
	}
	var id int64
	if d.Policy != "" {
		row, err := tx.PolicyByLabel(ctx, r.tenant(), d.Policy)
		if err != nil {
			return nil, orMissing(err, "policy", d.Policy)
		}
		id = row.ID
	}
	ch := &api.Change{Kind: "default", Label: d.Purpose, Action: "update", Fields: []api.FieldChange{{Field: "policy", From: is, To: d.Policy}}}
	return ch, r.noted(ctx, tx, "policy.default_set", fmt.Sprintf("%s: %q", p, d.Policy), tx.SetDefaultPolicy(ctx, r.tenant(), p, id))
}

// AccountDefaultsRow checks what orders with an account are to be like.
func AccountDefaultsRow(d api.AccountDefaults) (out certfleet.AccountDefaults, err error) {
	out.Profile = d.Profile
	if d.KeyType != "" {
		if out.KeyType, err = certfleet.ParseKeyType(d.KeyType); err != nil {
			return out, err
		}
	}
	if out.KeyCycle, err = certfleet.ParseKeyCycle(d.KeyCycle); err != nil {
		return out, err
	}
	switch {
	case out.KeyCycle == certfleet.KeyAccountDefault:
		return out, invalid("name a cycle, or system_configuration_default", "an account's key cycle cannot be account_default")
	case out.Profile == certfleet.ProfileOfAccount:
		return out, invalid("name a profile", "an account's profile cannot be @")
	}
	return out, nil
}

// SetAccountDefaults says what orders with an account are like where their policy
// leaves it to the account. It counts from the next orders on.
func (r Room) SetAccountDefaults(ctx context.Context, a *certfleet.Account, d api.AccountDefaults) error {
	return r.write(ctx, func(tx *store.Tx) error {
		_, err := r.setAccountDefaults(ctx, tx, a, d)
		return err
	})
}

// setAccountDefaults answers in which fields they differ from what was.
func (r Room) setAccountDefaults(ctx context.Context, tx *store.Tx, a *certfleet.Account, d api.AccountDefaults) ([]api.FieldChange, error) {
	want, err := AccountDefaultsRow(d)
	if err != nil {
		return nil, err
	}
	is, err := tx.AccountDefaults(ctx, a.ID)
	if err != nil || is == want {
		return nil, err
	}
	fields, err := differing(api.OfAccountDefaults(is), api.OfAccountDefaults(want))
	if err != nil {
		return nil, err
	}
	return fields, r.noted(ctx, tx, "account.defaults_set", "account "+a.Label, tx.SetAccountDefaults(ctx, a.ID, want))
}
