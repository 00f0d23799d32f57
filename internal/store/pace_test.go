package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// group gives the fleet's certificate three targets of one group, the first of
// them its canary, and wants its version there.
func (f *fleet) group(t *testing.T, db *store.DB) (targets []certfleet.StoredTarget) {
	t.Helper()
	f.cert.Targets = nil
	write(t, db, func(ctx context.Context, tx *store.Tx) error {
		for n := range 3 {
			g := certfleet.StoredTarget{Label: fmt.Sprint("web-", n), Type: "files", Pace: certfleet.Pace{Group: "web", Canary: n == 0, PushMode: certfleet.PushSerial, Concurrency: 2, Rate: 60}}
			if err := tx.AddTarget(ctx, &g); err != nil {
				return err
			}
			targets, f.cert.Targets = append(targets, g), append(f.cert.Targets, g.Label)
		}
		if err := tx.ReplaceCertificate(ctx, &f.cert, ""); err != nil {
			return err
		}
		return tx.WantDeliveries(ctx, &f.version)
	})
	return targets
}

// at is the delivery of a version to a target.
func at(t *testing.T, db *store.DB, version, target int64) *certfleet.Delivery {
	t.Helper()
	list, _, err := db.Deliveries(t.Context(), store.DeliveryFilter{VersionID: version, TargetID: target})
	if err != nil || len(list) != 1 {
		t.Fatalf("%d deliveries, %v", len(list), err)
	}
	return &list[0]
}

func TestAGroupWaitsForItsCanary(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		g := f.group(t, db)
		if got, err := db.Target(t.Context(), g[0].ID); err != nil || got.Pace != g[0].Pace {
			t.Errorf("kept %+v, %v; want %+v", got, err, g[0].Pace)
		}
		due := func() (out []int64) {
			list, err := db.DueDeliveries(t.Context(), now, 10)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range list {
				out = append(out, d.TargetID)
			}
			return out
		}
		if got := due(); !same(got, []int64{g[0].ID}) {
			t.Fatalf("due are %v, want the canary alone", got)
		}
		for _, m := range g[1:] {
			if d := at(t, db, f.version.ID, m.ID); !d.Held || d.State != certfleet.DeliveryDue || d.Problem == "" {
				t.Errorf("a member's delivery: %+v", d)
			}
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.StopHeld(ctx, f.version.ID, &g[0], "it failed", "mend it")
		})
		if d := at(t, db, f.version.ID, g[1].ID); !d.Held || d.Problem != "it failed" || d.Advice != "mend it" {
			t.Errorf("after the canary failed: %+v", d)
		}
		var n int64
		write(t, db, func(ctx context.Context, tx *store.Tx) (err error) {
			n, err = tx.FreeHeld(ctx, f.version.ID, &g[0])
			return err
		})
		if got := due(); n != 2 || len(got) != 3 {
			t.Errorf("freed %d, due are %v", n, got)
		}
	})
}

func TestARollbackGoesToTheLastVersionThatWasServed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		g := f.group(t, db)
		newest := &f.version
		next := func(fingerprint string, served bool) *certfleet.Version {
			v := f.addVersion(t, db, f.cert.ID, fingerprint)
			write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.WantDeliveries(ctx, v) })
			if d := at(t, db, v.ID, g[0].ID); served {
				d.State, d.ServedAt = certfleet.DeliveryServed, now
				write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveDelivery(ctx, d) })
			}
			newest = v
			return v
		}
		var err error
		back := func() (good *certfleet.Delivery) {
			write(t, db, func(ctx context.Context, tx *store.Tx) error {
				good, err = tx.RollBack(ctx, at(t, db, newest.ID, g[0].ID))
				return nil
			})
			return good
		}
		if back(); certfleet.KindOf(err) != certfleet.NotFound {
			t.Errorf("with no version before: %v", err)
		}
		was := next("beef", true)
		next("cafe", false)
		next("dead", false)
		if got := back(); err != nil || got.VersionID != was.ID || !got.Rollback || got.State != certfleet.DeliveryDue {
			t.Fatalf("rolled back to %+v, %v; want version %d", got, err, was.ID)
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.CertificateAgain(ctx, f.cert.ID, true)
			return err
		})
		if d := at(t, db, was.ID, g[0].ID); d.State != certfleet.DeliverySuperseded || d.Rollback {
			t.Errorf("after force the rollback is %+v", d)
		}
		if d := at(t, db, newest.ID, g[1].ID); d.Held || !d.DueAt.Equal(now) {
			t.Errorf("after force a member has %+v", d)
		}
	})
}

