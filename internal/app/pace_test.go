package app_test

import (
	"context"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/fakeca"
	"github.com/certfleet/certfleet/internal/keeper"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/trial"
)

// TestANodeKeepsToTheRatesOfItsCA asks over sockets, by a client made anew in between.
func TestANodeKeepsToTheRatesOfItsCA(t *testing.T) {
	t.Parallel()
	ca := fakeca.New(fakeca.Options{Paces: fakeca.LetsEncryptPaces()})
	srv := httptest.NewServer(ca.Handler())
	defer srv.Close()
	c := config.Default()
	c.StateDir = t.TempDir()
	key, err := keeper.Generate()
	if err != nil {
		t.Fatal(err)
	}
	node, err := app.New(t.Context(), c, app.Options{Keeper: key})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	at := &certfleet.Authority{Label: "letsencrypt", DirectoryURL: srv.URL + "/directory"}
	if err := node.DB.Tx(t.Context(), time.Now(), func(tx *store.Tx) error { return tx.AddAuthority(t.Context(), at) }); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		askDirectories(t, node, at.ID, 30)
		node.Issue.Forget(at.ID)
	}
	if b := ca.Breaches(); len(b) != 0 || ca.Stats().Requests["directory"] != 60 {
		t.Errorf("60 questions at once, where 40 are allowed, were %d, and met %+v", ca.Stats().Requests["directory"], b)
	}
}

func askDirectories(t *testing.T, node *app.App, authority int64, n int) {
	t.Helper()
	client, err := node.Issue.ClientOf(t.Context(), authority)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), trial.Patience)
	defer cancel()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if _, err := client.Refresh(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
