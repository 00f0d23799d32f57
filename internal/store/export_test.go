package store

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"slices"
	"testing"
	"time"
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
	*r.asked = append(*r.asked, Asked{steady(q), args})
	return r.execer.QueryContext(ctx, q, args...)
}

func (r recorder) QueryRowContext(ctx context.Context, q string, args ...any) *sql.Row {
	*r.asked = append(*r.asked, Asked{steady(q), args})
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

// pragma sets something on every connection that writes: the one that is held
// for transactions, and the spare.
func pragma(t testing.TB, d *DB, q string) {
	t.Helper()
	<-d.writer.turn
	defer func() { d.writer.turn <- struct{}{} }()
	if err := d.writer.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.writer.commit()
	if _, err := d.writer.conn.ExecContext(t.Context(), q); err != nil {
		t.Fatal(err)
	}
}

// BusyTimeout says how long a write waits for another process's lock.
func BusyTimeout(t testing.TB, d *DB, wait time.Duration) {
	t.Helper()
	pragma(t, d, fmt.Sprintf("PRAGMA busy_timeout = %d", wait.Milliseconds()))
}

// NoMorePages lets the database grow by nothing, like a disk that is full.
func NoMorePages(t testing.TB, d *DB) {
	t.Helper()
	pragma(t, d, "PRAGMA max_page_count = 1")
}

// WriteByReader tries a write on a reading connection.
func WriteByReader(ctx context.Context, d *DB) error {
	_, err := d.r.ExecContext(ctx, "DELETE FROM setting")
	return explain(err, "")
}

// Walked makes lists by label walk, n rows a page at most, until the test ends.
func Walked(t testing.TB, n int) {
	f, l := fewest, looks
	t.Cleanup(func() { fewest, looks = f, l })
	fewest, looks = -1, n
}

// DialPostgres connects as a store does to its server.
var DialPostgres = dialPostgres
