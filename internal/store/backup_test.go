package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// fillStore puts at least one row into every table.
func fillStore(t *testing.T, db *store.DB) *fleet {
	t.Helper()
	f := newFleet(t, db)
	ch := f.addChallenge(t, db, certfleet.DNS01, "tok")
	n := f.cert.Names[0]
	f.cert.Labels = certfleet.Labels{"team": "wéb"}
	f.version.ARIPollAt = now.AddDate(0, 0, 9)
	write(t, db, func(ctx context.Context, tx *store.Tx) error {
		for _, do := range []func() error{
			func() error { return tx.ReplaceCertificate(ctx, &f.cert, "operator") },
			func() error { return tx.SaveVersion(ctx, &f.version) },
			func() error {
				return tx.AddDataKey(ctx, &store.DataKeyRow{KeeperID: "k", Wrapped: []byte{0, 1, 2}}, true)
			},
			func() error {
				return tx.AddKey(ctx, &certfleet.Key{SPKI: "bb", Sealed: []byte{}, ReplacesKeyID: f.key.ID})
			},
			func() error { return tx.KeyOpened(ctx, f.key.ID, "test") },
			func() error { return tx.ClaimOrder(ctx, &f.order, "node:gone", now.AddDate(1, 0, 0)) },
			func() error { return tx.Presented(ctx, ch.ID, []byte{9}) },
			func() error { return tx.AddExchanges(ctx, []certfleet.Exchange{{OrderID: f.order.ID, At: now}}) },
			func() error { return tx.Pause(ctx, "ca", now, "wait") },
			func() error {
				return tx.AddVersion(ctx, &certfleet.Version{Fingerprint: "empty"}, []certfleet.Chain{{PEM: []byte("pem")}})
			},
			func() error {
				return tx.FillSlot(ctx, certfleet.Slot{Name: n, Kind: certfleet.SlotECDSA, VersionID: f.version.ID})
			},
			func() error { return tx.WantDeliveries(ctx, &f.version) },
			func() error { return tx.Saw(ctx, certfleet.Sighting{DeliveryID: 1, Name: n, Address: "a", At: now}) },
			func() error { return tx.AddToken(ctx, &certfleet.Token{Label: "ci", Hash: "h"}) },
			func() error { return addAgent(ctx, tx) },
			func() error { return tx.Remember(ctx, 0, "k", "a", "b") },
			func() error { return tx.SetSetting(ctx, "k", "v") },
			func() error {
				return tx.SaveBuckets(ctx, []store.Bucket{{Key: "k", Name: "new-orders", Held: 1, FullAt: now}})
			},
			func() error { return tx.Hold(ctx, f.order.ID, []store.Touch{{Key: "k"}}) },
			func() error {
				return tx.SetOverride(ctx, store.LimitOverride{Authority: "ca", Name: "new-orders", N: 1})
			},
			func() error {
				return tx.AddLookup(ctx, store.Lookup{Edge: "e", VersionID: f.version.ID, Hour: now, N: 1})
			},
			func() error { return tx.Strays(ctx, "/", "c", 1) },
			func() error {
				if _, err := tx.KeepFormer(ctx, 0, "version", 7, 1); err != nil {
					return err
				}
				if err := tx.KeepHighestFormer(ctx, 0, "version", 9); err != nil {
					return err
				}
				return tx.PutACMEDNS(ctx, store.ACMEDNS{Solver: "s", Name: n, FullDomain: "d", Sealed: []byte{3}})
			},
		} {
			if err := do(); err != nil {
				return err
			}
		}
		return nil
	})
	fillPolicies(t, db, f)
	return f
}

