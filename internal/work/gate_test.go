package work_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/work"
)

// more stores certificates with an order each, beside the one that is there.
func more(t *testing.T, db *store.DB, like *certfleet.Order, n int) {
	t.Helper()
	ctx := t.Context()
	err := db.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		for i := range n {
			c := &certfleet.Certificate{Label: fmt.Sprint("more-", i), Names: like.Names, PolicyID: 1}
			if err := tx.AddCertificate(ctx, c, "operator"); err != nil {
				return err
			}
			o := &certfleet.Order{Tenant: 1, CertificateID: c.ID, AuthorityID: like.AuthorityID, AccountID: like.AccountID, Slot: like.Slot, Lane: like.Lane, Names: like.Names}
			if err := tx.AddOrder(ctx, o); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// looks is a CA that takes a while to look at each order, and says what it saw.
type looks struct {
	db   *store.DB
	wait time.Duration

	mu         sync.Mutex
	asked      map[int64]bool // guarded by mu
	now, most  int            // steps under way, guarded by mu
	waits      int            // orders that wait for the CA, guarded by mu
	mostWaits  int            // guarded by mu
	ended      int            // guarded by mu
	everything func()         // called when so many ended as end says
	end        int
}

func (l *looks) begin(id int64) (again bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if again = l.asked[id]; again {
		l.waits--
	}
	l.asked[id] = true
	l.now++
	l.most = max(l.most, l.now)
	return again
}

func (l *looks) step(ctx context.Context, o *certfleet.Order) (time.Time, error) {
	again := l.begin(o.ID)
	time.Sleep(10 * time.Millisecond) // a request
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now--
	if !again {
		l.waits++
		l.mostWaits = max(l.mostWaits, l.waits)
		return time.Now().Add(l.wait), nil
	}
	if l.ended++; l.ended == l.end {
		l.everything()
	}
	o.State, o.Owner, o.LeaseUntil = certfleet.OrderFailed, "", time.Time{}
	return time.Time{}, l.db.Tx(context.WithoutCancel(ctx), time.Now(), func(tx *store.Tx) error { return tx.SaveOrder(ctx, o) })
}

func TestOrdersThatWaitForTheirCALeaveTheirPlacesToOthers(t *testing.T) {
	bubble(t, func(t *testing.T, db *store.DB) {
		const n = 20
		more(t, db, wanted(t, db), n-1)
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		ca := &looks{db: db, wait: 1500 * time.Millisecond, asked: map[int64]bool{}, everything: stop, end: n}
		w := &work.Work{DB: db, Kinds: []work.Kind{work.Orders(db, "node:a", ca.step)}, Workers: 4, Owner: "node:a", Log: slog.New(slog.DiscardHandler)}
		if err := w.Run(ctx); err != nil || ca.ended != n {
			t.Fatalf("%d of %d orders ended: %v", ca.ended, n, err)
		}
		if ca.mostWaits != n {
			t.Errorf("at most %d of %d orders waited at a time", ca.mostWaits, n)
		}
		if ca.most > 4 {
			t.Errorf("%d steps were done at a time", ca.most)
		}
	})
}

func TestAnOrderThatWaitsIsGivenBackWhenTheProcessEnds(t *testing.T) {
	bubble(t, func(t *testing.T, db *store.DB) {
		o := wanted(t, db)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		ca := &looks{db: db, wait: 1500 * time.Millisecond, asked: map[int64]bool{}}
		w := &work.Work{DB: db, Kinds: []work.Kind{work.Orders(db, "node:a", ca.step)}, Workers: 4, Owner: "node:a", Log: slog.New(slog.DiscardHandler)}
		began := time.Now()
		time.AfterFunc(500*time.Millisecond, stop)
		if err := w.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("it ended after %s, behind the order's wait", took)
		}
		if got := order(t, db, o.ID); got.Owner != "" || !got.LeaseUntil.IsZero() || !got.DueAt.After(time.Now()) {
			t.Errorf("it is held by %q until %s, and due at %s", got.Owner, got.LeaseUntil, got.DueAt)
		}
	})
}
