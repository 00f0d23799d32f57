package store_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

func TestServingIsWhatTheSlotsOfANameAndItsWildcardHold(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		other := f.addVersion(t, db, f.cert.ID, "beef")
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			for n, v := range map[string]int64{"shop.example.com": f.version.ID, "*.example.com": other.ID, "far.example.org": other.ID} {
				if err := tx.FillSlot(ctx, certfleet.Slot{Name: name(t, n), Kind: certfleet.SlotECDSA, VersionID: v}); err != nil {
					return err
				}
			}
			return nil
		})
		got, err := db.ServingOf(t.Context(), 1, name(t, "shop.example.com"), name(t, "*.example.com"))
		if err != nil || len(got) != 2 {
			t.Fatalf("%+v, %v", got, err)
		}
		for _, s := range got {
			want := map[string]int64{"shop.example.com": f.version.ID, "*.example.com": other.ID}[s.Name.String()]
			if s.VersionID != want || s.KeyID != f.key.ID || s.NotAfter.IsZero() || s.Revoked || s.Slot != certfleet.SlotECDSA {
				t.Errorf("%+v", s)
			}
		}
		if got, err := db.ServingOf(t.Context(), 1, name(t, "far.example.org"), certfleet.Name{}); err != nil || len(got) != 1 {
			t.Errorf("without a wildcard: %+v, %v", got, err)
		}
		if got, err := db.ServingOf(t.Context(), 2, name(t, "shop.example.com"), certfleet.Name{}); err != nil || len(got) != 0 {
			t.Errorf("another tenant's: %+v, %v", got, err)
		}
	})
}

func TestLookupsAreCountedByEdgeVersionAndHour(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		add := func(edge string, at time.Time, n int64) {
			write(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.AddLookup(ctx, store.Lookup{Edge: edge, VersionID: f.version.ID, Hour: at, N: n})
			})
		}
		hour := now.Truncate(time.Hour)
		add("a", hour.Add(time.Minute), 2)
		add("a", hour.Add(2*time.Minute), 3)
		add("b", hour, 1)
		add("a", hour.Add(-time.Hour), 7)
		got, err := db.LookupsOf(t.Context(), f.version.ID, 10)
		if err != nil || len(got) != 3 || got[0].N != 5 || got[0].Edge != "a" || !got[0].Hour.Equal(hour) || got[2].N != 7 {
			t.Errorf("%+v, %v", got, err)
		}
		var gone int64
		write(t, db, func(ctx context.Context, tx *store.Tx) (err error) {
			gone, err = tx.ForgetLookups(ctx, hour, 10)
			return err
		})
		if left, err := db.LookupsOf(t.Context(), f.version.ID, 10); gone != 1 || err != nil || len(left) != 2 {
			t.Errorf("forgot %d, left %+v, %v", gone, left, err)
		}
	})
}

func TestWhatATargetShouldHoldIsReadByCertificate(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		second := f.addCertificate(t, db, "blog", "blog.example.com")
		newer := f.addVersion(t, db, f.cert.ID, "beef")
		other := f.addVersion(t, db, second.ID, "cafe")
		want := func(v *certfleet.Version) {
			write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.WantDeliveries(ctx, v) })
		}
		want(&f.version)
		want(newer)
		want(other)
		holds := func(after int64, limit int) (versions []int64) {
			list, err := db.HoldsAt(t.Context(), f.target.ID, after, limit)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range list {
				versions = append(versions, d.VersionID)
			}
			return versions
		}
		if got := holds(0, 10); !slices.Equal(got, []int64{newer.ID, other.ID}) {
			t.Errorf("versions %v should be there, want the newest of each: %d and %d", got, newer.ID, other.ID)
		}
		if got := holds(f.cert.ID, 10); !slices.Equal(got, []int64{other.ID}) {
			t.Errorf("after the first certificate %v", got)
		}
		if got := holds(0, 1); !slices.Equal(got, []int64{newer.ID}) {
			t.Errorf("a page of one is %v", got)
		}
		d := deliveryOf(t, db, other.ID)
		d.Held = true
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveDelivery(ctx, d) })
		if got := holds(f.cert.ID, 10); len(got) != 0 {
			t.Errorf("what waits for a canary is to be there: %v", got)
		}
		if n, err := db.CountAt(t.Context(), f.target.ID); err != nil || n != 2 {
			t.Errorf("%d certificates go there, %v", n, err)
		}
	})
}
