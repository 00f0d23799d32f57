package app_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/keeper/file"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/solver/http01"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/trial"
)

// The environment that makes the test binary a node: where it dies ("never"
// for not at all, "stops at ..." for a SIGSTOP there), its state folder, its
// database, and how long its claims hold.
const (
	killAt     = "CERTFLEET_TEST_KILL_AT"
	stateDir   = "CERTFLEET_TEST_STATE"
	databaseAt = "CERTFLEET_TEST_DATABASE"
	leaseFor   = "CERTFLEET_TEST_LEASE"
)

const stopsAt = "stops at "

func TestMain(m *testing.M) {
	if place := os.Getenv(killAt); place != "" {
		os.Exit(beNode(place))
	}
	beBeside()
	os.Exit(trial.Run(m))
}

// beNode runs a node until it is told to end or kills itself.
func beNode(place string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c := config.Default()
	c.StateDir = os.Getenv(stateDir)
	c.Listen = config.Listen{API: config.Off, HTTP01: config.Off, TLSALPN01: config.Off}
	c.Database = config.Database(os.Getenv(databaseAt))
	c.Outbound.Allow = config.Prefixes{netip.MustParsePrefix("127.0.0.0/8")} // where edges of a test are
	lease, _ := time.ParseDuration(os.Getenv(leaseFor))                      // none is the usual one
	stopped := false
	var a *app.App
	var err error
	a, err = app.New(ctx, c, app.Options{Lease: lease, Committed: diesAfter(place), Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), After: func(at string) {
		if stopsAt+at == place && !stopped {
			stopped = true // one order alone is worked on
			// Nobody is in a transaction when it stops: SQLite's lock on the file would be held for ever.
			_ = a.DB.Tx(ctx, time.Now(), func(*store.Tx) error { return nil })
			// The signal is on its way, however long that takes on a busy machine:
			// nothing more is done before the one that ends the stop.
			woken := make(chan os.Signal, 1)
			signal.Notify(woken, syscall.SIGCONT)
			syscall.Kill(os.Getpid(), syscall.SIGSTOP)
			<-woken
		}
		if at == place {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal is on its way
		}
	}})
	if err == nil {
		defer a.Close()
		err = a.Run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// commitsThen names the commit after which a node kills itself.
const commitsThen = "commit "

// diesAfter ends the process after so many commits, if the place says so.
func diesAfter(place string) func() {
	var most int64
	if _, err := fmt.Sscanf(place, commitsThen+"%d", &most); err != nil {
		return nil
	}
	var n atomic.Int64
	return func() {
		if n.Add(1) == most {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal is on its way
		}
	}
}

// node is a child process that runs a node.
type node struct {
	*exec.Cmd
	said  bytes.Buffer
	ended chan struct{}
}

// nest is what outlives every node: the CA, the state folder, our own view of
// the store, and somebody who answers challenges from it, because a CA that
// looks while nobody is there ends the order by right.
type nest struct {
	*testing.T
	dir    string
	url    string        // of the database, empty for a file
	lease  time.Duration // of claims, zero for the usual
	ca     *pebble.CA
	db     *store.DB
	placed atomic.Int64

	stopped time.Duration // how long a node that stops does so at least
}

func newNest(t *testing.T) *nest { return newNestAt(t, "") }

func newNestAt(t *testing.T, url string) *nest {
	n := &nest{T: t, dir: storetest.Dir(t), url: url}
	var err error
	n.ca, err = pebble.Start(pebble.Options{HTTPPort: n.answer(), NonceReject: 15, Wrap: n.count})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.ca.Close() })
	if _, err := file.Create(filepath.Join(n.dir, "sealing.key")); err != nil {
		t.Fatal(err)
	}
	if n.db, err = store.Open(t.Context(), cmp.Or(url, filepath.Join(n.dir, "certfleet.db")), store.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.db.Close() })
	return n
}

