package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/trial"
)

func openTest(t *testing.T) *DB {
	t.Helper()
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "w.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func set(db *DB, key string, and error) error {
	return db.Tx(context.Background(), time.Now(), func(tx *Tx) error {
		return errors.Join(tx.SetSetting(context.Background(), key, "x"), and)
	})
}

func TestOneCallersFailureIsNotAnothers(t *testing.T) {
	db := openTest(t)
	bad := errors.New("no")
	var all sync.WaitGroup
	var wrong atomic.Int64
	for i := range 400 {
		all.Go(func() {
			var want error
			if i%3 == 0 {
				want = bad
			}
			if err := set(db, fmt.Sprint(i), want); !errors.Is(err, want) {
				wrong.Add(1)
			}
		})
	}
	all.Wait()
	if wrong.Load() != 0 {
		t.Errorf("%d callers were told another's outcome", wrong.Load())
	}
	for i := range 400 {
		if v, err := db.Setting(t.Context(), fmt.Sprint(i)); err != nil || (v == "x") != (i%3 != 0) {
			t.Fatalf("setting %d is %q: %v", i, v, err)
		}
	}
}

func TestWaitingCallersShareACommit(t *testing.T) {
	db := openTest(t)
	before := db.writer.commits.Load()
	hold := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		db.Tx(t.Context(), time.Now(), func(*Tx) error { <-hold; return nil })
	})
	queued := atomic.Int64{}
	for i := range 50 {
		all.Go(func() { queued.Add(1); set(db, fmt.Sprint(i), nil) })
	}
	trial.Until(t, "all 50 come to the queue", func() (bool, string) { n := queued.Load(); return n == 50, fmt.Sprint(n) })
	time.Sleep(100 * time.Millisecond) // they have a step to go
	close(hold)
	all.Wait()
	if n := db.writer.commits.Load() - before; n > 5 {
		t.Errorf("51 callers needed %d commits", n)
	}
}

func TestAPanicInATransactionLeavesTheStoreUsable(t *testing.T) {
	db := openTest(t)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		db.Tx(t.Context(), time.Now(), func(tx *Tx) error {
			tx.SetSetting(t.Context(), "lost", "x")
			panic("in the middle")
		})
	}()
	if err := set(db, "after", nil); err != nil {
		t.Fatal(err)
	}
	if v, _ := db.Setting(t.Context(), "lost"); v != "" {
		t.Error("half a transaction was kept")
	}
}

func TestAnEndedCallerChangesNothing(t *testing.T) {
	db := openTest(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := db.Tx(ctx, time.Now(), func(tx *Tx) error {
		cancel()
		return tx.SetSetting(ctx, "late", "x")
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if v, _ := db.Setting(t.Context(), "late"); v != "" {
		t.Error("an ended caller wrote")
	}
}
