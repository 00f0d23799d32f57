package store_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// walk turns pages of three until the end and returns the ids as they came.
func walk[T any](t *testing.T, id func(*T) int64, page func(after store.Cursor, limit int) ([]T, store.Cursor, error)) []int64 {
	t.Helper()
	var ids []int64
	var c store.Cursor
	for range 100 {
		list, next, err := page(c, 3)
		if err != nil {
			t.Fatal(err)
		}
		for i := range list {
			ids = append(ids, id(&list[i]))
		}
		if next == (store.Cursor{}) {
			return ids
		}
		c = next
	}
	t.Fatal("the pages do not end")
	return nil
}

func TestPagesHaveNoGapAndNoRepeat(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		const n = 10
		f := newFleet(t, db)
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.WantDeliveries(ctx, &f.version) })
		for i := 1; i < n; i++ {
			f.addRows(t, db, i)
		}
		ctx := t.Context()
		// Half of the certificates share a moment, so that the id must break the tie.
		soon, expiry := now.Add(5*time.Hour), now.Add(1000*time.Hour)
		for _, c := range []struct {
			list string
			want int
			got  []int64
		}{
			{"certificates", n, walk(t, func(v *certfleet.Certificate) int64 { return v.ID }, func(c store.Cursor, l int) ([]certfleet.Certificate, store.Cursor, error) {
				return db.Certificates(ctx, store.CertificateFilter{After: c, Limit: l})
			})},
			{"certificates by due time", n, walk(t, func(v *certfleet.Certificate) int64 { return v.ID }, func(c store.Cursor, l int) ([]certfleet.Certificate, store.Cursor, error) {
				return db.Certificates(ctx, store.CertificateFilter{After: c, Limit: l, DueBefore: soon})
			})},
			{"certificates that are due some time", n, walk(t, func(v *certfleet.Certificate) int64 { return v.ID }, func(c store.Cursor, l int) ([]certfleet.Certificate, store.Cursor, error) {
				return db.Certificates(ctx, store.CertificateFilter{After: c, Limit: l, State: "due"})
			})},
			{"certificates by expiry", n - 1, walk(t, func(v *certfleet.Certificate) int64 { return v.ID }, func(c store.Cursor, l int) ([]certfleet.Certificate, store.Cursor, error) {
				return db.Certificates(ctx, store.CertificateFilter{After: c, Limit: l, ExpiresBefore: expiry})
			})},
			{"certificates by label", n - 1, walk(t, func(v *certfleet.Certificate) int64 { return v.ID }, func(c store.Cursor, l int) ([]certfleet.Certificate, store.Cursor, error) {
				return db.Certificates(ctx, store.CertificateFilter{After: c, Limit: l, Labels: certfleet.Labels{"team": "web"}})
			})},
			{"domains", n, walk(t, func(v *certfleet.Domain) int64 { return v.ID }, func(c store.Cursor, l int) ([]certfleet.Domain, store.Cursor, error) {
				return db.Domains(ctx, store.DomainFilter{After: c, Limit: l})
			})},
			{"domains by part", n - 1, walk(t, func(v *certfleet.Domain) int64 { return v.ID }, func(c store.Cursor, l int) ([]certfleet.Domain, store.Cursor, error) {
				return db.Domains(ctx, store.DomainFilter{After: c, Limit: l, Part: "Host"})
			})},
			{"orders", n, walk(t, func(v *certfleet.Order) int64 { return v.ID }, func(c store.Cursor, l int) ([]certfleet.Order, store.Cursor, error) {
				return db.Orders(ctx, store.OrderFilter{After: c, Limit: l, State: "live"})
			})},
			{"versions", n, walk(t, func(v *certfleet.Version) int64 { return v.ID }, func(c store.Cursor, l int) ([]certfleet.Version, store.Cursor, error) {
				return db.Versions(ctx, store.VersionFilter{After: c, Limit: l, KeyID: f.key.ID})
			})},
			{"deliveries", n, walk(t, func(v *certfleet.Delivery) int64 { return v.ID }, func(c store.Cursor, l int) ([]certfleet.Delivery, store.Cursor, error) {
				return db.Deliveries(ctx, store.DeliveryFilter{After: c, Limit: l, State: "open"})
			})},
			{"authorizations", n - 1, walk(t, func(v *certfleet.Authorization) int64 { return v.ID }, func(c store.Cursor, l int) ([]certfleet.Authorization, store.Cursor, error) {
				return db.Authorizations(ctx, store.AuthorizationFilter{After: c, Limit: l, Status: "pending"})
			})},
			{"challenges", n - 1, walk(t, func(v *certfleet.StoredChallenge) int64 { return v.ID }, func(c store.Cursor, l int) ([]certfleet.StoredChallenge, store.Cursor, error) {
				return db.Challenges(ctx, store.AuthorizationFilter{After: c, Limit: l, Status: "pending"})
			})},
			{"events", n, walk(t, func(v *certfleet.Event) int64 { return v.ID }, func(c store.Cursor, l int) ([]certfleet.Event, store.Cursor, error) {
				return db.Events(ctx, store.EventFilter{After: c, Limit: l, Kind: "order.wanted", Since: now})
			})},
			{"keys", 1, walk(t, func(v *certfleet.Key) int64 { return v.ID }, func(c store.Cursor, l int) ([]certfleet.Key, store.Cursor, error) {
				return db.Keys(ctx, store.KeyFilter{After: c, Limit: l, Use: "certificate", CertificateID: f.cert.ID})
			})},
			{"targets", n, walk(t, func(v *certfleet.StoredTarget) int64 { return v.ID }, func(c store.Cursor, l int) ([]certfleet.StoredTarget, store.Cursor, error) {
				return db.Targets(ctx, 0, nil, c, l)
			})},
			{"targets by label", n - 1, walk(t, func(v *certfleet.StoredTarget) int64 { return v.ID }, func(c store.Cursor, l int) ([]certfleet.StoredTarget, store.Cursor, error) {
				return db.Targets(ctx, 0, certfleet.Labels{"team": "web"}, c, l)
			})},
		} {
			distinct := slices.Compact(slices.Sorted(slices.Values(c.got)))
			if len(c.got) != c.want || len(distinct) != c.want {
				t.Errorf("%s: got %v, want %d different ids", c.list, c.got, c.want)
			}
		}
	})
}

