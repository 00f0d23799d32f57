package issue_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/fakeca"
	"github.com/certfleet/certfleet/internal/issue"
	"github.com/certfleet/certfleet/internal/keeper"
	"github.com/certfleet/certfleet/internal/keystore/stored"
	"github.com/certfleet/certfleet/internal/solver/http01"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/work"
)

// fleet is many certificates at a CA that enforces the limits of Let's Encrypt,
// by the clock of the test's bubble.
type fleet struct {
	*testing.T
	db     *store.DB
	ca     *fakeca.CA
	keeper *keeper.Key
	auth   *certfleet.Authority
	acct   *certfleet.Account
	policy *certfleet.Policy
	work   *work.Work
	room   *issue.Room
}

func newFleet(t *testing.T, db *store.DB, o fakeca.Options) *fleet {
	t.Helper()
	return newFleetAt(t, db, "letsencrypt", o)
}

// newFleetAt calls the CA by another name, under which no limits are published.
func newFleetAt(t *testing.T, db *store.DB, authority string, o fakeca.Options) *fleet {
	t.Helper()
	o.Trusting, o.Lean = true, true
	return fleetAt(t, db, authority, o)
}

// fleetAt is a fleet at a CA that is as o says; without limits it has Let's Encrypt's.
func fleetAt(t *testing.T, db *store.DB, authority string, o fakeca.Options) *fleet {
	t.Helper()
	if o.Limits == nil {
		o.Limits = fakeca.LetsEncrypt()
	}
	f := &fleet{T: t, db: db, ca: fakeca.New(o)}
	var err error
	if f.keeper, err = keeper.Generate(); err != nil {
		t.Fatal(err)
	}
	f.auth = &certfleet.Authority{Label: authority, DirectoryURL: f.ca.DirectoryURL()}
	f.policy = &certfleet.Policy{Label: "default", Spec: certfleet.PolicySpec{Authorities: []string{authority}, Profile: "shortlived"}}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.AddAuthority(ctx, f.auth); err != nil {
			return err
		}
		f.acct = &certfleet.Account{AuthorityID: f.auth.ID, Label: "main", AgreedAt: tx.Now()}
		if err := tx.AddAccount(ctx, f.acct); err != nil {
			return err
		}
		return tx.AddPolicy(ctx, f.policy)
	})
	f.room, f.work = f.node("a", nil)
	if err := f.room.Register(t.Context(), f.acct.ID); err != nil {
		t.Fatal(err)
	}
	if f.acct, err = db.Account(t.Context(), f.acct.ID); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fleet) tx(fn func(context.Context, *store.Tx) error) {
	f.Helper()
	ctx := context.WithoutCancel(f.Context())
	if err := f.db.Tx(ctx, time.Now(), func(tx *store.Tx) error { return fn(ctx, tx) }); err != nil {
		f.Fatal(err)
	}
}

// node is a process that shares the store.
func (f *fleet) node(name string, after func(string)) (*issue.Room, *work.Work) {
	r := &issue.Room{DB: f.db, Keys: stored.New(f.keeper, f.db), After: after}
	r.Client = func(a *certfleet.Authority, record func(context.Context, certfleet.Exchange)) (*acme.Client, error) {
		return acme.New(acme.Options{DirectoryURL: a.DirectoryURL, HTTP: &http.Client{Transport: f.ca.RoundTripper()}, Record: record}), nil
	}
	r.Solver = func(certfleet.ChallengeType, string) (certfleet.Solver, error) { return &http01.Solver{}, nil }
	w := &work.Work{DB: f.db, Workers: 1, Owner: owner(len(name)) + name, Log: discard}
	w.Kinds = []work.Kind{
		kind("raises", f.db.DueRaises, func(d store.Due) int64 { return d.ID }, func(ctx context.Context, id int64) error { return r.Raise(ctx, id, time.Now()) }),
		{Name: "renewals", Due: r.Due, Do: func(ctx context.Context, id int64) error { return r.Open(ctx, id, time.Now()) }},
		work.Orders(f.db, w.Owner, r.Step),
		kind("cleanups", f.db.DueCleanups, func(c certfleet.StoredChallenge) int64 { return c.ID }, func(ctx context.Context, id int64) error {
			return f.db.Tx(ctx, time.Now(), func(tx *store.Tx) error { return tx.Cleaned(ctx, id) })
		}),
		{Name: "backups", Due: r.DueBackups, Do: func(ctx context.Context, id int64) error { return r.OpenBackup(ctx, id, time.Now()) }},
		kind("replacements", f.db.DueReplacements, func(p certfleet.Replacement) int64 { return p.ID }, func(ctx context.Context, id int64) error { return r.Replace(ctx, id, time.Now()) }),
		kind("windows", f.db.DuePolls, func(v certfleet.Version) int64 { return v.ID }, func(ctx context.Context, id int64) error { return r.PollARI(ctx, id, time.Now()) }),
	}
	return r, w
}

