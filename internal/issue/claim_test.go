package issue_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/fakeca"
	"github.com/certfleet/certfleet/internal/issue"
	"github.com/certfleet/certfleet/internal/preflight"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/trial"
)

// twice is a way to a CA on which another node does the same in the middle of the
// first question for renewal information.
type twice struct {
	to    http.RoundTripper
	asked *atomic.Int64
	other func()
}

func (w twice) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.Contains(r.URL.Path, "/renewal-info") && w.asked.Add(1) == 1 {
		w.other()
	}
	return w.to.RoundTrip(r)
}

// TestTwoNodesOfOneDatabaseDoTheSameWorkOnce has a second node come by while the
// first is in the middle of it.
func TestTwoNodesOfOneDatabaseDoTheSameWorkOnce(t *testing.T) {
	t.Parallel()
	f := newFleet(t, storetest.Postgres(t), fakeca.Options{})
	ctx := t.Context()
	c := f.want(certfleet.LaneNew, "twice.example")[0]
	for end := time.Now().Add(trial.Patience); f.issued() == 0 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if _, err := f.work.Tick(ctx, time.Now(), 0); err != nil {
			t.Fatal(err)
		}
	}
	c = f.certificate(c.ID)
	later := func(err error) {
		if err != nil && !errors.Is(err, store.ErrStale) {
			t.Error(err)
		}
	}
	one, _ := f.node("one", nil)
	two, _ := f.node("two", nil)

	t.Run("renewal information", func(t *testing.T) {
		at := time.Now().Add(24 * time.Hour) // it was asked for when it was issued
		var asked atomic.Int64
		f.over(one, twice{f.ca.RoundTripper(), &asked, func() { later(two.PollARI(ctx, c.VersionID, at)) }})
		f.over(two, twice{f.ca.RoundTripper(), &asked, func() {}})
		if err := one.PollARI(ctx, c.VersionID, at); err != nil {
			t.Error(err)
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("the CA was asked %d times", n)
		}
	})

	t.Run("a look at what is parked", func(t *testing.T) {
		f.tx(func(ctx context.Context, tx *store.Tx) error {
			now := f.certificate(c.ID)
			now.State, now.DueAt = certfleet.Parked, tx.Now()
			return tx.SaveCertificate(ctx, now)
		})
		looks := 0
		look := func(r *issue.Room, other func()) {
			r.Preflight = func(context.Context, *certfleet.Authority, *certfleet.Policy, []issue.Ask) []preflight.Report {
				if looks++; looks == 1 {
					other()
				}
				return nil
			}
		}
		look(one, func() { later(two.Watch(ctx, c.ID, time.Now())) })
		look(two, func() {})
		if err := one.Watch(ctx, c.ID, time.Now()); err != nil {
			t.Error(err)
		}
		if got := f.certificate(c.ID); looks != 1 || got.State != certfleet.Active {
			t.Errorf("%d looks; it is %s", looks, got.State)
		}
	})

	t.Run("a record", func(t *testing.T) {
		ch := f.record(c)
		taken := 0
		clean := func(r *issue.Room, other func()) {
			r.Solver = func(certfleet.ChallengeType, string) (certfleet.Solver, error) {
				return cleaner(func() {
					if taken++; taken == 1 {
						other()
					}
				}), nil
			}
		}
		clean(one, func() { later(two.CleanUp(ctx, ch, time.Now())) })
		clean(two, func() {})
		if err := one.CleanUp(ctx, ch, time.Now()); err != nil {
			t.Error(err)
		}
		due, err := f.db.DueCleanups(ctx, time.Now().Add(24*time.Hour), 10)
		if taken != 1 || err != nil || len(due) != 0 {
			t.Errorf("the record was taken away %d times; %d are left, %v", taken, len(due), err)
		}
	})
}

// record is a TXT record that an order of the certificate left behind.
func (f *fleet) record(c *certfleet.Certificate) (ch certfleet.StoredChallenge) {
	f.Helper()
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		o, err := tx.LastOrder(ctx, c.ID)
		if err != nil {
			return err
		}
		a := &certfleet.Authorization{OrderID: o.ID, URL: "https://fakeca.test/authz/left", Name: c.Names[0], Status: "pending"}
		if err := tx.SeeAuthorization(ctx, a); err != nil {
			return err
		}
		ch = certfleet.StoredChallenge{Tenant: 1, OrderID: o.ID, AuthorizationID: a.ID, Type: certfleet.DNS01, Name: c.Names[0], Token: "left", KeyAuth: "left.print"}
		if err := tx.IntendChallenge(ctx, &ch); err != nil {
			return err
		}
		return tx.CleanLater(ctx, o.ID)
	})
	return ch
}

// cleaner is a DNS provider that is told when a record is taken away.
type cleaner func()

func (cleaner) Present(context.Context, certfleet.Challenge) ([]byte, error) { return nil, nil }

func (c cleaner) CleanUp(context.Context, certfleet.Challenge, []byte) error {
	c()
	return nil
}