// rowsOf is every row of a table as text, with what a copy must change left out.
func rowsOf(t *testing.T, x *sql.DB, table string) string {
	t.Helper()
	rows, err := x.QueryContext(t.Context(), "SELECT * FROM "+table)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	cols, _ := rows.Columns()
	var lines []string
	for rows.Next() {
		values, into := make([]any, len(cols)), make([]any, len(cols))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		line := ""
		for i, c := range cols {
			if b, ok := values[i].([]byte); ok && len(b) == 0 {
				values[i] = []byte{} // the SQLite driver gives nil for no bytes
			}
			if c != "xact" {
				line += fmt.Sprintf("%s=%#v ", c, values[i])
			}
		}
		lines = append(lines, line+"\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func raw(t *testing.T, file string) *sql.DB {
	t.Helper()
	x, err := sql.Open("sqlite", "file:"+file+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	return x
}

func TestBackupHoldsEveryRow(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		fillStore(t, db)
		file := filepath.Join(t.TempDir(), "backup.db")
		told := map[string]int64{}
		if err := db.Backup(t.Context(), file, func(table string, n int64) { told[table] = n }); err != nil {
			t.Fatal(err)
		}
		if fi, err := os.Stat(file); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v; want 0600", fi.Mode(), err)
		}
		if left, _ := filepath.Glob(filepath.Dir(file) + "/.*"); len(left) != 0 {
			t.Errorf("it left %v behind", left)
		}
		if err := store.CheckBackup(t.Context(), file); err != nil {
			t.Errorf("check: %v", err)
		}
		copied := raw(t, file)
		names, err := store.Tables(t.Context())
		if err != nil || len(names) < 25 {
			t.Fatalf("tables %v, %v", names, err)
		}
		for _, table := range names {
			want, got := rowsOf(t, db.Raw(), table), rowsOf(t, copied, table)
			if want != got || want == "" || told[table] == 0 {
				t.Errorf("%s (told %d):\nhas    %scopied %s", table, told[table], want, got)
			}
		}
	})
}

// destinations are empty places on both engines.
func destinations(t *testing.T, fn func(t *testing.T, into string)) {
	t.Run("into sqlite", func(t *testing.T) { fn(t, storetest.SQLiteFile(t)) })
	t.Run("into postgres", func(t *testing.T) { fn(t, storetest.EmptyPostgresURL(t)) })
}

func TestRestoreBringsBackTheFleetAndLooksAtItAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, from *store.DB) {
		f := fillStore(t, from)
		ctx := t.Context()
		cursor, err := from.LastEvent(ctx)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "backup.db")
		if err := from.Backup(ctx, file, nil); err != nil {
			t.Fatal(err)
		}
		destinations(t, func(t *testing.T, into string) {
			if err := store.Restore(ctx, file, into, false); err != nil {
				t.Fatal(err)
			}
			db := mustOpen(t, into)
			untouched(t, from, db)
			o, err := db.Order(ctx, f.order.ID)
			if err != nil || o.Owner != "" || !o.LeaseUntil.IsZero() || !o.DueAt.After(now) {
				t.Errorf("the live order is %+v, %v; want it due since the restore, held by nobody", o, err)
			}
			v, err := db.Version(ctx, f.version.ID)
			at, serr := db.Setting(ctx, store.SettingRestoredAt)
			if ms, perr := strconv.ParseInt(at, 10, 64); err != nil || serr != nil || perr != nil || v.ARIPollAt.UnixMilli() != ms {
				t.Errorf("restored at %q, renewal information due %v: %v %v", at, v.ARIPollAt, err, serr)
			}
			goesOn(t, db, f, cursor)
		})
	})
}

// untouched compares the tables that a restore changes nothing in.
func untouched(t *testing.T, from, db *store.DB) {
	t.Helper()
	for _, table := range []string{"tenant", "data_key", "key", "account", "certificate", "certificate_name", "name_part", "label", "version_chain", "slot", "delivery", "target", "token", "acmedns", "exchange"} {
		if want, got := rowsOf(t, from.Raw(), table), rowsOf(t, db.Raw(), table); want != got {
			t.Errorf("%s:\nwas %sis  %s", table, want, got)
		}
	}
}

// goesOn adds new rows to a restored store and follows its events from a cursor
// of the old one.
func goesOn(t *testing.T, db *store.DB, f *fleet, cursor store.EventCursor) {
	t.Helper()
	c := f.addCertificate(t, db, "after", "after.example.com")
	if c.ID <= f.cert.ID {
		t.Errorf("the next certificate has id %d, not above %d", c.ID, f.cert.ID)
	}
	list, err := db.EventsAfter(t.Context(), 0, cursor, 100)
	kinds := map[string]bool{}
	for _, e := range list {
		kinds[e.Kind] = true
		if e.ID < cursor.ID+1000 {
			t.Errorf("event %d may mean something else to who read the old store up to %d", e.ID, cursor.ID)
		}
	}
	if err != nil || !kinds["store.restored"] || !kinds["certificate.added"] {
		t.Errorf("behind the old cursor there is %v, %v; want the restore and the new certificate", kinds, err)
	}
}