func kind[T any](name string, list func(context.Context, time.Time, int) ([]T, error), id func(T) int64, do func(context.Context, int64) error) work.Kind {
	return work.Kind{Name: name, Do: do, Due: func(ctx context.Context, now time.Time, limit int) ([]int64, error) {
		rows, err := list(ctx, now, limit)
		ids := make([]int64, len(rows))
		for i, row := range rows {
			ids[i] = id(row)
		}
		return ids, err
	}}
}

// want adds certificates that are due now, one a set of names.
func (f *fleet) want(lane certfleet.Lane, sets ...string) []*certfleet.Certificate {
	f.Helper()
	var out []*certfleet.Certificate
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		for _, set := range sets {
			names, err := certfleet.ParseNames(strings.Split(set, ","))
			if err != nil {
				return err
			}
			c := &certfleet.Certificate{Label: set, Names: names, PolicyID: f.policy.ID, DueAt: tx.Now(), Lane: lane}
			if err := tx.AddCertificate(ctx, c, "operator"); err != nil {
				return err
			}
			out = append(out, c)
		}
		return nil
	})
	return out
}

func many(pattern string, n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf(pattern, i))
	}
	return out
}

// live lets the fleet work for a while.
func (f *fleet) live(length time.Duration) {
	f.Helper()
	for end := time.Now().Add(length); ; {
		if _, err := f.work.Tick(f.Context(), time.Now(), 0); err != nil {
			f.Fatal(err)
		}
		next, err := f.db.NextDue(f.Context())
		if err != nil {
			f.Fatal(err)
		}
		if next.IsZero() || next.After(end) {
			time.Sleep(time.Until(end))
			return
		}
		if !time.Now().Before(end) {
			return
		}
		time.Sleep(max(time.Until(next), time.Millisecond))
	}
}

// issued counts the certificates that have a version.
func (f *fleet) issued() int {
	f.Helper()
	n, err := f.db.Issued(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	return int(n)
}

func (f *fleet) unbroken() {
	f.Helper()
	if b := f.ca.Breaches(); len(b) != 0 {
		f.Errorf("limits of the CA were met: %+v", b)
	}
}

func (f *fleet) certificate(id int64) *certfleet.Certificate {
	f.Helper()
	c, err := f.db.Certificate(f.Context(), id)
	if err != nil {
		f.Fatal(err)
	}
	return c
}

// now makes certificates due at once, as an impatient operator does.
func (f *fleet) now(lane certfleet.Lane, list ...*certfleet.Certificate) {
	f.Helper()
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		for _, c := range list {
			got, err := tx.Certificate(ctx, c.ID)
			if err != nil {
				return err
			}
			got.DueAt, got.Lane = tx.Now(), lane
			if err := tx.SaveCertificate(ctx, got); err != nil {
				return err
			}
		}
		return nil
	})
}

// bucket is what the ledger has for the account under a limit.
func (f *fleet) bucket(key string) store.Bucket {
	f.Helper()
	var all map[string]store.Bucket
	f.tx(func(ctx context.Context, tx *store.Tx) (err error) {
		all, err = tx.LockBuckets(ctx, []string{key})
		return err
	})
	return all[key]
}

func (f *fleet) newOrders() string { return "letsencrypt|" + f.acct.URL + "|new-orders|" }

// due is how many of the certificates are put off, and for what reasons.
func (f *fleet) reasons() string {
	f.Helper()
	list, _, err := f.db.Certificates(f.Context(), store.CertificateFilter{State: "none", Limit: 1000})
	if err != nil {
		f.Fatal(err)
	}
	by := map[string]int{}
	for _, c := range list {
		by[c.DueReason]++
	}
	var out []string
	for k, n := range by {
		out = append(out, fmt.Sprintf("%d × %s", n, k))
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}
