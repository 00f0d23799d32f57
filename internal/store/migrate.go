package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/certfleet/certfleet"
)

//go:embed schema
var embedded embed.FS

// schemaFS holds the schema's steps; tests put older and newer releases in its place.
var schemaFS fs.FS = embedded

// step is one schema file, NNNN_word.sql. Its first line says which step a
// release must know at least to run on the schema from here on.
type step struct {
	n      int
	name   string
	oldest int
	sql    string
}

func (d *DB) steps() ([]step, error) {
	dir := "schema/sqlite"
	if d.pg {
		dir = "schema/postgres"
	}
	entries, err := fs.ReadDir(schemaFS, dir)
	if err != nil {
		return nil, err
	}
	var out []step
	for _, e := range entries {
		b, err := fs.ReadFile(schemaFS, dir+"/"+e.Name())
		if err != nil {
			return nil, err
		}
		s := step{name: e.Name(), sql: string(b)}
		if s.n, err = strconv.Atoi(e.Name()[:4]); err != nil {
			return nil, fmt.Errorf("schema file %s: %w", e.Name(), err)
		}
		if _, err := fmt.Sscanf(s.sql, "-- oldest: %d", &s.oldest); err != nil {
			return nil, fmt.Errorf("schema file %s does not begin with its oldest step: %w", e.Name(), err)
		}
		out = append(out, s)
	}
	return out, nil
}

// migrate brings the schema to the newest step this release knows. A schema
// that is newer is used as it is while its steps say that this release may.
func (d *DB) migrate(ctx context.Context) error {
	steps, err := d.steps()
	if err != nil {
		return err
	}
	known := steps[len(steps)-1].n
	at, oldest, release, err := d.schemaAt(ctx)
	if err != nil {
		return err
	}
	switch {
	case oldest > known:
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("the database was made by release %s, which this one (%s) cannot read", release, certfleet.Release),
			Advice: "install release " + release + " or newer"}
	case at >= known:
		return nil
	case d.readOnly && at == 0:
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: "there is no certfleet database in it", Advice: "name the file of a database that certfleet made"}
	case d.readOnly:
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: "the database is of an older release", Advice: "open it once without --read-only, or use the release that made it"}
	}
	return d.apply(ctx, steps)
}

// apply runs the missing steps under a lock, so that two nodes may start at once.
func (d *DB) apply(ctx context.Context, steps []step) error {
	tx, err := d.w.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if d.pg {
		if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(7263548101)"); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS schema_step (n BIGINT PRIMARY KEY, name TEXT NOT NULL, oldest BIGINT NOT NULL, made_by TEXT NOT NULL)"); err != nil {
		return err
	}
	var at int
	if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(n), 0) FROM schema_step").Scan(&at); err != nil {
		return err
	}
	for _, s := range steps {
		if s.n <= at {
			continue
		}
		if _, err := tx.ExecContext(ctx, s.sql); err != nil {
			return fmt.Errorf("apply schema step %s: %w", s.name, err)
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO schema_step (n, name, oldest, made_by) VALUES ($1, $2, $3, $4)", s.n, s.name, s.oldest, certfleet.Release); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// schemaAt is the newest step of the database, the oldest step that a release
// must know, and the release that made the newest step.
func (d *DB) schemaAt(ctx context.Context) (at, oldest int, release string, err error) {
	err = d.r.QueryRowContext(ctx, "SELECT n, made_by FROM schema_step ORDER BY n DESC LIMIT 1").Scan(&at, &release)
	if err != nil && noTable(err) {
		return 0, 0, "", nil
	}
	if err != nil {
		return 0, 0, "", err
	}
	err = d.r.QueryRowContext(ctx, "SELECT max(oldest) FROM schema_step").Scan(&oldest)
	return at, oldest, release, err
}

func noTable(err error) bool {
	return strings.Contains(err.Error(), "no such table") || strings.Contains(err.Error(), "42P01") || strings.Contains(err.Error(), "no rows in result set")
}
