package store

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

// DueDeliveriesBut are the due deliveries as DueDeliveries lists them, without what
// would be handed to the targets that rest now; looks at them go on. Where a long
// queue waits for those that rest, it is one delivery for each other target.
func (q Q) DueDeliveriesBut(ctx context.Context, resting []int64, now time.Time, limit int) ([]certfleet.Delivery, error) {
	if len(resting) == 0 {
		return q.DueDeliveries(ctx, now, limit)
	}
	at, but := now.UnixMilli(), q.ids(resting)
	list, err := deliveries.list(ctx, q, `WHERE id IN (SELECT id FROM (SELECT id, state, target_id FROM delivery WHERE due_at > 0 AND due_at <= $1 AND lease_until <= $1 ORDER BY due_at, id LIMIT $3) AS first
		WHERE `+toLook+` OR target_id NOT IN (`+q.idsIn("$4")+`)) ORDER BY due_at, id LIMIT $2`, at, limit, walk, but)
	if err != nil || len(list) > 0 {
		return list, err
	}
	looks, err := deliveries.list(ctx, q, "WHERE due_at > 0 AND due_at <= $1 AND lease_until <= $1 AND "+toLook+" ORDER BY due_at, id LIMIT $2", at, limit)
	if err != nil {
		return nil, err
	}
	turns, err := deliveries.list(ctx, q, firstOfEach+q.idsIn("$3")+")) ORDER BY due_at, id LIMIT $2", at, limit, but)
	list = append(looks, turns...)
	slices.SortStableFunc(list, func(a, b certfleet.Delivery) int { return a.DueAt.Compare(b.DueAt) })
	return list, err
}

// walk is how much of the queue is read before targets are asked one by one.
const walk = 2000

// What is to be handed over, and what is to be looked at, as their indexes have it.
const (
	toHand = "state NOT IN ('sent', 'applied', 'served', 'superseded')"
	toLook = "state NOT IN ('due', 'failed', 'superseded')"
)

// firstOfEach finds what waits longest for each target, without those that follow:
// it goes from target to target on the index.
const firstOfEach = `WHERE id IN (WITH RECURSIVE t(target) AS (SELECT CAST(0 AS BIGINT)
		UNION ALL SELECT (SELECT target_id FROM delivery WHERE due_at > 0 AND ` + toHand + ` AND target_id > t.target ORDER BY target_id LIMIT 1) FROM t WHERE t.target IS NOT NULL)
	SELECT (SELECT d.id FROM delivery d WHERE d.target_id = t.target AND d.due_at > 0 AND d.due_at <= $1 AND d.lease_until <= $1 AND d.` + toHand + ` ORDER BY d.due_at, d.id LIMIT 1)
	FROM t WHERE t.target > 0 AND t.target NOT IN (`

// ids is a list as one argument, so that a statement has one text however long it is:
// each text is kept prepared.
func (q Q) ids(list []int64) string {
	out := make([]string, len(list))
	for i, id := range list {
		out[i] = strconv.FormatInt(id, 10)
	}
	if q.pg {
		return "{" + strings.Join(out, ",") + "}"
	}
	return "[" + strings.Join(out, ",") + "]"
}

// idsIn are the rows of a list that was given as one argument.
func (q Q) idsIn(arg string) string {
	if q.pg {
		return "SELECT unnest(CAST(CAST(" + arg + " AS TEXT) AS BIGINT[])) AS id"
	}
	return "SELECT value AS id FROM json_each(" + arg + ")"
}

// ClaimDeliveries takes those of the list that nobody was faster with.
func (t *Tx) ClaimDeliveries(ctx context.Context, list []certfleet.Delivery, owner string, until time.Time) (got []*certfleet.Delivery, err error) {
	for i := range list {
		err := t.ClaimDelivery(ctx, &list[i], owner, until)
		if errors.Is(err, ErrStale) {
			continue
		}
		if err != nil {
			return nil, err
		}
		got = append(got, &list[i])
	}
	return got, nil
}

