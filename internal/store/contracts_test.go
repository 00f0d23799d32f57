package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// TestEveryQueryIsRunByAContract finds a query or write that no test here calls.
func TestEveryQueryIsRunByAContract(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil || len(files) < 10 {
		t.Fatalf("test files %v, %v", files, err)
	}
	var all strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	source := all.String()
	for _, typ := range []reflect.Type{reflect.TypeFor[*store.DB](), reflect.TypeFor[*store.Tx]()} {
		for m := range typ.Methods() {
			// A call, or the method handed to there().
			if called := "." + m.Name + "("; !strings.Contains(source, called) && !strings.Contains(source, "db."+m.Name+")") {
				t.Errorf("%v.%s is in no contract test", typ, m.Name)
			}
		}
	}
}

func TestFewRowsAreListedWhole(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		ctx := t.Context()
		second := certfleet.Account{AuthorityID: f.authority.ID, Label: "second"}
		f.account.State = certfleet.AccountDeactivated
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.AddAccount(ctx, &second); err != nil {
				return err
			}
			return tx.SaveAccount(ctx, &f.account)
		})
		if a, err := db.Authorities(ctx, 0); err != nil || len(a) != 1 || a[0].Label != "ca" {
			t.Errorf("authorities %+v, %v", a, err)
		}
		if p, err := db.Policies(ctx, 0); err != nil || len(p) != 1 || p[0].Label != "default" {
			t.Errorf("policies %+v, %v", p, err)
		}
		if a, err := db.Accounts(ctx, 0); err != nil || len(a) != 2 || a[1].Label != "second" {
			t.Errorf("accounts %+v, %v", a, err)
		}
		if a, err := db.AccountAt(ctx, 0, f.authority.ID); err != nil || a.ID != second.ID {
			t.Errorf("the account to use is %+v, %v; want the second, as the first is deactivated", a, err)
		}
		third := certfleet.Account{AuthorityID: f.authority.ID, Label: "third", State: certfleet.AccountValid}
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.AddAccount(ctx, &third) })
		if a, err := db.AccountAt(ctx, 0, f.authority.ID); err != nil || a.ID != third.ID {
			t.Errorf("the account to use is %+v, %v; want the third, as the second is not registered yet", a, err)
		}
	})
}

func TestDeliveriesFollowTheTargetsOfACertificate(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		ctx := t.Context()
		edge2 := certfleet.StoredTarget{Label: "edge-2", Type: "files"}
		states := func() string {
			list, _, err := db.Deliveries(ctx, store.DeliveryFilter{CertificateID: f.cert.ID})
			if err != nil {
				t.Fatal(err)
			}
			var out []string
			for _, d := range list {
				out = append(out, d.Target+" "+string(d.State))
			}
			slices.Sort(out)
			return strings.Join(out, ", ")
		}
		again := func(certificate int64, all bool) (n int64) {
			write(t, db, func(ctx context.Context, tx *store.Tx) (err error) {
				n, err = tx.DeliverAgain(ctx, f.target.ID, certificate, all)
				return err
			})
			return n
		}
		for _, c := range []struct {
			what string
			do   func(ctx context.Context, tx *store.Tx) error
			want string
		}{
			{"wanted", func(ctx context.Context, tx *store.Tx) error { return tx.WantMissingDeliveries(ctx, &f.version) }, "edge-1 due"},
			{"served, and a second target", func(ctx context.Context, tx *store.Tx) error {
				if err := tx.AddTarget(ctx, &edge2); err != nil {
					return err
				}
				d := deliveryOf(t, db, f.version.ID)
				d.State, d.DueAt = certfleet.DeliveryServed, time.Time{}
				if err := tx.SaveDelivery(ctx, d); err != nil {
					return err
				}
				f.cert.Targets = []string{"edge-1", "edge-2"}
				if err := tx.ReplaceCertificate(ctx, &f.cert, ""); err != nil {
					return err
				}
				return tx.WantMissingDeliveries(ctx, &f.version)
			}, "edge-1 served, edge-2 due"},
			{"the first target taken away", func(ctx context.Context, tx *store.Tx) error {
				f.cert.Targets = []string{"edge-2"}
				if err := tx.ReplaceCertificate(ctx, &f.cert, ""); err != nil {
					return err
				}
				return tx.WantMissingDeliveries(ctx, &f.version)
			}, "edge-1 superseded, edge-2 due"},
			{"stopped", func(ctx context.Context, tx *store.Tx) error { return tx.StopDeliveries(ctx, f.cert.ID) }, "edge-1 superseded, edge-2 superseded"},
			{"wanted once more at the first", func(ctx context.Context, tx *store.Tx) error {
				f.cert.Targets = []string{"edge-1"}
				if err := tx.ReplaceCertificate(ctx, &f.cert, ""); err != nil {
					return err
				}
				return tx.WantMissingDeliveries(ctx, &f.version)
			}, "edge-1 due, edge-2 superseded"},
		} {
			write(t, db, c.do)
			if got := states(); got != c.want {
				t.Errorf("%s: %s; want %s", c.what, got, c.want)
			}
		}
		if a, b, c := again(f.cert.ID, false), again(f.cert.ID+1<<40, true), again(0, true); a != 1 || b != 0 || c != 1 {
			t.Errorf("delivered again: %d of the certificate, %d of another, %d of all; want 1, 0, 1", a, b, c)
		}
	})
}

