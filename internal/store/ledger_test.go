package store_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// bucketsOf reads buckets as the next transaction sees them.
func bucketsOf(t *testing.T, db *store.DB, keys ...string) (out map[string]store.Bucket) {
	t.Helper()
	write(t, db, func(ctx context.Context, tx *store.Tx) (err error) {
		out, err = tx.LockBuckets(ctx, keys)
		return err
	})
	return out
}

func TestBucketsAreKeptWhileTheyTellSomething(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		at := now.Add(time.Hour + 300*time.Microsecond)
		used := store.Bucket{Key: "ca|us|new-orders|", Name: "new-orders", N: 300, Period: 3 * time.Hour, Burst: 5, FullAt: at, Held: 2}
		full := store.Bucket{Key: "ca||certificates-per-set|a", Name: "certificates-per-set", FullAt: now}
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if _, err := tx.LockBuckets(ctx, []string{used.Key, full.Key, used.Key}); err != nil {
				return err
			}
			return tx.SaveBuckets(ctx, []store.Bucket{used, full})
		})
		got := bucketsOf(t, db, used.Key, full.Key)
		want := used
		want.FullAt = now.Add(time.Hour + time.Millisecond) // up: never fuller for being stored
		if b := got[used.Key]; !same(b, want) {
			t.Errorf("the bucket comes back as %+v, want %+v", b, want)
		}
		list, err := db.BucketsOf(t.Context(), "certificates-per-set", 10)
		if b := got[full.Key]; b.Held != 0 || !b.FreeAt.IsZero() || err != nil || len(list) != 0 {
			t.Errorf("a full bucket comes back as %+v and is listed as %+v, %v; want no row", b, list, err)
		}
		if list, err := db.BucketsOf(t.Context(), "new-orders", 10); err != nil || len(list) != 1 {
			t.Errorf("buckets of new-orders: %+v, %v", list, err)
		}
		some, err := db.BucketsIn(t.Context(), []string{full.Key, used.Key})
		if err != nil || len(some) != 1 || !same(some[used.Key], want) {
			t.Errorf("buckets by their keys: %+v, %v; want the one that is used", some, err)
		}
	})
}

func TestABucketIsOneNodesAtATime(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var all sync.WaitGroup
		keys := []string{"b", "a", "c"}
		for i := range 24 {
			all.Go(func() {
				mine := slices.Clone(keys)
				slices.Reverse(mine[:1+i%3])
				err := db.Tx(t.Context(), now, func(tx *store.Tx) error {
					got, err := tx.LockBuckets(t.Context(), mine)
					if err != nil {
						return err
					}
					var out []store.Bucket
					for _, b := range got {
						b.Held++
						out = append(out, b)
					}
					return tx.SaveBuckets(t.Context(), out)
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for k, b := range bucketsOf(t, db, keys...) {
			if b.Held != 24 {
				t.Errorf("bucket %s is held %d times after 24 transactions", k, b.Held)
			}
		}
	})
}

func TestHoldsAreKeptByOrder(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		want := []store.Touch{{Key: "k", When: "asked", N: 3, Period: time.Hour}, {Key: "l", When: "issued", Free: true}}
		for _, list := range [][]store.Touch{want[:1], want, nil} {
			write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.Hold(ctx, f.order.ID, list) })
			if got, err := db.HeldBy(t.Context(), f.order.ID); err != nil || !reflect.DeepEqual(got, list) {
				t.Errorf("held by the order: %+v, %v; want %+v", got, err, list)
			}
		}
	})
}

func TestWhoWaitsForALimitIsLeftAloneUntilItFrees(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		ctx := t.Context()
		f.order.DueAt = now.Add(9 * time.Hour)
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveOrder(ctx, &f.order) })
		room := store.Bucket{Key: "ca|us|new-orders|", Name: "new-orders", FreeAt: now.Add(time.Hour)}
		f.cert.DueAt, f.cert.Lane = now.Add(time.Minute), certfleet.LaneBackfill
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.WaitFor(ctx, &f.cert, room) })
		later := now.Add(2 * time.Hour)
		look := func() string {
			lane, e1 := db.DueInLane(ctx, certfleet.LaneBackfill, "", later, 10)
			inside, e2 := db.DueInLane(ctx, certfleet.LaneBackfill, room.Key, later, 10)
			closed, e3 := db.OpenRooms(ctx, now, 10)
			open, e4 := db.OpenRooms(ctx, room.FreeAt, 10)
			count, e5 := db.Rooms(ctx)
			next, e6 := db.NextDue(ctx)
			early, e7 := db.LetIn(ctx, f.cert.ID, now)
			in, e8 := db.LetIn(ctx, f.cert.ID, room.FreeAt)
			if early || in != (len(inside) == 1) {
				t.Errorf("it is let in early: %v, in time: %v; in its room are %+v", early, in, inside)
			}
			for _, err := range []error{e1, e2, e3, e4, e5, e6, e7, e8} {
				if err != nil {
					t.Fatal(err)
				}
			}
			return fmt.Sprint(len(lane), len(inside), len(closed), len(open), count[room.Key], " ", next.Sub(now))
		}
		if got := look(); got != "0 1 0 1 1 1h0m0s" {
			t.Errorf("while it waits: %s", got)
		}
		cert, err := db.Certificate(ctx, f.cert.ID)
		if err != nil {
			t.Fatal(err)
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveCertificate(ctx, cert) })
		if got := look(); got != "1 0 0 0 0 1m0s" {
			t.Errorf("after another write: %s", got)
		}
	})
}

