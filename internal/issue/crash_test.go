package issue_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/keystore/stored"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/trial"
	"github.com/certfleet/certfleet/internal/work"
)

// died is what a crash test panics with.
type died struct{ place string }

// the places of an order's steps at which a process may end; "presenting" is
// between a solver's work and its commit.
var places = []string{"placing", "placed", "intended", "presenting", "presented", "answered", "key made", "finalized", "downloaded"}

// TestACrashAtAnyStepStillIssuesForTheCommittedKey ends a process at every
// place, in three ways, and goes on with one that knows only what is stored.
func TestACrashAtAnyStepStillIssuesForTheCommittedKey(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Parallel()
		h := build(t, db, pebble.Options{NonceReject: 20})
		n := 0
		for _, place := range places {
			for _, way := range []string{"dies", "loses its claim", "is cut off"} {
				n++
				t.Run(place+" "+way, func(t *testing.T) {
					if way != "dies" && place != "key made" {
						trial.InFull(t)
					}
					h.with(t).crashAt(n, place, way)
				})
			}
		}
	})
}

// with is the same house in a subtest.
func (h *house) with(t *testing.T) *house {
	other := *h
	other.T = t
	return &other
}

func (h *house) crashAt(n int, place, way string) {
	name := fmt.Sprintf("c%d.example", n)
	target := &certfleet.StoredTarget{Label: name, Type: "files", Proof: certfleet.ProofNone}
	h.tx(func(ctx context.Context, tx *store.Tx) error { return tx.AddTarget(ctx, target) })
	c := h.want(name, name, "*."+name)
	c.Targets = []string{name}
	h.tx(func(ctx context.Context, tx *store.Tx) error { return tx.ReplaceCertificate(ctx, c, "operator") })
	before := len(h.wire.orders())
	id := h.open(h.room(nil), c).ID

	crashed := h.crash(n, id, place, way)
	if !crashed {
		h.Fatalf("the order ended as %s without passing %q", h.order(id).State, place)
	}
	o := h.finish(h.room(nil), id)
	if o.State != certfleet.OrderIssued {
		h.Fatalf("order is %s: %s", o.State, o.Problem)
	}
	h.checkOneOrder(len(h.wire.orders())-before, place, way)
	h.checkKey(o)
	h.checkServed(c, o, target)
	h.checkCleaned(o)
}

// crash walks the order until the process ends at place; each step is made by a
// process of its own, so nothing is remembered between them.
func (h *house) crash(n int, id int64, place, way string) bool {
	me, done := owner(n), false
	ctx, cut := context.WithCancel(h.Context())
	defer cut()
	end := func(at string) {
		if at != place || done {
			return
		}
		done = true
		switch way {
		case "dies":
			panic(died{place})
		case "is cut off":
			cut() // its time to end in peace is over
		default:
			// Another node took over: what this one still wants to commit is refused.
			h.tx(func(ctx context.Context, tx *store.Tx) error { return tx.FreeOwner(ctx, me) })
		}
	}
	h.dns.crashBy(func() { end("presenting") })
	defer h.dns.crashBy(nil)
	for stop := time.Now().Add(trial.Patience); !done && h.order(id).Live() && time.Now().Before(stop); time.Sleep(time.Millisecond) {
		err := h.dying(func() error { return work.Orders(h.db, me, h.room(end).Step).Do(ctx, id) })
		if err != nil && !errors.Is(err, store.ErrStale) && ctx.Err() == nil {
			h.Logf("step before the crash: %v", err)
		}
	}
	if way == "dies" {
		if o := h.order(id); done && (o.Owner != me || !o.LeaseUntil.After(time.Now())) {
			h.Errorf("the dead process left no claim: owner %q until %s", o.Owner, o.LeaseUntil)
		}
		if err := work.FreeDead(h.Context(), h.db); err != nil {
			h.Fatal(err)
		}
	}
	return done
}

// dying runs f and survives its end.
func (h *house) dying(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(died); !ok {
				panic(p)
			}
		}
	}()
	return f()
}

// checkOneOrder allows one extra order, and only where an answer was lost.
func (h *house) checkOneOrder(placed int, place, way string) {
	h.Helper()
	want := 1
	switch {
	case place == "placed" && way != "is cut off", place == "placing" && way == "loses its claim":
		want = 2
	}
	if placed != want {
		h.Errorf("the CA took %d orders, want %d", placed, want)
	}
}

