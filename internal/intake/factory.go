package intake

import (
	"context"
	"fmt"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

// FactoryRow checks a factory and answers the row that says so.
func FactoryRow(f api.Factory) (*certfleet.Factory, error) {
	row := &certfleet.Factory{Label: f.Label, Labels: f.Labels}
	if err := checkObject(f.Label, f.Labels); err != nil {
		return nil, err
	}
	if err := checkWords(f.CertificateLabels); err != nil {
		return nil, err
	}
	strategy, err := certfleet.ParseDuplicateStrategy(f.Duplicates)
	if err != nil {
		return nil, err
	}
	row.Spec = certfleet.FactorySpec{Policy: f.Policy, HTTP01: f.HTTP01, DNS01: f.DNS01, Solver: f.Solver, LabelTemplate: f.LabelTemplate,
		Targets: tidy(f.Targets), CertificateLabels: f.CertificateLabels, Note: f.Note, Duplicates: strategy}
	if row.Spec.Policy == string(certfleet.KeySystemDefault) {
		row.Spec.Policy = "" // the older word for the default policy
	}
	if f.Solver != "" && len(f.DNS01) == 0 {
		return nil, invalid("give a template for dns-01, or leave the solver out", fmt.Sprintf("solver %q is for dns-01 only", f.Solver))
	}
	return row, row.Spec.Check()
}

// PutFactory makes a factory, or changes the one with its label. What it made
// before stays as it is.
func (r Room) PutFactory(ctx context.Context, f api.Factory, m Mode) (out *certfleet.Factory, err error) {
	err = r.write(ctx, func(tx *store.Tx) error {
		out, _, err = r.putFactory(ctx, tx, f, m)
		return err
	})
	return out, err
}

func (r Room) putFactory(ctx context.Context, tx *store.Tx, f api.Factory, m Mode) (*certfleet.Factory, *api.Change, error) {
	if err := r.ownPolicy(ctx, tx, &f); err != nil {
		return nil, nil, err
	}
	row, err := FactoryRow(f)
	if err != nil {
		return nil, nil, err
	}
	row.Tenant = r.tenant()
	if err := r.checkFactory(ctx, tx, row); err != nil {
		return nil, nil, err
	}
	is, err := tx.FactoryByLabel(ctx, row.Tenant, row.Label)
	if gone(err) {
		return row, created("factory", row.Label), r.noted(ctx, tx, "factory.added", row.Label, tx.AddFactory(ctx, row))
	}
	if err != nil {
		return nil, nil, err
	}
	ch, err := compare("factory", row.Label, api.OfFactory(is), api.OfFactory(row), m)
	if err != nil || ch == nil {
		return is, ch, err
	}
	row.ID = is.ID
	return row, ch, r.noted(ctx, tx, "factory.changed", row.Label, tx.SaveFactory(ctx, row))
}

// ownPolicy keeps the parts of a policy that a factory brings along as a policy.
func (r Room) ownPolicy(ctx context.Context, tx *store.Tx, f *api.Factory) error {
	if f.PolicyParts == nil {
		return nil
	}
	label := "factory-" + f.Label
	if f.Policy != "" && f.Policy != label {
		return invalid("give policy or policy_parts", "a factory follows one policy")
	}
	_, _, err := r.putPolicy(ctx, tx, api.Policy{Label: label, PolicySpec: *f.PolicyParts}, Ensure)
	f.Policy, f.PolicyParts = label, nil
	return err
}

// checkFactory refuses what a factory names that does not exist.
func (r Room) checkFactory(ctx context.Context, tx *store.Tx, f *certfleet.Factory) error {
	if p := f.Spec.Policy; p != "" {
		if _, err := tx.PolicyByLabel(ctx, f.Tenant, p); err != nil {
			return orMissing(err, "policy", p)
		}
	}
	for _, t := range f.Spec.Targets {
		if _, err := tx.TargetByLabel(ctx, f.Tenant, t); err != nil {
			return orMissing(err, "target", t)
		}
	}
	return nil
}

// RemoveFactory removes a factory. The certificates that it made stay.
func (r Room) RemoveFactory(ctx context.Context, f *certfleet.Factory) error {
	return r.write(ctx, func(tx *store.Tx) error {
		return r.noted(ctx, tx, "factory.removed", f.Label, tx.RemoveFactory(ctx, f.ID))
	})
}
