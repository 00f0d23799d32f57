package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"strconv"

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
	hash   string // SHA-256 of the file, lower-case hex
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
		s := step{name: e.Name(), sql: string(b), hash: fmt.Sprintf("%x", sha256.Sum256(b))}
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

// migrate applies the steps of this release that the database lacks. A schema
// with steps that this release does not know is used as it is while those say
// that it may; one whose steps were other files than ours is refused.
func (d *DB) migrate(ctx context.Context) error {
	steps, err := d.steps()
	if err != nil {
		return err
	}
	has, err := d.applied(ctx)
	if err != nil {
		return err
	}
	if err := has.fit(steps); err != nil {
		return err
	}
	switch {
	case !has.lack(steps):
		return nil
	case d.readOnly && len(has.steps) == 0:
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: "there is no certfleet database in it", Advice: "name the file of a database that certfleet made"}
	case d.readOnly && len(has.missing(steps)) == 0:
		return nil // only its hashes are not noted yet
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
	if err := d.stepTable(ctx, tx); err != nil {
		return err
	}
	has, err := readApplied(ctx, tx)
	if err != nil {
		return err
	}
	for _, s := range has.missing(steps) {
		if _, err := tx.ExecContext(ctx, s.sql); err != nil {
			return fmt.Errorf("apply schema step %s: %w", s.name, err)
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO schema_step (n, name, oldest, made_by, hash) VALUES ($1, $2, $3, $4, $5)", s.n, s.name, s.oldest, certfleet.Release, s.hash); err != nil {
			return err
		}
	}
	for _, s := range steps { // what was applied before hashes were noted
		if _, err := tx.ExecContext(ctx, "UPDATE schema_step SET hash = $1 WHERE n = $2 AND hash = ''", s.hash, s.n); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// stepTable makes the table of applied steps as it is wanted now.
func (d *DB) stepTable(ctx context.Context, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS schema_step (n BIGINT PRIMARY KEY, name TEXT NOT NULL, oldest BIGINT NOT NULL, made_by TEXT NOT NULL)"); err != nil {
		return err
	}
	if d.pg {
		_, err := tx.ExecContext(ctx, "ALTER TABLE schema_step ADD COLUMN IF NOT EXISTS hash TEXT NOT NULL DEFAULT ''")
		return err
	}
	if n, err := (Q{x: tx}).number(ctx, "SELECT count(*) FROM pragma_table_info('schema_step') WHERE name = 'hash'"); err != nil || n > 0 {
		return err
	}
	_, err := tx.ExecContext(ctx, "ALTER TABLE schema_step ADD COLUMN hash TEXT NOT NULL DEFAULT ''")
	return err
}
