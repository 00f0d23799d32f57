package issue_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/fakeca"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/trial"
	"github.com/certfleet/certfleet/internal/work"
)

// unlimited is a CA without limits, each of whose answers takes a while.
func unlimited(t *testing.T, db *store.DB, slow time.Duration) *fleet {
	t.Helper()
	f := newFleetAt(t, db, "unlimited", fakeca.Options{Limits: []fakeca.Limit{}})
	if slow > 0 {
		f.ca.Inject(fakeca.Fault{Kind: fakeca.Slow, Delay: slow})
	}
	return f
}

// desk is where new-order requests arrive: it keeps the first name of each, in
// the order in which they came.
type desk struct {
	ca http.RoundTripper

	mu   sync.Mutex
	came []string // guarded by mu
}

// RoundTrip notes a request before the CA takes its time.
func (d *desk) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path != "/order/new" {
		return d.ca.RoundTrip(r)
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(raw))
	var asks struct{ Identifiers []struct{ Value string } }
	if err := json.Unmarshal([]byte(payload(raw)), &asks); err != nil || len(asks.Identifiers) == 0 {
		return nil, fmt.Errorf("a new-order without names: %q, %w", raw, err)
	}
	d.mu.Lock()
	d.came = append(d.came, asks.Identifiers[0].Value)
	d.mu.Unlock()
	return d.ca.RoundTrip(r)
}

// asked are the new-orders so far.
func (d *desk) asked() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.came)
}

// river starts nodes that share the store and have River hand out their work, each
// with few workers. The function that is returned ends them.
func (f *fleet) river(d *desk, nodes int) (stop func()) {
	f.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(f.Context()))
	ended := make(chan error, nodes)
	for i := range nodes {
		w := f.manager(d, fmt.Sprintf("elsewhere-%d/1/1/1", i))
		w.Workers = hands
		go func() { ended <- w.Run(ctx) }()
	}
	once := sync.OnceFunc(func() {
		cancel()
		for range nodes {
			if err := <-ended; err != nil {
				f.Error(err)
			}
		}
	})
	f.Cleanup(once)
	return once
}

// manager is a node that is not taken for a dead one of this host.
func (f *fleet) manager(d *desk, owner string) *work.Work {
	r, w := f.node("", nil)
	r.Client = func(a *certfleet.Authority, record func(context.Context, certfleet.Exchange)) (*acme.Client, error) {
		return acme.New(acme.Options{DirectoryURL: a.DirectoryURL, HTTP: &http.Client{Transport: d}, Record: record}), nil
	}
	w.Owner = owner
	for i, k := range w.Kinds {
		if k.Name == "orders" {
			w.Kinds[i] = work.Orders(f.db, owner, r.Step)
		}
	}
	return w
}

// share adds certificates of a lane and a tenant, due since some time of the last
// day. Their names tell both.
func (f *fleet) share(lane certfleet.Lane, tenant string, n int) {
	f.Helper()
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		for i := range n {
			label := fmt.Sprintf("%s.%s.n%d.example", lane, tenant, i)
			names, err := certfleet.ParseNames([]string{label})
			if err != nil {
				return err
			}
			since := time.Duration(i*7919%n) * 24 * time.Hour / time.Duration(n)
			c := &certfleet.Certificate{Label: label, Names: names, PolicyID: f.policy.ID, DueAt: tx.Now().Add(-since), Lane: lane, Labels: certfleet.Labels{"tenant": tenant}}
			if err := tx.AddCertificate(ctx, c, "operator"); err != nil {
				return err
			}
		}
		return nil
	})
}

// part is a label of a name: 0 is its lane, 1 its tenant.
func part(name string, i int) string { return strings.Split(name, ".")[i] }

// comes waits until so many new-orders arrived.
func (f *fleet) comes(d *desk, n int) {
	f.Helper()
	f.sees(d, fmt.Sprintf("%d orders are begun", n), func(came []string) bool { return len(came) >= n })
}

// sees waits until what came at the desk is as wanted.
func (f *fleet) sees(d *desk, what string, wanted func(came []string) bool) {
	f.Helper()
	trial.Within(f, 4*time.Hour, what, func() (bool, string) {
		time.Sleep(100 * time.Millisecond)
		d.mu.Lock()
		defer d.mu.Unlock()
		return wanted(d.came), fmt.Sprintf("%d orders begun", len(d.came))
	})
}

// of are the places in the queue of those of a tenant.
func of(came []string, tenant string) (at []int) {
	for i, name := range came {
		if part(name, 1) == tenant {
			at = append(at, i)
		}
	}
	return at
}

// herd tells a story of many that are due at once, on one node in made-up time
// over SQLite, and on two nodes in real time over PostgreSQL, where the CA takes a
// quarter of the time for each answer.
func herd(t *testing.T, slow time.Duration, story func(f *fleet, nodes int)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		file := storetest.EmptySQLiteFile(t)
		synctest.Test(t, func(t *testing.T) {
			db, err := store.Open(t.Context(), file, store.Options{Fast: true})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			story(unlimited(t, db, slow), 1)
		})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		story(unlimited(t, storetest.Postgres(t), slow/4), 2)
	})
}

// What may go before something more urgent: what was opened ahead, what each node
// keeps queued of a kind, and of what it began the part that waits at its gate.
const (
	openedAhead = 300
	queuedAhead = 100
	hands       = 4 // workers of a node
	atGates     = hands * 9
)
