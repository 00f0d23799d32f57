package store

import (
	"context"
	"database/sql"
	"slices"
)

// Clear removes every row of every table but the schema's.
func Clear(ctx context.Context, d *DB) error {
	names, err := tables(ctx)
	if err != nil {
		return err
	}
	slices.Reverse(names)
	for _, n := range names {
		if _, err := d.w.ExecContext(ctx, "DELETE FROM "+n); err != nil {
			return err
		}
	}
	return nil
}

// Raw is the writing connection.
func (d *DB) Raw() *sql.DB { return d.w }
