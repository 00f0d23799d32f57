package intake

import (
	"context"
	"errors"
	"maps"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

// FactoryLabel is the key of the label that says which factory made a certificate.
const FactoryLabel = "factory"

// Onboarding says how a domain is taken in.
type Onboarding struct {
	Note   string // kept with the event
	Update bool   // change a certificate that has the label already
	DryRun bool   // take it back again
}

// Enrolled is what a factory makes of a domain, or has made.
type Enrolled struct {
	certfleet.Enrollment
	Policy string
	Result *Result // nil when nothing was made and nothing is there
}

// Onboard makes the certificate that a factory makes of a domain. Asked again, it
// answers the one that is there; a certificate with that label and other content
// is a Conflict, unless an update was asked for.
func (r Room) Onboard(ctx context.Context, f *certfleet.Factory, domain string, ask Onboarding) (*Enrolled, error) {
	e, err := f.Spec.Expand(domain)
	if err != nil {
		return nil, err
	}
	out := &Enrolled{Enrollment: *e}
	err = r.write(ctx, func(tx *store.Tx) error {
		if err := r.onboard(ctx, tx, f, out, ask); err != nil {
			return err
		}
		if ask.DryRun {
			return errDry
		}
		return nil
	})
	if err != nil && !errors.Is(err, errDry) {
		return nil, err
	}
	return out, nil
}

func (r Room) onboard(ctx context.Context, tx *store.Tx, f *certfleet.Factory, e *Enrolled, ask Onboarding) error {
	var err error
	if e.Policy, err = r.PolicyOf(ctx, tx.Q, f); err != nil {
		return err
	}
	labels := certfleet.Labels{FactoryLabel: f.Label}
	maps.Copy(labels, f.Spec.CertificateLabels)
	w, err := wanted(api.NewCertificate{Label: e.Label, Names: certfleet.Strings(e.Names()), Policy: e.Policy, Targets: f.Spec.Targets, Labels: labels})
	if err != nil {
		return err
	}
	w.dnsSolver, w.proofs = f.Spec.Solver, map[certfleet.Name]certfleet.NameProof{}
	for _, p := range e.Proofs {
		w.proofs[p.Name] = p
	}
	if e.Result, err = r.add(ctx, tx, w, ask.Update, "operator"); err != nil {
		return err
	}
	if c := e.Result.Certificate; e.Result.Created {
		d := map[string]string{FactoryLabel: f.Label}
		if ask.Note != "" {
			d["note"] = ask.Note
		}
		return tx.Event(ctx, certfleet.Event{Kind: "certificate.onboarded", Tenant: c.Tenant, CertificateID: c.ID, Msg: "onboarded " + e.Domain.String() + " by factory " + f.Label, Data: d})
	}
	return nil
}

// Enrolled is what a factory makes of a domain, with the certificate that has
// its label, if there is one. It changes nothing.
func (r Room) Enrolled(ctx context.Context, f *certfleet.Factory, domain string) (*Enrolled, error) {
	e, err := f.Spec.Expand(domain)
	if err != nil {
		return nil, err
	}
	out := &Enrolled{Enrollment: *e}
	if out.Policy, err = r.PolicyOf(ctx, r.DB.Q, f); err != nil {
		return nil, err
	}
	c, err := r.DB.CertificateByLabel(ctx, r.tenant(), e.Label)
	if gone(err) || err == nil && c.State == certfleet.Removed {
		return out, nil
	}
	out.Result = &Result{Certificate: c}
	return out, err
}

// PolicyOf is the label of the policy that a factory follows.
func (r Room) PolicyOf(ctx context.Context, q store.Q, f *certfleet.Factory) (string, error) {
	if f.Spec.Policy != "" {
		return f.Spec.Policy, nil
	}
	return r.DefaultFor(ctx, q, certfleet.PurposeGlobal)
}
