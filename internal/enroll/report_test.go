package enroll

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

// pushed is a delivery that was sent to a target of type sftp, whose agent has joined.
func pushed(t *testing.T) (*kit, *certfleet.Certificate) {
	k := newKit(t)
	n, err := certfleet.ParseName("shop.example")
	k.must(err)
	c := &certfleet.Certificate{Label: "shop", Names: []certfleet.Name{n}, Targets: []string{"edge-1"}, State: certfleet.Paused}
	v := &certfleet.Version{Names: c.Names, Fingerprint: "f00d", Serial: "1", NotBefore: k.now, NotAfter: k.now.Add(time.Hour)}
	k.tx(func(ctx context.Context, tx *store.Tx) error {
		p := &certfleet.Policy{Label: "default"}
		k.must(tx.AddPolicy(ctx, p))
		k.must(tx.AddTarget(ctx, &certfleet.StoredTarget{Label: "edge-1", Type: "sftp"}))
		c.PolicyID = p.ID
		k.must(tx.AddCertificate(ctx, c, "operator"))
		v.CertificateID = c.ID
		k.must(tx.AddVersion(ctx, v, nil))
		return tx.WantDeliveries(ctx, v)
	})
	d := k.delivery()
	d.State, d.SentAt, d.DueAt = certfleet.DeliverySent, k.now, time.Time{}
	k.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SaveDelivery(ctx, d) })
	k.join("edge-1")
	return k, c
}

func (k *kit) delivery() *certfleet.Delivery {
	k.Helper()
	t, err := k.DB.TargetByLabel(k.Context(), 0, "edge-1")
	k.must(err)
	d, err := k.DB.DeliveryHere(k.Context(), certfleet.DefaultTenant, t.ID, "shop")
	k.must(err)
	return d
}

func TestAPushIsAppliedOrFailedByWhatItsAgentReports(t *testing.T) {
	for what, row := range map[string]struct {
		l       api.AgentLineage
		state   certfleet.DeliveryState
		problem string
		event   string
	}{
		"it is live":              {api.AgentLineage{Fingerprint: "f00d"}, certfleet.DeliveryApplied, "", "delivery.applied"},
		"it is live and served":   {api.AgentLineage{Fingerprint: "f00d", Served: "f00d"}, certfleet.DeliveryServed, "", "delivery.served"},
		"an updater failed":       {api.AgentLineage{Fingerprint: "f00d", Problem: "updater web: exit 1"}, certfleet.DeliveryApplied, "updater web", "delivery.applied"},
		"it was refused":          {api.AgentLineage{Fingerprint: "0ld", Problem: "the key does not fit"}, certfleet.DeliveryFailed, "does not fit", "delivery.failed"},
		"another is served":       {api.AgentLineage{Fingerprint: "f00d", Served: "0ld", Problem: "127.0.0.1:443 serves another certificate"}, certfleet.DeliveryApplied, "serves another", "delivery.applied"},
		"another is live for now": {api.AgentLineage{Fingerprint: "0ld"}, certfleet.DeliverySent, "", ""},
	} {
		t.Run(what, func(t *testing.T) {
			k, _ := pushed(t)
			row.l.Certificate = "shop"
			if o := k.says("edge-1", api.AgentReport{Round: "r", Lineages: []api.AgentLineage{row.l}}); o.Pull {
				t.Error("the agent of a pushed target is told to fetch")
			}
			d := k.delivery()
			if d.State != row.state || !strings.Contains(d.Problem, row.problem) || row.problem == "" && d.Problem != "" {
				t.Errorf("it is %s, %q; want %s, %q", d.State, d.Problem, row.state, row.problem)
			}
			if row.event != "" {
				k.told(row.event, 1, "")
			}
			if row.state == certfleet.DeliveryFailed && d.DueAt.IsZero() {
				t.Error("nobody pushes it again")
			}
		})
	}
}