func TestRestoreRefusesWhatIsNotEmpty(t *testing.T) {
	ctx := t.Context()
	from := storetest.SQLite(t)
	f := newFleet(t, from)
	file := filepath.Join(t.TempDir(), "backup.db")
	if err := from.Backup(ctx, file, nil); err != nil {
		t.Fatal(err)
	}
	destinations(t, func(t *testing.T, into string) {
		old := mustOpen(t, into)
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
		if err := store.Restore(ctx, file, into, false); err != nil {
			t.Fatalf("an empty store: %v", err)
		}
		if err := store.Restore(ctx, file, into, false); certfleet.KindOf(err) != certfleet.Conflict || certfleet.AdviceOf(err) == "" {
			t.Errorf("a store with a fleet: %v; want a conflict with advice", err)
		}
		db := mustOpen(t, into)
		f.addCertificate(t, db, "lost", "lost.example.com")
		db.Close()
		if err := store.Restore(ctx, file, into, true); err != nil {
			t.Fatalf("by force: %v", err)
		}
		db = mustOpen(t, into)
		if _, err := db.CertificateByLabel(ctx, 0, "lost"); certfleet.KindOf(err) != certfleet.NotFound {
			t.Errorf("what was there before is there still: %v", err)
		}
	})
}

func TestRestoreOverADatabaseInUseIsRefused(t *testing.T) {
	from := storetest.SQLite(t)
	newFleet(t, from)
	file := filepath.Join(t.TempDir(), "backup.db")
	if err := from.Backup(t.Context(), file, nil); err != nil {
		t.Fatal(err)
	}
	into := storetest.SQLiteFile(t)
	db := mustOpen(t, into)
	newFleet(t, db)
	if err := store.Restore(t.Context(), file, into, true); certfleet.KindOf(err) != certfleet.Conflict {
		t.Errorf("got %v; want a conflict", err)
	}
	if _, err := db.CertificateByLabel(t.Context(), 0, "shop"); err != nil {
		t.Errorf("the database in use lost its certificate: %v", err)
	}
}

func TestBadBackupLeavesTheDestinationAlone(t *testing.T) {
	from := storetest.SQLite(t)
	fillStore(t, from)
	dir := t.TempDir()
	good := filepath.Join(dir, "good.db")
	if err := from.Backup(t.Context(), good, nil); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	torn := bytes.Clone(whole)
	copy(torn[len(torn)/2:], bytes.Repeat([]byte{0xa5}, 8192))
	for what, b := range map[string][]byte{"cut short": whole[:len(whole)/2], "torn": torn, "text": bytes.Repeat([]byte("text"), 3000), "empty": nil} {
		bad := filepath.Join(dir, "bad.db")
		if err := os.WriteFile(bad, b, 0o600); err != nil {
			t.Fatal(err)
		}
		into := filepath.Join(dir, "into", "certfleet.db")
		if err := store.Restore(t.Context(), bad, into, true); certfleet.KindOf(err) != certfleet.Invalid || certfleet.AdviceOf(err) == "" {
			t.Errorf("%s: %v; want invalid, with advice", what, err)
		}
		if _, err := os.Stat(filepath.Dir(into)); err == nil {
			t.Errorf("%s: the destination was touched", what)
		}
	}
}

func TestBackupOfANewerReleaseIsNotRestored(t *testing.T) {
	store.WithSchema(t, release(t, map[string]string{"9002_more.sql": "-- oldest: 1\nALTER TABLE target ADD COLUMN colour TEXT NOT NULL DEFAULT '';"}))
	db := mustOpen(t, storetest.SQLiteFile(t))
	file := filepath.Join(t.TempDir(), "backup.db")
	if err := db.Backup(t.Context(), file, nil); err != nil {
		t.Fatal(err)
	}
	store.WithSchema(t, release(t, nil))
	if err := store.Restore(t.Context(), file, storetest.SQLiteFile(t), true); certfleet.KindOf(err) != certfleet.Invalid {
		t.Errorf("got %v; want a refusal", err)
	}
}

