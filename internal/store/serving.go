package store

import (
	"context"
	"time"

	"github.com/certfleet/certfleet"
)

// Serving is a version that a name may serve, as its slot says.
type Serving struct {
	Name      certfleet.Name // the name of the slot: the one asked for, or its wildcard
	Slot      certfleet.SlotKind
	VersionID int64
	KeyID     int64
	NotAfter  time.Time
	Revoked   bool
}

// ServingOf lists what the slots of a name and of its wildcard hold. A zero
// wildcard stands for none.
func (q Q) ServingOf(ctx context.Context, tenant int64, n, wildcard certfleet.Name) ([]Serving, error) {
	rows, err := q.x.QueryContext(ctx, `SELECT slot.name, slot.slot, version.id, version.key_id, version.not_after, version.revoked_at
		FROM slot JOIN version ON version.id = slot.version_id WHERE slot.tenant_id = $1 AND slot.name IN ($2, $3)`, orDefault(tenant), n.String(), wildcard.String())
	if err != nil {
		return nil, explain(err, "")
	}
	defer rows.Close()
	var out []Serving
	for rows.Next() {
		var s Serving
		var revoked time.Time
		if err := rows.Scan(&s.Name, &s.Slot, &s.VersionID, ref(&s.KeyID), ms(&s.NotAfter), ms(&revoked)); err != nil {
			return nil, explain(err, "")
		}
		s.Revoked = !revoked.IsZero()
		out = append(out, s)
	}
	return out, explain(rows.Err(), "")
}

// Lookup is how often an edge was given a version with its key in one hour.
type Lookup struct {
	Edge      string
	VersionID int64
	Hour      time.Time
	N         int64
}

// AddLookup puts on record that an edge was given a version.
func (t *Tx) AddLookup(ctx context.Context, l Lookup) error {
	_, err := t.change(ctx, `INSERT INTO lookup (edge, version_id, hour, n) VALUES ($1, $2, $3, $4)
		ON CONFLICT (version_id, hour, edge) DO UPDATE SET n = lookup.n + excluded.n`, l.Edge, l.VersionID, l.Hour.Truncate(time.Hour).UnixMilli(), l.N)
	return err
}

// ForgetLookups removes what is on record from before, and says how many rows that were.
func (t *Tx) ForgetLookups(ctx context.Context, before time.Time, limit int) (int64, error) {
	return t.change(ctx, `DELETE FROM lookup WHERE (version_id, hour, edge) IN
		(SELECT version_id, hour, edge FROM lookup WHERE hour < $1 ORDER BY hour LIMIT $2)`, before.UnixMilli(), limit)
}

var lookups = table[Lookup]{"lookup", "lookup", func(l *Lookup) []field {
	return []field{{"edge", &l.Edge}, {"version_id", &l.VersionID}, {"hour", ms(&l.Hour)}, {"n", &l.N}}
}}

// LookupsOf lists who was given a version, newest first.
func (q Q) LookupsOf(ctx context.Context, version int64, limit int) ([]Lookup, error) {
	return lookups.list(ctx, q, "WHERE version_id = $1 ORDER BY hour DESC, edge LIMIT $2", version, limit)
}