func TestAClearedLimitLetsInWhoWaits(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		ctx := t.Context()
		key := "ca|us|new-orders|"
		b := store.Bucket{Key: key, Name: "new-orders", N: 1, Period: time.Hour, FullAt: now.Add(time.Hour), Held: 1, FreeAt: now.Add(time.Hour)}
		clear := func(k string) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.ClearLimit(ctx, k) })
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.Pause(ctx, key, time.Time{}, "until a person helps"); err != nil {
				return err
			}
			return tx.WaitFor(ctx, &f.cert, b)
		})
		keys := []string{"other", key}
		if p, err := db.PausesOf(ctx, now.AddDate(1, 0, 0), keys); err != nil || len(p) != 1 || !p[0].Until.IsZero() {
			t.Errorf("a year later the pauses are %+v, %v; want the one that waits for a person", p, err)
		}
		if err := clear(key); err != nil {
			t.Fatal(err)
		}
		got := bucketsOf(t, db, key)[key]
		rooms, err := db.OpenRooms(ctx, now, 10)
		if err != nil || len(rooms) != 1 || !got.FullAt.IsZero() || got.Held != 1 {
			t.Errorf("after clearing: %+v, open rooms %+v, %v; want full, held once, open", got, rooms, err)
		}
		if p, err := db.PausesOf(ctx, now, keys); err != nil || len(p) != 0 {
			t.Errorf("pauses %+v, %v; want none", p, err)
		}
		if err := clear("nothing"); certfleet.KindOf(err) != certfleet.NotFound {
			t.Errorf("an unknown key: %v", err)
		}
	})
}

func TestRetentionDropsBucketsThatTellNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		day := 24 * time.Hour
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.Pause(ctx, "gone", now.Add(time.Hour), "x"); err != nil {
				return err
			}
			return tx.SaveBuckets(ctx, []store.Bucket{
				{Key: "full by then", Name: "n", FullAt: now.Add(time.Hour)}, {Key: "used", Name: "n", FullAt: now.Add(2 * day)},
				{Key: "held", Name: "n", FullAt: now.Add(time.Hour), Held: 1}, {Key: "empty room", Name: "n", FullAt: now.Add(time.Hour), FreeAt: now.Add(time.Hour)},
			})
		})
		err := db.Tx(t.Context(), now.Add(day), func(tx *store.Tx) error {
			_, err := tx.Age(t.Context(), now, now, 100)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		list, err := db.BucketsOf(t.Context(), "n", 10)
		if err != nil || len(list) != 2 || list[0].Key != "used" || list[1].Key != "held" {
			t.Errorf("buckets left: %+v, %v", list, err)
		}
		if p, err := db.PausesOf(t.Context(), now, []string{"gone"}); err != nil || len(p) != 0 {
			t.Errorf("pauses left: %+v, %v", p, err)
		}
	})
}

func TestOverridesArePerTenant(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		o := store.LimitOverride{Tenant: 1, Authority: "ca", Account: "https://ca.example/acct/1", Name: "new-orders", N: 1000, Period: 3 * time.Hour}
		theirs := o
		theirs.Tenant = 2
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.SetOverride(ctx, theirs); err != nil {
				return err
			}
			if err := tx.SetOverride(ctx, o); err != nil {
				return err
			}
			o.N = 5000
			return tx.SetOverride(ctx, o)
		})
		o.CreatedAt = now
		if list, err := db.Overrides(t.Context(), 0); err != nil || len(list) != 1 || !same(list[0], o) {
			t.Errorf("overrides %+v, %v; want %+v", list, err, o)
		}
		remove := func() error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.RemoveOverride(ctx, o) })
		}
		if err := remove(); err != nil {
			t.Fatal(err)
		}
		if err := remove(); certfleet.KindOf(err) != certfleet.NotFound {
			t.Errorf("removed twice: %v", err)
		}
	})
}
