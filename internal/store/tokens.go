package store

import (
	"context"
	"time"

	"github.com/certfleet/certfleet"
)

var tokens = table[certfleet.Token]{"token", "token", func(t *certfleet.Token) []field {
	return []field{
		{"id", &t.ID}, {"tenant_id", &t.Tenant}, {"label", &t.Label}, {"hash", &t.Hash}, {"scopes", doc(&t.Scopes)}, {"labels", doc(&t.Labels)},
		{"created_at", ms(&t.CreatedAt)}, {"used_at", ms(&t.UsedAt)}, {"expires_at", ms(&t.ExpiresAt)}, {"revoked_at", ms(&t.RevokedAt)},
	}
}}

// AddToken stores the hash of a token.
func (t *Tx) AddToken(ctx context.Context, k *certfleet.Token) error {
	k.CreatedAt = t.now
	if err := tokens.insert(ctx, t, k); err != nil {
		return err
	}
	return t.Event(ctx, certfleet.Event{Kind: "token.added", Tenant: k.Tenant, Msg: "token " + k.Label})
}

// TokenByHash finds a token that is neither revoked nor expired.
func (q Q) TokenByHash(ctx context.Context, hash string, now time.Time) (*certfleet.Token, error) {
	return tokens.one(ctx, q, "WHERE hash = $1 AND revoked_at = 0 AND (expires_at = 0 OR expires_at > $2)", hash, now.UnixMilli())
}

// Tokens lists them all.
func (q Q) Tokens(ctx context.Context, tenant int64) ([]certfleet.Token, error) {
	return tokens.list(ctx, q, "WHERE tenant_id = $1 ORDER BY id", orDefault(tenant))
}

// TokenUsed notes when a token was last used; callers do so at most once a minute.
func (t *Tx) TokenUsed(ctx context.Context, id int64) error {
	_, err := t.change(ctx, "UPDATE token SET used_at = $1 WHERE id = $2", t.now.UnixMilli(), id)
	return err
}

// RevokeToken ends a token.
func (t *Tx) RevokeToken(ctx context.Context, tenant int64, label string) error {
	n, err := t.change(ctx, "UPDATE token SET revoked_at = $1 WHERE tenant_id = $2 AND label = $3 AND revoked_at = 0", t.now.UnixMilli(), orDefault(tenant), label)
	if err == nil && n == 0 {
		return &certfleet.Error{Kind: certfleet.NotFound, Msg: "no such token in use", Advice: "see certfleet tokens for what there is"}
	}
	return orElse(err, t.Event(ctx, certfleet.Event{Kind: "token.revoked", Tenant: tenant, Msg: "token " + label}))
}

func orElse(err, second error) error {
	if err != nil {
		return err
	}
	return second
}

// Setting reads one setting, empty when it was never written.
func (q Q) Setting(ctx context.Context, key string) (string, error) {
	list, err := q.strings(ctx, "SELECT v FROM setting WHERE k = $1", key)
	if err != nil || len(list) == 0 {
		return "", err
	}
	return list[0], nil
}

// SetSetting writes one setting.
func (t *Tx) SetSetting(ctx context.Context, key, value string) error {
	_, err := t.change(ctx, "INSERT INTO setting (k, v) VALUES ($1, $2) ON CONFLICT (k) DO UPDATE SET v = excluded.v", key, value)
	return err
}

// Remembered is what was answered to an Idempotency-Key before, with the request it answered.
func (q Q) Remembered(ctx context.Context, tenant int64, key string) (request, response string, found bool, err error) {
	rows, err := q.x.QueryContext(ctx, "SELECT request, response FROM idempotency WHERE tenant_id = $1 AND k = $2", orDefault(tenant), key)
	if err != nil {
		return "", "", false, explain(err, "")
	}
	defer rows.Close()
	if rows.Next() {
		found = true
		err = rows.Scan(&request, &response)
	}
	return request, response, found, orElse(err, rows.Err())
}

// Remember keeps an answer under an Idempotency-Key.
func (t *Tx) Remember(ctx context.Context, tenant int64, key, request, response string) error {
	_, err := t.change(ctx, "INSERT INTO idempotency (tenant_id, k, request, response, at) VALUES ($1, $2, $3, $4, $5)", orDefault(tenant), key, request, response, t.now.UnixMilli())
	return err
}