// checkKey wants the leaf to be of the one key that was made for the order.
func (h *house) checkKey(o *certfleet.Order) {
	h.Helper()
	v, leaf := h.version(o.VersionID)
	if v.KeyID != o.KeyID || o.KeyID == 0 {
		h.Fatalf("version has key %d, its order %d", v.KeyID, o.KeyID)
	}
	row, err := h.db.Key(h.Context(), v.KeyID)
	if err != nil {
		h.Fatal(err)
	}
	signer, err := stored.New(h.keeper, h.db).OpenKey(h.Context(), row)
	if err != nil {
		h.Fatalf("the key does not open: %v", err)
	}
	if pki.SPKI(signer.Public()) != pki.SPKI(leaf.PublicKey) {
		h.Error("the certificate is for another key than the one committed")
	}
	if row.OrderID != o.ID {
		h.Errorf("the key's story names order %d, want %d", row.OrderID, o.ID)
	}
	made := 0
	all, _, err := h.db.Keys(h.Context(), store.KeyFilter{Use: "certificate", Limit: 500})
	for _, k := range all {
		if k.OrderID == o.ID {
			made++
		}
	}
	if err != nil || made != 1 {
		h.Errorf("%d keys were made for the order, want 1: %v", made, err)
	}
}

func (h *house) checkServed(c *certfleet.Certificate, o *certfleet.Order, target *certfleet.StoredTarget) {
	h.Helper()
	now := h.certificate(c.ID)
	if now.VersionID != o.VersionID || now.Failures != 0 || !now.DueAt.After(time.Now()) || now.DueReason == "" {
		h.Errorf("certificate after issuing: %+v", now)
	}
	for _, n := range c.Names {
		slots, err := h.db.SlotsOf(h.Context(), 1, n)
		if err != nil || len(slots) != 1 || slots[0].VersionID != o.VersionID || slots[0].Kind != certfleet.SlotECDSA {
			h.Errorf("slots of %s are %+v: %v", n, slots, err)
		}
	}
	list, _, err := h.db.Deliveries(h.Context(), store.DeliveryFilter{TargetID: target.ID})
	if err != nil || len(list) != 1 || list[0].VersionID != o.VersionID || list[0].State != certfleet.DeliveryDue {
		h.Errorf("deliveries are %+v: %v", list, err)
	}
	if got := strings.Count(h.events(c.ID), "version.issued"); got != 1 {
		h.Errorf("%d events say that it was issued: %s", got, h.events(c.ID))
	}
}

// checkCleaned wants every challenge gone that was ever presented.
func (h *house) checkCleaned(o *certfleet.Order) {
	h.Helper()
	due, err := h.db.DueCleanups(h.Context(), time.Now(), 100)
	if err != nil {
		h.Fatal(err)
	}
	for _, c := range due {
		if err := h.room(nil).CleanUp(h.Context(), c, time.Now()); err != nil {
			h.Errorf("clean up %s of %s: %v", c.Type, c.Name, err)
		}
	}
	left, err := h.db.ChallengesOf(h.Context(), o.ID)
	for _, c := range left {
		if c.CleanedAt.IsZero() || len(c.State) > 0 {
			h.Errorf("%s of %s is left, state %d bytes", c.Type, c.Name, len(c.State))
		}
		if _, err := h.db.ChallengeByToken(h.Context(), c.Token); certfleet.KindOf(err) != certfleet.NotFound {
			h.Errorf("the token of %s is still answered: %v", c.Name, err)
		}
	}
	if err != nil || len(left) != 2 {
		h.Errorf("%d challenges on record, want 2: %v", len(left), err)
	}
	h.dns.mu.Lock()
	defer h.dns.mu.Unlock()
	if len(h.dns.visible) != 0 {
		h.Errorf("TXT records are left: %v", h.dns.visible)
	}
}

// TestACrashInARolloverLosesNoAccount ends the process before and after the CA
// hears of the new key.
func TestACrashInARolloverLosesNoAccount(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{NonceReject: 20})
	h.issue(h.room(nil), h.want("first.example"))
	for i, c := range []struct {
		place   string
		rotated bool
	}{{"rolled over", true}, {"", true}, {"rollover begun", false}} {
		t.Run(c.place, func(t *testing.T) {
			h := h.with(t)
			was, err := h.db.Account(t.Context(), h.acct.ID)
			if err != nil {
				t.Fatal(err)
			}
			r := h.room(func(place string) {
				if place == c.place {
					panic(died{place})
				}
			})
			if err := h.dying(func() error { return r.Rollover(t.Context(), h.acct.ID, certfleet.P384) }); err != nil {
				t.Fatal(err)
			}
			h.issue(h.room(nil), h.want(fmt.Sprintf("after-%d.example", i)))
			now, err := h.db.Account(t.Context(), h.acct.ID)
			if err != nil || now.NextKeyID != 0 && c.rotated || now.URL != was.URL {
				t.Fatalf("account is %+v: %v", now, err)
			}
			if rotated := now.KeyID != was.KeyID; rotated != c.rotated {
				t.Errorf("key %d became %d, changed must be %v", was.KeyID, now.KeyID, c.rotated)
			}
		})
	}
}
