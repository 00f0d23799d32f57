package app_test

import (
	"context"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
)

// TestRetentionIsEnforcedOnceAnHour queues it twice.
func TestRetentionIsEnforcedOnceAnHour(t *testing.T) {
	a := open(t, manager(t))
	keep := time.Duration(a.Config.Retention.Events)
	k, err := a.Work.KindNamed("retention")
	if err != nil {
		t.Fatal(err)
	}
	old := func() (n int) {
		t.Helper()
		list, _, err := a.DB.Events(t.Context(), store.EventFilter{Kind: "test.old", Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	ran := func(at time.Time) {
		t.Helper()
		err := a.DB.Tx(t.Context(), time.Now(), func(tx *store.Tx) error {
			return tx.SetSetting(t.Context(), "aged_at", at.UTC().Format(time.RFC3339))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	err = a.DB.Tx(t.Context(), time.Now().Add(-keep-time.Hour), func(tx *store.Tx) error {
		return tx.Event(context.WithoutCancel(t.Context()), certfleet.Event{Kind: "test.old", Msg: "long ago"})
	})
	if err != nil || old() != 1 {
		t.Fatalf("%d old events, %v", old(), err)
	}
	for _, c := range []struct {
		since time.Duration
		left  int
	}{{time.Minute, 1}, {2 * time.Hour, 0}} {
		ran(time.Now().Add(-c.since))
		if err := k.Do(t.Context(), 1); err != nil || old() != c.left {
			t.Errorf("%s after the last time %d are left, want %d: %v", c.since, old(), c.left, err)
		}
	}
}
