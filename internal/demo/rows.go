package demo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/store"
)

// rows writes the demo's rows; run tells those of this run from earlier ones.
type rows struct {
	tx  *store.Tx
	run string
}

func (r rows) write(ctx context.Context, h *home, ca *pebble.CA, targets []place) error {
	authority, err := r.authority(ctx, ca)
	if err != nil {
		return err
	}
	for _, write := range []func() error{
		func() error { return r.account(ctx, authority) },
		func() error { return r.policies(ctx) },
		func() error { return r.targets(ctx, targets) },
		func() error { return r.token(ctx, h.token) },
		func() error { return r.endOrders(ctx) },
	} {
		if err := write(); err != nil {
			return err
		}
	}
	return nil
}

// authority says where this run's CA is.
func (r rows) authority(ctx context.Context, ca *pebble.CA) (int64, error) {
	a, err := r.tx.AuthorityByLabel(ctx, certfleet.DefaultTenant, "pebble")
	if missing(err) {
		a = &certfleet.Authority{Label: "pebble", DirectoryURL: ca.DirectoryURL, TrustPEM: string(ca.TrustPEM), Note: "the demo's own CA"}
		err = r.tx.AddAuthority(ctx, a)
		return a.ID, err
	}
	if err != nil {
		return 0, err
	}
	a.DirectoryURL, a.TrustPEM = ca.DirectoryURL, string(ca.TrustPEM)
	return a.ID, r.tx.SaveAuthority(ctx, a)
}

// account is a new one: the CA of an earlier run is gone, and its accounts too.
func (r rows) account(ctx context.Context, authority int64) error {
	old, err := r.tx.Accounts(ctx, certfleet.DefaultTenant)
	if err != nil {
		return err
	}
	for _, a := range old {
		if a.State == certfleet.AccountDeactivated {
			continue
		}
		a.State = certfleet.AccountDeactivated
		if err := r.tx.SaveAccount(ctx, &a); err != nil {
			return err
		}
	}
	return r.tx.AddAccount(ctx, &certfleet.Account{AuthorityID: authority, Label: r.run, AgreedAt: r.tx.Now(), Contact: []string{"mailto:tls@demo.test"}})
}

func (r rows) policies(ctx context.Context) error {
	for label, spec := range policies {
		p, err := r.tx.PolicyByLabel(ctx, certfleet.DefaultTenant, label)
		if missing(err) {
			err = r.tx.AddPolicy(ctx, &certfleet.Policy{Label: label, Spec: spec})
		} else if err == nil {
			p.Spec = spec
			err = r.tx.SavePolicy(ctx, p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// place is a target of the demo: how it is reached and where it serves.
type place struct {
	label, kind, addr string
	spec              []byte // JSON
}

// edgeSpec leads to the folder that the edge serves from.
func (d *demo) edgeSpec() []byte {
	spec, _ := json.Marshal(map[string]string{"dir": d.path("edge"), "layout": "certbot"}) // plain text always marshals
	return spec
}

func (r rows) targets(ctx context.Context, list []place) error {
	for _, p := range list {
		if err := r.target(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func (r rows) target(ctx context.Context, p place) error {
	g, err := r.tx.TargetByLabel(ctx, certfleet.DefaultTenant, p.label)
	if missing(err) {
		return r.tx.AddTarget(ctx, &certfleet.StoredTarget{Label: p.label, Type: p.kind, Spec: p.spec, Probe: []string{p.addr}})
	}
	if err != nil {
		return err
	}
	g.Type, g.Spec, g.Probe, g.Paused = p.kind, p.spec, []string{p.addr}, false
	return r.tx.SaveTarget(ctx, g)
}

// token lets this run's token in, and no earlier one.
func (r rows) token(ctx context.Context, secret string) error {
	old, err := r.tx.Tokens(ctx, certfleet.DefaultTenant)
	if err != nil {
		return err
	}
	for _, t := range old {
		if !t.RevokedAt.IsZero() {
			continue
		}
		if err := r.tx.RevokeToken(ctx, certfleet.DefaultTenant, t.Label); err != nil {
			return err
		}
	}
	sum := sha256.Sum256([]byte(secret))
	return r.tx.AddToken(ctx, &certfleet.Token{Tenant: certfleet.DefaultTenant, Label: r.run, Hash: hex.EncodeToString(sum[:]), Scopes: []certfleet.Scope{certfleet.ScopeAdmin, certfleet.ScopeKey}})
}

// endOrders ends what was on its way at the CA of an earlier run.
func (r rows) endOrders(ctx context.Context) error {
	live, _, err := r.tx.Orders(ctx, store.OrderFilter{State: "live", Limit: 1000})
	if err != nil {
		return err
	}
	for _, o := range live {
		o.State, o.FinishedAt, o.DueAt = certfleet.OrderFailed, r.tx.Now(), time.Time{}
		o.Problem, o.Owner, o.LeaseUntil = "the demo that placed it has ended, and its CA with it", "", time.Time{}
		if err := r.tx.SaveOrder(ctx, &o); err != nil {
			return err
		}
		if err := r.tx.CleanLater(ctx, o.ID); err != nil {
			return err
		}
	}
	return nil
}

func missing(err error) bool { return certfleet.KindOf(err) == certfleet.NotFound }
