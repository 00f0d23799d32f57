package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// told counts the events of a kind.
func told(t *testing.T, db *store.DB, kind string) int {
	t.Helper()
	list, _, err := db.Events(t.Context(), store.EventFilter{Kind: kind})
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestWhoWasTooLateCommitsNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		late := f.order
		late.Rev--
		rev := late.Rev
		err := db.Tx(t.Context(), now, func(tx *store.Tx) error {
			ctx := t.Context()
			return errors.Join(tx.Event(ctx, certfleet.Event{Kind: "test.before", Msg: "x"}), tx.SaveOrder(ctx, &late), tx.Event(ctx, certfleet.Event{Kind: "test.behind", Msg: "x"}))
		})
		if !errors.Is(err, store.ErrStale) || certfleet.KindOf(err) != certfleet.Conflict {
			t.Errorf("err is %v", err)
		}
		if late.Rev != rev {
			t.Errorf("the revision is %d, and was %d", late.Rev, rev)
		}
		if n := told(t, db, "test.before") + told(t, db, "test.behind"); n != 0 {
			t.Errorf("%d events stayed", n)
		}
	})
}

func TestAWritesOwnErrorIsTold(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		err := db.Tx(t.Context(), now, func(tx *store.Tx) error {
			ctx := t.Context()
			slot := certfleet.Slot{Tenant: 1, Name: name(t, "nobody.example"), Kind: certfleet.SlotECDSA, VersionID: 1 << 40} // there is no such version
			if err := tx.FillSlot(ctx, slot); err != nil {
				return err
			}
			if _, err := tx.Order(ctx, f.order.ID); err != nil {
				return err
			}
			return tx.Event(ctx, certfleet.Event{Kind: "test.behind", Msg: "x"})
		})
		if certfleet.KindOf(err) != certfleet.Conflict {
			t.Errorf("err is %v", err)
		}
		if told(t, db, "test.behind") != 0 {
			t.Error("what came behind it stayed")
		}
	})
}

func TestAReadSeesWhatItsTransactionWrote(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		err := db.Tx(t.Context(), now, func(tx *store.Tx) error {
			ctx := t.Context()
			o, err := tx.Order(ctx, f.order.ID)
			if err != nil {
				return err
			}
			o.Problem = "seen"
			if err := tx.SaveOrder(ctx, o); err != nil {
				return err
			}
			o.Problem = "never saved"
			got, err := tx.Order(ctx, o.ID)
			if err == nil && (got.Problem != "seen" || got.Rev != o.Rev) {
				t.Errorf("it reads %q, revision %d of %d", got.Problem, got.Rev, o.Rev)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestATransactionThatIsCutOffChangesNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for range 20 { // more than there are connections
			ctx, cut := context.WithCancel(t.Context())
			err := db.Tx(ctx, time.Now(), func(tx *store.Tx) error {
				if err := tx.Event(ctx, certfleet.Event{Kind: "test.cut", Msg: "x"}); err != nil {
					return err
				}
				if _, err := tx.Setting(ctx, "x"); err != nil { // sends it
					return err
				}
				cut()
				return nil
			})
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("err is %v", err)
			}
		}
		if n := told(t, db, "test.cut"); n != 0 {
			t.Errorf("%d events stayed", n)
		}
	})
}

func TestAPanicOnPostgreSQLLeavesNoTransactionOpen(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for range 20 {
			func() {
				defer func() { recover() }()
				db.Tx(t.Context(), time.Now(), func(tx *store.Tx) error {
					tx.Event(t.Context(), certfleet.Event{Kind: "test.panic", Msg: "x"})
					tx.Setting(t.Context(), "x")
					panic("in the middle")
				})
			}()
		}
		if n := told(t, db, "test.panic"); n != 0 {
			t.Errorf("%d events stayed", n)
		}
		err := db.Tx(t.Context(), time.Now(), func(tx *store.Tx) error { return tx.Event(t.Context(), certfleet.Event{Kind: "test.after", Msg: "x"}) })
		if err != nil || told(t, db, "test.after") != 1 {
			t.Errorf("afterwards: %v", err)
		}
	})
}
