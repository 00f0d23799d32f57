package store

import (
	"context"
	"database/sql"
	"fmt"
)

// tables are the names of this release's tables, those that others refer to
// first. They are read from the schema itself, laid out in memory.
func tables(ctx context.Context) ([]string, error) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	steps, err := (&DB{}).steps()
	if err != nil {
		return nil, err
	}
	for _, s := range steps {
		if _, err := db.ExecContext(ctx, s.sql); err != nil {
			return nil, fmt.Errorf("lay out schema step %s: %w", s.name, err)
		}
	}
	return Q{x: db}.strings(ctx, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid")
}
