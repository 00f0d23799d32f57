// Package storetest gives tests a real store: a SQLite file, or a database on a
// PostgreSQL server that lives as long as the test process.
package storetest

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/store"
)

// openTimeout bounds opening one store.
const openTimeout = 60 * time.Second

// Each runs fn on both engines, as subtests named sqlite and postgres.
func Each(t *testing.T, fn func(t *testing.T, db *store.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { fn(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { fn(t, Postgres(t)) })
}

// SQLite is an empty store in a file that the test's end takes away.
func SQLite(t testing.TB) *store.DB {
	t.Helper()
	return open(t, EmptySQLiteFile(t))
}

// SQLiteFile is a path at which no store is yet.
func SQLiteFile(t testing.TB) string {
	t.Helper()
	return filepath.Join(Dir(t), "certfleet.db")
}

// memory is where files cost no wait for a disk, on Linux.
const memory = "/dev/shm"

// Dir is a folder for a store that the test's end takes away: in memory where
// there is such a place, because every commit of ours waits for the disk.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(memory, "certfleet-test")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Postgres is an empty store in a database of its own. It skips the test unless
// CERTFLEET_REAL=1 asks for real servers.
func Postgres(t testing.TB) *store.DB {
	t.Helper()
	return open(t, PostgresURL(t))
}

func open(t testing.TB, where string) *store.DB {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	db, err := store.Open(ctx, where, store.Options{})
	if err != nil {
		t.Fatalf("open the store: %v", err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}
