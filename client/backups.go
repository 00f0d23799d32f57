package client

import (
	"context"

	"github.com/certfleet/certfleet/internal/api"
)

// The shapes of backups; see each for its fields.
type (
	// Backup says from where a second certificate is kept warm.
	Backup = api.Backup
	// BackupState is how the second certificate of a certificate stands.
	BackupState = api.BackupState
	// Flip delivers the backup in place of the primary, or the primary again.
	Flip = api.Flip
	// Flips flips many certificates.
	Flips = api.Flips
	// Flipped is what came of a page of flips.
	Flipped = api.Flipped
)

// BackupOf says how the backup of a certificate stands.
func (c *Client) BackupOf(ctx context.Context, id string) (*BackupState, error) {
	return do[BackupState](ctx, c, "GET", at("/v1/certificates", id, "/backup"), nil, nil)
}

// FlipCertificate serves the backup in place of the primary, or with back the
// primary again.
func (c *Client) FlipCertificate(ctx context.Context, id string, back bool) (*CertificateAnswer, error) {
	return do[CertificateAnswer](ctx, c, "POST", at("/v1/certificates", id, "/flip"), nil, Flip{Back: back})
}

// FlipCertificates flips many certificates, page by page, and sums up.
func (c *Client) FlipCertificates(ctx context.Context, f Flips) (*Flipped, error) {
	sum := &Flipped{}
	for {
		got, err := do[Flipped](ctx, c, "POST", "/v1/flips", nil, f)
		if err != nil {
			return sum, err
		}
		sum.Flipped, sum.Without, sum.Labels = sum.Flipped+got.Flipped, sum.Without+got.Without, append(sum.Labels, got.Labels...)
		if f.After = got.Next; f.After == 0 {
			return sum, nil
		}
	}
}
