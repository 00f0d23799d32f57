package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/porttest"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// actable checks that an operator can act on err.
func actable(t *testing.T, err error, kind certfleet.Kind, msg string) {
	t.Helper()
	e, ok := errors.AsType[*certfleet.Error](err)
	if !ok || e.Kind != kind || !strings.Contains(e.Msg, msg) || e.Advice == "" {
		t.Errorf("got %v (advice %q); want %v, %q and an advice", err, certfleet.AdviceOf(err), kind, msg)
	}
}

func TestLockedDatabaseSaysSo(t *testing.T) {
	file := storetest.SQLiteFile(t)
	db := mustOpen(t, file)
	write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SetSetting(ctx, "k", "v") })
	store.BusyTimeout(t, db, 50*time.Millisecond)
	other, err := sql.Open("sqlite", "file:"+file+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	tx, err := other.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	err = try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SetSetting(ctx, "k", "w") })
	actable(t, err, certfleet.Unreachable, "locked")
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SetSetting(ctx, "k", "w") })
}

func TestFullDiskSaysSoAndLosesNothing(t *testing.T) {
	db := mustOpen(t, storetest.SQLiteFile(t))
	write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SetSetting(ctx, "k", "v") })
	store.NoMorePages(t, db)
	err := try(t, db, func(ctx context.Context, tx *store.Tx) error {
		return tx.SetSetting(ctx, "big", strings.Repeat("x", 1<<20))
	})
	actable(t, err, certfleet.Unreachable, "full")
	if v, err := db.Setting(t.Context(), "k"); err != nil || v != "v" {
		t.Errorf("the setting of before is %q, %v", v, err)
	}
	write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SetSetting(ctx, "k", "w") })
}

func TestReadersCannotWrite(t *testing.T) {
	db := storetest.SQLite(t)
	actable(t, store.WriteByReader(t.Context(), db), certfleet.Denied, "cannot be written")
}

func TestErrorsKeepWhatWasBeingDone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		add := func(ctx context.Context, tx *store.Tx) error { return tx.AddPolicy(ctx, &certfleet.Policy{Label: "p"}) }
		write(t, db, add)
		if err := try(t, db, add); err == nil || !strings.Contains(err.Error(), "add policy: ") {
			t.Errorf("got %v; want it to say that a policy was being added", err)
		}
	})
}

func TestNoServerAtTheAddressSaysSo(t *testing.T) {
	addr := fmt.Sprintf("127.0.0.1:%d", porttest.Port(t))
	_, err := openAt(t, "postgres://user:s3cret@"+addr+"/certfleet", store.Options{})
	actable(t, err, certfleet.Unreachable, "does not answer")
	if strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the password is in %q", err)
	}
	_, err = openAt(t, "postgres://user:s3cret@["+addr, store.Options{})
	actable(t, err, certfleet.Invalid, "cannot be read")
	if strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the password is in %q", err)
	}
}

func TestUnknownDatabaseOnTheServerSaysSo(t *testing.T) {
	url := storetest.EmptyPostgresURL(t)
	_, err := openAt(t, strings.Replace(url, "@/", "@/no_such_", 1), store.Options{})
	actable(t, err, certfleet.Denied, "refuses")
}

func TestARoleThatMayNotMakeTablesSaysSo(t *testing.T) {
	srv := storetest.OwnServer(t)
	srv.Do(t, "CREATE ROLE poor LOGIN PASSWORD 's3cret'")
	srv.Do(t, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
	_, err := openAt(t, strings.Replace(srv.URL(), "postgres@", "poor:s3cret@", 1), store.Options{})
	actable(t, err, certfleet.Denied, "lacks a right")
	if err != nil && strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the password is in %q", err)
	}
}

func TestAFolderIsNoDatabase(t *testing.T) {
	_, err := openAt(t, t.TempDir(), store.Options{})
	actable(t, err, certfleet.Invalid, "cannot be opened")
	_, err = openAt(t, filepath.Join("/proc/self/no", "such.db"), store.Options{})
	actable(t, err, certfleet.Invalid, "folder")
}

func TestTroubleIsTheDatabasesOwn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		twice := try(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.AddPolicy(ctx, &certfleet.Policy{Label: "one"}), tx.AddPolicy(ctx, &certfleet.Policy{Label: "one"}))
		})
		if certfleet.KindOf(twice) != certfleet.Conflict || store.Trouble(twice) {
			t.Errorf("a label that is taken is trouble of the database: %v", twice)
		}
		if _, err := db.Order(t.Context(), 1); store.Trouble(err) || store.Trouble(nil) || store.Trouble(store.ErrStale) {
			t.Errorf("what is not there is trouble of the database: %v", err)
		}
	})
	_, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "is", "a", "folder")+"/", store.Options{})
	if !store.Trouble(err) {
		t.Errorf("a file that cannot be opened is none: %v", err)
	}
}