func TestATargetsPaceIsKept(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		g := f.group(t, db)
		ctx := t.Context()
		d := at(t, db, f.version.ID, g[0].ID)
		if list, err := db.DueDeliveriesBut(ctx, []int64{g[0].ID, 1 << 40}, now, 10); err != nil || len(list) != 0 {
			t.Errorf("due beside a resting target: %v, %v", list, err)
		}
		full := now.Add(time.Minute)
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if at, err := tx.LockTarget(ctx, &g[0]); err != nil || !at.IsZero() {
				t.Errorf("a fresh bucket is full at %v, %v", at, err)
			}
			return tx.SetPace(ctx, g[0].ID, full)
		})
		g[0].Probe = []string{"192.0.2.7:443"}
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.SaveTarget(ctx, &g[0]); err != nil {
				return err
			}
			if at, err := tx.LockTarget(ctx, &g[0]); err != nil || !at.Equal(full) {
				t.Errorf("the bucket is full at %v, %v; want %v", at, err, full)
			}
			got, err := tx.ClaimDeliveries(ctx, []certfleet.Delivery{*d, *d}, "a", now.Add(time.Minute))
			if err != nil || len(got) != 1 {
				t.Errorf("claimed %d, %v; want one, as the second is taken", len(got), err)
			}
			return nil
		})
		g[0].Paused = true
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveTarget(ctx, &g[0]) })
		if err := try(t, db, func(ctx context.Context, tx *store.Tx) error { _, err := tx.LockTarget(ctx, &g[0]); return err }); !errors.Is(err, store.ErrStale) {
			t.Errorf("a target that was paused meanwhile is handed something: %v", err)
		}
		for i, want := range []bool{false, true, true} {
			if busy, err := db.GroupBusy(ctx, &g[i], now); err != nil || busy != want {
				t.Errorf("for %s the group is busy: %v, %v", g[i].Label, busy, err)
			}
		}
		second := f.addVersion(t, db, f.cert.ID, "beef")
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.WantDeliveries(ctx, second) })
		fresh := at(t, db, second.ID, g[0].ID)
		if list, err := db.DueSiblings(ctx, fresh, now, 10); err != nil || len(list) != 0 {
			t.Errorf("while the older version is on its way: %v, %v", list, err)
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.ReleaseDelivery(ctx, d.ID, "somebody else"), tx.ReleaseDelivery(ctx, d.ID, "a"))
		})
		if list, err := db.DueSiblings(ctx, fresh, now, 10); err != nil || len(list) != 1 {
			t.Errorf("after it was given up: %v, %v", list, err)
		}
		if n, err := db.CountServed(ctx); err != nil || n != 0 {
			t.Errorf("%d are served, %v", n, err)
		}
	})
}

// TestALongQueueHidesNoOtherTarget has more waiting for a resting target than is
// read of the queue.
func TestALongQueueHidesNoOtherTarget(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		g := f.group(t, db)
		series := "WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 2500) "
		for _, q := range []string{
			"INSERT INTO version (id, tenant_id, certificate_id, origin, names, serial, fingerprint, spki, issuer, not_before, not_after, chain_pem, created_at) " + series +
				"SELECT 1000+i, 1, $1, 'issued', '[]', 's' || i, 'f' || i, 'p' || i, 'x', 1, 2, CAST('' AS BLOB), 1 FROM s",
			"INSERT INTO delivery (tenant_id, version_id, target_id, certificate_id, state, due_at, created_at) " + series +
				fmt.Sprintf("SELECT 1, 1000+i, %d, $1, 'due', i, 1 FROM s", g[1].ID),
		} {
			if db.Postgres() {
				q = strings.ReplaceAll(q, "BLOB", "BYTEA")
			}
			if _, err := db.Raw().Exec(q, f.cert.ID); err != nil {
				t.Fatal(err)
			}
		}
		seen := at(t, db, f.version.ID, g[2].ID)
		seen.State, seen.DueAt, seen.Held = certfleet.DeliveryServed, now, false
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveDelivery(ctx, seen) })
		hand := at(t, db, f.version.ID, g[0].ID)
		hand.DueAt = now.Add(-time.Minute) // it waits for longer, whatever there is to look at
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveDelivery(ctx, hand) })
		for _, c := range []struct {
			resting []int64
			want    []int64
		}{
			{[]int64{g[1].ID}, []int64{hand.ID, seen.ID}},
			{[]int64{g[1].ID, g[0].ID, 1 << 40}, []int64{seen.ID}},
		} {
			list, err := db.DueDeliveriesBut(t.Context(), c.resting, now, 10)
			var got []int64
			for _, d := range list {
				got = append(got, d.ID)
			}
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("while %v rest: %v, %v; want %v", c.resting, got, err, c.want)
			}
		}
		list, err := db.DueDeliveriesBut(t.Context(), []int64{1 << 40}, now, 10)
		if err != nil || len(list) != 10 || list[0].TargetID != g[1].ID {
			t.Errorf("while another rests: %v, %v; want ten of the queue", list, err)
		}
	})
}

func TestWhatWaitsForAPausedTargetIsDueWhenItIsResumed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		g := f.group(t, db)
		hour := now.Add(time.Hour)
		check := func(when string, target int64, due time.Time, problem, advice string) {
			t.Helper()
			d := at(t, db, f.version.ID, target)
			if !d.DueAt.Equal(due) || d.Problem != problem || d.Advice != advice {
				t.Errorf("%s it is due at %v: %q, %q", when, d.DueAt, d.Problem, d.Advice)
			}
		}
		putOff := func() {
			t.Helper()
			write(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.PutOff(ctx, g[0].ID, hour, "paused", "resume it", 10)
			})
		}
		putOff()
		check("that is not paused any more", g[0].ID, now, "", "")
		g[0].Paused = true
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveTarget(ctx, &g[0]) })
		putOff()
		check("put off", g[0].ID, hour, "paused", "resume it")
		held := at(t, db, f.version.ID, g[1].ID)
		check("beside it", g[1].ID, held.DueAt, held.Problem, held.Advice)
		resume := func(target int64) {
			t.Helper()
			write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.Resume(ctx, target) })
		}
		resume(g[1].ID)
		check("behind its canary", g[1].ID, held.DueAt, held.Problem, held.Advice)
		resume(g[0].ID)
		check("resumed", g[0].ID, now, "", "")
		failed := at(t, db, f.version.ID, g[0].ID)
		failed.State, failed.Problem, failed.Advice = certfleet.DeliveryFailed, "no room", "make room"
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveDelivery(ctx, failed) })
		putOff()
		check("that failed and is put off", g[0].ID, hour, "no room", "make room")
	})
}
