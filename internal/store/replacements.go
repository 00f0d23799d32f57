package store

import (
	"context"
	"time"

	"github.com/certfleet/certfleet"
)

var replacements = table[certfleet.Replacement]{"replacement", "replacement", func(r *certfleet.Replacement) []field {
	return []field{{"id", &r.ID}, {"tenant_id", &r.Tenant}, {"spec", doc(&r.Spec)}, {"state", &r.State}, {"actor", &r.Actor}, {"after_id", &r.AfterID},
		{"walked", flag(&r.Walked)}, {"due_at", ms(&r.DueAt)}, {"created_at", ms(&r.CreatedAt)}, {"finished_at", ms(&r.FinishedAt)}, {"rev", &r.Rev}}
}}

var replacementItems = table[certfleet.ReplacementItem]{"replacement_item", "item of the replacement", func(i *certfleet.ReplacementItem) []field {
	return []field{{"id", &i.ID}, {"replacement_id", &i.ReplacementID}, {"version_id", &i.VersionID}, {"certificate_id", ref(&i.CertificateID)}, {"state", &i.State},
		{"due_at", ms(&i.DueAt)}, {"due_reason", &i.DueReason}, {"lane", &i.Lane}, {"problem", &i.Problem}, {"changed_at", ms(&i.ChangedAt)}}
}}

// AddReplacement stores a replacement that begins at once.
func (t *Tx) AddReplacement(ctx context.Context, r *certfleet.Replacement) error {
	r.State, r.CreatedAt, r.DueAt, r.Actor = certfleet.ReplacementRunning, t.now, t.now, t.actor
	t.Wake()
	return replacements.insert(ctx, t, r)
}

// SaveReplacement writes a replacement where nobody else did meanwhile.
func (t *Tx) SaveReplacement(ctx context.Context, r *certfleet.Replacement) error {
	return replacements.save(ctx, t, r, &r.Rev)
}

// Replacement reads one.
func (q Q) Replacement(ctx context.Context, id int64) (*certfleet.Replacement, error) {
	return replacements.one(ctx, q, "WHERE id = $1", id)
}

// Replacements lists the newest of a tenant's, the newest first.
func (q Q) Replacements(ctx context.Context, tenant int64, limit int) ([]certfleet.Replacement, error) {
	return replacements.list(ctx, q, "WHERE tenant_id = $1 ORDER BY id DESC LIMIT $2", orDefault(tenant), page(limit))
}

// DueReplacements are those that go on now.
func (q Q) DueReplacements(ctx context.Context, now time.Time, limit int) ([]certfleet.Replacement, error) {
	return replacements.list(ctx, q, "WHERE due_at > 0 AND due_at <= $1 ORDER BY due_at, id LIMIT $2", now.UnixMilli(), limit)
}

// VersionsBehind lists the next versions of a tenant that are neither expired,
// revoked nor replaced, by id; those with a key, or with serials, by these alone.
// The last id says where the next page begins, also when few of the page are left.
func (q Q) VersionsBehind(ctx context.Context, s *certfleet.ReplacementSpec, tenant, after int64, now time.Time, limit int) (list []certfleet.Version, last int64, more bool, err error) {
	w := where{pg: q.pg}
	w.tenant("version", tenant, s.KeyID != 0)
	w.add("version.id > ?", after)
	if s.KeyID != 0 {
		w.add("version.key_id = ?", s.KeyID)
	}
	if list, err = versions.list(ctx, q, w.sql()+" ORDER BY version.id"+w.limit(limit), w.args...); err != nil {
		return nil, after, false, err
	}
	last, more = after, len(list) == page(limit)
	var out []certfleet.Version
	for _, v := range list {
		last = v.ID
		replaced := v.ReplacedBy != 0 && s.KeyID == 0 // a key that is out concerns them all
		if v.NotAfter.After(now) && v.RevokedAt.IsZero() && !replaced {
			out = append(out, v)
		}
	}
	return out, last, more, nil
}

// AddReplacementItem notes a version that was found, once.
func (t *Tx) AddReplacementItem(ctx context.Context, i *certfleet.ReplacementItem) error {
	_, err := t.change(ctx, `INSERT INTO replacement_item (replacement_id, version_id, certificate_id, state, problem, changed_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (replacement_id, version_id) DO NOTHING`, i.ReplacementID, i.VersionID, ref(&i.CertificateID), string(i.State), i.Problem, t.now.UnixMilli())
	return err
}

// SaveReplacementItem writes an item that is still in the state from.
func (t *Tx) SaveReplacementItem(ctx context.Context, i *certfleet.ReplacementItem, from certfleet.ItemState) error {
	i.ChangedAt = t.now
	return t.changeOne(ctx, "UPDATE replacement_item SET state = $1, due_at = $2, due_reason = $3, lane = $4, problem = $5, changed_at = $6 WHERE id = $7 AND state = $8",
		string(i.State), ms(&i.DueAt), i.DueReason, int64(i.Lane), i.Problem, ms(&i.ChangedAt), i.ID, string(from))
}

