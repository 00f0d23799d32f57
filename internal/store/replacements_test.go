package store_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

func TestAReplacementKeepsWhatItFoundAndWhatBecameOfIt(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		ctx := t.Context()
		second := f.addVersion(t, db, f.cert.ID, "beef")
		r := certfleet.Replacement{Spec: certfleet.ReplacementSpec{Issuer: "R12", Serials: []string{"1"}}}
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.AddReplacement(ctx, &r) })
		if due, err := db.DueReplacements(ctx, now, 10); err != nil || len(due) != 1 || due[0].Spec.Issuer != "R12" || due[0].State != certfleet.ReplacementRunning {
			t.Errorf("due %+v, %v", due, err)
		}
		if list, err := db.Replacements(ctx, 0, 10); err != nil || len(list) != 1 || list[0].ID != r.ID {
			t.Errorf("listed %+v, %v", list, err)
		}
		for range 2 { // found twice is found once
			write(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.AddReplacementItem(ctx, &certfleet.ReplacementItem{ReplacementID: r.ID, VersionID: f.version.ID, CertificateID: f.cert.ID, State: certfleet.ItemWanted})
			})
		}
		items, err := db.ReplacementItems(ctx, r.ID, certfleet.ItemWanted, 0, 10)
		if err != nil || len(items) != 1 {
			t.Fatalf("items %+v, %v", items, err)
		}
		i := items[0]
		i.State, i.DueAt, i.DueReason, i.Lane = certfleet.ItemAsked, now.Add(time.Hour), "a third is left", certfleet.LaneRoutine
		save := func(from certfleet.ItemState) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveReplacementItem(ctx, &i, from) })
		}
		if a, b := save(certfleet.ItemWanted), save(certfleet.ItemWanted); a != nil || !errors.Is(b, store.ErrStale) {
			t.Errorf("saved: %v, and from a state that it left: %v", a, b)
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.Replaced(ctx, f.version.ID, second.ID) })
		if n, err := db.ReplacementCounts(ctx, r.ID); err != nil || n[certfleet.ItemReplaced] != 1 || len(n) != 1 {
			t.Errorf("counts %v, %v; want one replaced", n, err)
		}
		r.State, r.DueAt = certfleet.ReplacementDone, time.Time{}
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveReplacement(ctx, &r) })
		if got, err := db.Replacement(ctx, r.ID); err != nil || got.State != certfleet.ReplacementDone {
			t.Errorf("it is %+v, %v", got, err)
		}
		if due, err := db.DueReplacements(ctx, now, 10); err != nil || len(due) != 0 {
			t.Errorf("due when done: %+v, %v", due, err)
		}
	})
}

func TestVersionsAreWalkedPageByPage(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		var want []int64
		for n, fp := range []string{"aa01", "aa02", "aa03", "aa04", "aa05"} {
			v := f.addVersion(t, db, f.cert.ID, fp)
			v.NotAfter, v.KeyID = now.Add(time.Hour), f.key.ID
			switch n {
			case 1:
				v.NotAfter = now
			case 2:
				v.RevokedAt = now
			case 3:
				v.ReplacedBy = v.ID
			default:
				want = append(want, v.ID)
			}
			write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveVersion(ctx, v) })
		}
		walk := func(s certfleet.ReplacementSpec, after int64) (ids []int64) {
			for more := true; more; {
				var list []certfleet.Version
				var err error
				list, after, more, err = db.VersionsBehind(t.Context(), &s, 0, after, now, 2)
				if err != nil {
					t.Fatal(err)
				}
				for _, v := range list {
					ids = append(ids, v.ID)
				}
			}
			return ids
		}
		if got := walk(certfleet.ReplacementSpec{}, f.version.ID); len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
			t.Errorf("versions %v; want %v", got, want)
		}
		if got := walk(certfleet.ReplacementSpec{KeyID: f.key.ID}, f.version.ID); len(got) != 3 {
			t.Errorf("versions of a key that is out: %v; want those out of use too", got)
		}
	})
}

