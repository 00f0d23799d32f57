package store

import (
	"context"
	"time"

	"github.com/certfleet/certfleet"
)

var targets = table[certfleet.StoredTarget]{"target", "target", func(t *certfleet.StoredTarget) []field {
	return []field{
		{"id", &t.ID}, {"tenant_id", &t.Tenant}, {"label", &t.Label}, {"type", &t.Type}, {"spec", text(&t.Spec)}, {"probe", doc(&t.Probe)},
		{"proof", &t.Proof}, {"labels", doc(&t.Labels)}, {"paused", flag(&t.Paused)},
		{"grp", &t.Group}, {"canary", flag(&t.Canary)}, {"push_mode", &t.PushMode}, {"concurrency", &t.Concurrency}, {"rate", &t.Rate}, {"rev", &t.Rev},
	}
}}

var deliveries = table[certfleet.Delivery]{"delivery", "delivery", func(d *certfleet.Delivery) []field {
	return []field{
		{"id", &d.ID}, {"tenant_id", &d.Tenant}, {"version_id", &d.VersionID}, {"target_id", &d.TargetID}, {"certificate_id", &d.CertificateID},
		{"state", &d.State}, {"attempts", &d.Attempts}, {"receipt", &d.Receipt}, {"problem", &d.Problem}, {"advice", &d.Advice},
		{"due_at", ms(&d.DueAt)}, {"held", flag(&d.Held)}, {"rollback", flag(&d.Rollback)}, {"owner", &d.Owner}, {"lease_until", ms(&d.LeaseUntil)}, {"sent_at", ms(&d.SentAt)},
		{"applied_at", ms(&d.AppliedAt)}, {"served_at", ms(&d.ServedAt)}, {"created_at", ms(&d.CreatedAt)}, {"rev", &d.Rev},
	}
}}

// AddTarget stores a place to deliver to.
func (t *Tx) AddTarget(ctx context.Context, g *certfleet.StoredTarget) error {
	if g.Proof == "" {
		g.Proof = certfleet.ProofAll
	}
	if err := targets.insert(ctx, t, g); err != nil {
		return err
	}
	return t.setLabels(ctx, "target", g.ID, g.Labels)
}

// SaveTarget writes a target.
func (t *Tx) SaveTarget(ctx context.Context, g *certfleet.StoredTarget) error {
	if err := targets.save(ctx, t, g, &g.Rev); err != nil {
		return err
	}
	return t.setLabels(ctx, "target", g.ID, g.Labels)
}

// Target reads one target.
func (q Q) Target(ctx context.Context, id int64) (*certfleet.StoredTarget, error) {
	return targets.one(ctx, q, "WHERE id = $1", id)
}

// TargetByLabel reads one target by its label.
func (q Q) TargetByLabel(ctx context.Context, tenant int64, label string) (*certfleet.StoredTarget, error) {
	return targets.one(ctx, q, "WHERE tenant_id = $1 AND label = $2", orDefault(tenant), label)
}

// Targets lists one page by id.
func (q Q) Targets(ctx context.Context, tenant int64, labels certfleet.Labels, after Cursor, limit int) ([]certfleet.StoredTarget, Cursor, error) {
	w := where{pg: q.pg}
	id := w.labels("target", "target.id", labels)
	w.tenant("target", tenant, len(labels) > 0)
	w.after("", id, after)
	w.beyond("target.id", after)
	list, err := targets.list(ctx, q, w.sql()+" ORDER BY "+id+w.limit(limit), w.args...)
	return list, next(list, limit, func(g *certfleet.StoredTarget) Cursor { return Cursor{0, g.ID} }), err
}

// TargetsOf lists the targets of a certificate.
func (q Q) TargetsOf(ctx context.Context, certificate int64) ([]certfleet.StoredTarget, error) {
	return targets.list(ctx, q, "JOIN certificate_target ct ON ct.target_id = target.id WHERE ct.certificate_id = $1 ORDER BY target.label", certificate)
}

