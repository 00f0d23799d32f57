package issue_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/fakeca"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/trial"
)

var discard = slog.New(slog.DiscardHandler)

// bubble runs a story by a clock of its own.
func bubble(t *testing.T, o fakeca.Options, story func(f *fleet)) {
	t.Helper()
	file := storetest.EmptySQLiteFile(t)
	synctest.Test(t, func(t *testing.T) {
		db, err := store.Open(t.Context(), file, store.Options{Fast: true})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		story(newFleet(t, db, o))
	})
}

func TestAMigrationGoesAsFastAsTheAccountMayAndNoFaster(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	bubble(t, fakeca.Options{}, func(f *fleet) {
		f.want(certfleet.LaneBackfill, many("c%d.example", 330)...)
		f.live(10 * time.Minute)
		if n := f.issued(); n < 300 || n > 329 {
			t.Errorf("%d issued at once, want the 300 of the bucket and what came back meanwhile", n)
		}
		if why := f.reasons(); !strings.Contains(why, "new-orders") || strings.Contains(why, "\n") && !strings.Contains(why, "waits for the limit") {
			t.Errorf("the others wait because\n%s", why)
		}
		soon := f.want(certfleet.LaneWaiting, "somebody-waits.example")[0]
		f.live(time.Minute)
		if f.certificate(soon.ID).VersionID == 0 {
			t.Errorf("who waits got none of the tokens that came back: %+v", f.certificate(soon.ID))
		}
		f.live(2 * time.Hour)
		if n := f.issued(); n != 331 {
			t.Errorf("%d issued after two hours, want all 331\n%s", n, f.reasons())
		}
		f.unbroken()
	})
}

func TestALimitOnADomainLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{}, func(f *fleet) {
		f.want(certfleet.LaneNew, many("n%d.platform.example", 54)...)
		f.want(certfleet.LaneNew, many("shop%d.example", 10)...)
		f.live(10 * time.Minute)
		if n := f.issued(); n != 60 {
			t.Errorf("%d issued at once, want 50 of the domain and 10 others\n%s", n, f.reasons())
		}
		f.live(14 * time.Hour) // 202 minutes each
		if n := f.issued(); n != 64 {
			t.Errorf("%d issued after the domain's tokens came back, want 64\n%s", n, f.reasons())
		}
		f.unbroken()
	})
}

func TestNamesThatFailAreNotAskedForTooOften(t *testing.T) {
	t.Parallel()
	bad := func(_ context.Context, v fakeca.Validation) error {
		if strings.HasPrefix(v.Name, "bad") {
			return errors.New("connection refused")
		}
		return nil
	}
	bubble(t, fakeca.Options{Validate: bad}, func(f *fleet) {
		list := f.want(certfleet.LaneNew, append(many("bad%d.example", 3), "good.example,bad0.example")...)
		for range 60 {
			f.now(certfleet.LaneWaiting, list...)
			f.live(time.Minute)
		}
		f.unbroken()
		if s := f.ca.Stats(); s.Failed < 5*3 || s.Failed > 12*3 {
			t.Errorf("%d validations failed in an hour of impatience, want 5 a name and what came back", s.Failed)
		}
		if c := f.certificate(list[0].ID); c.Failures == 0 || !strings.Contains(c.DueReason, "failed-validations") {
			t.Errorf("after %d failures it is put off because of %q", c.Failures, c.DueReason)
		}
	})
}