// answer serves challenges from the store, as every node of a fleet does.
func (n *nest) answer() (port int) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		n.Fatal(err)
	}
	srv := http01.NewServer(&http01.Handler{Lookup: func(ctx context.Context, token string) (string, bool, error) {
		c, err := n.db.ChallengeByToken(ctx, token)
		if err != nil {
			return "", false, err
		}
		return c.KeyAuth, true, nil
	}})
	go srv.Serve(ln)
	n.Cleanup(func() { srv.Close() })
	return ln.Addr().(*net.TCPAddr).Port
}

// count counts the orders that the CA takes.
func (n *nest) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &answered{ResponseWriter: w}
		next.ServeHTTP(seen, r)
		if r.URL.Path == "/order-plz" && seen.code == http.StatusCreated {
			n.placed.Add(1)
		}
	})
}

type answered struct {
	http.ResponseWriter
	code int
}

func (a *answered) WriteHeader(code int) { a.code = code; a.ResponseWriter.WriteHeader(code) }

// want fills the store with names that are due now.
func (n *nest) want(names ...string) (ids []int64) {
	n.Helper()
	ctx := n.Context()
	err := n.db.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		a := &certfleet.Authority{Label: "pebble", DirectoryURL: n.ca.DirectoryURL, TrustPEM: string(n.ca.TrustPEM)}
		if err := tx.AddAuthority(ctx, a); err != nil {
			return err
		}
		if err := tx.AddAccount(ctx, &certfleet.Account{AuthorityID: a.ID, Label: "main", AgreedAt: tx.Now()}); err != nil {
			return err
		}
		p := &certfleet.Policy{Label: "default", Spec: certfleet.PolicySpec{Authorities: []string{"pebble"}}}
		if err := tx.AddPolicy(ctx, p); err != nil {
			return err
		}
		for _, name := range names {
			list, err := certfleet.ParseNames([]string{name})
			if err != nil {
				return err
			}
			c := &certfleet.Certificate{Label: name, Names: list, PolicyID: p.ID, DueAt: tx.Now(), Lane: certfleet.LaneNew}
			if err := tx.AddCertificate(ctx, c, "operator"); err != nil {
				return err
			}
			ids = append(ids, c.ID)
		}
		return nil
	})
	if err != nil {
		n.Fatal(err)
	}
	return ids
}

// start runs a node in a process of its own; the test's end kills it.
func (n *nest) start(place string) *node {
	n.Helper()
	self, err := os.Executable()
	if err != nil {
		n.Fatal(err)
	}
	c := &node{Cmd: exec.Command(self), ended: make(chan struct{})}
	c.Env = append(os.Environ(), killAt+"="+place, stateDir+"="+n.dir, databaseAt+"="+n.url, leaseFor+"="+n.lease.String())
	c.Stdout, c.Stderr = &c.said, &c.said
	// In a group of its own: when the shell ends that started the tests beside it, the
	// kernel wakes all that is stopped in the group that it leaves behind.
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := c.Start(); err != nil {
		n.Fatal(err)
	}
	go func() { c.Wait(); close(c.ended) }()
	n.Cleanup(func() {
		c.Process.Kill()
		<-c.ended
		if n.Failed() {
			n.Logf("the node that dies at %q said: %s", place, c.said.String())
		}
	})
	return c
}

// dies waits until a node was killed.
func (n *nest) dies(c *node) {
	n.Helper()
	select {
	case <-c.ended:
	case <-time.After(trial.Patience):
		n.Fatal("the node did not come to the place where it dies")
	}
	if s, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGKILL {
		n.Fatalf("the node ended by itself: %s", c.ProcessState)
	}
}

func (n *nest) order(certificate int64) *certfleet.Order {
	n.Helper()
	o, err := n.db.LastOrder(n.Context(), certificate)
	if err != nil {
		n.Fatal(err)
	}
	return o
}

// soonAfter is how long after a kill an order goes on at the latest: five seconds,
// and what a busy machine adds; a claim that nobody gives back holds for two minutes.
const soonAfter = trial.Patience / 2