func TestAReplacementTakesUpWhatItLeftAside(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		ctx := t.Context()
		r := certfleet.Replacement{Spec: certfleet.ReplacementSpec{Issuer: "R12"}}
		var versions []int64
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.AddReplacement(ctx, &r) })
		for n, s := range []certfleet.ItemState{certfleet.ItemAsked, certfleet.ItemSkipped, certfleet.ItemStuck, certfleet.ItemRevoked} {
			v := f.addVersion(t, db, f.cert.ID, []string{"bb01", "bb02", "bb03", "bb04"}[n])
			versions = append(versions, v.ID)
			write(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.AddReplacementItem(ctx, &certfleet.ReplacementItem{ReplacementID: r.ID, VersionID: v.ID, CertificateID: f.cert.ID, State: s, Problem: map[bool]string{true: "it is not well"}[n == 2]})
			})
		}
		if list, err := db.StrayItems(ctx, r.ID, 10); err != nil || len(list) != 0 {
			t.Errorf("strays of an active certificate: %+v, %v", list, err)
		}
		c, err := db.Certificate(ctx, f.cert.ID)
		if err != nil {
			t.Fatal(err)
		}
		c.State = certfleet.Paused
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveCertificate(ctx, c) })
		if list, err := db.StrayItems(ctx, r.ID, 10); err != nil || len(list) != 1 || list[0].VersionID != versions[0] {
			t.Errorf("strays of a paused one: %+v, %v; want what was asked for", list, err)
		}
		for since, want := range map[time.Duration]int{-time.Minute: 0, 0: 1} {
			if list, err := db.RestedItems(ctx, r.ID, certfleet.ItemStuck, now.Add(since), 10); err != nil || len(list) != want {
				t.Errorf("%d rested since %s, %v; want %d", len(list), since, err, want)
			}
		}
		var n int64
		take := func() {
			write(t, db, func(ctx context.Context, tx *store.Tx) (err error) { n, err = tx.TakeUpItems(ctx, r.ID); return err })
		}
		take()
		counts, err := db.ReplacementCounts(ctx, r.ID)
		if want := map[certfleet.ItemState]int64{certfleet.ItemAsked: 1, certfleet.ItemWanted: 1, certfleet.ItemReplaced: 1, certfleet.ItemRevoked: 1}; n != 2 || err != nil || !maps.Equal(counts, want) {
			t.Errorf("took up %d: %v, %v; want %v", n, counts, err, want)
		}
		if take(); n != 0 {
			t.Errorf("a second time it took up %d", n)
		}
	})
}

func TestOrdersUnderWayAreCountedByTheirKey(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		o, err := db.Order(t.Context(), f.order.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			state  certfleet.OrderState
			key    int64
			byHand bool
			want   int64
		}{{certfleet.OrderOpen, f.key.ID, false, 1}, {certfleet.OrderOpen, f.key.ID, true, 0}, {certfleet.OrderOpen, 0, false, 0}, {certfleet.OrderIssued, f.key.ID, true, 0}} {
			o.State, o.KeyID, o.Manual = c.state, c.key, c.byHand
			write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveOrder(ctx, o) })
			if n, err := db.LiveWithKey(t.Context(), f.key.ID); err != nil || n != c.want {
				t.Errorf("an order that is %s with key %d counts as %d, %v; want %d", c.state, c.key, n, err, c.want)
			}
			hand := c.byHand && c.state == certfleet.OrderOpen
			if ids, err := db.ByHandWithKey(t.Context(), f.key.ID); err != nil || (len(ids) == 1) != hand || hand && ids[0] != fmt.Sprint(o.ID) {
				t.Errorf("by hand: %v, %v; want it %v", ids, err, hand)
			}
			if got, err := db.ByHand(t.Context(), f.cert.ID); hand != (err == nil && got.ID == o.ID) || !hand && certfleet.KindOf(err) != certfleet.NotFound {
				t.Errorf("the certificate's order by hand: %+v, %v; want it %v", got, err, hand)
			}
		}
	})
}
