package client

import (
	"context"
	"iter"
)

// Certificates lists all certificates that the query fits, page by page.
func (c *Client) Certificates(ctx context.Context, q CertificateQuery) iter.Seq2[Certificate, error] {
	return pages(ctx, q.Cursor, func(ctx context.Context, cursor string) (Page[Certificate], error) {
		q.Cursor = cursor
		return c.CertificatesPage(ctx, q)
	})
}

// CertificatesPage lists one page.
func (c *Client) CertificatesPage(ctx context.Context, q CertificateQuery) (Page[Certificate], error) {
	return page[Certificate](ctx, c, "/v1/certificates", q)
}

// Certificate reads one certificate by label or id.
func (c *Client) Certificate(ctx context.Context, id string) (*Certificate, error) {
	return do[Certificate](ctx, c, "GET", at("/v1/certificates", id), nil, nil)
}

// AddCertificate asks for a certificate. Asking again for the same is harmless.
func (c *Client) AddCertificate(ctx context.Context, n NewCertificate) (*CertificateAnswer, error) {
	return do[CertificateAnswer](ctx, c, "POST", "/v1/certificates", nil, n)
}

// PutCertificate makes the certificate with the label, or changes it to be so.
func (c *Client) PutCertificate(ctx context.Context, label string, n NewCertificate) (*CertificateAnswer, error) {
	return do[CertificateAnswer](ctx, c, "PUT", at("/v1/certificates", label), nil, n)
}

// ChangeCertificate changes what is present in the change.
func (c *Client) ChangeCertificate(ctx context.Context, id string, ch CertificateChange) (*CertificateAnswer, error) {
	return do[CertificateAnswer](ctx, c, "PATCH", at("/v1/certificates", id), nil, ch)
}

// RenewCertificate asks for a new version now.
func (c *Client) RenewCertificate(ctx context.Context, id string, r Renewal) (*CertificateAnswer, error) {
	return do[CertificateAnswer](ctx, c, "POST", at("/v1/certificates", id, "/renew"), nil, r)
}

// PauseCertificate stops orders for a certificate until it is resumed.
func (c *Client) PauseCertificate(ctx context.Context, id string) (*CertificateAnswer, error) {
	return do[CertificateAnswer](ctx, c, "POST", at("/v1/certificates", id, "/pause"), nil, nil)
}

// ResumeCertificate ends a pause.
func (c *Client) ResumeCertificate(ctx context.Context, id string) (*CertificateAnswer, error) {
	return do[CertificateAnswer](ctx, c, "POST", at("/v1/certificates", id, "/resume"), nil, nil)
}

// RemoveCertificate ends a certificate. Its versions and events stay on record.
func (c *Client) RemoveCertificate(ctx context.Context, id string) (*CertificateAnswer, error) {
	return do[CertificateAnswer](ctx, c, "DELETE", at("/v1/certificates", id), nil, nil)
}

// ImportCertificate brings a certificate along that came from elsewhere.
func (c *Client) ImportCertificate(ctx context.Context, i Import) (*Imported, error) {
	return do[Imported](ctx, c, "POST", "/v1/import", nil, i)
}

// Domains lists all domains that the query fits, page by page.
func (c *Client) Domains(ctx context.Context, q DomainQuery) iter.Seq2[Domain, error] {
	return pages(ctx, q.Cursor, func(ctx context.Context, cursor string) (Page[Domain], error) {
		q.Cursor = cursor
		return c.DomainsPage(ctx, q)
	})
}

// DomainsPage lists one page.
func (c *Client) DomainsPage(ctx context.Context, q DomainQuery) (Page[Domain], error) {
	return page[Domain](ctx, c, "/v1/domains", q)
}

// Domain reads what is known of a name.
func (c *Client) Domain(ctx context.Context, name string) (*Domain, error) {
	return do[Domain](ctx, c, "GET", at("/v1/domains", name), nil, nil)
}

// ChangeDomain changes what is present in the change.
func (c *Client) ChangeDomain(ctx context.Context, name string, ch DomainChange) (*Domain, error) {
	return do[Domain](ctx, c, "PATCH", at("/v1/domains", name), nil, ch)
}
