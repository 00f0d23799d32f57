package store_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// TestABatchIsReadAndWrittenAsOneByOne compares what a batch gives with what the
// questions for one give.
func TestABatchIsReadAndWrittenAsOneByOne(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		g := f.group(t, db)
		ctx := t.Context()
		newer := f.addVersion(t, db, f.cert.ID, "beef")
		ids := []int64{f.version.ID, newer.ID, 1 << 40}
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.NewGeneration(ctx, f.version.ID) })
		generations, err := db.Generations(ctx, ids)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			if want, err := db.Generation(ctx, id); err != nil || max(generations[id], id) != want {
				t.Errorf("generation of %d is %d, %v; want %d", id, generations[id], err, want)
			}
		}
		if keys, err := db.KeysByID(ctx, []int64{f.key.ID, 1 << 40}); err != nil || len(keys) != 1 || keys[f.key.ID].SPKI != f.key.SPKI {
			t.Errorf("keys %v, %v", keys, err)
		}
		for i, receipt := range []string{"first", "second"} {
			write(t, db, func(ctx context.Context, tx *store.Tx) error {
				v := []*certfleet.Version{&f.version, newer}[i]
				if err := tx.WantDeliveries(ctx, v); err != nil {
					return err
				}
				list, _, err := tx.Deliveries(ctx, store.DeliveryFilter{VersionID: v.ID, TargetID: g[0].ID})
				if err != nil {
					return err
				}
				list[0].Receipt, list[0].SentAt = []byte(receipt), tx.Now()
				return tx.SaveDelivery(ctx, &list[0])
			})
		}
		last, err := db.LastReceipts(ctx, []int64{f.cert.ID, 1 << 40}, g[0].ID)
		if want, err1 := db.LastReceipt(ctx, f.cert.ID, g[0].ID); err != nil || err1 != nil || len(last) != 1 || last[f.cert.ID].ID != want.ID || string(want.Receipt) != "second" {
			t.Errorf("receipts %+v, %v; want %+v", last, err, want)
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.KeysOpened(ctx, nil, "nothing"); err != nil {
				return err
			}
			if err := tx.KeysOpened(ctx, []int64{f.key.ID, f.key.ID}, "delivery"); err != nil {
				return err
			}
			return tx.KeysOpened(ctx, []int64{f.key.ID}, "delivery")
		})
		if got, err := db.KeyOpenings(ctx, f.key.ID, 10); err != nil || len(got) != 1 || got[0].N != 3 || got[0].Reason != "delivery" {
			t.Errorf("openings %+v, %v; want three in one row", got, err)
		}
		var told []certfleet.Event
		for i := range 103 {
			told = append(told, certfleet.Event{Kind: "delivery.sent", CertificateID: f.cert.ID, Msg: fmt.Sprint(i), Data: map[string]string{"n": fmt.Sprint(i)}})
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.Events(ctx, told) })
		got, err := db.EventsAfter(ctx, 0, store.EventCursor{}, 1000)
		if err != nil || len(got) < len(told) {
			t.Fatalf("%d events, %v", len(got), err)
		}
		for i, e := range got[len(got)-len(told):] {
			if e.Msg != told[i].Msg || e.CertificateID != f.cert.ID || e.Data["n"] != told[i].Msg || !e.At.Equal(now) {
				t.Fatalf("event %d is %+v", i, e)
			}
		}
	})
}
