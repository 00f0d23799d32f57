package store

import (
	"context"

	"github.com/certfleet/certfleet"
)

// SharedKey is the key that certificates share under a name now, or NotFound.
func (q Q) SharedKey(ctx context.Context, tenant int64, share string) (*certfleet.Key, error) {
	return keys.one(ctx, q, "JOIN shared_key s ON s.key_id = key.id WHERE s.tenant_id = $1 AND s.share = $2", orDefault(tenant), share)
}

// ShareKey shares a key under a name in place of another one, zero for none.
// ErrStale says that somebody else was faster: the one that is there serves.
func (t *Tx) ShareKey(ctx context.Context, tenant int64, share string, key, before int64) error {
	return t.changeOne(ctx, `INSERT INTO shared_key (tenant_id, share, key_id) VALUES ($1, $2, $3)
		ON CONFLICT (tenant_id, share) DO UPDATE SET key_id = excluded.key_id WHERE shared_key.key_id = $4`, orDefault(tenant), share, key, before)
}

// KeyRevoked reports whether a version with the key was revoked, for a reason that
// may be held against the key: superseded and cessation are not (RFC 5280 section 5.3.1).
func (q Q) KeyRevoked(ctx context.Context, key int64) (bool, error) {
	n, err := q.number(ctx, "SELECT count(*) FROM (SELECT 1 FROM version WHERE key_id = $1 AND revoked_at > 0 AND revoke_reason NOT IN (4, 5) LIMIT 1) AS first", key)
	return n > 0, err
}
