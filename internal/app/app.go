// Package app joins the rooms to one running node. It is the only place where
// everything is known to everything: the config becomes listeners, plugins and
// rooms here, and main, the demo and the tests run the same thing.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/deliver"
	"github.com/certfleet/certfleet/internal/demand"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/edge"
	"github.com/certfleet/certfleet/internal/enroll"
	"github.com/certfleet/certfleet/internal/issue"
	"github.com/certfleet/certfleet/internal/keystore"
	"github.com/certfleet/certfleet/internal/keystore/stored"
	"github.com/certfleet/certfleet/internal/probe"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/work"
)

// App is one node: its rooms, built and not yet running.
type App struct {
	Config  *config.Config
	DB      *store.DB
	Keys    *keystore.Keystore
	Keeper  certfleet.Keeper // at the start; Reload replaces it in Keys
	Issue   *issue.Room
	Deliver *deliver.Room
	Edge    *edge.Room
	Enroll  *enroll.Room
	Demand  *demand.Room
	Work    *work.Work
	Log     *slog.Logger

	guard   atomic.Pointer[dial.Guard]      // replaced by Reload
	trusted atomic.Pointer[config.Prefixes] // replaced by Reload
	solvers *solvers
	mute    mute
	probe   probe.Options
	hits    *hits
	primes  primes
	runs    *runs
	acmeLog *slog.Logger

	readOnly bool
	ownKey   bool // the sealing key is the one that the configuration names
	started  time.Time

	mu        sync.Mutex
	listening map[string]string // by name, guarded by mu
	ready     chan struct{}
}

// Options for New that no configuration file has.
type Options struct {
	Log      *slog.Logger
	ReadOnly bool
	// Solvers are added to those of the configuration, by label; the demo's are.
	Solvers map[string]certfleet.Solver
	// Keeper replaces the sealing key that the configuration names.
	Keeper certfleet.Keeper
	// After is called at the named places of a step; crash tests end the process there.
	After func(place string)
	// Lease is how long a claim holds, two minutes if zero; tests shorten it.
	Lease time.Duration
	// Committed is called after each commit; crash tests end the process there.
	Committed func()
}

// New builds a node: it opens the store and the sealing key and constructs every
// room and plugin, but listens to nothing and starts nothing.
func New(ctx context.Context, c *config.Config, o Options) (*App, error) {
	a := &App{Config: c, Log: o.Log, readOnly: o.ReadOnly, started: time.Now(), ready: make(chan struct{}), listening: map[string]string{}}
	if a.Log == nil {
		a.Log = slog.New(slog.DiscardHandler)
	}
	a.acmeLog = a.Log.With("log", "acme")
	if err := a.openStore(ctx, o); err != nil {
		return nil, err
	}
	if err := a.build(o); err != nil {
		return nil, errors.Join(err, a.DB.Close())
	}
	return a, nil
}

func (a *App) openStore(ctx context.Context, o Options) error {
	var err error
	if a.Keeper = o.Keeper; a.Keeper == nil {
		if a.Keeper, err = OpenKeeper(a.Config); err != nil {
			return err
		}
		a.ownKey = true
	}
	where, err := a.Config.ResolveDatabase()
	if err != nil {
		return err
	}
	if a.DB, err = store.Open(ctx, string(where), store.Options{ReadOnly: o.ReadOnly, Lease: o.Lease, Committed: o.Committed}); err != nil {
		return err
	}
	a.Keys = stored.New(a.Keeper, a.DB)
	return nil
}

func (a *App) build(o Options) error {
	guard, err := dial.NewGuard(a.Config.Outbound.Allow.Strings())
	if err != nil {
		return err
	}
	a.guard.Store(guard)
	a.trusted.Store(&a.Config.TrustedProxies)
	if a.probe, err = a.probeOptions(); err != nil {
		return err
	}
	if a.solvers, err = a.buildSolvers(a.Config.Solvers, o.Solvers); err != nil {
		return err
	}
	owner := work.OwnerName()
	a.Issue = &issue.Room{DB: a.DB, Keys: a.Keys, Client: a.client, Solver: a.solvers.find, Preflight: a.preflight, Log: a.Log, After: o.After}
	a.Deliver = &deliver.Room{DB: a.DB, Keys: a.Keys, Target: a.target, Probe: a.probe, Log: a.Log, Owner: owner, LooksPerHour: a.Config.Probe.PerHour, After: o.After}
	a.Edge = &edge.Room{DB: a.DB, Keys: a.Keys}
	a.Enroll = a.enrolment()
	if a.Demand, err = a.onDemand(); err != nil {
		return err
	}
	a.Work = &work.Work{DB: a.DB, Workers: a.Config.Work.Workers, Log: a.Log, Owner: owner, Grace: time.Duration(a.Config.Shutdown.Grace)}
	a.Work.Kinds = a.kinds(owner)
	a.hits, a.runs = newHits(a.DB), newRuns()
	return nil
}

// Close gives back what New opened.
func (a *App) Close() error { return errors.Join(a.solvers.close(), a.DB.Close()) }

// StatePath is a path in the state folder.
func StatePath(c *config.Config, name string) string { return filepath.Join(c.StateDir, name) }

func (a *App) probeOptions() (probe.Options, error) {
	o := probe.Options{Timeout: time.Duration(a.Config.Probe.Timeout), Resolvers: a.Config.DNS.Resolvers}
	if a.Config.Probe.Roots == "" {
		return o, nil
	}
	pem, err := os.ReadFile(a.Config.Probe.Roots)
	if err != nil {
		return o, a.Config.Places.Problem("probe.roots", &certfleet.Error{Kind: certfleet.Invalid, Msg: "probe.roots cannot be read", Advice: "name a PEM file with the roots to trust", Err: err})
	}
	if o.Roots, err = pool(pem); err != nil {
		return o, a.Config.Places.Problem("probe.roots", fmt.Errorf("probe.roots %s: %w", a.Config.Probe.Roots, err))
	}
	return o, nil
}
