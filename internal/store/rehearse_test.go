package store_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

func TestASimulatedFleetIsRenewedInPlace(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		ctx := t.Context()
		hour, end := now.Add(time.Hour), now.Add(90*24*time.Hour)
		c := certfleet.Certificate{Label: "a", Names: []certfleet.Name{name(t, "a.example")}, PolicyID: f.policy.ID, State: certfleet.Active, DueAt: now, Lane: certfleet.LaneRoutine, NotAfter: hour, UrgentAt: hour}
		v := certfleet.Version{OrderID: f.order.ID, Origin: "issued", Names: c.Names, Serial: "01", Fingerprint: "aa", AuthorityID: f.authority.ID, NotBefore: now, NotAfter: hour}
		bare := certfleet.Certificate{Label: "b", Names: []certfleet.Name{name(t, "b.example")}, PolicyID: f.policy.ID, State: certfleet.Active, DueAt: now, Lane: certfleet.LaneNew}
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.AddFleet(ctx, &c, &v); err != nil {
				return err
			}
			return tx.AddFleet(ctx, &bare, nil)
		})
		if n, err := db.Bare(ctx); err != nil || n != 2 { // and that of newFleet
			t.Errorf("%d certificates never got a version, %v; want 2", n, err)
		}
		if n, err := db.Behind(ctx, now); err != nil || n != 4 { // and certificate and order of newFleet
			t.Errorf("%d are due or under way, %v; want 4", n, err)
		}
		if n, err := db.Expired(ctx, hour); err != nil || n != 1 {
			t.Errorf("%d have expired, %v; want 1", n, err)
		}
		certs, err := db.CertificatesByID(ctx, []int64{c.ID, bare.ID})
		if err != nil || certs[c.ID].VersionID != v.ID || certs[bare.ID].VersionID != 0 {
			t.Fatalf("read %+v, %v", certs, err)
		}
		versions, err := db.VersionsByID(ctx, []int64{v.ID})
		if err != nil || versions[v.ID].Serial != "01" {
			t.Fatalf("read %+v, %v", versions, err)
		}
		got, kept := certs[c.ID], versions[v.ID]
		got.DueAt, got.NotAfter, got.UrgentAt, kept.Serial, kept.NotAfter, kept.ARIID = hour, end, end, "02", end, "id"
		first := &certfleet.Version{Origin: "issued", Names: bare.Names, Serial: "03", Fingerprint: "bb", NotBefore: now, NotAfter: end}
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			tx.At(hour)
			if !tx.Now().Equal(hour) {
				t.Errorf("the moment is %s", tx.Now())
			}
			if err := tx.RenewInPlace(ctx, got, kept); err != nil {
				return err
			}
			if err := tx.RenewInPlace(ctx, certs[bare.ID], first); err != nil {
				return err
			}
			return tx.PollAt(ctx, v.ID, hour)
		})
		if n, err := db.Expired(ctx, hour); err != nil || n != 0 {
			t.Errorf("%d have expired after the renewal, %v", n, err)
		}
		serials := map[int64]string{}
		if err := db.Serials(ctx, func(id int64, s string) { serials[id] = s }); err != nil || serials[v.ID] != "02" || serials[first.ID] != "03" {
			t.Errorf("serials %v, %v", serials, err)
		}
		if due, err := db.DuePolls(ctx, hour, 10); err != nil || len(due) != 1 || due[0].ID != v.ID {
			t.Errorf("due to be asked for %+v, %v", due, err)
		}
		if err := try(t, db, func(ctx context.Context, tx *store.Tx) error { got.Rev--; return tx.RenewInPlace(ctx, got, kept) }); certfleet.KindOf(err) != certfleet.Conflict {
			t.Errorf("a stale renewal answers %v", err)
		}
	})
}

// TestASimulationHasTheIndexesThatItsQuestionsNeed lets no question that it puts
// every minute walk over the fleet.
func TestASimulationHasTheIndexesThatItsQuestionsNeed(t *testing.T) {
	db := storetest.SQLite(t)
	all := asks(t, db)
	if err := db.Unbrowsed(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"next due", "due by lane", "due by share", "due raises", "orders ahead", "open rooms", "due orders", "due polls"} {
		if len(all[what]) == 0 {
			t.Errorf("%s asks nothing", what)
		}
		for _, a := range all[what] {
			for _, line := range planOf(t, db.Raw(), "EXPLAIN QUERY PLAN "+a.SQL, a.Args, 4) {
				if strings.HasPrefix(line, "SCAN ") && !small.MatchString(line[len("SCAN "):]) && !partial.MatchString(line) || strings.Contains(line, "AUTOMATIC") {
					t.Errorf("%s: %s", what, line)
				}
			}
		}
	}
}
