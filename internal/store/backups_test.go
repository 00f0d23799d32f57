package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

func TestABackupIsDueOnceAndServesWhenFlipped(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		ctx := t.Context()
		f.cert.VersionID = f.version.ID
		want := func() *certfleet.Backup {
			t.Helper()
			write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.WantBackup(ctx, &f.cert) })
			b, err := db.BackupOf(ctx, f.cert.ID)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		if b, err := db.MaybeBackup(ctx, f.cert.ID); b != nil || err != nil {
			t.Errorf("a backup before any was wanted: %+v, %v", b, err)
		}
		b := want()
		due, err := db.DueBackups(ctx, now, 10)
		if err != nil || len(due) != 1 || due[0].CertificateID != f.cert.ID || want().Rev != b.Rev {
			t.Errorf("due %+v, %v; wanted again it is %+v", due, err, want())
		}
		b.DueAt = time.Time{}
		order := certfleet.Order{CertificateID: f.cert.ID, AuthorityID: f.authority.ID, AccountID: f.account.ID, Slot: certfleet.SlotBackup, Names: f.cert.Names}
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.AddOrder(ctx, &order); err != nil {
				return err
			}
			return tx.SaveBackup(ctx, b)
		})
		if got := want(); !got.DueAt.IsZero() {
			t.Errorf("due %s while its order is on its way", got.DueAt)
		}
		if o, err := db.LastOrder(ctx, f.cert.ID); err != nil || o.ID != f.order.ID {
			t.Errorf("the last order is %+v, %v; want the primary's", o, err)
		}
		second := f.addVersion(t, db, f.cert.ID, "beef")
		serving := func(want int64) {
			t.Helper()
			if got, err := db.ServingVersion(ctx, &f.cert); err != nil || got != want {
				t.Errorf("version %d serves, %v; want %d", got, err, want)
			}
		}
		serving(f.version.ID)
		b.VersionID, b.FlippedAt = second.ID, now
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.FillSlot(ctx, certfleet.Slot{Name: f.cert.Names[0], Kind: certfleet.SlotECDSA, VersionID: f.version.ID}); err != nil {
				return err
			}
			if err := tx.MoveSlots(ctx, f.version.ID, second.ID); err != nil {
				return err
			}
			return tx.SaveBackup(ctx, b)
		})
		serving(second.ID)
		if s, err := db.SlotsOf(ctx, 0, f.cert.Names[0]); err != nil || len(s) != 1 || s[0].VersionID != second.ID {
			t.Errorf("slots %+v, %v", s, err)
		}
		if list, err := db.FlippedBackups(ctx, 0, 0, 10); err != nil || len(list) != 1 {
			t.Errorf("flipped %+v, %v", list, err)
		}
		if list, err := db.FlippedBackups(ctx, 0, f.cert.ID, 10); err != nil || len(list) != 0 {
			t.Errorf("flipped behind it %+v, %v", list, err)
		}
	})
}

func TestAVersionCanBePutBeforeNewerOnes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		newer := f.addVersion(t, db, f.cert.ID, "beef")
		generation := func(id int64) int64 {
			t.Helper()
			n, err := db.Generation(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if got := generation(f.version.ID); got != f.version.ID {
			t.Errorf("generation %d of version %d", got, f.version.ID)
		}
		for range 2 {
			write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.NewGeneration(ctx, f.version.ID) })
		}
		latest := f.addVersion(t, db, f.cert.ID, "cafe")
		if old := generation(f.version.ID); old <= newer.ID || old >= latest.ID {
			t.Errorf("generation %d; want it between versions %d and %d", old, newer.ID, latest.ID)
		}
	})
}

func TestAPolicysCertificatesAreFilledPageByPage(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		ctx := t.Context()
		got := 1
		for _, label := range []string{"a", "b", "c"} {
			c := f.addCertificate(t, db, label, label+".example.com")
			if label != "b" { // b has no version yet
				c.VersionID, got = f.version.ID, got+1
			}
			write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveCertificate(ctx, c) })
		}
		f.cert.VersionID = f.version.ID
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.SaveCertificate(ctx, &f.cert); err != nil {
				return err
			}
			return tx.FillBackups(ctx, f.policy.ID)
		})
		pages := 0
		for {
			list, err := db.DueBackupFills(ctx, now, 10)
			if err != nil {
				t.Fatal(err)
			}
			if len(list) == 0 {
				break
			}
			write(t, db, func(ctx context.Context, tx *store.Tx) error {
				more, err := tx.FillPage(ctx, list[0].PolicyID, 3)
				if pages++; more != (pages == 1) {
					t.Errorf("page %d: more %v", pages, more)
				}
				return err
			})
		}
		if due, err := db.DueBackups(ctx, now, 10); err != nil || len(due) != got {
			t.Errorf("%d backups are due, %v; want %d", len(due), err, got)
		}
	})
}

// TestAFillThatIsAskedForAnewBeginsAnew has a page of the old one end behind the
// new question.
func TestAFillThatIsAskedForAnewBeginsAnew(t *testing.T) {
	db := storetest.Postgres(t)
	f := newFleet(t, db)
	for i := range 6 {
		c := &certfleet.Certificate{Label: fmt.Sprint("more-", i), Names: f.cert.Names, PolicyID: f.policy.ID}
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.AddCertificate(ctx, c, "operator") })
	}
	page := func(ctx context.Context, tx *store.Tx) error { _, err := tx.FillPage(ctx, f.policy.ID, 3); return err }
	at := func() int64 {
		t.Helper()
		list, err := db.DueBackupFills(t.Context(), now, 10)
		if err != nil || len(list) != 1 {
			t.Fatalf("fills %+v, %v", list, err)
		}
		return list[0].AfterID
	}
	write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.FillBackups(ctx, f.policy.ID) })
	write(t, db, page)
	first := at()
	late := make(chan error, 1)
	write(t, db, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.FillBackups(ctx, f.policy.ID); err != nil {
			return err
		}
		if _, err := tx.DueBackupFills(ctx, now, 1); err != nil { // what is asked for has left
			return err
		}
		go func() { late <- try(t, db, page) }()
		time.Sleep(200 * time.Millisecond) // it waits for this row
		return nil
	})
	if err := <-late; err != nil {
		t.Fatal(err)
	}
	if got := at(); got > first {
		t.Errorf("it goes on behind %d, and leaves out what was asked for", got)
	}
}
