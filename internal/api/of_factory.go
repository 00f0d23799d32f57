package api

import "github.com/certfleet/certfleet"

// OfFactory is the wire form of a factory.
func OfFactory(f *certfleet.Factory) Factory {
	s := f.Spec
	return Factory{ID: f.ID, Label: f.Label, Labels: f.Labels, FactorySpec: FactorySpec{Policy: s.Policy, HTTP01: s.HTTP01, DNS01: s.DNS01, Solver: s.Solver,
		LabelTemplate: s.LabelTemplate, Targets: s.Targets, CertificateLabels: s.CertificateLabels, Note: s.Note, Duplicates: string(s.Duplicates)}}
}

// OfEnrollment is the wire form of what a factory makes of a domain.
func OfEnrollment(e *certfleet.Enrollment) Enrollment {
	out := Enrollment{Domain: e.Domain.String(), Label: e.Label}
	for _, p := range e.Proofs {
		out.Names = append(out.Names, EnrolledName{Name: p.Name.String(), Challenge: string(p.First), Second: string(p.Second)})
	}
	return out
}

// OfAccountDefaults is the wire form of what an account says of its orders.
func OfAccountDefaults(d certfleet.AccountDefaults) AccountDefaults {
	return AccountDefaults{KeyCycle: string(d.KeyCycle), KeyType: string(d.KeyType), Profile: d.Profile}
}
