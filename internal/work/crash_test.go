package work_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/trial"
	"github.com/certfleet/certfleet/internal/work"
)

// wanted stores one certificate with an order that is due.
func wanted(t *testing.T, db *store.DB) *certfleet.Order {
	t.Helper()
	ctx, names := t.Context(), []certfleet.Name{}
	n, err := certfleet.ParseName("one.example")
	if err != nil {
		t.Fatal(err)
	}
	names = append(names, n)
	o := &certfleet.Order{Slot: certfleet.SlotECDSA, Names: names, Tenant: 1, Lane: certfleet.LaneNew}
	err = db.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		a, p := &certfleet.Authority{Label: "ca", DirectoryURL: "https://ca.test/dir"}, &certfleet.Policy{Label: "default"}
		if err := errors.Join(tx.AddAuthority(ctx, a), tx.AddPolicy(ctx, p)); err != nil {
			return err
		}
		acct := &certfleet.Account{Label: "main", AuthorityID: a.ID}
		c := &certfleet.Certificate{Label: "one", Names: names, PolicyID: p.ID}
		if err := errors.Join(tx.AddAccount(ctx, acct), tx.AddCertificate(ctx, c, "operator")); err != nil {
			return err
		}
		o.CertificateID, o.AuthorityID, o.AccountID = c.ID, a.ID, acct.ID
		return tx.AddOrder(ctx, o)
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func order(t *testing.T, db *store.DB, id int64) *certfleet.Order {
	t.Helper()
	o, err := db.Order(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// stranger has the number of this process and another start.
func stranger(start string) string {
	parts := strings.Split(work.OwnerName(), "/")
	return strings.Join([]string{parts[0], parts[1], start, parts[3]}, "/")
}

// namesake is a process of another machine that has this one's host name.
func namesake() string {
	parts := strings.Split(work.OwnerName(), "/")
	return strings.Join([]string{parts[0], "1", "1", "0a1b2c3d.4026531836"}, "/")
}

func TestOnlyTheDeadLoseTheirClaims(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		o := wanted(t, db)
		for owner, free := range map[string]bool{
			work.OwnerName():   false, // alive
			stranger("1"):      true,  // its number belongs to another process now
			"elsewhere/1/1/1":  false, // not ours to judge
			namesake():         !db.Postgres(),
			"no-owner-of-ours": false,
		} {
			now := time.Now()
			err := db.Tx(t.Context(), now, func(tx *store.Tx) error {
				return tx.ClaimOrder(t.Context(), o, owner, now.Add(time.Minute))
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := work.FreeDead(t.Context(), db); err != nil {
				t.Fatal(err)
			}
			if got := order(t, db, o.ID); (got.Owner == "") != free {
				t.Errorf("after the death of others, %q holds it: %q", owner, got.Owner)
			}
			err = db.Tx(t.Context(), now, func(tx *store.Tx) error { return tx.ReleaseOrder(t.Context(), o.ID, owner, now) })
			if err != nil {
				t.Fatal(err)
			}
			o = order(t, db, o.ID)
		}
	})
}

func TestAClaimIsGivenBackWhateverAStepSays(t *testing.T) {
	for _, c := range []struct {
		what  string
		step  func(context.CancelFunc) (time.Time, error)
		least time.Duration
		most  time.Duration
	}{
		{"far away", func(context.CancelFunc) (time.Time, error) { return time.Now().Add(time.Hour), nil }, 59 * time.Minute, time.Hour},
		{"it failed", func(context.CancelFunc) (time.Time, error) { return time.Time{}, errors.New("no database") }, 9 * time.Second, 10 * time.Second},
		{"another was faster", func(context.CancelFunc) (time.Time, error) { return time.Time{}, store.ErrStale }, -time.Second, time.Second},
		{"we end", func(end context.CancelFunc) (time.Time, error) { end(); return time.Time{}, context.Canceled }, -time.Second, time.Second},
	} {
		t.Run(c.what, func(t *testing.T) {
			db := storetest.SQLite(t)
			o := wanted(t, db)
			ctx, end := context.WithCancel(t.Context())
			defer end()
			step := func(context.Context, *certfleet.Order) (time.Time, error) { return c.step(end) }
			began := time.Now()
			err := work.Orders(db, work.OwnerName(), step).Do(ctx, o.ID)
			if want := c.what != "far away"; (err != nil) != want {
				t.Errorf("err is %v", err)
			}
			got := order(t, db, o.ID)
			least, most := began.Add(c.least), time.Now().Add(c.most)
			if got.Owner != "" || !got.LeaseUntil.IsZero() || got.DueAt.Before(least) || got.DueAt.After(most) {
				t.Errorf("held by %q until %s, due at %s, want between %s and %s", got.Owner, got.LeaseUntil, got.DueAt, least, most)
			}
		})
	}
}

// once is a kind of work with one piece, which is due until it was begun.
func once(do func(context.Context)) (work.Kind, *atomic.Int64) {
	begun := &atomic.Int64{}
	return work.Kind{
		Name: "once",
		Due: func(context.Context, time.Time, int) ([]int64, error) {
			if begun.Load() > 0 {
				return nil, nil
			}
			return []int64{1}, nil
		},
		Do: func(ctx context.Context, _ int64) error {
			begun.Add(1)
			do(ctx)
			return nil
		},
	}, begun
}

func TestAStepInFlightMayFinishWithinGrace(t *testing.T) {
	for _, c := range []struct {
		what  string
		grace time.Duration
		needs time.Duration
		cut   bool
	}{{"short step", trial.Patience, 200 * time.Millisecond, false}, {"endless step", 100 * time.Millisecond, time.Minute, true}} {
		t.Run(c.what, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			var finished, wasCut atomic.Bool
			kind, _ := once(func(calls context.Context) {
				stop()
				select {
				case <-time.After(c.needs):
					finished.Store(work.Stopping(calls))
				case <-calls.Done():
					wasCut.Store(true)
				}
			})
			w := &work.Work{DB: storetest.SQLite(t), Kinds: []work.Kind{kind}, Log: slog.New(slog.DiscardHandler), Grace: c.grace}
			if err := w.Run(ctx); err != nil {
				t.Fatal(err)
			}
			if finished.Load() == c.cut || wasCut.Load() != c.cut {
				t.Errorf("finished knowing of the end: %v; cut off: %v", finished.Load(), wasCut.Load())
			}
		})
	}
}

func TestAPanicStopsNoOtherWork(t *testing.T) {
	var said strings.Builder
	bad, _ := once(func(context.Context) { panic("what nobody thought of") })
	done := false
	good, _ := once(func(context.Context) { done = true })
	w := &work.Work{DB: storetest.SQLite(t), Kinds: []work.Kind{bad, good}, Workers: 1, Log: slog.New(slog.NewTextHandler(&said, nil))}
	if n, err := w.Tick(t.Context(), time.Now(), 0); err != nil || n != 2 {
		t.Errorf("did %d: %v", n, err)
	}
	if !done || !strings.Contains(said.String(), "what nobody thought of") || len(w.Running()) != 0 {
		t.Errorf("done %v, running %v, said %q", done, w.Running(), said.String())
	}
}