// PutOff makes what is to be handed to a paused target now due later, as many as
// limit, and notes why where nothing went wrong before. One that was resumed
// meanwhile is left alone.
func (t *Tx) PutOff(ctx context.Context, target int64, until time.Time, problem, advice string, limit int) error {
	n, err := t.change(ctx, "UPDATE target SET paused = paused WHERE id = $1 AND paused = 1", target) // Resume waits for us, or we for it
	if err != nil || n == 0 {
		return err
	}
	_, err = t.change(ctx, `UPDATE delivery SET due_at = $1, rev = rev + 1, problem = CASE state WHEN 'due' THEN $2 ELSE problem END, advice = CASE state WHEN 'due' THEN $3 ELSE advice END
		WHERE id IN (SELECT id FROM delivery WHERE target_id = $4 AND `+toHand+` AND due_at > 0 AND due_at <= $5 AND lease_until <= $5 ORDER BY due_at, id LIMIT $6)`,
		until.UnixMilli(), problem, advice, target, t.now.UnixMilli(), limit)
	return err
}

// Resume makes all that waits for a target due now, but for what waits for a canary.
// It comes behind the write that ends the pause.
func (t *Tx) Resume(ctx context.Context, target int64) error {
	_, err := t.change(ctx, `UPDATE delivery SET due_at = $1, rev = rev + 1, problem = CASE state WHEN 'due' THEN '' ELSE problem END, advice = CASE state WHEN 'due' THEN '' ELSE advice END
		WHERE target_id = $2 AND `+toHand+` AND due_at > $1 AND lease_until <= $1 AND held = 0`, t.now.UnixMilli(), target)
	t.Wake()
	return err
}

// ReleaseDelivery ends the owner's claim on a delivery that somebody changed
// meanwhile, so that the change has its turn at once.
func (t *Tx) ReleaseDelivery(ctx context.Context, id int64, owner string) error {
	_, err := t.change(ctx, "UPDATE delivery SET owner = '', lease_until = 0, rev = rev + 1 WHERE id = $1 AND owner = $2", id, owner)
	t.Wake()
	return err
}

// LockTarget keeps others from claiming for the target until the transaction ends,
// and for its whole group when it is pushed to in series. It says when the target's
// bucket is full again, see SetPace.
func (t *Tx) LockTarget(ctx context.Context, g *certfleet.StoredTarget) (time.Time, error) {
	lock := g.ID
	if g.PushMode == certfleet.PushSerial && g.Group != "" {
		first, err := t.number(ctx, "SELECT min(id) FROM target WHERE tenant_id = $1 AND grp = $2 AND grp <> ''", orDefault(g.Tenant), g.Group)
		if err != nil {
			return time.Time{}, err
		}
		lock = first
	}
	if _, err := t.change(ctx, "UPDATE target SET pace_at = pace_at WHERE id = $1", lock); err != nil {
		return time.Time{}, err
	}
	at, err := t.number(ctx, "SELECT CASE paused WHEN 0 THEN pace_at ELSE -1 END FROM target WHERE id = $1", g.ID)
	if err == nil && at < 0 {
		return time.Time{}, ErrStale
	}
	return certfleet.FromMillis(at), err
}

// SetPace notes when the target's bucket is full again.
func (t *Tx) SetPace(ctx context.Context, target int64, at time.Time) error {
	return t.changeOne(ctx, "UPDATE target SET pace_at = $1 WHERE id = $2", certfleet.Millis(at), target)
}

// GroupBusy reports whether another target of the group is being delivered to, of
// those that are pushed to in series.
func (q Q) GroupBusy(ctx context.Context, g *certfleet.StoredTarget, now time.Time) (bool, error) {
	n, err := q.number(ctx, `SELECT count(*) FROM delivery d JOIN target t ON t.id = d.target_id
		WHERE d.lease_until > $1 AND d.lease_until > 0 AND d.state IN ('due', 'failed', 'superseded') AND t.tenant_id = $2 AND t.grp = $3 AND t.push_mode = 'serial' AND t.id <> $4`,
		now.UnixMilli(), orDefault(g.Tenant), g.Group, g.ID)
	return n > 0, err
}

