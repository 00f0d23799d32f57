package deliver_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// flock makes the yard's target the canary of a group with one more member, and a
// certificate that goes to both.
func (y *yard) flock() *certfleet.Certificate {
	y.Helper()
	y.target.Group, y.target.Canary = "web", true
	y.change()
	rest := &certfleet.StoredTarget{Label: "rest", Type: "rack", Proof: certfleet.ProofNone, Pace: certfleet.Pace{Group: "web"}}
	y.tx(func(ctx context.Context, tx *store.Tx) error { return tx.AddTarget(ctx, rest) })
	c := y.certificate("shop.example")
	c.Targets = []string{"rack", "rest"}
	y.tx(func(ctx context.Context, tx *store.Tx) error { return tx.ReplaceCertificate(ctx, c, "operator") })
	return c
}

func TestTheRestFollowsACanaryThatSings(t *testing.T) {
	t.Parallel()
	y := build(t, storetest.SQLite(t))
	r := y.room(1)
	c := y.flock()
	list := y.versionAll(c.ID)
	if err := r.Do(t.Context(), list[1].ID); err != nil || y.rack.count(list[1].VersionID) != 0 {
		t.Fatalf("the rest did not wait: %v", err)
	}
	y.served(r, list[0].ID)
	if d := y.delivery(list[1].ID); d.Held || d.DueAt.IsZero() || d.Problem != "" {
		t.Fatalf("after the canary the rest is %+v", d)
	}
	if err := r.Do(t.Context(), list[1].ID); err != nil || y.delivery(list[1].ID).State != certfleet.DeliveryApplied {
		t.Errorf("the rest is %+v, %v", y.delivery(list[1].ID), err)
	}
	if n := y.events(c.ID, "canary.passed"); n != 1 {
		t.Errorf("%d events say so", n)
	}
}

func TestACanaryThatDiesGoesBackAndStopsTheRest(t *testing.T) {
	t.Parallel()
	y := build(t, storetest.SQLite(t))
	r := y.room(1)
	c := y.flock()
	good := y.versionAll(c.ID)
	y.served(r, good[0].ID)
	if err := r.Do(t.Context(), good[1].ID); err != nil {
		t.Fatal(err)
	}
	y.rack.set(func() { y.rack.stuck = true })
	bad := y.versionAll(c.ID)
	for range 7 {
		y.now(r, bad[0].ID)
	}
	failed, rest, back := y.delivery(bad[0].ID), y.delivery(bad[1].ID), y.delivery(good[0].ID)
	if failed.State != certfleet.DeliveryFailed || !failed.DueAt.IsZero() || failed.Advice == "" || !strings.Contains(failed.Problem, "gets back version") {
		t.Errorf("the canary's delivery is %+v", failed)
	}
	if !rest.Held || !rest.DueAt.IsZero() || rest.Advice == "" || !strings.Contains(rest.Problem, "canary") || y.rack.count(bad[1].VersionID) != 1 {
		t.Errorf("the rest is %+v", rest)
	}
	if back.State != certfleet.DeliveryDue || !back.Rollback || y.events(c.ID, "canary.failed") != 1 {
		t.Fatalf("the version before is %+v", back)
	}
	y.rack.set(func() { y.rack.stuck = false })
	y.served(r, good[0].ID)
	if !y.rack.rolledBack || y.shows("shop.example") != y.fingerprint(back) {
		t.Errorf("the canary shows %s, want the version before; told that it is a rollback: %v", y.shows("shop.example"), y.rack.rolledBack)
	}
	y.tx(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.DeliverAgain(ctx, y.target.ID, c.ID, true)
		return err
	})
	y.served(r, bad[0].ID)
	if d := y.delivery(bad[1].ID); d.Held || d.DueAt.IsZero() {
		t.Errorf("after force and proof the rest is %+v", d)
	}
}

// TestTheRestWaitsForASilentCanaryOnlyAsLongAsItCan: one that cannot be reached
// says neither yes nor no.
func TestTheRestWaitsForASilentCanaryOnlyAsLongAsItCan(t *testing.T) {
	t.Parallel()
	y := build(t, storetest.SQLite(t))
	r := y.room(1)
	c := y.flock()
	good := y.versionAll(c.ID)
	y.served(r, good[0].ID)
	if err := r.Do(t.Context(), good[1].ID); err != nil {
		t.Fatal(err)
	}
	v, err := y.db.Version(t.Context(), good[1].VersionID)
	if err != nil {
		t.Fatal(err)
	}
	next := y.versionAll(c.ID)
	rest := y.delivery(next[1].ID)
	if tenth := v.NotAfter.Add(-v.NotAfter.Sub(v.NotBefore) / 10).Truncate(time.Millisecond); !rest.Held || !rest.DueAt.Equal(tenth) {
		t.Fatalf("the rest is %+v, want it held until %s", rest, tenth)
	}
	if d := y.now(r, rest.ID); d.Held || d.State != certfleet.DeliveryApplied || y.rack.count(rest.VersionID) != 1 || y.events(c.ID, "canary.passed_over") != 1 {
		t.Errorf("when it could wait no longer the rest is %+v", d)
	}
}

func TestWithoutAnEarlierVersionACanaryOnlyStops(t *testing.T) {
	t.Parallel()
	y := build(t, storetest.SQLite(t))
	r := y.room(1)
	c := y.flock()
	y.rack.set(func() { y.rack.stuck = true })
	list := y.versionAll(c.ID)
	for range 7 {
		y.now(r, list[0].ID)
	}
	if d := y.delivery(list[0].ID); d.State != certfleet.DeliveryFailed || !strings.Contains(d.Problem, "no earlier version") {
		t.Errorf("the canary's delivery is %+v", d)
	}
	if d := y.delivery(list[1].ID); !d.Held {
		t.Errorf("the rest is %+v", d)
	}
}