// TestAKilledNodeGoesOnWithTheSameOrder kills the process at every place and
// starts another one.
func TestAKilledNodeGoesOnWithTheSameOrder(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) { killEverywhere(t, func(testing.TB) string { return "" }) })
	t.Run("postgres", func(t *testing.T) { killEverywhere(t, storetest.PostgresURL) })
}

func killEverywhere(t *testing.T, url func(testing.TB) string) {
	t.Parallel()
	url(t) // skips here when there is no server
	var took times
	t.Cleanup(func() { took.soon(t) })
	for _, place := range []string{"placing", "placed", "intended", "presented", "answered", "key made", "finalized", "downloaded"} {
		t.Run(place, func(t *testing.T) {
			if place != "placed" && place != "finalized" {
				trial.InFull(t)
			}
			t.Parallel()
			n := newNestAt(t, url(t))
			id := n.want("killed.example")[0]
			n.dies(n.start(place))
			was := n.order(id)
			if was.Owner == "" || !was.LeaseUntil.After(time.Now()) {
				t.Errorf("the dead node left no claim: %q until %s", was.Owner, was.LeaseUntil)
			}
			began := time.Now()
			n.start("never")
			until(t, "go on", func() (bool, string) { o := n.order(id); return o.Rev > was.Rev+1, string(o.State) + " " + o.Problem })
			on := time.Since(began)
			until(t, "issue", func() (bool, string) { o := n.order(id); return !o.Live(), string(o.State) + " " + o.Problem })
			o := n.order(id)
			took.add(on)
			t.Logf("went on after %s, issued after %s", on.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
			if on > soonAfter {
				t.Errorf("it went on only after %s", on.Round(time.Millisecond))
			}
			if o.State != certfleet.OrderIssued || o.ID != was.ID || (was.URL != "" && o.URL != was.URL) || (was.KeyID != 0 && o.KeyID != was.KeyID) {
				t.Errorf("was order %d with key %d at %q, is %d with key %d at %q, %s: %s", was.ID, was.KeyID, was.URL, o.ID, o.KeyID, o.URL, o.State, o.Problem)
			}
			want := int64(1)
			if place == "placed" {
				want = 2 // the CA's answer died with the process
			}
			if got := n.placed.Load(); got != want {
				t.Errorf("the CA took %d orders, want %d", got, want)
			}
		})
	}
}

// atOnce is how many orders a node works on; each may die before its URL is written.
const atOnce = 8

// TestOfTwoNodesOneMayDie lets two processes share a store; one dies in the
// middle of its first order, and the other does all the work.
func TestOfTwoNodesOneMayDie(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); oneDies(newNest(t)) })
	t.Run("postgres", func(t *testing.T) { t.Parallel(); oneDies(newNestAt(t, storetest.PostgresURL(t))) })
}

func oneDies(n *nest) {
	t := n.T
	var names []string
	for i := range 12 {
		names = append(names, fmt.Sprintf("shared%d.example", i))
	}
	ids := n.want(names...)
	doomed := n.start("key made")
	until(t, "claim", func() (bool, string) {
		owners, err := n.db.Owners(t.Context())
		return len(owners) > 0, fmt.Sprint(err)
	})
	n.start("never")
	n.dies(doomed)
	began := time.Now()
	for _, id := range ids {
		until(t, "issue", func() (bool, string) {
			o, err := n.db.LastOrder(t.Context(), id)
			if err != nil {
				return false, err.Error()
			}
			return o.State == certfleet.OrderIssued, string(o.State) + " " + o.Owner + " " + o.Problem
		})
	}
	t.Logf("all issued %s after the other died", time.Since(began).Round(time.Millisecond))
	if got := n.placed.Load(); got < int64(len(ids)) || got >= int64(len(ids)+atOnce) {
		t.Errorf("the CA took %d orders for %d certificates", got, len(ids))
	}
	for _, id := range ids {
		list, _, err := n.db.Orders(t.Context(), store.OrderFilter{CertificateID: id})
		if err != nil || len(list) != 1 {
			t.Errorf("certificate %d has %d orders, want 1: %v", id, len(list), err)
		}
	}
}
