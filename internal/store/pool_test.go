package store_test

import (
	"testing"

	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/jackc/pgx/v5"
)

// TestAPoolBesideTheStore is one of the same database, whose commits wait for no disk.
func TestAPoolBesideTheStore(t *testing.T) {
	db := storetest.Postgres(t)
	newFleet(t, db)
	pool, err := db.Pool(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	rows, err := pool.Query(t.Context(), "SELECT label FROM authority UNION ALL SELECT setting FROM pg_settings WHERE name IN ('synchronous_commit', 'idle_in_transaction_session_timeout') ORDER BY 1")
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(got) != 3 || got[0] != "15000" || got[1] != "ca" || got[2] != "off" {
		t.Errorf("it sees %q: %v", got, err)
	}
	if n := pool.Stat().MaxConns(); n != 2 {
		t.Errorf("it may have %d connections", n)
	}
}