func TestRenewalsInTheirWindowPassAFullAccount(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	bubble(t, fakeca.Options{}, func(f *fleet) {
		f.allow(30)
		renewed := f.want(certfleet.LaneNew, many("r%d.example", 10)...)
		f.live(time.Minute)
		f.intoTheWindow(renewed[0])
		f.want(certfleet.LaneEmergency, many("c%d.example", 40)...)
		f.live(30 * time.Second)
		if left := f.bucket(f.newOrders()); left.FreeAt.IsZero() {
			t.Fatalf("nobody waits for the account: %+v", left)
		}
		// The first was issued so often that its set has no token either.
		f.tx(func(ctx context.Context, tx *store.Tx) error {
			return tx.SaveBuckets(ctx, []store.Bucket{{Key: "letsencrypt||certificates-per-set|r0.example", Name: "certificates-per-set", N: 5, Period: 7 * 24 * time.Hour, FullAt: time.Now().AddDate(0, 0, 7)}})
		})
		f.now(certfleet.LaneBackfill, renewed...)
		before := f.issued()
		f.live(5 * time.Second)
		if n := f.issued() - before; n < len(renewed) {
			t.Errorf("%d of %d renewals in their window were issued while the account was full", n, len(renewed))
		}
		if s := f.ca.Stats(); s.InWindow < len(renewed) {
			t.Errorf("the CA saw %d orders in their window: %+v", s.InWindow, s)
		}
		f.unbroken()
	})
}

// allow lets the account place n orders in three hours, and says so.
func (f *fleet) allow(n int) {
	f.Helper()
	f.ca.Grant(fakeca.Override{Account: f.acct.URL, Limit: fakeca.Limit{Name: fakeca.NewOrders, Count: n, Period: 3 * time.Hour}})
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		return tx.SetOverride(ctx, store.LimitOverride{Authority: "letsencrypt", Account: f.acct.URL, Name: "new-orders", N: n, Period: 3 * time.Hour})
	})
	f.room.Forget(f.auth.ID)
}

// intoTheWindow lets time pass until the middle of a certificate's renewal
// window, and nothing else be due until then.
func (f *fleet) intoTheWindow(c *certfleet.Certificate) {
	f.Helper()
	v, err := f.db.Version(f.Context(), f.certificate(c.ID).VersionID)
	if err != nil || v.ARIStart.IsZero() {
		f.Fatalf("version %+v, %v", v, err)
	}
	f.tx(func(ctx context.Context, tx *store.Tx) error { // what is due by itself would renew too soon
		list, _, err := tx.Certificates(ctx, store.CertificateFilter{Limit: 1000})
		for _, c := range list {
			c.DueAt = time.Time{}
			if err := tx.SaveCertificate(ctx, &c); err != nil {
				return err
			}
		}
		return err
	})
	f.live(time.Until(v.ARIStart.Add(v.ARIEnd.Sub(v.ARIStart) / 2)))
}

func TestWhatACAPausesWaitsForAPerson(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{}, func(f *fleet) {
		f.ca.Pause(f.acct.URL, "zombie.example")
		zombie, other := f.want(certfleet.LaneNew, "zombie.example")[0], f.want(certfleet.LaneNew, "other.example")[0]
		f.live(3 * time.Hour)
		asked := f.ca.Stats().Requests["newOrder"]
		if c := f.certificate(zombie.ID); !strings.Contains(c.Advice, "/unpause/") {
			t.Errorf("its advice is %q, without the CA's page", c.Advice)
		}
		f.room, f.work = f.node("after a restart", nil)
		f.live(48 * time.Hour)
		if n := f.ca.Stats().Requests["newOrder"]; n != asked || asked > 2 {
			t.Errorf("new-order was sent %d times in three hours, %d after two days; want one for each name", asked, n)
		}
		c := f.certificate(zombie.ID)
		if f.certificate(other.ID).VersionID == 0 || c.VersionID != 0 || !strings.Contains(c.DueReason+c.Problem, "/unpause/") {
			t.Errorf("the other has version %d; the paused one says %q, %q", f.certificate(other.ID).VersionID, c.DueReason, c.Problem)
		}
		f.ca.Unpause(f.acct.URL)
		key := "letsencrypt|" + f.acct.URL + "|consecutive-failures|zombie.example"
		f.tx(func(ctx context.Context, tx *store.Tx) error { return tx.ClearLimit(ctx, key) })
		f.live(time.Minute)
		if f.certificate(zombie.ID).VersionID == 0 {
			t.Errorf("cleared, and still %+v", f.certificate(zombie.ID))
		}
	})
}

