package store

import (
	"context"

	"github.com/certfleet/certfleet"
)

// mute says of a canary c and its delivery cd that nobody will ever prove it: the
// version was handed over without the target's word that it holds it, nobody looks
// there, and no agent reports from there.
const mute = `(cd.state = 'sent' AND (c.proof = 'none' OR c.probe IN ('', '[]', 'null')) AND NOT EXISTS (
	SELECT 1 FROM agent a WHERE a.tenant_id = c.tenant_id AND a.target = c.label AND a.revoked_at = 0))`

// canaries are those of a group ($2 tenant, $3 group) with their deliveries of a version ($1).
const canaries = "delivery cd JOIN target c ON c.id = cd.target_id WHERE cd.version_id = $1 AND c.tenant_id = $2 AND c.grp = $3 AND c.canary = 1"

// Mute reports whether the version's canary was handed it and can never be proven.
func (q Q) Mute(ctx context.Context, version int64, canary *certfleet.StoredTarget) (bool, error) {
	n, err := q.number(ctx, "SELECT count(*) FROM "+canaries+" AND c.id = $4 AND "+mute, version, orDefault(canary.Tenant), canary.Group, canary.ID)
	return n > 0, err
}

// Sung reports whether a canary of the group was seen serving the version, or holds
// it where nobody looks.
func (q Q) Sung(ctx context.Context, version int64, canary *certfleet.StoredTarget) (bool, error) {
	n, err := q.number(ctx, "SELECT count(*) FROM "+canaries+" AND "+sung, version, orDefault(canary.Tenant), canary.Group)
	return n > 0, err
}

// PassMute says to what waits for canaries of which none can be proven why it goes
// on waiting: until what its target has ends soon, and where it has nothing it
// waits no longer and needs no advice. As long as another canary may still be seen, nothing changes. It says how many wait.
func (t *Tx) PassMute(ctx context.Context, version int64, canary *certfleet.StoredTarget, problem, advice string) (int64, error) {
	n, err := t.change(ctx, `UPDATE delivery SET due_at = CASE WHEN due_at > 0 THEN due_at ELSE CAST($4 AS BIGINT) END, problem = $5, advice = CASE WHEN due_at > 0 THEN $6 ELSE '' END, rev = rev + 1
		WHERE version_id = $1 AND held = 1 AND target_id IN (SELECT id FROM target WHERE tenant_id = $2 AND grp = $3 AND grp <> '')
		AND NOT EXISTS (SELECT 1 FROM `+canaries+` AND NOT (`+sung+` OR `+mute+`))`,
		version, orDefault(canary.Tenant), canary.Group, t.now.UnixMilli(), problem, advice)
	t.Wake()
	return n, err
}
