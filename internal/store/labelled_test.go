package store_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// byLabel turns the pages of every list of what belongs to certificates.
func byLabel(t *testing.T, db *store.DB, l certfleet.Labels) map[string][]int64 {
	t.Helper()
	ctx := t.Context()
	return map[string][]int64{
		"orders": walk(t, func(v *certfleet.Order) int64 { return v.CertificateID }, func(c store.Cursor, n int) ([]certfleet.Order, store.Cursor, error) {
			return db.Orders(ctx, store.OrderFilter{After: c, Limit: n, Labels: l})
		}),
		"authorizations": walk(t, func(v *certfleet.Authorization) int64 { return v.OrderID }, func(c store.Cursor, n int) ([]certfleet.Authorization, store.Cursor, error) {
			return db.Authorizations(ctx, store.AuthorizationFilter{After: c, Limit: n, Labels: l})
		}),
		"challenges": walk(t, func(v *certfleet.StoredChallenge) int64 { return v.OrderID }, func(c store.Cursor, n int) ([]certfleet.StoredChallenge, store.Cursor, error) {
			return db.Challenges(ctx, store.AuthorizationFilter{After: c, Limit: n, Labels: l})
		}),
		"versions": walk(t, func(v *certfleet.Version) int64 { return v.CertificateID }, func(c store.Cursor, n int) ([]certfleet.Version, store.Cursor, error) {
			return db.Versions(ctx, store.VersionFilter{After: c, Limit: n, Labels: l})
		}),
		"keys": walk(t, func(v *certfleet.Key) int64 { return v.ID }, func(c store.Cursor, n int) ([]certfleet.Key, store.Cursor, error) {
			return db.Keys(ctx, store.KeyFilter{After: c, Limit: n, Labels: l})
		}),
		"deliveries": walk(t, func(v *certfleet.Delivery) int64 { return v.CertificateID }, func(c store.Cursor, n int) ([]certfleet.Delivery, store.Cursor, error) {
			return db.Deliveries(ctx, store.DeliveryFilter{After: c, Limit: n, Labels: l})
		}),
		"events": walk(t, func(v *certfleet.Event) int64 { return v.CertificateID }, func(c store.Cursor, n int) ([]certfleet.Event, store.Cursor, error) {
			return db.Events(ctx, store.EventFilter{After: c, Limit: n, Labels: l, Kind: "order.wanted"})
		}),
	}
}

func TestListsAreNarrowedByTheLabelsOfCertificates(t *testing.T) {
	for _, few := range []bool{true, false} {
		t.Run(fmt.Sprintf("few=%v", few), func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				if !few {
					store.Walked(t, 2)
				}
				f := newFleet(t, db)
				for i := 1; i <= 8; i++ {
					f.addRows(t, db, i) // team=web, n=i
				}
				for list, got := range byLabel(t, db, certfleet.Labels{"team": "web"}) {
					want := 8
					if list == "keys" {
						want = 1
					}
					if len(got) != want || !slices.IsSortedFunc(got, func(a, b int64) int { return int(b - a) }) {
						t.Errorf("%s of team web: %v, want %d, newest first", list, got, want)
					}
				}
				for list, got := range byLabel(t, db, certfleet.Labels{"team": "web", "n": "3"}) {
					if len(got) != 1 {
						t.Errorf("%s of team web and n 3: %v, want one", list, got)
					}
				}
				for list, got := range byLabel(t, db, certfleet.Labels{"team": "web", "n": "9"}) {
					if len(got) != 0 {
						t.Errorf("%s of nobody: %v", list, got)
					}
				}
			})
		})
	}
}

func TestWhichCertificatesCarryAllLabels(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		var ids []int64
		for i, l := range []certfleet.Labels{{"a": "1", "b": "2"}, {"a": "1"}, nil} {
			c := f.addCertificate(t, db, fmt.Sprintf("c%d", i), fmt.Sprintf("c%d.example.net", i))
			c.Labels = l
			write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.ReplaceCertificate(ctx, c, "operator") })
			ids = append(ids, c.ID, c.ID)
		}
		got, err := db.WhichCarry(t.Context(), ids, certfleet.Labels{"a": "1", "b": "2"})
		maps.DeleteFunc(got, func(_ int64, has bool) bool { return !has })
		if err != nil || len(got) != 1 || !got[ids[0]] {
			t.Errorf("got %v, %v; want certificate %d alone", got, err, ids[0])
		}
	})
}

func TestCertificatesAreCalledByTheirLabels(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		got, err := db.CertificateLabels(t.Context(), []int64{f.cert.ID, f.cert.ID, 1 << 40})
		if err != nil || len(got) != 1 || got[f.cert.ID] != "shop" {
			t.Errorf("got %v, %v", got, err)
		}
	})
}
