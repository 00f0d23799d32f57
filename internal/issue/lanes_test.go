package issue_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/fakeca"
	"github.com/certfleet/certfleet/internal/plan"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/trial"
)

// crowd adds certificates of one name each to a lane, due since a while.
func (f *fleet) crowd(lane certfleet.Lane, tenant string, n int, since time.Duration) {
	f.Helper()
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		name, err := certfleet.ParseName("crowd.example") // one name for all: it is the rows that are many
		if err != nil {
			return err
		}
		for i := range n {
			c := &certfleet.Certificate{Label: fmt.Sprintf("%s-%s-%d", lane, tenant, i), Names: []certfleet.Name{name}, PolicyID: f.policy.ID,
				DueAt: tx.Now().Add(-since), Lane: lane, Labels: certfleet.Labels{"tenant": tenant}}
			if err := tx.AddCertificate(ctx, c, "operator"); err != nil {
				return err
			}
		}
		return nil
	})
}

// turns are who is picked in some rounds: those picked are taken out, as opening
// their orders does. Each is told as "lane tenant".
func (f *fleet) turns(rounds, room int) []map[string]int {
	f.Helper()
	var out []map[string]int
	for range rounds {
		ids, err := f.room.Due(f.Context(), time.Now(), room)
		if err != nil || len(ids) > room {
			f.Fatalf("%d picked for a room of %d: %v", len(ids), room, err)
		}
		by := map[string]int{}
		f.tx(func(ctx context.Context, tx *store.Tx) error {
			for _, id := range ids {
				c, err := tx.Certificate(ctx, id)
				if err != nil {
					return err
				}
				by[c.Lane.String()+" "+c.Labels["tenant"]]++
				c.DueAt = time.Time{}
				if err := tx.SaveCertificate(ctx, c); err != nil {
					return err
				}
			}
			return nil
		})
		out = append(out, by)
	}
	return out
}

func TestABacklogStarvesNobody(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		n := 10000
		if db.Postgres() || !trial.Full() {
			n = 1500
		}
		f := newFleet(t, db, fakeca.Options{})
		f.crowd(certfleet.LaneBackfill, "big", n, 9*time.Hour)
		f.crowd(certfleet.LaneBackfill, "small", 2, time.Second)
		f.crowd(certfleet.LaneBackfill, "tiny", 1, time.Second)
		f.crowd(certfleet.LaneNew, "big", 400, time.Hour)
		f.crowd(certfleet.LaneNew, "fresh", 1, time.Second)
		f.crowd(certfleet.LaneRoutine, "", 60, time.Minute)
		f.crowd(certfleet.LaneExpiring, "", 3, time.Second)
		sum := map[string]int{}
		rounds := f.turns(8, 32)
		for _, by := range rounds {
			for k, n := range by {
				sum[k] += n
			}
		}
		first := rounds[0]
		if first["expiring "] != 3 || first["new fresh"] != 1 || first["routine "] < 8 || first["new big"] < 8 {
			t.Errorf("the first round is %v; want the expiring, the one new customer, and a share for renewals", first)
		}
		if sum["backfill small"] != 2 || sum["backfill tiny"] != 1 || sum["backfill big"] == 0 {
			t.Errorf("eight rounds are %v; want the small migrations done and the big one on its way", sum)
		}
		if sum["routine "] != 60 {
			t.Errorf("eight rounds are %v; want all 60 renewals behind a backlog of %d", sum, n+401)
		}
	})
}

