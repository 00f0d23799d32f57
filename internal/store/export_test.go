package store

import (
	"context"
	"database/sql"
	"io/fs"
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

// Asked is a query that was sent, with its arguments.
type Asked struct {
	SQL  string
	Args []any
}

type recorder struct {
	execer
	asked *[]Asked
}

func (r recorder) QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	*r.asked = append(*r.asked, Asked{q, args})
	return r.execer.QueryContext(ctx, q, args...)
}

func (r recorder) QueryRowContext(ctx context.Context, q string, args ...any) *sql.Row {
	*r.asked = append(*r.asked, Asked{q, args})
	return r.execer.QueryRowContext(ctx, q, args...)
}

// Recorded reads like d's Q and keeps what it asked.
func (d *DB) Recorded(asked *[]Asked) Q {
	return Q{x: recorder{d.r, asked}, pg: d.pg}
}

// WithSchema puts another release's schema in place of ours until the test ends.
func WithSchema(t interface{ Cleanup(func()) }, s fs.FS) {
	was := schemaFS
	t.Cleanup(func() { schemaFS = was })
	schemaFS = s
}

// Schema is the schema of this release.
var Schema fs.FS = embedded

// Tables are the tables of this release.
func Tables(ctx context.Context) ([]string, error) { return tables(ctx) }
