package edge

import (
	"fmt"
	"testing"
	"time"

	"github.com/certfleet/certfleet/client"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/trial"
)

func TestAHandshakeHasAnAllowedNameOrdered(t *testing.T) {
	trial.InFull(t)
	h := newHouse(t, func(c *config.Config, _ *pebble.Options) {
		c.OnDemand.Patterns = []string{`[a-z0-9-]+\.shops\.example\.com`}
	})
	r := start(t, settings{Options: fmt.Sprintf("redis = false, manager = %q, on_demand = true, on_demand_wait = 9, allow = function() return true end", h.withToken())})
	const name = "new.shops.example.com"
	began := time.Now()
	r.served(name) // waits, and is shown the default where the CA takes longer than it may
	r.eventually("the ordered pair", func() bool { return r.served(name) != r.fallback })
	t.Logf("served %v after it was first asked for", time.Since(began).Round(time.Millisecond))
	r.expect(name, h.fingerprint(h.until(name, "valid", 0).Certificate.VersionID))
	r.expectDefault("new.elsewhere.example.org", "new.elsewhere.example.org") // the manager's rules say no, whatever the edge allows
	var ordered []string
	for o, err := range h.client.Orders(t.Context(), client.OrderQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		ordered = append(ordered, o.Names...)
	}
	if len(ordered) != 1 || ordered[0] != name {
		t.Errorf("ordered %q, want %s once", ordered, name)
	}
}
