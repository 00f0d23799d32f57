package deliver_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

func TestAFailedDeliveryLeavesTheWorkingPair(t *testing.T) {
	t.Parallel()
	y := build(t, storetest.SQLite(t))
	r := y.room(1)
	c := y.certificate("shop.example")
	first := y.served(r, y.version(c.ID).ID)
	y.rack.set(func() {
		y.rack.fail = func(certfleet.Bundle) error {
			return &certfleet.Error{Kind: certfleet.Unreachable, Msg: "the disk is full", Advice: "free space"}
		}
	})
	second := y.version(c.ID)
	for n := 1; n <= 3; n++ {
		d := y.now(r, second.ID)
		if d.State != certfleet.DeliveryFailed || d.Attempts != n || d.Problem == "" || d.Advice != "free space" || !d.DueAt.After(time.Now()) {
			t.Fatalf("try %d: %+v", n, d)
		}
		if got := y.shows("shop.example"); got != y.fingerprint(first) {
			t.Fatalf("the edge shows %s, want the pair from before", got)
		}
	}
	if d := y.delivery(first.ID); d.State != certfleet.DeliverySuperseded {
		t.Errorf("the older delivery is %s", d.State)
	}
	y.rack.set(func() { y.rack.fail = nil })
	y.served(r, second.ID)
	if got := y.shows("shop.example"); got != y.fingerprint(second) {
		t.Errorf("the edge shows %s after the target recovered", got)
	}
}

func TestDeliveredIsNotServed(t *testing.T) {
	t.Parallel()
	y := build(t, storetest.SQLite(t))
	r := y.room(1)
	c := y.certificate("shop.example")
	y.served(r, y.version(c.ID).ID)
	y.rack.set(func() { y.rack.stuck = true })
	d := y.version(c.ID)
	sent := y.now(r, d.ID)
	if sent.State != certfleet.DeliveryApplied || sent.DueAt.IsZero() {
		t.Fatalf("after handing over: %+v", sent)
	}
	for n := 1; n < 6; n++ {
		got := y.now(r, d.ID)
		if got.State != certfleet.DeliveryApplied || !strings.Contains(got.Problem, "another certificate") || !strings.Contains(got.Advice, "reload") || !got.ServedAt.IsZero() {
			t.Fatalf("look %d: %+v", n, got)
		}
	}
	if n := y.events(c.ID, "delivery.unseen"); n != 1 {
		t.Errorf("%d events say so, want one", n)
	}
	if got := y.now(r, d.ID); got.State != certfleet.DeliveryDue {
		t.Errorf("after many looks it is %s, want it delivered again", got.State)
	}
	y.rack.set(func() { y.rack.stuck = false })
	y.served(r, d.ID)
	if y.rack.count(d.VersionID) != 2 {
		t.Errorf("handed over %d times, want twice", y.rack.count(d.VersionID))
	}
}

func TestAServedNameThatFallsBackIsNoticed(t *testing.T) {
	t.Parallel()
	y := build(t, storetest.SQLite(t))
	r := y.room(1)
	c := y.certificate("shop.example")
	old := y.version(c.ID)
	y.served(r, old.ID)
	was := y.rack.serving["shop.example"]
	d := y.served(r, y.version(c.ID).ID)
	if wait := time.Until(d.DueAt); wait < time.Hour || wait > 18*time.Hour {
		t.Errorf("looked at again in %s", wait)
	}
	y.rack.set(func() { y.rack.serving["shop.example"] = was })
	got := y.now(r, d.ID)
	if got.State != certfleet.DeliveryApplied || got.Problem == "" || time.Until(got.DueAt) > time.Minute {
		t.Errorf("after falling back: %+v", got)
	}
	sights, err := y.db.Sightings(t.Context(), d.ID)
	if err != nil || len(sights) != 1 || sights[0].Fingerprint != y.fingerprint(old) {
		t.Errorf("on record: %+v, %v", sights, err)
	}
}

