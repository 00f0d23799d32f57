package app_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// TestNodesShareOnePostgres lets two nodes work on one store; only the first
// listens for challenges, so it answers for orders of the other.
func TestNodesShareOnePostgres(t *testing.T) {
	t.Parallel()
	url := storetest.PostgresURL(t)
	f := startOn(t, pebble.Options{NonceReject: 5}, config.Database(url))
	second := *f.Config
	second.Listen = config.Listen{API: config.Off, HTTP01: config.Off, TLSALPN01: config.Off}
	other, err := app.New(t.Context(), &second, app.Options{Keeper: f.Keeper, Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	other.Work.Owner += "-second"
	var all []*certfleet.Certificate
	for i := range 24 {
		all = append(all, f.want(t, "default", nil, fmt.Sprintf("n%d.example", i)))
	}
	f.run(t)
	(&fleet{App: other}).run(t)
	for _, c := range all {
		until(t, "issue "+c.Label, func() (bool, string) {
			got, saw := f.state(t, c.ID)
			return got.VersionID != 0, saw
		})
	}
	orders, _, err := f.DB.Orders(context.Background(), store.OrderFilter{Limit: 1000})
	if err != nil || len(orders) != len(all) {
		t.Errorf("%d orders for %d certificates: %v", len(orders), len(all), err)
	}
}
