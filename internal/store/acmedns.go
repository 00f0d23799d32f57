package store

import (
	"context"
	"time"

	"github.com/certfleet/certfleet"
)

// ACMEDNS is a credential at an acme-dns server, sealed.
type ACMEDNS struct {
	Tenant     int64
	Solver     string
	Name       certfleet.Name
	FullDomain string // what the CNAME of the name's challenge points to
	Sealed     []byte
	CreatedAt  time.Time
}

var acmedns = table[ACMEDNS]{"acmedns", "acme-dns credential", func(a *ACMEDNS) []field {
	return []field{{"tenant_id", &a.Tenant}, {"solver", &a.Solver}, {"name", &a.Name}, {"fulldomain", &a.FullDomain}, {"sealed", &a.Sealed}, {"created_at", ms(&a.CreatedAt)}}
}}

// ACMEDNS reads the credential of a name.
func (q Q) ACMEDNS(ctx context.Context, tenant int64, solver string, n certfleet.Name) (*ACMEDNS, error) {
	return acmedns.one(ctx, q, "WHERE tenant_id = $1 AND solver = $2 AND name = $3", orDefault(tenant), solver, n.String())
}

// ACMEDNSOf lists the credentials of a solver.
func (q Q) ACMEDNSOf(ctx context.Context, tenant int64, solver string) ([]ACMEDNS, error) {
	return acmedns.list(ctx, q, "WHERE tenant_id = $1 AND solver = $2 ORDER BY name", orDefault(tenant), solver)
}

// PutACMEDNS stores the credential of a name in place of an older one.
func (t *Tx) PutACMEDNS(ctx context.Context, a ACMEDNS) error {
	_, err := t.change(ctx, `INSERT INTO acmedns (tenant_id, solver, name, fulldomain, sealed, created_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (tenant_id, solver, name) DO UPDATE SET fulldomain = excluded.fulldomain, sealed = excluded.sealed`,
		orDefault(a.Tenant), a.Solver, a.Name.String(), a.FullDomain, a.Sealed, t.now.UnixMilli())
	return err
}

// ACMEDNSAfter lists a page of the credentials of a solver by name, behind a name.
func (q Q) ACMEDNSAfter(ctx context.Context, tenant int64, solver, after string, limit int) ([]ACMEDNS, error) {
	return acmedns.list(ctx, q, "WHERE tenant_id = $1 AND solver = $2 AND name > $3 ORDER BY name LIMIT $4", orDefault(tenant), solver, after, page(limit))
}
