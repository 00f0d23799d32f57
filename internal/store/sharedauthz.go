package store

import (
	"context"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
)

// AlsoOrdered are those of some names that another live order of the same account
// is for. A CA may have given both the same authorization (RFC 8555 section 7.4).
func (q Q) AlsoOrdered(ctx context.Context, o *certfleet.Order, names []certfleet.Name) ([]string, error) {
	if len(names) == 0 {
		return nil, nil
	}
	n, args := len(names), make([]any, 0, len(names)+3)
	for _, name := range names {
		args = append(args, name.String())
	}
	return q.strings(ctx, fmt.Sprintf(`SELECT DISTINCT d.name FROM domain d JOIN certificate_name cn ON cn.domain_id = d.id
		JOIN orders o ON o.certificate_id = cn.certificate_id AND o.state IN ('wanted', 'open')
		WHERE d.name IN (%s) AND d.tenant_id = $%d AND o.account_id = $%d AND o.id <> $%d`, marks(n), n+1, n+2, n+3), append(args, orDefault(o.Tenant), o.AccountID, o.ID)...)
}

// ChallengeShared reports whether a live order shows the same as another order's
// challenge: the CA gave both the same token, and so one answer.
func (q Q) ChallengeShared(ctx context.Context, c *certfleet.StoredChallenge) (bool, error) {
	n, err := q.number(ctx, "SELECT count(*) FROM (SELECT 1 FROM challenge WHERE token = $1 AND type = $2 AND order_id <> $3 AND cleaned_at = 0 AND clean_due_at = 0 LIMIT 1) AS first",
		c.Token, string(c.Type), c.OrderID)
	return n > 0, err
}

// answeredBy is when the CA was last told to look at a challenge, by whichever
// order has the same one; zero for never.
func (q Q) answeredBy(ctx context.Context, c *certfleet.StoredChallenge) (time.Time, error) {
	ms, err := q.number(ctx, "SELECT coalesce(max(answered_at), 0) FROM challenge WHERE token = $1 AND type = $2", c.Token, string(c.Type))
	return certfleet.FromMillis(ms), err
}
