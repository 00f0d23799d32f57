package petersslers

import (
	"context"
	"database/sql"
)

// Named is a domain with its id.
type Named struct {
	ID   int64
	Name string
}

// Domains reads all domains, batch by batch.
func (d *DB) Domains(ctx context.Context, each func([]Named) error) error {
	return batches(ctx, d, "SELECT id, coalesce(domain_name, '') FROM domain WHERE id > ? ORDER BY id LIMIT ?",
		func(r *sql.Rows) (n Named, err error) { return n, r.Scan(&n.ID, &n.Name) }, func(n Named) int64 { return n.ID }, each)
}

// Highest is the highest id of a table, zero for an empty one.
func (d *DB) Highest(ctx context.Context, table string) (n int64, err error) {
	return n, d.sql.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) FROM "+table).Scan(&n)
}
