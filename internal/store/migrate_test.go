package store_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// release is this release's schema and what is added to it.
func release(t *testing.T, more map[string]string) fs.FS {
	t.Helper()
	out := fstest.MapFS{}
	for _, engine := range []string{"sqlite", "postgres"} {
		dir := "schema/" + engine + "/"
		steps, err := fs.ReadDir(store.Schema, "schema/"+engine)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range steps {
			b, err := fs.ReadFile(store.Schema, dir+s.Name())
			if err != nil {
				t.Fatal(err)
			}
			out[dir+s.Name()] = &fstest.MapFile{Data: b}
		}
		for name, sql := range more {
			out[dir+name] = &fstest.MapFile{Data: []byte(sql)}
		}
	}
	return out
}

// places are an address at which no store is yet, on each engine.
func places(t *testing.T, fn func(t *testing.T, where string)) {
	t.Run("sqlite", func(t *testing.T) { fn(t, storetest.SQLiteFile(t)) })
	t.Run("postgres", func(t *testing.T) { fn(t, storetest.EmptyPostgresURL(t)) })
}

func openAt(t *testing.T, where string, o store.Options) (*store.DB, error) {
	t.Helper()
	db, err := store.Open(t.Context(), where, o)
	if err == nil {
		t.Cleanup(func() { db.Close() })
	}
	return db, err
}

func mustOpen(t *testing.T, where string) *store.DB {
	t.Helper()
	db, err := openAt(t, where, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func TestOlderDatabaseIsUpgradedAndKeepsItsRows(t *testing.T) {
	places(t, func(t *testing.T, where string) {
		store.WithSchema(t, release(t, nil))
		old := mustOpen(t, where)
		newFleet(t, old)
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
		store.WithSchema(t, release(t, map[string]string{
			"9002_colour.sql": "-- oldest: 1\nALTER TABLE target ADD COLUMN colour TEXT NOT NULL DEFAULT 'grey';\nCREATE TABLE colour (k TEXT PRIMARY KEY);\nINSERT INTO colour (k) VALUES ('grey');",
		}))
		db := mustOpen(t, where)
		var colour, by string
		if err := db.Raw().QueryRowContext(t.Context(), "SELECT t.colour FROM target t JOIN colour c ON c.k = t.colour WHERE t.label = 'edge-1'").Scan(&colour); err != nil || colour != "grey" {
			t.Errorf("the new column holds %q, %v", colour, err)
		}
		if err := db.Raw().QueryRowContext(t.Context(), "SELECT made_by FROM schema_step WHERE n = 9002").Scan(&by); err != nil || by != certfleet.Release {
			t.Errorf("step 9002 was made by %q, %v", by, err)
		}
		if _, err := db.CertificateByLabel(t.Context(), 0, "shop"); err != nil {
			t.Errorf("the certificate is gone: %v", err)
		}
	})
}

func TestNewerDatabaseOpensWhileItsStepsAllowIt(t *testing.T) {
	places(t, func(t *testing.T, where string) {
		store.WithSchema(t, release(t, map[string]string{"9002_more.sql": "-- oldest: 1\nALTER TABLE target ADD COLUMN colour TEXT NOT NULL DEFAULT '';"}))
		mustOpen(t, where).Close()
		store.WithSchema(t, release(t, nil))
		newFleet(t, mustOpen(t, where))
	})
}

func TestNewerDatabaseThatExcludesUsNamesTheReleaseToInstall(t *testing.T) {
	was := certfleet.Release
	t.Cleanup(func() { certfleet.Release = was })
	places(t, func(t *testing.T, where string) {
		certfleet.Release = "9.4.2"
		store.WithSchema(t, release(t, map[string]string{"9002_less.sql": "-- oldest: 9002\nDROP TABLE stray;"}))
		mustOpen(t, where).Close()
		certfleet.Release = "9.3.0"
		store.WithSchema(t, release(t, nil))
		_, err := openAt(t, where, store.Options{})
		if certfleet.KindOf(err) != certfleet.Invalid || !strings.Contains(certfleet.AdviceOf(err), "9.4.2") {
			t.Errorf("got %v (advice %q); want a refusal that names 9.4.2", err, certfleet.AdviceOf(err))
		}
	})
}

func TestAStepThatFailsLeavesTheDatabaseAsItWas(t *testing.T) {
	places(t, func(t *testing.T, where string) {
		store.WithSchema(t, release(t, nil))
		mustOpen(t, where).Close()
		store.WithSchema(t, release(t, map[string]string{"9002_broken.sql": "-- oldest: 1\nCREATE TABLE half (k TEXT);\nSELECT no_such_column FROM target;"}))
		if _, err := openAt(t, where, store.Options{}); err == nil || !strings.Contains(err.Error(), "9002_broken.sql") {
			t.Errorf("got %v; want an error that names the step", err)
		}
		store.WithSchema(t, release(t, nil))
		db := mustOpen(t, where)
		if _, err := db.Raw().ExecContext(t.Context(), "SELECT * FROM half"); err == nil {
			t.Error("half of the step stayed")
		}
	})
}

func TestNodesThatOpenAtOnceAllSucceed(t *testing.T) {
	places(t, func(t *testing.T, where string) {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				db, err := store.Open(t.Context(), where, store.Options{})
				if err != nil {
					t.Errorf("open: %v", err)
					return
				}
				if err := db.Ping(t.Context()); err != nil {
					t.Errorf("ping: %v", err)
				}
				db.Close()
			})
		}
		wg.Wait()
	})
}

