package store

import (
	"context"
	"fmt"

	"github.com/certfleet/certfleet"
)

// former is a number that an object had in a system that was taken over. A kind
// names what the object is here, such as version; chains and acme-dns accounts have
// no table of their own, and ids that follow from their content.
type former struct {
	tenant         int64
	kind           string
	former, object int64
}

var formers = table[former]{"former", "former number", func(f *former) []field {
	return []field{{"tenant_id", &f.tenant}, {"kind", &f.kind}, {"former_id", &f.former}, {"object_id", &f.object}}
}}

// KeepFormer notes what number an object had; kept is false when the number is noted
// already, and that stays.
func (t *Tx) KeepFormer(ctx context.Context, tenant int64, kind string, former, object int64) (kept bool, err error) {
	n, err := t.change(ctx, "INSERT INTO former (tenant_id, kind, former_id, object_id) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING", orDefault(tenant), kind, former, object)
	return n > 0, err
}

// HasFormer reports whether any number is noted for a tenant.
func (q Q) HasFormer(ctx context.Context, tenant int64) (bool, error) {
	n, err := q.number(ctx, "SELECT count(*) FROM (SELECT 1 FROM former WHERE tenant_id = $1 LIMIT 1) AS first", orDefault(tenant))
	if err != nil || n > 0 {
		return n > 0, err
	}
	n, err = q.number(ctx, "SELECT count(*) FROM (SELECT 1 FROM former_highest WHERE tenant_id = $1 LIMIT 1) AS first", orDefault(tenant))
	return n > 0, err
}

// KeepHighestFormer notes that numbers of a kind went up to one; a lower one than is
// noted changes nothing.
func (t *Tx) KeepHighestFormer(ctx context.Context, tenant int64, kind string, highest int64) error {
	_, err := t.change(ctx, `INSERT INTO former_highest (tenant_id, kind, highest) VALUES ($1, $2, $3)
		ON CONFLICT (tenant_id, kind) DO UPDATE SET highest = excluded.highest WHERE excluded.highest > former_highest.highest`, orDefault(tenant), kind, highest)
	return err
}

// HighestFormer is up to where numbers of a kind were given out, zero for nowhere.
func (q Q) HighestFormer(ctx context.Context, tenant int64, kind string) (int64, error) {
	return q.number(ctx, "SELECT coalesce(max(highest), 0) FROM former_highest WHERE tenant_id = $1 AND kind = $2", orDefault(tenant), kind)
}

// Former are the objects that had the numbers, by number; those that are noted.
func (q Q) Former(ctx context.Context, tenant int64, kind string, numbers ...int64) (map[int64]int64, error) {
	out := map[int64]int64{}
	rows, err := q.formersBy(ctx, "former_id", tenant, kind, numbers)
	for _, f := range rows {
		out[f.former] = f.object
	}
	return out, err
}

// FormerOf are the numbers that objects had, the lowest of each; those that are
// noted.
func (q Q) FormerOf(ctx context.Context, tenant int64, kind string, objects ...int64) (map[int64]int64, error) {
	out := map[int64]int64{}
	rows, err := q.formersBy(ctx, "object_id", tenant, kind, objects)
	for _, f := range rows {
		if is, seen := out[f.object]; !seen || f.former < is {
			out[f.object] = f.former
		}
	}
	return out, err
}

// formersBy reads what a column has numbers of. The order leads SQLite to that
// column's index: without, it walks all numbers of the kind.
func (q Q) formersBy(ctx context.Context, column string, tenant int64, kind string, ids []int64) ([]former, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return formers.list(ctx, q, "WHERE tenant_id = $1 AND kind = $2 AND "+column+" IN ("+q.idsIn("$3")+") ORDER BY "+column, orDefault(tenant), kind, q.ids(ids))
}

// numbered are the kinds of objects whose ids their table gives out.
var numbered = map[string]string{"version": "version", "certificate": "certificate", "domain": "domain", "account": "account", "authority": "authority", "factory": "factory", "key": "key"}

// SkipNumbers has the objects of a kind that are made from now on have ids above
// one, so that none of them is like a former number. A kind without ids of its own
// is left alone.
func (t *Tx) SkipNumbers(ctx context.Context, kind string, above int64) error {
	table, ok := numbered[kind]
	if !ok {
		return nil
	}
	if t.pg {
		_, err := t.change(ctx, "SELECT setval(pg_get_serial_sequence($1, 'id'), greatest($2, coalesce(pg_sequence_last_value(pg_get_serial_sequence($1, 'id')::regclass), 0)))", table, above)
		return err
	}
	n, err := t.change(ctx, "UPDATE sqlite_sequence SET seq = max(seq, $1) WHERE name = $2", above, table)
	if err == nil && n == 0 {
		_, err = t.change(ctx, "INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)", table, above)
	}
	return err
}

// VersionByContent finds a version by the first 63 bits of the SHA-256 of its leaf,
// which is how Redis layout 1 numbers it.
func (q Q) VersionByContent(ctx context.Context, tenant, content int64) (*certfleet.Version, error) {
	lo, hi := contentRange(content)
	return versions.one(ctx, q, "WHERE tenant_id = $1 AND fingerprint >= $2 AND fingerprint < $3", orDefault(tenant), lo, hi)
}

// KeyByContent finds a key by the first 63 bits of the SHA-256 of its public key.
func (q Q) KeyByContent(ctx context.Context, tenant, content int64) (*certfleet.Key, error) {
	lo, hi := contentRange(content)
	return keys.one(ctx, q, "WHERE tenant_id = $1 AND spki >= $2 AND spki < $3", orDefault(tenant), lo, hi)
}

// contentRange are the bounds of all hex texts that begin with 63 bits.
func contentRange(content int64) (lo, hi string) {
	first := uint64(content) << 1
	return fmt.Sprintf("%016x", first), fmt.Sprintf("%016xg", first|1)
}
