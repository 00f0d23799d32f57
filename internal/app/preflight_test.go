package app_test

import (
	"context"
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/solver/solvertest"
	"github.com/certfleet/certfleet/internal/store"
)

// TestAPreflightStopsWhatMustFail asks for names that the CA would certify at
// once, while DNS as we see it says that it must not.
func TestAPreflightStopsWhatMustFail(t *testing.T) {
	t.Parallel()
	dns := solvertest.Serve(t, append(append(solvertest.Zone("example.", 1), solvertest.Zone("barred.example.", 1)...), "inside.example. 60 IN A 10.0.0.1", "barred.example. 60 IN A 10.0.0.1",
		"bogus.example. 60 IN A 10.0.0.1", `barred.example. 60 IN CAA 0 issue "other.test"`)...)
	dns.Fail("", "bogus.example.", solvertest.Bogus)
	for mode, stops := range map[string]bool{config.PreflightOn: true, config.PreflightWarn: false, config.PreflightOff: false, config.PreflightAuto: false} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			f := start(t, pebble.Options{})
			f.App.Config.Preflight.Mode = mode
			f.App.Config.DNS.Resolvers = []string{dns.Addr()}
			f.tx(t, func(ctx context.Context, tx *store.Tx) error {
				return tx.AddPolicy(ctx, &certfleet.Policy{Label: "dns", Spec: certfleet.PolicySpec{Authorities: []string{"pebble"}, Challenge: certfleet.DNS01}})
			})
			type wish struct {
				cert        *certfleet.Certificate
				class, says string
			}
			wishes := []wish{
				{f.want(t, "default", nil, "gone.example"), "gone", "NXDOMAIN"},
				{f.want(t, "default", nil, "inside.example"), "", ""}, // a CA may see another address than we do
				{f.want(t, "default", nil, "bogus.example"), "dnssec", "DNSSEC does not validate"},
				{f.want(t, "dns", nil, "*.barred.example"), "caa", "do not let pebble.test issue"},
			}
			f.run(t)
			for _, w := range wishes {
				until(t, w.cert.Label, func() (bool, string) {
					got, saw := f.state(t, w.cert.ID)
					return got.VersionID != 0 || got.Failures > 0, saw
				})
				got, saw := f.state(t, w.cert.ID)
				o, err := f.DB.LastOrder(t.Context(), w.cert.ID)
				if err != nil {
					t.Fatal(err)
				}
				stops := stops && w.class != ""
				switch {
				case !stops && got.VersionID == 0:
					t.Errorf("%s was not issued: %s", w.cert.Label, saw)
				case stops && (o.ProblemType != w.class || !strings.Contains(o.Problem, w.says) || o.Advice == "" || o.URL != ""):
					t.Errorf("%s: order at %q failed as %s: %s; advice %q", w.cert.Label, o.URL, o.ProblemType, o.Problem, o.Advice)
				}
			}
		})
	}
}
