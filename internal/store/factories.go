package store

import (
	"context"

	"github.com/certfleet/certfleet"
)

var factories = table[certfleet.Factory]{"factory", "factory", func(f *certfleet.Factory) []field {
	return []field{{"id", &f.ID}, {"tenant_id", &f.Tenant}, {"label", &f.Label}, {"labels", doc(&f.Labels)}, {"spec", doc(&f.Spec)}}
}}

// AddFactory adds a factory.
func (t *Tx) AddFactory(ctx context.Context, f *certfleet.Factory) error {
	f.Tenant = orDefault(f.Tenant)
	return factories.insert(ctx, t, f)
}

// SaveFactory writes what a factory says, and its labels.
func (t *Tx) SaveFactory(ctx context.Context, f *certfleet.Factory) error {
	return t.changeOne(ctx, "UPDATE factory SET spec = $1, labels = $2 WHERE id = $3", doc(&f.Spec), doc(&f.Labels), f.ID)
}

// RemoveFactory removes a factory; what it made stays.
func (t *Tx) RemoveFactory(ctx context.Context, id int64) error {
	return t.changeOne(ctx, "DELETE FROM factory WHERE id = $1", id)
}

// Factory reads one factory.
func (q Q) Factory(ctx context.Context, id int64) (*certfleet.Factory, error) {
	return factories.one(ctx, q, "WHERE id = $1", id)
}

// FactoryByLabel reads one factory by label.
func (q Q) FactoryByLabel(ctx context.Context, tenant int64, label string) (*certfleet.Factory, error) {
	return factories.one(ctx, q, "WHERE tenant_id = $1 AND label = $2", orDefault(tenant), label)
}

// Factories lists a tenant's factories.
func (q Q) Factories(ctx context.Context, tenant int64) ([]certfleet.Factory, error) {
	return factories.list(ctx, q, "WHERE tenant_id = $1 ORDER BY id", orDefault(tenant))
}

// SecondProof is how a name is proved on the try after one that failed.
type SecondProof struct {
	DomainID  int64
	Challenge certfleet.ChallengeType
	Solver    string
}

var secondProofs = table[SecondProof]{"domain_second", "second challenge type", func(s *SecondProof) []field {
	return []field{{"domain_id", &s.DomainID}, {"challenge", &s.Challenge}, {"solver", &s.Solver}}
}}

// SecondProof is the other way in which a domain is proved; an empty challenge
// means that there is none.
func (q Q) SecondProof(ctx context.Context, domain int64) (SecondProof, error) {
	s, err := secondProofs.one(ctx, q, "WHERE domain_id = $1", domain)
	if certfleet.KindOf(err) == certfleet.NotFound {
		return SecondProof{DomainID: domain}, nil
	}
	if err != nil {
		return SecondProof{}, err
	}
	return *s, nil
}

// SetSecondProof says how a domain is proved on the try after one that failed;
// an empty challenge takes it away.
func (t *Tx) SetSecondProof(ctx context.Context, s SecondProof) error {
	if s.Challenge == "" {
		_, err := t.change(ctx, "DELETE FROM domain_second WHERE domain_id = $1", s.DomainID)
		return err
	}
	_, err := t.change(ctx, `INSERT INTO domain_second (domain_id, challenge, solver) VALUES ($1, $2, $3)
		ON CONFLICT (domain_id) DO UPDATE SET challenge = excluded.challenge, solver = excluded.solver`, s.DomainID, string(s.Challenge), s.Solver)
	return err
}