// WantDeliveries makes one due delivery of the version for each target of its
// certificate; older ones that did not arrive are superseded.
func (t *Tx) WantDeliveries(ctx context.Context, v *certfleet.Version) error {
	_, err := t.change(ctx, `UPDATE delivery SET state = 'superseded', due_at = 0, held = 0, rollback = 0, rev = rev + 1
		WHERE certificate_id = $1 AND version_id <> $2 AND state <> 'superseded'`, v.CertificateID, v.ID)
	if err != nil {
		return err
	}
	n, err := t.change(ctx, `INSERT INTO delivery (tenant_id, version_id, target_id, certificate_id, state, due_at, created_at)
		SELECT c.tenant_id, CAST($1 AS BIGINT), ct.target_id, c.id, 'due', CAST($2 AS BIGINT), CAST($2 AS BIGINT) FROM certificate_target ct JOIN certificate c ON c.id = ct.certificate_id WHERE c.id = $3
		ON CONFLICT (version_id, target_id) DO UPDATE SET state = 'due', due_at = excluded.due_at, rollback = 0, rev = delivery.rev + 1`, v.ID, t.now.UnixMilli(), v.CertificateID)
	if err != nil || n == 0 {
		return err
	}
	t.Wake()
	return t.holdForCanary(ctx, v.ID)
}

// SaveDelivery writes a delivery where nobody else did meanwhile.
func (t *Tx) SaveDelivery(ctx context.Context, d *certfleet.Delivery) error {
	return deliveries.save(ctx, t, d, &d.Rev)
}

// Delivery reads one delivery.
func (q Q) Delivery(ctx context.Context, id int64) (*certfleet.Delivery, error) {
	return deliveries.one(ctx, q, "WHERE id = $1", id)
}

// DueDeliveries are those to try or look at now, that nobody holds.
func (q Q) DueDeliveries(ctx context.Context, now time.Time, limit int) ([]certfleet.Delivery, error) {
	return deliveries.list(ctx, q, "WHERE due_at > 0 AND due_at <= $1 AND lease_until <= $1 ORDER BY due_at, id LIMIT $2", now.UnixMilli(), limit)
}

// DueSiblings are the deliveries to hand to the same target now, d the first of
// them. A certificate of which another version is on its way there has its turn
// after that.
func (q Q) DueSiblings(ctx context.Context, d *certfleet.Delivery, now time.Time, limit int) ([]certfleet.Delivery, error) {
	const turn = "WHERE target_id = $1 AND " + toHand + " AND due_at > 0 AND due_at <= $2 AND lease_until <= $2" +
		" AND NOT EXISTS (SELECT 1 FROM delivery o WHERE o.certificate_id = delivery.certificate_id AND o.target_id = delivery.target_id AND o.lease_until > $2)"
	first, err := deliveries.list(ctx, q, turn+" AND id = $3", d.TargetID, now.UnixMilli(), d.ID)
	if err != nil || limit <= len(first) {
		return first, err
	}
	rest, err := deliveries.list(ctx, q, turn+" AND id <> $3 ORDER BY due_at, id LIMIT $4", d.TargetID, now.UnixMilli(), d.ID, limit-len(first))
	return append(first, rest...), err
}

// ClaimDelivery takes a due delivery for owner until the lease ends. One that is
// held and due has waited long enough; d says on that it was held.
func (t *Tx) ClaimDelivery(ctx context.Context, d *certfleet.Delivery, owner string, until time.Time) error {
	err := t.changeOne(ctx, "UPDATE delivery SET owner = $1, lease_until = $2, held = 0, rev = rev + 1 WHERE id = $3 AND rev = $4 AND lease_until <= $5",
		owner, until.UnixMilli(), d.ID, d.Rev, t.now.UnixMilli())
	if err == nil {
		d.Owner, d.LeaseUntil, d.Rev = owner, until, d.Rev+1
	}
	return err
}