func TestBackupOfAnOlderReleaseIsUpgraded(t *testing.T) {
	store.WithSchema(t, release(t, nil))
	db := mustOpen(t, storetest.SQLiteFile(t))
	newFleet(t, db)
	file := filepath.Join(t.TempDir(), "backup.db")
	if err := db.Backup(t.Context(), file, nil); err != nil {
		t.Fatal(err)
	}
	store.WithSchema(t, release(t, map[string]string{"9002_more.sql": "-- oldest: 1\nALTER TABLE target ADD COLUMN colour TEXT NOT NULL DEFAULT 'grey';"}))
	destinations(t, func(t *testing.T, into string) {
		if err := store.Restore(t.Context(), file, into, false); err != nil {
			t.Fatal(err)
		}
		var colour string
		if err := mustOpen(t, into).Raw().QueryRowContext(t.Context(), "SELECT colour FROM target").Scan(&colour); err != nil || colour != "grey" {
			t.Errorf("the new column holds %q, %v", colour, err)
		}
	})
}

func TestBackupIsOneMomentWhileWritersRun(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { // both settings change together or not at all
			for i := 0; ctx.Err() == nil; i++ {
				err := db.Tx(ctx, now, func(tx *store.Tx) error {
					if err := tx.SetSetting(ctx, "left", fmt.Sprint(i)); err != nil {
						return err
					}
					return tx.Pause(ctx, "right", now, fmt.Sprint(i))
				})
				if err != nil && ctx.Err() == nil {
					t.Errorf("write while the backup runs: %v", err)
				}
			}
		})
		for i := range 5 {
			file := filepath.Join(t.TempDir(), fmt.Sprint(i, ".db"))
			if err := db.Backup(ctx, file, nil); err != nil {
				t.Errorf("backup: %v", err)
				break
			}
			var left, right string
			err := raw(t, file).QueryRow("SELECT coalesce((SELECT v FROM setting WHERE k = 'left'), ''), coalesce((SELECT reason FROM pause WHERE k = 'right'), '')").Scan(&left, &right)
			if err != nil || left != right {
				t.Errorf("left is of write %q, right of write %q, %v", left, right, err)
			}
		}
		cancel()
		wg.Wait()
	})
}

func TestBackupRefusesToReplaceTheDatabase(t *testing.T) {
	file := storetest.SQLiteFile(t)
	db := mustOpen(t, file)
	if err := db.Backup(t.Context(), file, nil); certfleet.KindOf(err) != certfleet.Invalid {
		t.Errorf("over itself: %v; want invalid", err)
	}
	if err := db.Backup(t.Context(), filepath.Join(t.TempDir(), "no", "such", "folder.db"), nil); certfleet.AdviceOf(err) == "" {
		t.Errorf("into a missing folder: %v; want advice", err)
	}
}

func TestASecondRestoreKeepsWhatTheFirstPutAside(t *testing.T) {
	ctx := t.Context()
	from := storetest.SQLite(t)
	newFleet(t, from)
	file := filepath.Join(t.TempDir(), "backup.db")
	if err := from.Backup(ctx, file, nil); err != nil {
		t.Fatal(err)
	}
	into := storetest.SQLiteFile(t)
	db := mustOpen(t, into)
	f := newFleet(t, db)
	f.addCertificate(t, db, "only-here", "only-here.example.com")
	db.Close()
	for range 3 { // the wrong backup, and the right one at last
		if err := store.Restore(ctx, file, into, true); err != nil {
			t.Fatal(err)
		}
	}
	db = mustOpen(t, into+".replaced")
	if _, err := db.CertificateByLabel(ctx, 0, "only-here"); err != nil {
		t.Errorf("the database that was there first is gone: %v", err)
	}
	for _, name := range []string{".replaced.2", ".replaced.3"} {
		if _, err := os.Stat(into + name); err != nil {
			t.Error(err)
		}
	}
}
