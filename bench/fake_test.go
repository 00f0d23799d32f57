package bench

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/fakeca"
	"github.com/certfleet/certfleet/internal/keeper"
	"github.com/certfleet/certfleet/internal/store"
)

// fake is a CA of this process behind a real socket, without limits.
func fake(tb testing.TB) *fakeca.CA {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	ca := fakeca.New(fakeca.Options{URL: "http://" + ln.Addr().String(), Trusting: true, Lean: true})
	s := &http.Server{Handler: ca.Handler(), ReadHeaderTimeout: 10 * time.Second}
	go s.Serve(ln)
	tb.Cleanup(func() { s.Close() })
	return ca
}

// nodeAt is a node at a database, which listens to nothing.
func nodeAt(tb testing.TB, database config.Database, key certfleet.Keeper) *app.App {
	tb.Helper()
	c := config.Default()
	c.StateDir = tb.TempDir()
	c.Database = database
	c.Listen = config.Listen{API: config.Off, HTTP01: config.Off, TLSALPN01: config.Off}
	a, err := app.New(tb.Context(), c, app.Options{Keeper: key})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { a.Close() })
	return a
}

func sealing(tb testing.TB) certfleet.Keeper {
	tb.Helper()
	key, err := keeper.Generate()
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// settle makes an authority, an account and a policy for the fake CA.
func settle(tb testing.TB, a *app.App, ca *fakeca.CA) (policy int64) {
	tb.Helper()
	ctx := tb.Context()
	err := a.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		auth := &certfleet.Authority{Label: "fake", DirectoryURL: ca.DirectoryURL()}
		if err := tx.AddAuthority(ctx, auth); err != nil {
			return err
		}
		if err := tx.AddAccount(ctx, &certfleet.Account{AuthorityID: auth.ID, Label: "main", AgreedAt: tx.Now()}); err != nil {
			return err
		}
		p := &certfleet.Policy{Label: "default", Spec: certfleet.PolicySpec{Authorities: []string{"fake"}}}
		err := tx.AddPolicy(ctx, p)
		policy = p.ID
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	if err := a.Issue.Register(ctx, 1); err != nil {
		tb.Fatal(err)
	}
	return policy
}

// engine turns the handle until ctx ends.
type engine func(ctx context.Context, a *app.App) error

// river is the node's own, with its way of collecting garbage.
func river(ctx context.Context, a *app.App) error {
	eased := make(chan error, 1)
	go func() { eased <- app.Ease(ctx) }()
	return errors.Join(a.Work.Run(ctx), <-eased)
}

// issueAll runs nodes until n certificates were issued.
func issueAll(b *testing.B, nodes []*app.App, run engine) {
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error, len(nodes))
	for _, a := range nodes {
		go func() { ended <- run(ctx, a) }()
	}
	for {
		n, err := nodes[0].DB.Issued(ctx)
		if err != nil {
			b.Fatal(err)
		}
		if n >= int64(b.N) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	b.StopTimer()
	stop()
	for range nodes {
		if err := <-ended; err != nil {
			b.Fatal(err)
		}
	}
}