// ReplacementItems lists the next items of a replacement in one state.
func (q Q) ReplacementItems(ctx context.Context, replacement int64, s certfleet.ItemState, after int64, limit int) ([]certfleet.ReplacementItem, error) {
	return replacementItems.list(ctx, q, "WHERE replacement_id = $1 AND state = $2 AND id > $3 ORDER BY id LIMIT $4", replacement, string(s), after, page(limit))
}

// StrayItems are those that were asked for and whose certificate nobody looks after
// any more, or waits for an order that advances by hand.
func (q Q) StrayItems(ctx context.Context, replacement int64, limit int) ([]certfleet.ReplacementItem, error) {
	return replacementItems.list(ctx, q, `WHERE replacement_id = $1 AND state = 'asked'
		AND (EXISTS (SELECT 1 FROM certificate c WHERE c.id = replacement_item.certificate_id AND c.state <> 'active')
		OR EXISTS (SELECT 1 FROM orders o WHERE o.certificate_id = replacement_item.certificate_id AND o.state IN ('wanted', 'open') AND o.manual = 1 AND o.slot <> 'backup')
		AND NOT EXISTS (SELECT 1 FROM backup b WHERE b.certificate_id = replacement_item.certificate_id AND b.version_id = replacement_item.version_id)) ORDER BY id LIMIT $2`, replacement, page(limit))
}

// RestedItems lists items of a replacement in one state with which nothing went
// wrong since a moment.
func (q Q) RestedItems(ctx context.Context, replacement int64, s certfleet.ItemState, since time.Time, limit int) ([]certfleet.ReplacementItem, error) {
	return replacementItems.list(ctx, q, "WHERE replacement_id = $1 AND state = $2 AND (problem = '' OR changed_at <= $3) ORDER BY id LIMIT $4",
		replacement, string(s), since.UnixMilli(), page(limit))
}

// LiveWithKey is how many orders are under way with a key by themselves.
func (q Q) LiveWithKey(ctx context.Context, key int64) (int64, error) {
	return q.number(ctx, "SELECT count(*) FROM orders WHERE state IN ('wanted', 'open') AND key_id = $1 AND manual = 0", key)
}

// ByHandWithKey are the live orders with a key that advance by request only, which
// may be never.
func (q Q) ByHandWithKey(ctx context.Context, key int64) ([]string, error) {
	return q.strings(ctx, "SELECT CAST(id AS TEXT) FROM orders WHERE state IN ('wanted', 'open') AND key_id = $1 AND manual = 1", key)
}

// ByHand is the live order of a certificate that advances by request only, or NotFound.
func (q Q) ByHand(ctx context.Context, certificate int64) (*certfleet.Order, error) {
	return orders.one(ctx, q, "WHERE certificate_id = $1 AND state IN ('wanted', 'open') AND manual = 1 AND slot <> 'backup'", certificate)
}

// TakeUpItems lets a replacement look once more at what it left aside and at what
// could not be revoked, and says how many there are.
func (t *Tx) TakeUpItems(ctx context.Context, replacement int64) (n int64, err error) {
	for _, c := range []struct{ from, to certfleet.ItemState }{{certfleet.ItemSkipped, certfleet.ItemWanted}, {certfleet.ItemStuck, certfleet.ItemReplaced}} {
		m, err := t.change(ctx, "UPDATE replacement_item SET state = $1, problem = '', changed_at = $2 WHERE replacement_id = $3 AND state = $4", string(c.to), t.now.UnixMilli(), replacement, string(c.from))
		if err != nil {
			return n, err
		}
		n += m
	}
	return n, nil
}

// ReplacementCounts says how many items of a replacement are in each state.
func (q Q) ReplacementCounts(ctx context.Context, replacement int64) (map[certfleet.ItemState]int64, error) {
	rows, err := q.x.QueryContext(ctx, "SELECT state, count(*) FROM replacement_item WHERE replacement_id = $1 GROUP BY state", replacement)
	if err != nil {
		return nil, explain(err, "")
	}
	defer rows.Close()
	out := map[certfleet.ItemState]int64{}
	for rows.Next() {
		var s string
		var n int64
		if err := rows.Scan(&s, &n); err != nil {
			return nil, err
		}
		out[certfleet.ItemState(s)] = n
	}
	return out, explain(rows.Err(), "")
}

// itemReplaced notes on replacements under way that a version is out of use.
func (t *Tx) itemReplaced(ctx context.Context, version int64) error {
	_, err := t.change(ctx, "UPDATE replacement_item SET state = 'replaced', changed_at = $1 WHERE version_id = $2 AND state = 'asked'", t.now.UnixMilli(), version)
	return err
}
