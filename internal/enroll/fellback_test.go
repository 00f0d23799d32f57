package enroll

import (
	"context"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

// TestAServiceThatGoesBackIsNoticedByItsAgentsLooks has a service that was seen
// serving a version and serves an older one some time later.
func TestAServiceThatGoesBackIsNoticedByItsAgentsLooks(t *testing.T) {
	const old = "127.0.0.1:443 serves another certificate"
	for typ, want := range map[string][]certfleet.DeliveryState{
		"sftp":             {certfleet.DeliveryServed, certfleet.DeliveryApplied, certfleet.DeliveryDue, certfleet.DeliveryServed},
		certfleet.TypePull: {certfleet.DeliveryServed, certfleet.DeliveryApplied, certfleet.DeliveryApplied, certfleet.DeliveryServed},
	} {
		k, _ := pushed(t)
		target, err := k.DB.TargetByLabel(t.Context(), 0, "edge-1")
		k.must(err)
		target.Type = typ
		k.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SaveTarget(ctx, target) })
		for i, l := range []api.AgentLineage{
			{Served: "f00d"},
			{Served: "0ld", Problem: old, Advice: "reload the service"},
			{Served: "0ld", Problem: old, Advice: "reload the service"},
			{Served: "f00d"},
		} {
			l.Certificate, l.Fingerprint = "shop", "f00d"
			k.says("edge-1", api.AgentReport{Round: "r", Lineages: []api.AgentLineage{l}})
			d := k.delivery()
			if d.State != want[i] || d.Problem != l.Problem || d.Advice != l.Advice {
				t.Errorf("%s: after report %d it is %s, %q; want %s, %q", typ, i, d.State, d.Problem, want[i], l.Problem)
			}
			if d.State == certfleet.DeliveryDue && d.DueAt.After(time.Now()) {
				t.Errorf("it is pushed again at %s only", d.DueAt)
			}
		}
		k.told("delivery.unseen", map[string]int{"sftp": 2, certfleet.TypePull: 1}[typ], "")
	}
}

// TestAReportDoesNotEndAPushThatIsToTellServicesAgain has the agent report what it
// holds while somebody asked to deliver it by force.
func TestAReportDoesNotEndAPushThatIsToTellServicesAgain(t *testing.T) {
	for served, want := range map[string]certfleet.DeliveryState{"": certfleet.DeliveryDue, "0ld": certfleet.DeliveryDue, "f00d": certfleet.DeliveryServed} {
		k, _ := pushed(t)
		d := k.delivery()
		d.State, d.DueAt = certfleet.DeliveryDue, time.Now()
		k.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SaveDelivery(ctx, d) })
		k.says("edge-1", api.AgentReport{Round: "r", Lineages: []api.AgentLineage{{Certificate: "shop", Fingerprint: "f00d", Served: served}}})
		if d := k.delivery(); d.State != want || want == certfleet.DeliveryDue && d.DueAt.IsZero() {
			t.Errorf("served is %q: it is %s, due %s; want %s", served, d.State, d.DueAt, want)
		}
	}
}
