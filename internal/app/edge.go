package app

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/web"
	"github.com/certfleet/certfleet/internal/work"
)

// primeAgain is how long a version that was brought to Redis on request is not
// brought there again.
const primeAgain = time.Minute

// primes remembers which versions were brought to Redis lately.
type primes struct {
	mu sync.Mutex
	at map[int64]time.Time // by version, guarded by mu
}

// due reports whether a version may be primed now, and notes that it is.
func (p *primes) due(version int64, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.at[version]) < primeAgain {
		return false
	}
	if p.at == nil || len(p.at) > 100_000 {
		p.at = map[int64]time.Time{}
	}
	p.at[version] = now
	return true
}

// primeRedis has a version brought once more to the Redis targets of its
// certificate: an edge asked for it, so it is not there.
func (a *App) primeRedis(ctx context.Context, version int64) error {
	if a.readOnly || !a.primes.due(version, time.Now()) {
		return nil
	}
	v, err := a.DB.Version(ctx, version)
	if err != nil || v.CertificateID == 0 {
		return err
	}
	targets, err := a.DB.TargetsOf(ctx, v.CertificateID)
	if err != nil {
		return err
	}
	for _, t := range targets {
		if t.Type != "redis" {
			continue
		}
		if err := a.bringAgain(ctx, v, t.ID); err != nil {
			return err
		}
	}
	return nil
}

// bringAgain makes the delivery of a version to a target due, unless it is anyway.
func (a *App) bringAgain(ctx context.Context, v *certfleet.Version, target int64) error {
	list, _, err := a.DB.Deliveries(ctx, store.DeliveryFilter{Tenant: v.Tenant, VersionID: v.ID, TargetID: target})
	if err != nil {
		return err
	}
	for _, d := range list {
		if d.State != certfleet.DeliveryServed && d.State != certfleet.DeliveryApplied {
			continue
		}
		d.State, d.DueAt = certfleet.DeliveryDue, time.Now()
		err := a.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error { return tx.SaveDelivery(ctx, &d) })
		if err != nil && certfleet.KindOf(err) != certfleet.Conflict {
			return err
		}
	}
	return nil
}

// edgeDeps is what the API answers edges with.
func (a *App) edgeDeps() web.EdgeDeps {
	c := a.Config.Edge
	return web.EdgeDeps{Room: a.Edge, Prefixes: edgePrefixes(c), Trusted: c.Trusted, Prime: a.primeRedis, Order: a.orderNow()}
}

// edgePrefixes are the prefixes that are on.
func edgePrefixes(c config.Edge) []string {
	return slices.DeleteFunc(slices.Clone(c.Prefixes), func(p string) bool { return p == string(config.Off) })
}

// onlyEdges answers what edges ask for and nothing else of the API.
func onlyEdges(all http.Handler, c config.Edge) http.Handler {
	roots := []string{"/v1/edge/", "/healthz", "/.well-known/public/whoami"}
	for _, p := range edgePrefixes(c) {
		p = strings.TrimRight(p, "/")
		roots = append(roots, p+"/domain/", p+"/api/domain/", p+"/x509-certificate/")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.ContainsFunc(roots, func(root string) bool { return strings.HasPrefix(r.URL.Path, root) }) {
			http.NotFound(w, r)
			return
		}
		all.ServeHTTP(w, r)
	})
}

// forgetLookups removes what is older, a batch at a time.
func (a *App) forgetLookups(ctx context.Context, before time.Time) error {
	const batch = 1000
	for n := int64(batch); n == batch && !work.Stopping(ctx); {
		err := a.DB.Tx(ctx, time.Now(), func(tx *store.Tx) (err error) {
			n, err = tx.ForgetLookups(ctx, before, batch)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