func TestOneSlotIsEmptiedOnlyOfItsVersion(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		s := certfleet.Slot{Name: f.cert.Names[0], Kind: certfleet.SlotECDSA, VersionID: f.version.ID}
		other := s
		other.VersionID++
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.FillSlot(ctx, s); err != nil {
				return err
			}
			return tx.EmptySlot(ctx, other)
		})
		if got, err := db.SlotsOf(t.Context(), 0, s.Name); err != nil || len(got) != 1 {
			t.Fatalf("slots %+v, %v; want the one of the version that is there", got, err)
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.EmptySlot(ctx, s) })
		if got, err := db.SlotsOf(t.Context(), 0, s.Name); err != nil || len(got) != 0 {
			t.Errorf("slots %+v, %v; want none", got, err)
		}
	})
}

func TestACMEDNSCredentialIsReplaced(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		want := store.ACMEDNS{Tenant: 1, Solver: "s", Name: name(t, "a.example.com"), FullDomain: "x.auth.example", Sealed: []byte{0, 1}, CreatedAt: now}
		old := want
		old.FullDomain, old.Sealed = "old", []byte{9}
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.PutACMEDNS(ctx, old); err != nil {
				return err
			}
			return tx.PutACMEDNS(ctx, want)
		})
		if got, err := db.ACMEDNS(ctx, 0, "s", want.Name); err != nil || !same(*got, want) {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
		if list, err := db.ACMEDNSOf(ctx, 0, "s"); err != nil || !same(list, []store.ACMEDNS{want}) {
			t.Errorf("list %+v, %v", list, err)
		}
		for after, n := range map[string]int{"": 1, "a.example.co": 1, "a.example.com": 0} {
			if list, err := db.ACMEDNSAfter(ctx, 0, "s", after, 10); err != nil || len(list) != n {
				t.Errorf("behind %q: %+v, %v; want %d", after, list, err, n)
			}
		}
		number := store.ACMEDNSNumber("s a.example.com")
		find := func() {
			t.Helper()
			if got, err := db.ACMEDNSByNumber(ctx, 0, number); err != nil || !same(*got, want) {
				t.Errorf("by its number: %+v, %v; want %+v", got, err, want)
			}
			if got, err := db.ACMEDNSByNumber(ctx, 2, number); certfleet.KindOf(err) != certfleet.NotFound {
				t.Errorf("of another tenant: %+v, %v", got, err)
			}
		}
		find()
		if _, err := db.Raw().ExecContext(ctx, "UPDATE acmedns SET number = 0"); err != nil { // as an older release stores it
			t.Fatal(err)
		}
		for _, n := range []int{1, 0} {
			rows, err := db.UnnumberedACMEDNS(ctx, 0, 10)
			if err != nil || len(rows) != n {
				t.Errorf("without a number: %+v, %v; want %d", rows, err, n)
			}
			write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.NumberACMEDNS(ctx, rows) })
		}
		find()
		if _, err := db.ACMEDNS(ctx, 0, "other", want.Name); certfleet.KindOf(err) != certfleet.NotFound {
			t.Errorf("another solver's credential: %v; want not found", err)
		}
	})
}

func TestAfterRestoreMakesWhatLivesDueAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := fillStore(t, db)
		ctx := t.Context()
		done := f.addOrder(t, db, f.addCertificate(t, db, "done", "done.example.com").ID)
		done.State, done.DueAt = certfleet.OrderIssued, time.Time{}
		ch := f.addChallenge(t, db, certfleet.HTTP01, "tok2")
		seen := deliveryOf(t, db, f.version.ID)
		seen.State, seen.DueAt, seen.ServedAt = certfleet.DeliveryServed, now.Add(time.Hour), now.Add(-time.Hour)
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.SaveOrder(ctx, done), tx.SaveDelivery(ctx, seen), tx.AfterRestore(ctx))
		})
		if d, err := db.Delivery(ctx, seen.ID); err != nil || d.State != certfleet.DeliveryApplied || !d.DueAt.Equal(now) {
			t.Errorf("served delivery %+v, %v; want it looked at again before it counts", d, err)
		}
		live, err := db.Order(ctx, f.order.ID)
		if err != nil || !live.DueAt.Equal(now) || live.Owner != "" || live.Rev != f.order.Rev+1 {
			t.Errorf("live order %+v, %v; want it due and free", live, err)
		}
		if o, err := db.Order(ctx, done.ID); err != nil || !same(*o, *done) {
			t.Errorf("issued order %+v, %v; want it left alone", o, err)
		}
		if polls, err := db.DuePolls(ctx, now, 10); err != nil || len(polls) != 1 || polls[0].ID != f.version.ID {
			t.Errorf("due polls %+v, %v; want the one version that is polled", polls, err)
		}
		if n, err := db.Issued(ctx); err != nil || n != 1 {
			t.Errorf("%d orders issued, %v; want one", n, err)
		}
		if got, err := db.Challenge(ctx, ch.ID); err != nil || !same(*got, *ch) {
			t.Errorf("challenge %+v, %v; want %+v", got, err, ch)
		}
	})
}

func TestAStoreKnowsItsFile(t *testing.T) {
	file := storetest.SQLiteFile(t)
	if got, err := mustOpen(t, file).File(t.Context()); err != nil || got != file {
		t.Errorf("file %q, %v; want %q", got, err, file)
	}
	if got, err := storetest.Postgres(t).File(t.Context()); err != nil || got != "" {
		t.Errorf("file of a PostgreSQL store %q, %v; want none", got, err)
	}
}
