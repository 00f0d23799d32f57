package storetest

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/certfleet/certfleet/internal/store"
)

// Dump is all that somebody gets who steals the database: every value of every
// row and, of a SQLite store, the raw bytes of its file and log, in which
// removed rows may still lie. Tests of secrets search it.
func Dump(t testing.TB, db *store.DB) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	file, err := db.File(ctx)
	if err != nil {
		t.Fatalf("dump the store: %v", err)
	}
	var out bytes.Buffer
	for _, tail := range []string{"", "-wal", "-journal"} {
		if b, err := os.ReadFile(file + tail); err == nil {
			out.Write(b)
		}
	}
	if err := writeRows(ctx, &out, db, filepath.Join(t.TempDir(), "dump.db")); err != nil {
		t.Fatalf("dump the store: %v", err)
	}
	return out.Bytes()
}

// writeRows goes over a backup, which has the same form for both engines.
func writeRows(ctx context.Context, out *bytes.Buffer, db *store.DB, file string) error {
	var names []string
	if err := db.Backup(ctx, file, func(table string, _ int64) { names = append(names, table) }); err != nil {
		return err
	}
	x, err := sql.Open("sqlite", "file:"+file+"?mode=ro")
	if err != nil {
		return err
	}
	defer x.Close()
	for _, name := range names {
		if err := writeTable(ctx, out, x, name); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
	}
	return nil
}

func writeTable(ctx context.Context, out *bytes.Buffer, x *sql.DB, name string) error {
	rows, err := x.QueryContext(ctx, "SELECT * FROM "+name)
	if err != nil {
		return err
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		return err
	}
	for rows.Next() {
		values, into := make([]sql.RawBytes, len(cols)), make([]any, len(cols))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for i, v := range values {
			fmt.Fprintf(out, "%s.%s=%s\n", name, cols[i], v)
		}
	}
	return rows.Err()
}
