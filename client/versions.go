package client

import (
	"context"
	"iter"
)

// Versions lists all versions that the query fits, newest first, page by page.
func (c *Client) Versions(ctx context.Context, q VersionQuery) iter.Seq2[Version, error] {
	return pages(ctx, q.Cursor, func(ctx context.Context, cursor string) (Page[Version], error) {
		q.Cursor = cursor
		return c.VersionsPage(ctx, q)
	})
}

// VersionsPage lists one page.
func (c *Client) VersionsPage(ctx context.Context, q VersionQuery) (Page[Version], error) {
	return page[Version](ctx, c, "/v1/versions", q)
}

// Version reads a version with its chains, by id or fingerprint.
func (c *Client) Version(ctx context.Context, id string) (*VersionStory, error) {
	return do[VersionStory](ctx, c, "GET", at("/v1/versions", id), nil, nil)
}

// RevokeVersion revokes a version at its CA and makes its certificate due.
func (c *Client) RevokeVersion(ctx context.Context, id string, r Revocation) (*Version, error) {
	return do[Version](ctx, c, "POST", at("/v1/versions", id, "/revoke"), nil, r)
}

// AskARI asks a version's CA when it wants it renewed (RFC 9773), and answers the
// version with what the CA said.
func (c *Client) AskARI(ctx context.Context, id string) (*Version, error) {
	return do[Version](ctx, c, "POST", at("/v1/versions", id, "/ari"), nil, nil)
}

// ExportVersion is a version with its private key. The token needs scope key,
// and the opening is put on record.
func (c *Client) ExportVersion(ctx context.Context, id string, r ExportRequest) (*Export, error) {
	return do[Export](ctx, c, "POST", at("/v1/versions", id, "/export"), nil, r)
}

// Keys lists all keys that the query fits, page by page.
func (c *Client) Keys(ctx context.Context, q KeyQuery) iter.Seq2[Key, error] {
	return pages(ctx, q.Cursor, func(ctx context.Context, cursor string) (Page[Key], error) {
		q.Cursor = cursor
		return c.KeysPage(ctx, q)
	})
}

// KeysPage lists one page.
func (c *Client) KeysPage(ctx context.Context, q KeyQuery) (Page[Key], error) {
	return page[Key](ctx, c, "/v1/keys", q)
}

// Key reads a key's public side, who uses it and who opened it, by id or SPKI.
func (c *Client) Key(ctx context.Context, id string) (*Key, error) {
	return do[Key](ctx, c, "GET", at("/v1/keys", id), nil, nil)
}
