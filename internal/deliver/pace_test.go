package deliver_test

import (
	"context"
	"crypto/tls"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// change writes the yard's target as it is now.
func (y *yard) change() {
	y.Helper()
	y.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SaveTarget(ctx, y.target) })
}

// versions makes n certificates and a version of each.
func (y *yard) versions(names ...string) (ids []int64) {
	for _, name := range names {
		ids = append(ids, y.version(y.certificate(name).ID).ID)
	}
	return ids
}

func (y *yard) states(ids []int64) (out []string) {
	for _, id := range ids {
		out = append(out, string(y.delivery(id).State))
	}
	return out
}

func TestManyForOneTargetTravelTogether(t *testing.T) {
	t.Parallel()
	y := build(t, storetest.SQLite(t))
	ids := y.versions("a.example", "b.example", "c.example")
	y.rack.set(func() { y.rack.during = func() { y.rack.set(func() { y.rack.calls++ }) } })
	if err := y.room(1).Do(t.Context(), ids[1]); err != nil {
		t.Fatal(err)
	}
	if got := y.states(ids); !slices.Equal(got, []string{"applied", "applied", "applied"}) || y.rack.calls != 1 {
		t.Errorf("after one call: %v by %d", got, y.rack.calls)
	}
}

func TestARateLetsTheRestWait(t *testing.T) {
	t.Parallel()
	y := build(t, storetest.SQLite(t))
	y.target.Rate = 2 // so that one goes, and the next half a minute later
	y.change()
	ids := y.versions("a.example", "b.example", "c.example")
	r := y.room(1)
	for _, id := range ids {
		if err := r.Do(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	done := 0
	for _, s := range y.states(ids) {
		if s != "due" {
			done++
		}
	}
	if done != 1 {
		t.Errorf("%d of 3 went at once, want 1: %v", done, y.states(ids))
	}
	list, err := r.Due(t.Context(), time.Now().Add(time.Second), 10)
	if err != nil || slices.ContainsFunc(list, func(id int64) bool { return y.delivery(id).State == certfleet.DeliveryDue }) {
		t.Errorf("listed while the target rests: %v, %v", list, err)
	}
	if list, _ = r.Due(t.Context(), time.Now().Add(31*time.Second), 10); !slices.ContainsFunc(list, func(id int64) bool { return y.delivery(id).State == certfleet.DeliveryDue }) {
		t.Errorf("listed after the rest: %v, without what waited", list)
	}
}

// TestARateLetsTenSecondsWorthGoAtOnce counts what came free meanwhile, too.
func TestARateLetsTenSecondsWorthGoAtOnce(t *testing.T) {
	t.Parallel()
	y := build(t, storetest.SQLite(t))
	y.target.Rate = 12
	y.change()
	ids := y.versions("a.example", "b.example", "c.example", "d.example")
	r, began := y.room(1), time.Now()
	for _, id := range ids {
		if err := r.Do(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	done := 0
	for _, s := range y.states(ids) {
		if s != "due" {
			done++
		}
	}
	if took := time.Since(began); done < 2 || done > 2+int(took/(5*time.Second)) {
		t.Errorf("%d of 4 went in %s, want 2, and one more each five seconds", done, took)
	}
}

func TestConnectionsToATargetAreBounded(t *testing.T) {
	t.Parallel()
	y := build(t, storetest.SQLite(t))
	y.target.Concurrency = 1
	y.change()
	ids := y.versions("a.example")
	r := y.room(1)
	var second certfleet.DeliveryState
	y.rack.set(func() {
		y.rack.during = func() {
			late := y.version(y.certificate("late.example").ID).ID
			if err := r.Do(t.Context(), late); err != nil {
				t.Error(err)
			}
			second = y.delivery(late).State
			if list, err := r.Due(t.Context(), time.Now(), 10); err != nil || len(list) != 0 {
				t.Errorf("listed for a target that has all its connections: %v, %v", list, err)
			}
		}
	})
	if err := r.Do(t.Context(), ids[0]); err != nil {
		t.Fatal(err)
	}
	if second != certfleet.DeliveryDue {
		t.Errorf("a second connection made it %s", second)
	}
}

// TestASerialGroupIsDeliveredToOneByOne has two processes, as they share a store.
func TestASerialGroupIsDeliveredToOneByOne(t *testing.T) {
	t.Parallel()
	y := build(t, storetest.SQLite(t))
	y.target.Group, y.target.PushMode = "web", certfleet.PushSerial
	y.change()
	other := &certfleet.StoredTarget{Label: "other", Type: "rack", Proof: certfleet.ProofNone, Pace: y.target.Pace}
	y.tx(func(ctx context.Context, tx *store.Tx) error { return tx.AddTarget(ctx, other) })
	c := y.certificate("shop.example")
	c.Targets = []string{"rack", "other"}
	y.tx(func(ctx context.Context, tx *store.Tx) error { return tx.ReplaceCertificate(ctx, c, "operator") })
	list := y.versionAll(c.ID)
	during := 0
	y.rack.set(func() {
		y.rack.during = func() {
			y.rack.set(func() { y.rack.during = nil })
			for _, d := range list {
				if err := y.room(2).Do(t.Context(), d.ID); err != nil {
					t.Error(err)
				}
			}
			during = y.rack.count(list[0].VersionID)
		}
	})
	if err := y.room(1).Do(t.Context(), list[0].ID); err != nil {
		t.Fatal(err)
	}
	if during != 1 {
		t.Errorf("while one of the group was delivered to, it was handed over %d times, want once", during)
	}
	if err := y.room(2).Do(t.Context(), list[1].ID); err != nil || y.delivery(list[1].ID).State != certfleet.DeliveryApplied {
		t.Errorf("then the other: %+v, %v", y.delivery(list[1].ID), err)
	}
}

func TestTheNewestWinsDuringADelivery(t *testing.T) {
	t.Parallel()
	y := build(t, storetest.SQLite(t))
	c := y.certificate("shop.example")
	r := y.room(1)
	first := y.version(c.ID)
	var second *certfleet.Delivery
	y.rack.set(func() {
		y.rack.during = func() {
			y.rack.set(func() { y.rack.during = nil })
			second = y.version(c.ID)
			if err := r.Do(t.Context(), second.ID); err != nil || y.rack.count(second.VersionID) != 0 {
				t.Errorf("the second went beside the first: %v", err)
			}
		}
	})
	if err := r.Do(t.Context(), first.ID); err != nil {
		t.Fatal(err)
	}
	if d := y.delivery(first.ID); d.State != certfleet.DeliverySuperseded || d.Owner != "" || !d.LeaseUntil.IsZero() {
		t.Errorf("the first is %+v", d)
	}
	y.served(r, second.ID)
	if got := y.shows("shop.example"); got != y.fingerprint(second) {
		t.Errorf("the edge shows %s, want the second", got)
	}
}

// TestWhatFellBackIsBroughtAgain takes two looks: one alone may be an accident.
func TestWhatFellBackIsBroughtAgain(t *testing.T) {
	t.Parallel()
	y := build(t, storetest.SQLite(t))
	r := y.room(1)
	c := y.certificate("shop.example")
	y.served(r, y.version(c.ID).ID)
	var was *tls.Certificate
	y.rack.set(func() { was = y.rack.serving["shop.example"] })
	d := y.served(r, y.version(c.ID).ID)
	y.rack.set(func() { y.rack.serving["shop.example"] = was })
	if got := y.now(r, d.ID); got.State != certfleet.DeliveryApplied || y.events(c.ID, "delivery.unseen") != 1 {
		t.Fatalf("after one look: %+v", got)
	}
	if got := y.now(r, d.ID); got.State != certfleet.DeliveryDue {
		t.Fatalf("after two looks: %+v", got)
	}
	y.served(r, d.ID)
	if !y.rack.again {
		t.Error("the target did not hear that services are to be told once more")
	}
}

func TestLooksAreSpreadOverTheBudget(t *testing.T) {
	t.Parallel()
	y := build(t, storetest.SQLite(t))
	r := y.room(1)
	r.LooksPerHour = 1
	c := y.certificate("a.example")
	y.served(r, y.version(c.ID).ID)
	list := y.versions(strings.Fields("b.example c.example d.example")...)
	var last time.Time
	for _, id := range list {
		last = y.served(r, id).DueAt
	}
	r.LooksPerHour = 1000
	if soon := y.served(r, list[0]).DueAt; !soon.Before(time.Now().Add(18*time.Hour + time.Minute)) {
		t.Errorf("with budget to spare the next look is at %s", soon)
	}
	if wait := time.Until(last); wait < 3*time.Hour {
		t.Errorf("with one look an hour for four, the next is in %s", wait)
	}
}
