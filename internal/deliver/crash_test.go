package deliver_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/trial"
	"github.com/certfleet/certfleet/internal/work"
)

// TestACrashWhileDeliveringDeliversAgain ends the process after the target took
// the pair and before that is written down.
func TestACrashWhileDeliveringDeliversAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Parallel()
		y := build(t, db)
		c := y.certificate("shop.example")
		y.served(y.room(1), y.version(c.ID).ID)
		d := y.version(c.ID)
		y.rack.set(func() { y.rack.during = func() { panic("died") } })
		func() {
			defer func() { recover() }()
			y.room(2).Do(t.Context(), d.ID)
		}()
		if got := y.delivery(d.ID); got.Owner == "" || got.State != certfleet.DeliveryDue {
			t.Fatalf("the dead process left %+v", got)
		}
		y.rack.set(func() { y.rack.during = nil })
		if err := work.FreeDead(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		y.served(y.room(3), d.ID)
		if got := y.shows("shop.example"); got != y.fingerprint(d) {
			t.Errorf("the edge shows %s", got)
		}
		if b := y.rack.before; len(b) != 1 || b[0].Certificate != "shop.example" || string(b[0].State) != "kept" || b[0].Version >= d.VersionID {
			t.Errorf("the target was reminded of %+v, want its last receipt", b)
		}
	})
}

// TestANewerVersionWinsWhileAnOlderIsDelivered has a renewal in the middle.
func TestANewerVersionWinsWhileAnOlderIsDelivered(t *testing.T) {
	y := build(t, storetest.SQLite(t))
	c := y.certificate("shop.example")
	old := y.version(c.ID)
	var newer *certfleet.Delivery
	y.rack.set(func() {
		y.rack.during = func() {
			if newer == nil {
				newer = y.version(c.ID)
			}
		}
	})
	y.now(y.room(1), old.ID)
	if d := y.delivery(old.ID); d.State != certfleet.DeliverySuperseded || !d.DueAt.IsZero() {
		t.Errorf("the older delivery is %+v", d)
	}
	y.served(y.room(1), newer.ID)
	if got := y.shows("shop.example"); got != y.fingerprint(newer) {
		t.Errorf("the edge shows %s", got)
	}
}

// TestNodesThatShareAStoreDeliverOnce lets two nodes run for the same deliveries.
func TestNodesThatShareAStoreDeliverOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Parallel()
		y := build(t, db)
		y.rack.set(func() { y.rack.during = func() { time.Sleep(20 * time.Millisecond) } })
		var all []*certfleet.Delivery
		for _, name := range []string{"a.example", "b.example", "c.example", "d.example"} {
			all = append(all, y.version(y.certificate(name).ID))
		}
		var nodes sync.WaitGroup
		for n := range 3 {
			nodes.Go(func() { y.drain(n) })
		}
		nodes.Wait()
		for _, d := range all {
			got := y.delivery(d.ID)
			if got.State != certfleet.DeliveryServed || y.rack.count(d.VersionID) != 1 {
				t.Errorf("delivery of version %d is %s after being handed over %d times", d.VersionID, got.State, y.rack.count(d.VersionID))
			}
		}
	})
}

func (y *yard) drain(n int) {
	r := y.room(n)
	for end := time.Now().Add(trial.Patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		open, _, err := y.db.Deliveries(context.WithoutCancel(y.Context()), store.DeliveryFilter{Limit: 50})
		if err != nil {
			y.Error(err)
			return
		}
		left := 0
		for _, d := range open {
			if d.State == certfleet.DeliveryServed {
				continue
			}
			left++
			if err := r.Do(y.Context(), d.ID); err != nil && certfleet.KindOf(err) != certfleet.Conflict {
				y.Error(err)
			}
		}
		if left == 0 {
			return
		}
	}
	y.Errorf("node %d is not done within %s", n, trial.Patience)
}

// TestAManagerKilledBetweenSendAndProofStillProves leaves the rows as a process
// leaves them that died right after the target had answered.
func TestAManagerKilledBetweenSendAndProofStillProves(t *testing.T) {
	t.Parallel()
	y := build(t, storetest.SQLite(t))
	d := y.version(y.certificate("shop.example").ID)
	if sent := y.now(y.room(1), d.ID); sent.State != certfleet.DeliveryApplied || sent.DueAt.IsZero() || sent.Owner != "" {
		t.Fatalf("after handing over: %+v", sent)
	}
	other := y.room(2)
	list, err := other.Due(t.Context(), time.Now().Add(time.Second), 10)
	if err != nil || len(list) != 1 {
		t.Fatalf("due for the next process: %v, %v", list, err)
	}
	if got := y.now(other, d.ID); got.State != certfleet.DeliveryServed || y.rack.count(d.VersionID) != 1 {
		t.Errorf("the next process made it %+v, handed over %d times", got, y.rack.count(d.VersionID))
	}
}
