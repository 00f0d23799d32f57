package store_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// insertEvent writes an event in a transaction that the test commits itself.
const insertEvent = "INSERT INTO event (tenant_id, at, kind, actor, msg) VALUES (1, 1, $1, 'test', '')"

func begin(t *testing.T, db *store.DB, kind string) *sql.Tx {
	t.Helper()
	tx, err := db.Raw().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), insertEvent, kind); err != nil {
		t.Fatal(err)
	}
	return tx
}

// follow reads on behind the cursor and adds the kinds it finds.
func follow(t *testing.T, db *store.DB, c store.EventCursor, seen []string) (store.EventCursor, []string) {
	t.Helper()
	list, err := db.EventsAfter(t.Context(), 0, c, 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		seen = append(seen, e.Kind)
		c = store.EventCursor{Xact: e.Xact, ID: e.ID}
	}
	return c, seen
}

func TestReverseCommitsSkipNoEvent(t *testing.T) {
	db := storetest.Postgres(t) // SQLite has one writer: its ids are in the order of commits
	var c store.EventCursor
	var seen []string
	first := begin(t, db, "first")
	second := begin(t, db, "second")
	if err := second.Commit(); err != nil {
		t.Fatal(err)
	}
	c, seen = follow(t, db, c, seen)
	if len(seen) != 0 {
		t.Errorf("saw %v while an older transaction is open", seen)
	}
	if err := first.Commit(); err != nil {
		t.Fatal(err)
	}
	third := begin(t, db, "third")
	c, seen = follow(t, db, c, seen)
	if err := third.Commit(); err != nil {
		t.Fatal(err)
	}
	c, seen = follow(t, db, c, seen)
	if _, seen = follow(t, db, c, seen); len(seen) != 3 || seen[0] != "first" || seen[1] != "second" || seen[2] != "third" {
		t.Errorf("followed %v; want each of the three once, oldest first", seen)
	}
}

func TestAnEventTellsItsNumber(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var ids []int64
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			for range 2 {
				id, err := tx.NumberedEvent(ctx, certfleet.Event{Kind: "numbered", Msg: "x"})
				if err != nil {
					return err
				}
				ids = append(ids, id)
			}
			return nil
		})
		list, _, err := db.Events(t.Context(), store.EventFilter{Kind: "numbered"})
		if err != nil || len(list) != 2 || list[0].ID != ids[1] || list[1].ID != ids[0] {
			t.Errorf("events %+v, %v; want the numbers %v", list, err, ids)
		}
	})
}

func TestEventsAreFollowedInPages(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		f := newFleet(t, db)
		start, err := db.LastEvent(ctx)
		if err != nil || start.ID == 0 {
			t.Fatalf("last event %+v, %v", start, err)
		}
		want := certfleet.Event{Tenant: 1, At: now, Kind: "order.failed", CertificateID: f.cert.ID, OrderID: f.order.ID, VersionID: f.version.ID, TargetID: f.target.ID,
			Actor: "token:ci", Msg: "it \"failed\"\nat last", Data: map[string]string{"a": "ü"}}
		for range 5 {
			err := db.Tx(store.WithActor(ctx, "token:ci"), now, func(tx *store.Tx) error { return tx.Event(ctx, want) })
			if err != nil {
				t.Fatal(err)
			}
		}
		var got []certfleet.Event
		c := start
		for range 3 {
			list, err := db.EventsAfter(ctx, 0, c, 2)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range list {
				got, c = append(got, e), store.EventCursor{Xact: e.Xact, ID: e.ID}
			}
		}
		if len(got) != 5 {
			t.Fatalf("followed %d events, want 5", len(got))
		}
		for i, e := range got {
			want.ID, want.Xact = e.ID, e.Xact
			if !same(want, e) || (i > 0 && e.ID <= got[i-1].ID) {
				t.Errorf("event %d is %+v, want %+v", i, e, want)
			}
		}
		if list, _, err := db.Events(ctx, store.EventFilter{CertificateID: f.cert.ID, Kind: "order.failed"}); err != nil || len(list) != 5 || list[0].ID < list[4].ID {
			t.Errorf("listed %d events, %v; want 5, newest first", len(list), err)
		}
		if list, err := db.EventsAfter(ctx, 7, store.EventCursor{}, 10); err != nil || len(list) != 0 {
			t.Errorf("another tenant sees %d events, %v", len(list), err)
		}
	})
}

func TestAnEventOfARolledBackChangeIsNotThere(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		refused := &certfleet.Error{Kind: certfleet.Invalid, Msg: "no"}
		err := try(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.Event(ctx, certfleet.Event{Kind: "lost"}); err != nil {
				return err
			}
			return refused
		})
		list, _, lerr := db.Events(t.Context(), store.EventFilter{})
		if err != refused || lerr != nil || len(list) != 0 {
			t.Errorf("transaction %v; %d events are there, %v", err, len(list), lerr)
		}
	})
}
