package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

func TestAgentsLive(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		a := certfleet.Agent{Label: "edge-1", Target: "edge-1", Labels: certfleet.Labels{"site": "berlin"}, JoinHash: "h", JoinUntil: now.Add(time.Hour)}
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.AddAgent(ctx, &a) })
		if got, err := db.AgentByJoin(ctx, "h", now); err != nil || !same(*got, a) {
			t.Errorf("invited: %+v, %v; want %+v", got, err, a)
		}
		for what, hash := range map[string]string{"no hash": "", "another hash": "x"} {
			if _, err := db.AgentByJoin(ctx, hash, now); certfleet.KindOf(err) != certfleet.NotFound {
				t.Errorf("%s opens an invitation: %v", what, err)
			}
		}
		if _, err := db.AgentByJoin(ctx, "h", now.Add(time.Hour)); certfleet.KindOf(err) != certfleet.NotFound {
			t.Errorf("a late invitation opens: %v", err)
		}
		a.JoinHash, a.JoinUntil, a.SPKI, a.NextSPKI, a.NotAfter, a.EnrolledAt, a.ReportedAt, a.QuietAt = "", time.Time{}, "k1", "k2", now.Add(time.Hour), now, now, now.Add(time.Minute)
		a.Release, a.Round, a.Skew, a.Updaters = "1", "r", -90*time.Second, []certfleet.UpdaterNote{{Name: "web", Problem: "it failed", At: now}}
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.SaveAgent(ctx, &a); err != nil {
				return err
			}
			return tx.AgentSeen(ctx, a.ID)
		})
		a.SeenAt = now
		for _, spki := range []string{"k1", "k2"} {
			if got, err := db.AgentBySPKI(ctx, spki); err != nil || !same(*got, a) {
				t.Errorf("by key %s: %+v, %v; want %+v", spki, got, err, a)
			}
		}
		if got, err := db.AgentByLabel(ctx, 0, "edge-1"); err != nil || !same(*got, a) {
			t.Errorf("by label: %+v, %v", got, err)
		}
		if got, err := db.Agent(ctx, a.ID); err != nil || !same(*got, a) {
			t.Errorf("by id: %+v, %v", got, err)
		}
		twin := certfleet.Agent{Label: "edge-1b", Target: "edge-1"}
		if err := try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.AddAgent(ctx, &twin) }); certfleet.KindOf(err) != certfleet.Conflict {
			t.Errorf("two agents for one target: %v", err)
		}
		a.RevokedAt = now
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveAgent(ctx, &a) })
		for _, spki := range []string{"k1", "k2", ""} {
			if _, err := db.AgentBySPKI(ctx, spki); certfleet.KindOf(err) != certfleet.NotFound {
				t.Errorf("key %q of a revoked agent is known: %v", spki, err)
			}
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.AddAgent(ctx, &twin) })
		if list, err := db.Agents(ctx, 0); err != nil || len(list) != 2 || !same(list[0], a) {
			t.Errorf("agents %+v, %v", list, err)
		}
	})
}

func TestAgentsAreCountedByTheStateThatTheySay(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		long := now.Add(-certfleet.AgentSilence - time.Minute)
		want := map[string]int64{}
		for i, a := range []certfleet.Agent{
			{JoinHash: "a", JoinUntil: now.Add(time.Hour)},
			{JoinHash: "b", JoinUntil: now},
			{SPKI: "c", NotAfter: now},
			{SPKI: "d", NotAfter: now.Add(time.Hour), EnrolledAt: long},
			{SPKI: "e", NotAfter: now.Add(time.Hour), EnrolledAt: long, ReportedAt: long, QuietAt: now},
			{SPKI: "f", NotAfter: now.Add(time.Hour), EnrolledAt: long, ReportedAt: now, QuietAt: now.Add(time.Minute)},
			{SPKI: "g", NotAfter: now.Add(time.Hour), EnrolledAt: now},
			{SPKI: "h", NotAfter: now.Add(time.Hour), EnrolledAt: now, RevokedAt: now},
		} {
			a.Label = string(rune('a' + i))
			a.Target = a.Label
			write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.AddAgent(ctx, &a) })
			want[string(a.State(now))]++
		}
		list, err := db.AgentCounts(t.Context(), now)
		got := map[string]int64{}
		for _, c := range list {
			got[c.Word] = c.N
		}
		if err != nil || len(want) != len(certfleet.AgentStates) || !same(got, want) {
			t.Errorf("counted %v, %v; they say %v", got, err, want)
		}
		due, err := db.DueAgents(t.Context(), now, 10)
		if err != nil || len(due) != 1 || due[0].Label != "e" {
			t.Errorf("due %+v, %v; want e alone", due, err)
		}
		if at, err := db.OldestDue(t.Context(), "agents", now); err != nil || !at.Equal(now) {
			t.Errorf("the oldest is due at %v, %v", at, err)
		}
	})
}