// TestALimitThatNobodyKnewIsLearned gives the CA a tighter limit than it
// publishes: it is met once, and heeded from then on.
func TestALimitThatNobodyKnewIsLearned(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{}, func(f *fleet) {
		f.ca.Grant(fakeca.Override{Account: f.acct.URL, Limit: fakeca.Limit{Name: fakeca.NewOrders, Count: 10, Period: 3 * time.Hour}})
		renewed := f.want(certfleet.LaneNew, many("r%d.example", 5)...)
		f.live(time.Minute)
		f.intoTheWindow(renewed[0])
		f.want(certfleet.LaneNew, many("c%d.example", 30)...)
		f.live(time.Second)
		f.now(certfleet.LaneRoutine, renewed...)
		before := f.issued()
		f.live(5 * time.Second)
		b := f.ca.Breaches()
		if len(b) != 1 || b[0].Limit != fakeca.NewOrders || b[0].Count > 3 {
			t.Errorf("a limit that was learned was met again: %+v", b)
		}
		if n := f.issued() - before; n < len(renewed) {
			t.Errorf("%d of %d exempt renewals passed a limit on the account", n, len(renewed))
		}
		_, w := f.node("b", nil) // a restart
		f.work = w
		f.live(15 * time.Minute)
		if again := f.ca.Breaches(); again[0].Count > b[0].Count+1 {
			t.Errorf("after a restart it was met %d times more", again[0].Count-b[0].Count)
		}
	})
}

func TestALostNewOrderIsCharged(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{}, func(f *fleet) {
		c := f.want(certfleet.LaneNew, "lost.example")[0]
		dies := true
		_, w := f.node("b", func(place string) {
			if place == "placed" && dies {
				dies = false
				panic(died{place})
			}
		})
		f.work = w
		f.work.Tick(f.Context(), time.Now(), 0) // the panic is in its log
		o, err := f.db.LastOrder(f.Context(), c.ID)
		if err != nil || o.URL != "" || o.PlacingAt.IsZero() {
			t.Fatalf("order %+v, %v; want one whose answer was lost", o, err)
		}
		if b := f.bucket(f.newOrders()); b.Held != 1 {
			t.Errorf("a crash left %+v; want the token held", b)
		}
		f.live(10 * time.Minute)
		if f.certificate(c.ID).VersionID == 0 {
			t.Fatalf("not issued: %+v", f.certificate(c.ID))
		}
		o, _ = f.db.Order(f.Context(), o.ID)
		const token = 36 * time.Second
		if b := f.bucket(f.newOrders()); b.Held != 0 || b.FullAt.Sub(o.PlacingAt) < 2*token {
			t.Errorf("new-order was sent %d times, and the ledger has %+v; want two tokens spent", f.ca.Stats().Requests["newOrder"], b)
		}
		if held, err := f.db.HeldBy(f.Context(), o.ID); err != nil || len(held) != 0 {
			t.Errorf("an issued order still holds %+v, %v", held, err)
		}
		f.unbroken()
	})
}

// TestTwoNodesShareOneLedger lets two processes with one store order at once
// from an account that has few tokens.
func TestTwoNodesShareOneLedger(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db, fakeca.Options{})
		f.allow(12)
		f.want(certfleet.LaneNew, many("c%d.example", 30)...)
		done := make(chan error, 2)
		for i := range 2 {
			_, w := f.node(fmt.Sprint("node", i), nil)
			w.Workers = 4
			go func() { done <- w.Drain(t.Context(), 2*time.Second) }()
		}
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		f.unbroken()
		if n := f.issued(); n != 12 {
			t.Errorf("%d issued, want the 12 that the account may order\n%s", n, f.reasons())
		}
		rooms, err := db.Rooms(t.Context())
		if err != nil || rooms[f.newOrders()] != 18 {
			t.Errorf("waiting: %v, %v; want 18 for %s", rooms, err, f.newOrders())
		}
	})
}