func TestACanaryPassesByWhatItsAgentReports(t *testing.T) {
	for what, row := range map[string]struct {
		probe  []string
		l      api.AgentLineage
		passes bool
	}{
		"it is live":                {nil, api.AgentLineage{Fingerprint: "f00d"}, true},
		"it is served":              {nil, api.AgentLineage{Fingerprint: "f00d", Served: "f00d"}, true},
		"an updater failed":         {nil, api.AgentLineage{Fingerprint: "f00d", Problem: "updater web: exit 1"}, false},
		"another is live":           {nil, api.AgentLineage{Fingerprint: "0ld"}, false},
		"the manager looks at this": {[]string{"192.0.2.1:443"}, api.AgentLineage{Fingerprint: "f00d"}, false},
	} {
		t.Run(what, func(t *testing.T) {
			k, c := pushed(t)
			target, err := k.DB.TargetByLabel(k.Context(), 0, "edge-1")
			k.must(err)
			target.Group, target.Canary, target.Probe = "web", true, row.probe
			k.tx(func(ctx context.Context, tx *store.Tx) error {
				k.must(tx.SaveTarget(ctx, target))
				k.must(tx.AddTarget(ctx, &certfleet.StoredTarget{Label: "edge-2", Type: "sftp", Pace: certfleet.Pace{Group: "web"}}))
				c.Targets = append(c.Targets, "edge-2")
				k.must(tx.ReplaceCertificate(ctx, c, "operator"))
				v, err := tx.Version(ctx, k.delivery().VersionID)
				k.must(err)
				return tx.WantMissingDeliveries(ctx, v)
			})
			row.l.Certificate = "shop"
			k.says("edge-1", api.AgentReport{Round: "r", Lineages: []api.AgentLineage{row.l}})
			other, err := k.DB.TargetByLabel(k.Context(), 0, "edge-2")
			k.must(err)
			d, err := k.DB.DeliveryHere(k.Context(), certfleet.DefaultTenant, other.ID, "shop")
			k.must(err)
			if d.Held == row.passes || row.passes == d.DueAt.IsZero() {
				t.Errorf("the delivery to the rest of the group: %+v", d)
			}
			k.told("canary.passed", map[bool]int{true: 1}[row.passes], "edge-1 holds it")
		})
	}
}

func TestAClockThatIsOffIsToldOfOnce(t *testing.T) {
	k := newKit(t)
	k.join("edge-1")
	for range 2 {
		k.says("edge-1", api.AgentReport{Round: "r", Clock: k.now.Add(-2 * time.Minute)})
	}
	k.told("agent.clock_off", 1, "off by -2m0s")
	k.says("edge-1", api.AgentReport{Round: "r", Clock: k.now.Add(certfleet.MaxSkew)})
	k.told("agent.clock_off", 1, "")
	k.says("edge-1", api.AgentReport{Round: "r", Clock: k.now.Add(time.Hour)})
	k.told("agent.clock_off", 2, "off by 1h0m0s")
}

func FuzzReport(f *testing.F) {
	f.Add([]byte(`{"round":"r","whole":true,"clock":"2026-01-01T00:00:00Z","lineages":[{"certificate":"shop","fingerprint":"f00d","problem":"p"}],"updaters":[{"name":"web","ok":false}]}`))
	f.Add([]byte(`{"clock":"9999-12-31T23:59:59Z","lineages":[{"certificate":""},{"certificate":""}]}`))
	k := newKit(f)
	k.join("edge-1")
	f.Fuzz(func(t *testing.T, text []byte) {
		k := &kit{TB: t, Room: k.Room, now: k.now}
		var w api.AgentReport
		if json.Unmarshal(text, &w) != nil {
			return
		}
		if _, err := k.Report(t.Context(), k.agent("edge-1"), w, k.now); err != nil && certfleet.KindOf(err) == certfleet.Internal {
			t.Fatalf("%s: %v", text, err)
		}
		if a := k.agent("edge-1"); a.State(k.now) != certfleet.AgentActive {
			t.Errorf("%s made it %s", text, a.State(k.now))
		}
	})
}