func TestAnAgentHasOneRowACertificate(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		a := certfleet.Agent{Label: "edge-1", Target: "edge-1"}
		one := certfleet.AgentLineage{Certificate: "a", Fingerprint: "f1", Served: "f0", NotAfter: now.Add(time.Hour), Problem: "p", Advice: "do it", Round: "r1", At: now}
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.AddAgent(ctx, &a); err != nil {
				return err
			}
			old := certfleet.AgentLineage{AgentID: a.ID, Certificate: "a", Fingerprint: "f0", Round: "r1"}
			one.AgentID = a.ID
			gone := certfleet.AgentLineage{AgentID: a.ID, Certificate: "b", Round: "r0"}
			for _, l := range []certfleet.AgentLineage{old, one, gone} {
				if err := tx.PutAgentLineage(ctx, l); err != nil {
					return err
				}
			}
			return nil
		})
		if list, err := db.AgentLineages(ctx, a.ID, "", 10); err != nil || len(list) != 2 || !same(list[0], one) {
			t.Errorf("lineages %+v, %v; want two, the first %+v", list, err, one)
		}
		if list, err := db.AgentLineages(ctx, a.ID, "a", 10); err != nil || len(list) != 1 {
			t.Errorf("after a: %+v, %v; want one", list, err)
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.ForgetAgentLineages(ctx, a.ID, "r1") })
		if list, err := db.AgentLineages(ctx, a.ID, "", 10); err != nil || len(list) != 1 {
			t.Errorf("after a whole report: %+v, %v; want one", list, err)
		}
	})
}

func TestOnlyWhatIsAssignedWaitsForAnAgent(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		ctx := t.Context()
		cert, err := db.Certificate(ctx, f.cert.ID)
		if err != nil {
			t.Fatal(err)
		}
		cert.Targets = []string{"edge-1"}
		a := certfleet.Agent{Label: "edge-1", Target: "edge-1"}
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.ReplaceCertificate(ctx, cert, "test"); err != nil {
				return err
			}
			if err := tx.AddAgent(ctx, &a); err != nil {
				return err
			}
			return tx.WantDeliveries(ctx, &f.version)
		})
		list, err := db.Assignments(ctx, f.target.ID, 10)
		if err != nil || len(list) != 1 || list[0].VersionID != f.version.ID || list[0].Certificate != "shop" || list[0].Fingerprint != "f00d" {
			t.Fatalf("assignments %+v, %v", list, err)
		}
		if got, err := db.Assigned(ctx, f.target.ID, f.version.ID); err != nil || *got != list[0] {
			t.Errorf("assigned %+v, %v", got, err)
		}
		if _, err := db.Assigned(ctx, f.target.ID+1, f.version.ID); certfleet.KindOf(err) != certfleet.NotFound {
			t.Errorf("assigned to another target: %v", err)
		}
		d, err := db.DeliveryHere(ctx, 0, f.target.ID, "shop")
		if err != nil || d.ID != list[0].DeliveryID {
			t.Fatalf("delivery %+v, %v", d, err)
		}
		d.State = certfleet.DeliveryApplied
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveDelivery(ctx, d) })
		if list, err := db.Missing(ctx, a.ID, f.target.ID, 10); err != nil || len(list) != 1 || list[0].ID != d.ID {
			t.Errorf("missing %+v, %v; want the one that nobody reported", list, err)
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.PutAgentLineage(ctx, certfleet.AgentLineage{AgentID: a.ID, Certificate: "shop", Fingerprint: "f00d"})
		})
		if list, err := db.Missing(ctx, a.ID, f.target.ID, 10); err != nil || len(list) != 0 {
			t.Errorf("missing %+v, %v; want none", list, err)
		}
		cert.Targets = nil
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.ReplaceCertificate(ctx, cert, "test") })
		if _, err := db.Assigned(ctx, f.target.ID, f.version.ID); certfleet.KindOf(err) != certfleet.NotFound {
			t.Errorf("still assigned after the certificate left the target: %v", err)
		}
	})
}

// addAgent stores an agent that holds something.
func addAgent(ctx context.Context, tx *store.Tx) error {
	a := certfleet.Agent{Label: "edge-1", Target: "edge-1", SPKI: "k1"}
	if err := tx.AddAgent(ctx, &a); err != nil {
		return err
	}
	return tx.PutAgentLineage(ctx, certfleet.AgentLineage{AgentID: a.ID, Certificate: "shop", Fingerprint: "f00d"})
}