// sung says of a canary c and its delivery cd that nothing waits for it any more:
// it was seen serving, or holds the version where nobody looks.
const sung = `(cd.state IN ('served', 'superseded') OR cd.state = 'applied' AND cd.problem = '' AND (c.proof = 'none' OR c.probe IN ('', '[]', 'null')))`

// lastMoment is when a delivery that is held waits no longer for a canary that says
// nothing: a tenth of the life of what its target was handed last is left then.
// Never, where nothing was.
const lastMoment = `coalesce((SELECT v.not_after - (v.not_after - v.not_before) / 10 FROM delivery o JOIN version v ON v.id = o.version_id
	WHERE o.certificate_id = delivery.certificate_id AND o.target_id = delivery.target_id AND o.version_id <> delivery.version_id AND o.sent_at > 0 ORDER BY o.sent_at DESC LIMIT 1), 0)`

// HandedBefore reports whether the target of d was ever handed another version of
// its certificate.
func (q Q) HandedBefore(ctx context.Context, d *certfleet.Delivery) (bool, error) {
	n, err := q.number(ctx, "SELECT count(*) FROM delivery WHERE certificate_id = $1 AND target_id = $2 AND version_id <> $3 AND sent_at > 0", d.CertificateID, d.TargetID, d.VersionID)
	return n > 0, err
}

// holdForCanary lets the deliveries of a version to the members of a group wait
// until the group's canary was seen serving it, or what they have ends soon.
func (t *Tx) holdForCanary(ctx context.Context, version int64) error {
	_, err := t.change(ctx, `UPDATE delivery SET held = 1, due_at = `+lastMoment+`, rev = rev + 1, problem = 'it waits until the canary of its group is seen serving this version'
		WHERE version_id = $1 AND state = 'due' AND EXISTS (
			SELECT 1 FROM target m JOIN target c ON c.tenant_id = m.tenant_id AND c.grp = m.grp AND c.canary = 1 AND c.grp <> ''
			JOIN delivery cd ON cd.version_id = $1 AND cd.target_id = c.id AND NOT `+sung+`
			WHERE m.id = delivery.target_id AND m.canary = 0)`, version)
	return err
}

// FreeHeld makes due what waited for this canary to serve the version, unless
// another canary of the group is still to be seen; one that can never be is not
// waited for. It says how many.
func (t *Tx) FreeHeld(ctx context.Context, version int64, canary *certfleet.StoredTarget) (int64, error) {
	n, err := t.change(ctx, `UPDATE delivery SET held = 0, due_at = $1, problem = '', advice = '', rev = rev + 1
		WHERE version_id = $2 AND held = 1 AND target_id IN (SELECT id FROM target WHERE tenant_id = $3 AND grp = $4 AND grp <> '')
		AND NOT EXISTS (SELECT 1 FROM delivery cd JOIN target c ON c.id = cd.target_id WHERE cd.version_id = $2 AND c.tenant_id = $3 AND c.grp = $4 AND c.canary = 1 AND c.id <> $5 AND NOT (`+sung+` OR `+mute+`))`,
		t.now.UnixMilli(), version, orDefault(canary.Tenant), canary.Group, canary.ID)
	t.Wake()
	return n, err
}

// StopHeld says to what waits for a canary why it goes on waiting, until somebody
// ends that.
func (t *Tx) StopHeld(ctx context.Context, version int64, canary *certfleet.StoredTarget, problem, advice string) error {
	_, err := t.change(ctx, `UPDATE delivery SET problem = $1, advice = $2, due_at = 0, rev = rev + 1
		WHERE version_id = $3 AND held = 1 AND target_id IN (SELECT id FROM target WHERE tenant_id = $4 AND grp = $5 AND grp <> '')`,
		problem, advice, version, orDefault(canary.Tenant), canary.Group)
	return err
}

// CountServed says how many deliveries are looked at again now and then.
func (q Q) CountServed(ctx context.Context) (int64, error) {
	return q.number(ctx, "SELECT count(*) FROM delivery WHERE state = 'served'")
}
