package client

import (
	"context"

	"github.com/certfleet/certfleet/internal/api"
)

type (
	// Factory is how customers' domains become certificates.
	Factory = api.Factory
	// FactorySpec is what a factory says.
	FactorySpec = api.FactorySpec
	// Onboarding asks a factory for certificates.
	Onboarding = api.Onboarding
	// Onboarded is what came of each domain.
	Onboarded = api.Onboarded
	// Enrollment is what a factory makes of one domain.
	Enrollment = api.Enrollment
	// EnrolledName is one name and how it is proved.
	EnrolledName = api.EnrolledName
)

// Factories lists enrollment factories, or those that carry all labels (key=value).
func (c *Client) Factories(ctx context.Context, labels ...string) ([]Factory, error) {
	p, err := page[Factory](ctx, c, "/v1/factories", Labelled{Label: labels})
	return p.Items, err
}

// Factory reads one by label or id.
func (c *Client) Factory(ctx context.Context, id string) (*Factory, error) {
	return do[Factory](ctx, c, "GET", at("/v1/factories", id), nil, nil)
}

// AddFactory makes a factory. Making the same again is harmless.
func (c *Client) AddFactory(ctx context.Context, f Factory) (*Factory, error) {
	return do[Factory](ctx, c, "POST", "/v1/factories", nil, f)
}

// PutFactory makes the factory with the label, or changes it to be so.
func (c *Client) PutFactory(ctx context.Context, label string, f Factory) (*Factory, error) {
	return do[Factory](ctx, c, "PUT", at("/v1/factories", label), nil, f)
}

// RemoveFactory removes a factory; the certificates that it made stay.
func (c *Client) RemoveFactory(ctx context.Context, id string) error {
	_, err := do[Done](ctx, c, "DELETE", at("/v1/factories", id), nil, nil)
	return err
}

// Onboard makes the certificates of domains, or says what would be made.
func (c *Client) Onboard(ctx context.Context, factory string, o Onboarding) (*Onboarded, error) {
	return do[Onboarded](ctx, c, "POST", at("/v1/factories", factory)+"/onboard", nil, o)
}

// Enrolled says what a factory makes of a domain, and the certificate if it is there.
func (c *Client) Enrolled(ctx context.Context, factory, domain string) (*Enrollment, error) {
	return do[Enrollment](ctx, c, "GET", at("/v1/factories", factory)+"/query", api.EnrolledQuery{Domain: domain}, nil)
}