func TestNoMoreOrdersAreOpenedThanCanSoonBeDone(t *testing.T) {
	t.Parallel()
	f := newFleetAt(t, storetest.SQLite(t), "unlimited", fakeca.Options{})
	f.crowd(certfleet.LaneBackfill, "", 400, time.Minute)
	open := func() int {
		for { // open all that may be opened, and work on none
			ids, err := f.room.Due(t.Context(), time.Now(), 500)
			if err != nil {
				t.Fatal(err)
			}
			if len(ids) == 0 {
				break
			}
			for _, id := range ids {
				if err := f.room.Open(t.Context(), id, time.Now()); err != nil {
					t.Fatal(err)
				}
			}
		}
		n, err := f.db.OrdersAhead(t.Context(), time.Now(), 1000)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := open()
	f.crowd(certfleet.LaneEmergency, "", 5, time.Second)
	if after := open(); before != 300 || after != 305 {
		t.Errorf("%d orders were opened of 400, then %d with 5 emergencies; want 300 and 305", before, after)
	}
}

func TestOfThoseWhoWaitForALimitAsManyAreLetInAsItHasTokens(t *testing.T) {
	t.Parallel()
	f := newFleet(t, storetest.SQLite(t), fakeca.Options{})
	limit := plan.Limit{Name: plan.NewOrders, Count: 300, Period: 3 * time.Hour}
	f.crowd(certfleet.LaneBackfill, "big", 1500, time.Minute)
	f.crowd(certfleet.LaneBackfill, "small", 1, time.Minute)
	f.crowd(certfleet.LaneRoutine, "", 2, time.Minute)
	key := f.newOrders()
	full := func(left int) time.Time { return time.Now().Add(time.Duration(300-left) * 36 * time.Second) }
	b := store.Bucket{Key: key, Name: string(limit.Name), N: limit.Count, Period: limit.Period, FullAt: full(0), FreeAt: time.Now().Add(time.Hour)}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		list, _, err := tx.Certificates(ctx, store.CertificateFilter{Limit: 1000})
		for more := true; more && err == nil; {
			for _, c := range list {
				if err := tx.WaitFor(ctx, &c, b); err != nil {
					return err
				}
			}
			if more = len(list) == 1000; more {
				list, _, err = tx.Certificates(ctx, store.CertificateFilter{Limit: 1000, After: store.Cursor{ID: list[999].ID}})
			}
		}
		return err
	})
	if ids, err := f.room.Due(t.Context(), time.Now(), 500); err != nil || len(ids) != 0 {
		t.Errorf("%d were let in before the limit frees: %v", len(ids), err)
	}
	b.FullAt, b.FreeAt = full(4).Add(-time.Second), time.Now().Add(-time.Second)
	f.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SaveBuckets(ctx, []store.Bucket{b}) })
	by := f.turns(1, 500)[0]
	if by["routine "] != 2 || by["backfill big"]+by["backfill small"] != 2 {
		t.Errorf("with four tokens %v were let in; want both renewals and two others", by)
	}
	if next := f.turns(1, 500)[0]; by["backfill small"]+next["backfill small"] != 1 {
		t.Errorf("after %v and %v the small tenant has not had its turn", by, next)
	}
}

func TestLittleLifeLeftGoesFirst(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{}, func(f *fleet) {
		c := f.want(certfleet.LaneNew, "short.example")[0]
		f.live(time.Minute)
		got := f.certificate(c.ID)
		v, err := f.db.Version(f.Context(), got.VersionID)
		if err != nil {
			f.Fatal(err)
		}
		lead := plan.Lead(v.NotAfter.Sub(v.NotBefore))
		if want := v.NotAfter.Add(-lead / 4); !got.UrgentAt.Equal(want) || got.Lane != certfleet.LaneRoutine {
			f.Errorf("it is urgent from %s, in lane %s; want %s, routine", got.UrgentAt, got.Lane, want)
		}
		got.DueAt = got.UrgentAt.Add(time.Hour) // it was put off for long
		f.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SaveCertificate(ctx, got) })
		f.live(time.Until(got.UrgentAt) + time.Minute)
		if now := f.certificate(c.ID); now.Lane != certfleet.LaneExpiring {
			f.Errorf("with a quarter of its lead left it is in lane %s", now.Lane)
		}
	})
}
