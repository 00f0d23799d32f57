package work_test

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/work"
)

// TestAnOrderThatIsNotDueAnyMoreIsLeftAlone is handed out late, or twice.
func TestAnOrderThatIsNotDueAnyMoreIsLeftAlone(t *testing.T) {
	for what, change := range map[string]func(o *certfleet.Order){
		"another works on it": func(o *certfleet.Order) { o.Owner, o.LeaseUntil = "another", time.Now().Add(time.Minute) },
		"it was put off":      func(o *certfleet.Order) { o.DueAt = time.Now().Add(time.Hour) },
		"it ended":            func(o *certfleet.Order) { o.State = certfleet.OrderFailed },
		"it goes by hand":     func(o *certfleet.Order) { o.Manual = true },
	} {
		t.Run(what, func(t *testing.T) {
			db := storetest.SQLite(t)
			o := wanted(t, db)
			change(o)
			if err := db.Tx(t.Context(), time.Now(), func(tx *store.Tx) error { return tx.SaveOrder(t.Context(), o) }); err != nil {
				t.Fatal(err)
			}
			before := order(t, db, o.ID)
			kind := work.Orders(db, "node:a", func(context.Context, *certfleet.Order) (time.Time, error) {
				t.Error("it was stepped")
				return time.Time{}, nil
			})
			if err := kind.Do(t.Context(), o.ID); err != nil {
				t.Error(err)
			}
			if after := order(t, db, o.ID); !reflect.DeepEqual(before, after) {
				t.Errorf("it was %+v and is %+v", before, after)
			}
		})
	}
}
