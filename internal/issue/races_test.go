package issue_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/trial"
	"github.com/certfleet/certfleet/internal/work"
)

// TestNodesThatShareAStorePlaceEachOrderOnce lets several nodes, each with a
// memory of its own, run for the same orders of an account that is not even
// registered when they begin.
func TestNodesThatShareAStorePlaceEachOrderOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Parallel()
		h := build(t, db, pebble.Options{NonceReject: 10})
		const nodes, certs = 4, 8
		var ids []int64
		for i := range certs {
			ids = append(ids, h.want(fmt.Sprintf("r%d.example", i)).ID)
		}
		var all sync.WaitGroup
		for n := range nodes {
			all.Go(func() { h.race(n, ids) })
		}
		all.Wait()
		orders, _, err := db.Orders(t.Context(), store.OrderFilter{Limit: 100})
		if err != nil || len(orders) != certs {
			t.Fatalf("%d orders for %d certificates: %v", len(orders), certs, err)
		}
		for _, o := range orders {
			if o.State != certfleet.OrderIssued {
				t.Errorf("order of %s is %s: %s", o.Names[0], o.State, o.Problem)
			}
		}
		if n := len(h.wire.orders()); n != certs {
			t.Errorf("the CA took %d orders, want %d", n, certs)
		}
		keys, _, err := db.Keys(t.Context(), store.KeyFilter{Use: "certificate", Limit: 100})
		if err != nil || len(keys) != certs {
			t.Errorf("%d keys were made, want %d: %v", len(keys), certs, err)
		}
	})
}

// race opens and steps until every certificate has a version.
func (h *house) race(n int, certs []int64) {
	r, me := h.room(nil), owner(n)
	for end := time.Now().Add(trial.Patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		left := 0
		for _, id := range certs {
			c, err := h.db.Certificate(h.Context(), id)
			if err != nil {
				h.Error(err)
				return
			}
			if c.VersionID != 0 {
				continue
			}
			left++
			h.expect(r.Open(h.Context(), id, time.Now()))
			due, err := h.db.DueOrders(h.Context(), time.Now(), 10)
			h.expect(err)
			for _, o := range due {
				h.expect(work.Orders(h.db, me, r.Step).Do(h.Context(), o.ID))
			}
		}
		if left == 0 {
			return
		}
	}
	h.Errorf("node %d is not done within 20 s", n)
}

// expect allows what a slower node is told: that another was faster.
func (h *house) expect(err error) {
	if err != nil && !errors.Is(err, store.ErrStale) && certfleet.KindOf(err) != certfleet.Conflict {
		h.Error(err)
	}
}