// LastReceipt is the receipt of the last delivery of a certificate that the
// target acknowledged, sealed as it was stored.
func (q Q) LastReceipt(ctx context.Context, certificate, target int64) (*certfleet.Delivery, error) {
	return deliveries.one(ctx, q, "WHERE certificate_id = $1 AND target_id = $2 AND receipt IS NOT NULL ORDER BY sent_at DESC, version_id DESC", certificate, target)
}

// DeliveryFilter narrows a list of deliveries.
type DeliveryFilter struct {
	Tenant        int64
	State         string
	CertificateID int64
	TargetID      int64
	VersionID     int64
	Labels        certfleet.Labels // of the certificates
	After         Cursor
	Limit         int
}

// Deliveries lists one page, newest first, with the targets' labels.
func (q Q) Deliveries(ctx context.Context, f DeliveryFilter) ([]certfleet.Delivery, Cursor, error) {
	by, err := q.carriersOf(ctx, f.Labels, listed{"delivery", f.Tenant, f.After, true})
	if err != nil {
		return nil, Cursor{}, err
	}
	w := where{pg: q.pg}
	w.tenant("delivery", f.Tenant, f.CertificateID != 0 || f.TargetID != 0 || f.VersionID != 0 || by.few)
	w.carriedBy(by, "delivery.id", "delivery.certificate_id IN (%s)", "%s", "delivery.certificate_id")
	for _, c := range []struct {
		col string
		id  int64
	}{{"certificate_id", f.CertificateID}, {"target_id", f.TargetID}, {"version_id", f.VersionID}} {
		if c.id != 0 {
			w.add("delivery."+c.col+" = ?", c.id)
		}
	}
	switch f.State {
	case "":
	case "open":
		w.add("delivery.state IN ('due', 'sent', 'failed')")
	default:
		w.word("delivery.state", f.State)
	}
	if f.After.ID != 0 {
		w.add("delivery.id < ?", f.After.ID)
	}
	list, err := deliveries.list(ctx, q, w.page("delivery", by, f.Limit), w.args...)
	if err != nil {
		return nil, Cursor{}, err
	}
	return list, by.after(next(list, f.Limit, func(d *certfleet.Delivery) Cursor { return Cursor{0, d.ID} })), q.nameTargets(ctx, list)
}

// nameTargets fills in the labels of a page's targets.
func (q Q) nameTargets(ctx context.Context, list []certfleet.Delivery) error {
	if len(list) == 0 {
		return nil
	}
	ids := make([]int64, len(list))
	for i := range list {
		ids[i] = list[i].TargetID
	}
	labels := map[int64]string{}
	err := q.pairs(ctx, "SELECT id, label FROM target WHERE id IN ("+q.idsIn("$1")+")", []any{q.ids(ids)}, func(id int64, label string) { labels[id] = label })
	for i := range list {
		list[i].Target = labels[list[i].TargetID]
	}
	return err
}

var sightings = table[certfleet.Sighting]{"sighting", "sighting", func(s *certfleet.Sighting) []field {
	return []field{{"delivery_id", &s.DeliveryID}, {"name", &s.Name}, {"address", &s.Address}, {"fingerprint", &s.Fingerprint}, {"problem", &s.Problem}, {"at", ms(&s.At)}}
}}

// Saw stores what a probe saw; the newest look at a name and address stays.
func (t *Tx) Saw(ctx context.Context, s certfleet.Sighting) error {
	_, err := t.change(ctx, `INSERT INTO sighting (delivery_id, name, address, fingerprint, problem, at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (delivery_id, name, address) DO UPDATE SET fingerprint = excluded.fingerprint, problem = excluded.problem, at = excluded.at`,
		s.DeliveryID, s.Name.String(), s.Address, s.Fingerprint, s.Problem, s.At.UnixMilli())
	return err
}

// Sightings lists what was seen for a delivery.
func (q Q) Sightings(ctx context.Context, delivery int64) ([]certfleet.Sighting, error) {
	return sightings.list(ctx, q, "WHERE delivery_id = $1 ORDER BY name, address", delivery)
}