// addRows makes one more row of everything that is listed in pages.
func (f *fleet) addRows(t *testing.T, db *store.DB, i int) {
	t.Helper()
	c := f.addCertificate(t, db, fmt.Sprintf("c%d", i), fmt.Sprintf("host-%d.example.net", i))
	o := f.addOrder(t, db, c.ID)
	v := f.addVersion(t, db, c.ID, fmt.Sprintf("%04d", i))
	write(t, db, func(ctx context.Context, tx *store.Tx) error {
		c.Labels = certfleet.Labels{"team": "web", "n": fmt.Sprint(i)}
		c.DueAt = now.Add(time.Duration(i/2) * time.Minute)
		c.NotAfter = now.Add(time.Duration(i/2) * time.Hour)
		if err := tx.ReplaceCertificate(ctx, c, "operator"); err != nil {
			return err
		}
		a := &certfleet.Authorization{OrderID: o.ID, URL: fmt.Sprint("https://ca.example/a/", i), Name: c.Names[0], Status: "pending"}
		if err := tx.SeeAuthorization(ctx, a); err != nil {
			return err
		}
		ch := &certfleet.StoredChallenge{OrderID: o.ID, AuthorizationID: a.ID, Type: certfleet.HTTP01, Name: c.Names[0], Token: fmt.Sprint("token", i), KeyAuth: "ka"}
		if err := tx.IntendChallenge(ctx, ch); err != nil {
			return err
		}
		if err := tx.AddTarget(ctx, &certfleet.StoredTarget{Label: fmt.Sprintf("t%d", i), Type: "files", Labels: certfleet.Labels{"team": "web"}}); err != nil {
			return err
		}
		return tx.WantDeliveries(ctx, v)
	})
}

func TestCertificateFiltersPickTheRightOnes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		mk := func(label string, change func(*certfleet.Certificate)) {
			c := f.addCertificate(t, db, label, label+".example.net")
			change(c)
			write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.ReplaceCertificate(ctx, c, "operator") })
		}
		mk("paused", func(c *certfleet.Certificate) { c.State = certfleet.Paused; c.DueAt = time.Time{} })
		mk("removed", func(c *certfleet.Certificate) { c.State = certfleet.Removed; c.DueAt = time.Time{}; c.Failures = 2 })
		mk("failing", func(c *certfleet.Certificate) { c.Failures = 1; c.DueAt = now.Add(time.Hour) })
		mk("has", func(c *certfleet.Certificate) {
			v := f.addVersion(t, db, c.ID, "face")
			c.VersionID, c.NotAfter, c.Targets, c.DueAt = v.ID, v.NotAfter, nil, time.Time{}
		})
		for _, c := range []struct {
			name string
			f    store.CertificateFilter
			want []string
		}{
			{"none removed by default", store.CertificateFilter{}, []string{"shop", "paused", "failing", "has"}},
			{"all", store.CertificateFilter{State: "all"}, []string{"shop", "paused", "removed", "failing", "has"}},
			{"paused", store.CertificateFilter{State: "paused"}, []string{"paused"}},
			{"failing", store.CertificateFilter{State: "failing"}, []string{"failing"}},
			{"due", store.CertificateFilter{State: "due"}, []string{"shop", "failing"}},
			{"due before", store.CertificateFilter{DueBefore: now}, []string{"shop"}},
			{"without a version", store.CertificateFilter{State: "none"}, []string{"shop", "paused", "failing"}},
			{"issuer", store.CertificateFilter{Issuer: "CN=R11"}, []string{"has"}},
			{"another issuer", store.CertificateFilter{Issuer: "CN=R12"}, nil},
			{"profile", store.CertificateFilter{Profile: "tlsserver"}, nil},
			{"policy", store.CertificateFilter{Policy: "default"}, []string{"shop", "paused", "failing", "has"}},
			{"unknown policy", store.CertificateFilter{Policy: "other"}, nil},
			{"target", store.CertificateFilter{Target: "edge-1"}, []string{"shop", "paused", "failing"}},
			{"tenant", store.CertificateFilter{Tenant: 7}, nil},
		} {
			list, _, err := db.Certificates(t.Context(), c.f)
			var got []string
			for _, v := range list {
				got = append(got, v.Label)
			}
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%s: got %v, %v; want %v", c.name, got, err, c.want)
			}
		}
	})
}
