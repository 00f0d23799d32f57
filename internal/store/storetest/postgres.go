package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/trial"
)

// template is a database with the whole schema, which each test gets a copy of.
const template = "schema_template"

var (
	startOnce = sync.OnceValues(startServer)

	mu   sync.Mutex // guards made and the template
	made int        // databases so far, the template included
)

// PostgresURL is the address of a database with the schema and no rows, the
// test's own. It skips the test unless CERTFLEET_REAL=1 asks for real servers;
// then PostgreSQL must be installed.
func PostgresURL(t testing.TB) string {
	t.Helper()
	return database(t, template)
}

// EmptyPostgresURL is the address of a database that is not even migrated.
func EmptyPostgresURL(t testing.TB) string {
	t.Helper()
	return database(t, "template0")
}

func database(t testing.TB, from string) string {
	t.Helper()
	if !trial.Real() {
		t.Skip("PostgreSQL is started only with CERTFLEET_REAL=1, as make test sets it")
	}
	s, err := startOnce()
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	name, err := s.copyOf(ctx, from)
	if err != nil {
		t.Fatalf("make a database: %v", err)
	}
	t.Cleanup(func() { s.drop(name) })
	return s.url(name)
}

// copyOf makes a database from a template.
func (s *server) copyOf(ctx context.Context, from string) (string, error) {
	mu.Lock()
	defer mu.Unlock()
	if made == 0 {
		if err := s.makeTemplate(ctx); err != nil {
			return "", err
		}
		made = 1
	}
	made++
	name := fmt.Sprintf("t%d", made)
	return name, s.do(ctx, "CREATE DATABASE "+name+" TEMPLATE "+from)
}

func (s *server) makeTemplate(ctx context.Context) error {
	if err := s.do(ctx, "CREATE DATABASE "+template); err != nil {
		return err
	}
	db, err := store.Open(ctx, s.url(template), store.Options{})
	if err != nil {
		return err
	}
	return db.Close()
}

// drop takes a test's database away; what remains of it goes with the server.
func (s *server) drop(name string) {
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	s.do(ctx, "DROP DATABASE "+name+" WITH (FORCE)")
}
