package intake

import (
	"context"
	"encoding/json"
	"maps"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

// Given is which fields each object of a declaration has, by the list it stands
// in and its place there. A field that was left out leaves an object that exists
// as it is; one that is given empty clears it.
type Given map[string][]map[string]json.RawMessage

// GivenIn reads what fields a declaration gives.
func GivenIn(declaration []byte) (g Given, err error) {
	if err := json.Unmarshal(declaration, &g); err != nil {
		return nil, invalid("send a JSON object of lists, as certfleet apply does", "the declaration cannot be read")
	}
	return g, nil
}

// completed is what is declared of an object that exists, with what was left out
// as it is. Without a Given every field counts.
func completed[T any](g Given, list string, i int, declared, is T) (T, error) {
	if g == nil || i >= len(g[list]) {
		return declared, nil
	}
	all, err := fields(is)
	if err != nil {
		return declared, err
	}
	want, err := fields(declared)
	if err != nil {
		return declared, err
	}
	maps.DeleteFunc(all, func(k string, _ json.RawMessage) bool { _, given := g[list][i][k]; return given })
	maps.DeleteFunc(want, func(k string, _ json.RawMessage) bool { _, given := g[list][i][k]; return !given })
	maps.Copy(all, want)
	b, err := json.Marshal(all)
	if err != nil {
		return declared, err
	}
	var out T
	return out, json.Unmarshal(b, &out)
}

func fields(v any) (out map[string]json.RawMessage, err error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return out, json.Unmarshal(b, &out)
}

// ifThere completes what is declared of an object, if it exists.
func ifThere[T, R any](g Given, list string, i int, declared T, row *R, err error, of func(*R) T) (T, error) {
	switch {
	case gone(err):
		return declared, nil
	case err != nil:
		return declared, err
	}
	return completed(g, list, i, declared, of(row))
}

func (f *fleet) authority(ctx context.Context, tx *store.Tx, i int) (api.Authority, error) {
	a := f.Authorities[i]
	is, err := tx.AuthorityByLabel(ctx, f.tenant(), a.Label)
	return ifThere(f.given, "authorities", i, a, is, err, api.OfAuthority)
}

func (f *fleet) policy(ctx context.Context, tx *store.Tx, i int) (api.Policy, error) {
	p := f.Policies[i]
	is, err := tx.PolicyByLabel(ctx, f.tenant(), p.Label)
	return ifThere(f.given, "policies", i, p, is, err, api.OfPolicy)
}

func (f *fleet) target(ctx context.Context, tx *store.Tx, i int) (api.Target, error) {
	t := f.Targets[i]
	is, err := tx.TargetByLabel(ctx, f.tenant(), t.Label)
	return ifThere(f.given, "targets", i, t, is, err, api.OfTarget)
}

func (f *fleet) certificate(ctx context.Context, tx *store.Tx, i int) (api.FleetCertificate, error) {
	c := f.Certificates[i]
	label := c.Label
	if label == "" && len(c.Names) > 0 {
		if n, err := certfleet.ParseName(c.Names[0]); err == nil {
			label = n.String()
		}
	}
	is, err := tx.CertificateByLabel(ctx, f.tenant(), label)
	return ifThere(f.given, "certificates", i, c, is, err, func(is *certfleet.Certificate) api.FleetCertificate {
		return api.FleetCertificate{Names: certfleet.Strings(is.Names), Policy: is.Policy, Targets: is.Targets, Labels: is.Labels}
	})
}

func (f *fleet) account(ctx context.Context, tx *store.Tx, i int) (api.FleetAccount, error) {
	a := f.Accounts[i]
	label := a.Label
	if label == "" {
		label = a.Authority
	}
	is, err := tx.AccountByLabel(ctx, f.tenant(), label)
	return ifThere(f.given, "accounts", i, a, is, err, func(is *certfleet.Account) api.FleetAccount {
		return api.FleetAccount{Contact: is.Contact, Labels: is.Labels}
	})
}