func TestReadOnlyChangesNothing(t *testing.T) {
	db := storetest.SQLite(t)
	newFleet(t, db)
	file := filepath.Join(t.TempDir(), "copy.db")
	if err := db.Backup(t.Context(), file, nil); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	ro, err := openAt(t, file, store.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ro.CertificateByLabel(t.Context(), 0, "shop"); err != nil {
		t.Errorf("read: %v", err)
	}
	if err := ro.Tx(t.Context(), now, func(*store.Tx) error { return nil }); certfleet.KindOf(err) != certfleet.Denied {
		t.Errorf("write: %v; want denied", err)
	}
	ro.Close()
	after, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file changed (%v)", err)
	}
	left, _ := filepath.Glob(file + "*")
	if len(left) != 1 {
		t.Errorf("it left %v behind", left)
	}
}

func TestReadOnlyOfSomethingElseIsRefused(t *testing.T) {
	dir := t.TempDir()
	empty, text := filepath.Join(dir, "empty.db"), filepath.Join(dir, "text.db")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(text, bytes.Repeat([]byte("not a database. "), 400), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]certfleet.Kind{empty: certfleet.Invalid, text: certfleet.Invalid, filepath.Join(dir, "none.db"): certfleet.NotFound} {
		if _, err := openAt(t, file, store.Options{ReadOnly: true}); certfleet.KindOf(err) != want || certfleet.AdviceOf(err) == "" {
			t.Errorf("%s: %v; want %v with advice", filepath.Base(file), err, want)
		}
	}
}

// dialect are the words in which the two schemas may differ.
var dialect = strings.NewReplacer(
	"BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY", "INTEGER PRIMARY KEY AUTOINCREMENT",
	"BYTEA", "BLOB",
	` COLLATE "C"`, "",
	"DEFAULT (pg_current_xact_id()::text::bigint)", "DEFAULT 0",
	" WHERE xact < pg_snapshot_xmin(pg_current_snapshot())::text::bigint", "",
)

func TestBothSchemasSayTheSame(t *testing.T) {
	// SQLite takes a partial index only when its columns beat those of a whole one;
	// PostgreSQL drops a column that the condition implies, and then scans.
	leading := regexp.MustCompile(`(CREATE INDEX certificate_(?:parked|lane|share|room|urgent) ON certificate \()state, `)
	setval := regexp.MustCompile(`(?m)^SELECT setval\(.*\);\n`)
	list, err := fs.Glob(store.Schema, "schema/*/*.sql")
	if err != nil || len(list) < 2 {
		t.Fatalf("schema files %v, %v", list, err)
	}
	for _, f := range list {
		name := filepath.Base(f)
		lite, err := fs.ReadFile(store.Schema, "schema/sqlite/"+name)
		if err != nil {
			t.Fatal(err)
		}
		pg, err := fs.ReadFile(store.Schema, "schema/postgres/"+name)
		if err != nil {
			t.Fatal(err)
		}
		a, b := strings.Split(leading.ReplaceAllString(string(lite), "$1"), "\n"), strings.Split(setval.ReplaceAllString(dialect.Replace(string(pg)), ""), "\n")
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Fatalf("%s line %d:\n  sqlite   %s\n  postgres %s", name, i+1, a[i], b[i])
			}
		}
		if len(a) != len(b) {
			t.Errorf("%s has %d lines for sqlite and %d for postgres", name, len(a), len(b))
		}
	}
}
