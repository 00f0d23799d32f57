package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

func TestALaneIsListedLongestDueFirst(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		for i, c := range []struct {
			lane certfleet.Lane
			ago  time.Duration
		}{{certfleet.LaneBackfill, 2}, {certfleet.LaneBackfill, 3}, {certfleet.LaneBackfill, -1}, {certfleet.LaneRoutine, 5}, {certfleet.LaneBackfill, 1}} {
			cert := f.addCertificate(t, db, fmt.Sprint("c", i), fmt.Sprintf("c%d.example.net", i))
			cert.Lane, cert.DueAt = c.lane, now.Add(-c.ago*time.Minute)
			if i == 4 {
				cert.State = certfleet.Parked
			}
			write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveCertificate(ctx, cert) })
		}
		list, err := db.DueInLane(t.Context(), certfleet.LaneBackfill, "", now, 10)
		if err != nil || len(list) != 2 || !list[0].At.Equal(now.Add(-3*time.Minute)) || !list[1].At.Equal(now.Add(-2*time.Minute)) {
			t.Errorf("due in the lane: %+v, %v; want the second and the first", list, err)
		}
		n, err := db.OrdersAhead(t.Context(), now, 5)
		if err != nil || n != 1 {
			t.Errorf("%d orders ahead, %v; want the fleet's", n, err)
		}
	})
}

func TestTenantsOfALongLaneAreListedInTurn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		for i, tenant := range strings.Fields("a a a a b b - c later") {
			c := f.addCertificate(t, db, fmt.Sprint("c", i), fmt.Sprintf("c%d.example.net", i))
			c.Lane, c.Labels = certfleet.LaneBackfill, certfleet.Labels{"tenant": strings.Trim(tenant, "-")}
			if tenant == "later" {
				c.DueAt = now.Add(time.Hour)
			}
			write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.ReplaceCertificate(ctx, c, "operator") })
		}
		for _, c := range []struct {
			after   string
			tenants int
			want    string
		}{{"", 9, "a a b b c -"}, {"a", 2, "b b c"}, {"b", 3, "c a a -"}, {"zzz", 2, "a a b b -"}} {
			list, err := db.DueByShare(t.Context(), certfleet.LaneBackfill, "", c.after, now, c.tenants, 2)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range list {
				got = append(got, map[bool]string{true: "-", false: d.Share}[d.Share == ""])
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("%d tenants after %q: %s; want %s", c.tenants, c.after, s, c.want)
			}
		}
	})
}

func TestLittleLifeLeftRaisesTheLane(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		f.cert.Lane, f.cert.UrgentAt, f.cert.DueAt = certfleet.LaneBackfill, now.Add(time.Hour), now.Add(3*time.Hour)
		f.order.DueAt = now.Add(9 * time.Hour)
		room := store.Bucket{Key: "k", Name: "n", FreeAt: now.Add(2 * time.Hour)}
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.SaveOrder(ctx, &f.order); err != nil {
				return err
			}
			return tx.WaitFor(ctx, &f.cert, room)
		})
		if at, err := db.NextDue(t.Context()); err != nil || !at.Equal(f.cert.UrgentAt) {
			t.Errorf("next due %v, %v; want the raise", at, err)
		}
		for _, c := range []struct {
			at   time.Time
			want int
		}{{now, 0}, {now.Add(time.Hour), 1}} {
			list, err := db.DueRaises(t.Context(), c.at, 10)
			if err != nil || len(list) != c.want {
				t.Errorf("at %s: %+v, %v; want %d", c.at, list, err, c.want)
			}
			err = db.Tx(t.Context(), c.at, func(tx *store.Tx) error { return tx.Raise(t.Context(), f.cert.ID) })
			if err != nil {
				t.Fatal(err)
			}
		}
		got, err := db.DueInLane(t.Context(), certfleet.LaneExpiring, "k", now.Add(9*time.Hour), 10)
		if err != nil || len(got) != 1 {
			t.Errorf("in the room, among the expiring: %+v, %v", got, err)
		}
		if list, err := db.DueRaises(t.Context(), now.Add(time.Hour), 10); err != nil || len(list) != 0 {
			t.Errorf("raised, and still to raise: %+v, %v", list, err)
		}
	})
}

func TestEveryLaneHasAPage(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		for i := range 4 * len(certfleet.Lanes) {
			c := f.addCertificate(t, db, fmt.Sprint("c", i), fmt.Sprintf("c%d.example.net", i))
			c.Lane, c.DueAt = certfleet.Lanes[i%len(certfleet.Lanes)], now.Add(time.Duration(i-22)*time.Second)
			write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveCertificate(ctx, c) })
		}
		list, err := db.DueByLane(t.Context(), now, 2)
		if err != nil || len(list) != 2*len(certfleet.Lanes) {
			t.Fatalf("%+v, %v; want two of each lane", list, err)
		}
		for i, d := range list {
			if d.Lane != certfleet.Lanes[i/2] || i%2 == 1 && !list[i-1].At.Before(d.At) {
				t.Errorf("at %d: %+v; want lanes in order, longest due first", i, d)
			}
		}
	})
}
