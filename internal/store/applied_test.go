package store_test

import (
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// TestADatabaseOfThePreviousReleaseOpens opens a file as the release wrote it
// that had the first step only, with a row in every table, and no hashes.
func TestADatabaseOfThePreviousReleaseOpens(t *testing.T) {
	file := unpacked(t, "testdata/schema-0001.db.gz")
	if _, err := openAt(t, file, store.Options{ReadOnly: true}); err == nil || !strings.Contains(certfleet.AdviceOf(err), "without --read-only") {
		t.Errorf("read-only, before it was upgraded: %v", err)
	}
	db := mustOpen(t, file)
	c, err := db.CertificateByLabel(t.Context(), 0, "shop")
	if err != nil || len(c.Names) != 1 || c.Labels["team"] != "wéb" || len(c.Targets) != 1 {
		t.Fatalf("its certificate is %+v, %v", c, err)
	}
	if o, err := db.LastOrder(t.Context(), c.ID); err != nil || !o.Live() {
		t.Errorf("its order is %+v, %v", o, err)
	}
	c.Label = "renamed"
	write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveCertificate(ctx, c) })
	var unknown int
	if err := db.Raw().QueryRowContext(t.Context(), "SELECT count(*) FROM schema_step WHERE length(hash) <> 64").Scan(&unknown); err != nil || unknown > 0 {
		t.Errorf("%d steps have no hash, %v", unknown, err)
	}
	if _, err := openAt(t, file, store.Options{ReadOnly: true}); err != nil {
		t.Errorf("read-only, after it was upgraded: %v", err)
	}
}

// TestABackupOfThePreviousReleaseIsRestored on both engines.
func TestABackupOfThePreviousReleaseIsRestored(t *testing.T) {
	places(t, func(t *testing.T, where string) {
		if err := store.Restore(t.Context(), unpacked(t, "testdata/schema-0001.db.gz"), where, false); err != nil {
			t.Fatal(err)
		}
		if _, err := mustOpen(t, where).CertificateByLabel(t.Context(), 0, "shop"); err != nil {
			t.Error(err)
		}
	})
}

func unpacked(t *testing.T, path string) string {
	t.Helper()
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	z, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(storetest.Dir(t), "old.db")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestAnAppliedStepThatChangedIsRefused(t *testing.T) {
	places(t, func(t *testing.T, where string) {
		store.WithSchema(t, release(t, map[string]string{"9002_colour.sql": "-- oldest: 1\nCREATE TABLE colour (k TEXT PRIMARY KEY);"}))
		mustOpen(t, where).Close()
		mustOpen(t, where).Close() // unchanged it is welcome
		store.WithSchema(t, release(t, map[string]string{"9002_colour.sql": "-- oldest: 1\nCREATE TABLE colour (k TEXT PRIMARY KEY, v TEXT);"}))
		_, err := openAt(t, where, store.Options{})
		if certfleet.KindOf(err) != certfleet.Invalid || !strings.Contains(err.Error(), "9002_colour.sql") || !strings.HasPrefix(certfleet.AdviceOf(err), "install release ") {
			t.Errorf("got %v (advice %q); want a refusal that names the step", err, certfleet.AdviceOf(err))
		}
	})
}

// TestAStepThatCameLaterWithALowerNumberIsApplied merges two lines of work.
func TestAStepThatCameLaterWithALowerNumberIsApplied(t *testing.T) {
	third := map[string]string{"9003_shade.sql": "-- oldest: 1\nCREATE TABLE shade (k TEXT PRIMARY KEY);"}
	both := map[string]string{"9002_colour.sql": "-- oldest: 1\nCREATE TABLE colour (k TEXT PRIMARY KEY);", "9003_shade.sql": third["9003_shade.sql"]}
	places(t, func(t *testing.T, where string) {
		store.WithSchema(t, release(t, third))
		mustOpen(t, where).Close()
		store.WithSchema(t, release(t, both))
		rows, err := mustOpen(t, where).Raw().QueryContext(t.Context(), "SELECT n FROM schema_step WHERE n > 9000 ORDER BY n")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		var got []int
		for rows.Next() {
			var n int
			if err := rows.Scan(&n); err != nil {
				t.Fatal(err)
			}
			got = append(got, n)
		}
		if err := rows.Err(); err != nil || !slices.Equal(got, []int{9002, 9003}) {
			t.Errorf("applied are %v, %v", got, err)
		}
	})
}