func TestOneBadBundleStopsNoOther(t *testing.T) {
	t.Parallel()
	y := build(t, storetest.SQLite(t))
	r := y.room(1)
	var ids []int64
	for _, name := range []string{"good.example", "bad.example", "silent.example"} {
		ids = append(ids, y.version(y.certificate(name).ID).ID)
	}
	y.rack.set(func() {
		y.rack.fail = func(b certfleet.Bundle) error {
			switch b.Certificate {
			case "bad.example":
				return errors.New("no room for it")
			case "silent.example":
				return errSilent
			}
			return nil
		}
	})
	y.now(r, ids[0])
	for i, want := range []certfleet.DeliveryState{certfleet.DeliveryApplied, certfleet.DeliveryFailed, certfleet.DeliveryFailed} {
		if d := y.delivery(ids[i]); d.State != want || (want == certfleet.DeliveryFailed) == (d.Problem == "") || d.Owner != "" {
			t.Errorf("delivery %d: %+v, want %s", i, d, want)
		}
	}
}

func TestAPausedTargetKeepsWhatItHas(t *testing.T) {
	t.Parallel()
	y := build(t, storetest.SQLite(t))
	r := y.room(1)
	c := y.certificate("shop.example")
	first := y.served(r, y.version(c.ID).ID)
	y.target.Paused = true
	y.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SaveTarget(ctx, y.target) })
	d := y.now(r, y.version(c.ID).ID)
	if d.State != certfleet.DeliveryDue || !d.DueAt.After(time.Now()) || y.rack.count(d.VersionID) != 0 {
		t.Errorf("a paused target got %+v", d)
	}
	if !strings.Contains(d.Problem, "is paused") || !strings.Contains(d.Advice, "certfleet targets resume") {
		t.Errorf("it is not said that the target is paused: %q, %q", d.Problem, d.Advice)
	}
	if got := y.shows("shop.example"); got != y.fingerprint(first) {
		t.Errorf("the edge shows %s", got)
	}
	y.target.Paused = false
	y.tx(func(ctx context.Context, tx *store.Tx) error {
		return errors.Join(tx.SaveTarget(ctx, y.target), tx.Resume(ctx, y.target.ID))
	})
	if got := y.now(r, d.ID); got.State != certfleet.DeliveryApplied || got.Problem != "" {
		t.Errorf("resumed, it is %+v", got)
	}
}

// TestAPausedTargetCostsOneLook puts off all that waits for it together.
func TestAPausedTargetCostsOneLook(t *testing.T) {
	t.Parallel()
	y := build(t, storetest.SQLite(t))
	r := y.room(1)
	y.target.Paused = true
	y.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SaveTarget(ctx, y.target) })
	var ids []int64
	for _, name := range []string{"a.example", "b.example", "c.example"} {
		ids = append(ids, y.version(y.certificate(name).ID).ID)
	}
	y.now(r, ids[0])
	if due, err := r.Due(t.Context(), time.Now(), 10); err != nil || len(due) != 0 {
		t.Errorf("after one look %v are due, %v", due, err)
	}
	for _, id := range ids {
		if d := y.delivery(id); d.State != certfleet.DeliveryDue || !strings.Contains(d.Problem, "is paused") {
			t.Errorf("%+v", d)
		}
	}
}

// TestAnEndingProcessJudgesNobody cuts a look off: that is no proof against the edge.
func TestAnEndingProcessJudgesNobody(t *testing.T) {
	t.Parallel()
	y := build(t, storetest.SQLite(t))
	c := y.certificate("shop.example")
	d := y.served(y.room(1), y.version(c.ID).ID)
	ctx, cut := context.WithCancel(t.Context())
	r := y.room(1)
	r.Probe.Dial = func(context.Context, string, string) (net.Conn, error) {
		cut()
		return nil, context.Canceled
	}
	d.DueAt = time.Now().Add(-time.Second)
	y.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SaveDelivery(ctx, d) })
	if err := r.Do(ctx, d.ID); err != nil && ctx.Err() == nil {
		t.Fatal(err)
	}
	got := y.delivery(d.ID)
	if got.State != certfleet.DeliveryServed || got.Problem != "" || got.Owner != "" || got.DueAt.After(time.Now()) {
		t.Errorf("after a look that was cut off: %+v", got)
	}
}

func TestAnEdgeThatDoesNotAnswerSaysSo(t *testing.T) {
	t.Parallel()
	y := build(t, storetest.SQLite(t))
	y.target.Probe = []string{refusing(t)}
	y.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SaveTarget(ctx, y.target) })
	r := y.room(1)
	id := y.version(y.certificate("shop.example").ID).ID
	y.now(r, id)
	if d := y.now(r, id); d.State != certfleet.DeliveryApplied || !strings.Contains(d.Problem, "shop.example") || d.Advice == "" {
		t.Errorf("delivery is %+v", d)
	}
}
