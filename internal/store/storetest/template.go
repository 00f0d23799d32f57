package storetest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/certfleet/certfleet/internal/store"
)

// empty is the file of a SQLite store with the schema and no rows. It is made once
// a process: the steps of the schema cost more than most tests do.
var empty = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "certfleet-test")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	file := filepath.Join(dir, "certfleet.db")
	db, err := store.Open(ctx, file, store.Options{})
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
})

// EmptySQLiteFile is a path at which an empty store lies.
func EmptySQLiteFile(t testing.TB) string {
	t.Helper()
	b, err := empty()
	if err != nil {
		t.Fatalf("make an empty store: %v", err)
	}
	file := SQLiteFile(t)
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
