package deliver_test

import (
	"database/sql"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// TestACanaryThatDiesStopsTheRestOnTheSecondTryToo has PostgreSQL give up the
// transaction once, as it does with one of two that wait for each other.
func TestACanaryThatDiesStopsTheRestOnTheSecondTryToo(t *testing.T) {
	t.Parallel()
	where := storetest.PostgresURL(t)
	db, err := store.Open(t.Context(), where, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	raw, err := sql.Open("pgx", where)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if _, err := raw.ExecContext(t.Context(), `CREATE SEQUENCE tries;
		CREATE FUNCTION once() RETURNS trigger AS 'BEGIN IF nextval(''tries'') = 1 THEN RAISE EXCEPTION ''not now'' USING ERRCODE = ''40P01''; END IF; RETURN NEW; END' LANGUAGE plpgsql;
		CREATE TRIGGER once BEFORE UPDATE ON delivery FOR EACH ROW WHEN (NEW.state = 'failed') EXECUTE FUNCTION once()`); err != nil {
		t.Fatal(err)
	}
	y := build(t, db)
	r := y.room(1)
	c := y.flock()
	good := y.versionAll(c.ID)
	y.served(r, good[0].ID)
	y.rack.set(func() { y.rack.stuck = true })
	bad := y.versionAll(c.ID)
	for range 7 {
		y.now(r, bad[0].ID)
	}
	var tries int
	if err := raw.QueryRowContext(t.Context(), "SELECT last_value FROM tries").Scan(&tries); err != nil || tries != 2 {
		t.Fatalf("it was tried %d times, %v", tries, err)
	}
	if back := y.delivery(good[0].ID); back.State != certfleet.DeliveryDue || !back.Rollback || y.events(c.ID, "canary.failed") != 1 {
		t.Errorf("the version before is %s, to go back to: %v; %d events", back.State, back.Rollback, y.events(c.ID, "canary.failed"))
	}
	if rest := y.delivery(bad[1].ID); !rest.Held || rest.Advice == "" {
		t.Errorf("the rest is %+v", rest)
	}
}
